"""SignedLinear: the closed form against the definition, and what it learns."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.pairs import pairs_of
from recsys.data.queries import Queries
from recsys.errors import CapabilityError, DataError
from recsys.evaluation.disagreement.judgements import Judgements
from recsys.evaluation.disagreement.masked import masked_margins
from recsys.evaluation.disagreement.protocols import halves
from recsys.models import SignedLinear
from recsys.models.preference.rated_ridge import learned_prior
from recsys.models.preference.residuals import Residuals


def _log(seed: int = 0) -> Interactions:
    rng = np.random.default_rng(seed)
    user, item = np.nonzero(rng.random((30, 12)) < 0.6)
    return Interactions.from_columns(user, item, rng.integers(1, 6, len(user)), np.arange(len(user)), clock="order")


@pytest.mark.parametrize("presence", [0.0, 2.0])
@pytest.mark.parametrize("user_weight", [0.0, 0.7])
def test_weights_solve_the_regression_of_those_who_rated_the_item(presence: float, user_weight: float) -> None:
    log = _log()
    model = SignedLinear(3.0, presence, user_weight=user_weight, rank=0, damping=0.0).fit(log)
    signed, present = (part.toarray() for part in Residuals.of(log).matrices(log))
    features = np.hstack([signed, presence * present] if presence else [signed])
    rated = present > 0
    counts = rated.sum(1)
    for item in range(log.n_items):
        raters = rated[:, item]
        used = np.ones(features.shape[1], bool)
        used[item :: log.n_items] = False
        x, y = features[raters][:, used], signed[raters, item]
        weight = np.diag((counts.mean() / counts[raters]) ** user_weight)
        theta = np.linalg.solve(x.T @ weight @ x + 3.0 * np.eye(x.shape[1]), x.T @ weight @ y)
        found = np.concatenate([table.numpy()[:, item] for table in model._tables])
        np.testing.assert_allclose(found[used], theta, atol=2e-5)
        assert (found[~used] == 0).all()


def test_weights_that_items_share_solve_the_regression_under_the_prior_of_the_first_fit() -> None:
    log = _log()
    first, model = (SignedLinear(3.0, 2.0, rank=rank, shared=5.0, damping=0.0).fit(log) for rank in (0, 4))
    signed, present = Residuals.of(log).matrices(log)
    theta = np.concatenate([table.numpy() for table in first._tables])
    prior = learned_prior(theta, signed, 3.0, 4, 5.0)
    rated = present.toarray() > 0
    features = np.hstack([signed.toarray(), 2.0 * present.toarray()])
    covariance = np.eye(features.shape[1]) + prior @ prior.T
    for item in range(log.n_items):
        raters = rated[:, item]
        used = np.ones(features.shape[1], bool)
        used[item :: log.n_items] = False
        x, y = features[raters][:, used], signed.toarray()[raters, item]
        expected = np.linalg.solve(x.T @ x + 3.0 * np.linalg.inv(covariance[np.ix_(used, used)]), x.T @ y)
        found = np.concatenate([table.numpy()[:, item] for table in model._tables])
        np.testing.assert_allclose(found[used], expected, atol=1e-4)
        assert (found[~used] == 0).all()


def test_shared_weights_find_a_taste_that_no_item_shows_alone() -> None:
    rng = np.random.default_rng(3)
    taste, items = rng.normal(size=(300, 2)), rng.normal(size=(80, 2))
    user, item = np.nonzero(rng.random((300, 80)) < 0.12)
    value = 3 + (taste[user] * items[item]).sum(1) + rng.normal(size=len(user))
    log = Interactions.from_columns(user, item, value, np.arange(len(user)), clock="order", name="tastes")
    learned, judging = halves(log)
    pairs = pairs_of(judging, 100)
    truth = (taste @ items.T)[pairs.user, pairs.winner] - (taste @ items.T)[pairs.user, pairs.loser]
    judged = Judgements.of(pairs, log.n_items)
    wrong = {}
    for rank in (0, 2):
        model = SignedLinear(30.0, 0.0, rank=rank, damping=0.0).fit(learned)
        margin = masked_margins(model, judging, judged)
        wrong[rank] = float((margin[np.abs(truth) > 1] < 0).mean())
    assert wrong[2] < wrong[0] - 0.02


def test_scores_are_item_means_plus_contributions() -> None:
    log = _log()
    model = SignedLinear(3.0, 1.0).fit(log)
    queries = model.fitted_on.queries(log)
    items = np.tile(np.arange(log.n_items, dtype=np.int32), (len(queries), 1))
    each = model.contributions(queries, items).numpy()
    total = np.zeros((len(queries), log.n_items))
    np.add.at(total, queries.history.rows, each)
    np.testing.assert_allclose(model.score(queries).numpy(), total + model._residuals.item, atol=1e-5)
    events = np.array([0, 5, 7])
    np.testing.assert_allclose(model.event_rows(queries, events), each[events], atol=1e-6)
    empty = model.score(Queries.from_history([[]])).numpy()[0]
    np.testing.assert_allclose(empty, model._residuals.item, rtol=1e-6)


def test_residuals_are_free_of_generous_users_and_good_items() -> None:
    rng = np.random.default_rng(1)
    users, items = np.divmod(np.arange(4000), 40)
    value = 3 + rng.normal(size=100)[users] + rng.normal(size=40)[items]
    log = Interactions.from_columns(users, items, value)
    signed = Residuals.of(log).matrices(log)[0]
    assert np.abs(signed.data).max() < 0.35  # of a spread of 1.4; what shrinkage leaves


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(DataError, match="preference needs ratings"):
        SignedLinear().fit(Interactions.from_columns([0, 1], [0, 1]))
    with pytest.raises(CapabilityError, match="use PairwisePreference"):
        SignedLinear(memory_limit_gb=1e-6).fit(_log())
