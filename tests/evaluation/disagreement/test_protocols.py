"""Both protocols on worlds whose truth is known, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.pairs import Pairs, pairs_of
from recsys.errors import CapabilityError, ConfigError, DataError
from recsys.evaluation.disagreement import Counting, Judgements, disagreement, measures
from recsys.evaluation.disagreement import masked as masking
from recsys.evaluation.disagreement.denoised import share_below
from recsys.evaluation.disagreement.held_out import HeldOut, margins
from recsys.evaluation.disagreement.judgements import right
from recsys.evaluation.disagreement.protocols import halves
from recsys.models import BPR, EASE, PairwisePreference, SignedLinear
from recsys.training.trainable import Optimization
from recsys.worlds.camps import camps

QUICK = Optimization(epochs=30, batch_size=512, learning_rate=0.05)
FEW = Counting(least=5)


def test_masked_scores_are_those_of_one_query_per_judgement() -> None:
    """The fast way of additive models against the plain one; other ratings of the user stay visible."""
    world = camps(0.6, topics=2, users=60, items=10, seed=3)
    learned, judging = halves(world.log)
    judged = Judgements.of(pairs_of(judging, 8), judging.n_items)
    for model in (SignedLinear(5.0, 1.0, user_weight=0.5), EASE(5.0)):
        model.fit(learned)
        order = np.argsort(judged.user, kind="stable")
        plain = masking._plain(model, judging, judged.take(order))
        np.testing.assert_allclose(masking.masked_margins(model, judging, judged)[order], plain, atol=2e-5)


def test_masked_ratings_cannot_be_seen() -> None:
    """Turning both ratings of a pair around changes no masked score of a model fitted on others."""
    world = camps(0.6, users=60, items=12, seed=3)
    learned, judging = halves(world.log)
    model = SignedLinear(5.0, 1.0).fit(learned)
    user = int(judging.user_num[0])
    pairs = pairs_of(judging)
    mine = pairs.take(np.flatnonzero(pairs.user == user)[:1])
    before = masking.masked_margins(model, judging, Judgements.of(mine, judging.n_items))
    value = judging.value.copy()
    swapped = (judging.user_num == user) & np.isin(judging.item_num, [mine.winner[0], mine.loser[0]])
    value[swapped] = 6 - value[swapped]
    turned = replace(judging, value=value)
    other = Pairs(mine.user, mine.loser, mine.winner, mine.gap)
    after = masking.masked_margins(model, turned, Judgements.of(other, judging.n_items))
    np.testing.assert_allclose(after, -before, atol=1e-5)


def test_a_personal_model_lies_below_the_bound_in_a_world_of_camps() -> None:
    world = camps(0.6, users=400, items=20)
    found = disagreement(SignedLinear(20.0, 1.0), world.log, raters=20, counting=FEW)
    contested = found.bins[found.bins["judgements"] > 0]
    assert (contested["model"] < 0.02).all()
    assert (contested["pooled"] >= contested["bound"] - 1e-12).all()
    assert (contested["margin_low"] > 0.15).all()
    assert found.overall["below_half_denoised_pooled"] > 0.2 > 0.01 > found.overall["below_half_denoised_model"]
    assert set(found.per_user["user_id"]) <= set(world.log.users.ids.tolist())


def test_held_out_pairs_are_late_and_of_unseen_items() -> None:
    world = camps(0.6, topics=2, users=80, items=20)
    cut = HeldOut.of(world.log)
    seen = set(zip(cut.train.user_num.tolist(), cut.train.item_num.tolist(), strict=True))
    for pairs in (cut.valid, cut.test):
        for items in (pairs.winner, pairs.loser):
            assert not seen & set(zip(pairs.user.tolist(), items.tolist(), strict=True))
    assert len(cut.train) == pytest.approx(0.6 * len(world.log), rel=0.05)


def test_held_out_of_a_personal_and_a_pooled_model() -> None:
    world = camps(0.6, users=120, items=40)
    personal = PairwisePreference("vector", 4, regularization=0.001, optimization=QUICK)
    pooled = PairwisePreference("pooled", optimization=QUICK)
    one = disagreement(personal, world.log, "held_out", raters=5, counting=FEW)
    all_alike = disagreement(pooled, world.log, "held_out", raters=5, counting=FEW)
    assert one.overall["accuracy_model"] > 0.97
    assert 0.5 < all_alike.overall["accuracy_model"] < 0.65
    assert one.overall["accuracy_pooled"] == all_alike.overall["accuracy_pooled"]
    assert one.bins["bound"].isna().all()


def test_the_margins_of_held_out_pairs_are_differences_of_scores() -> None:
    world = camps(0.7, users=80, items=40)
    cut = HeldOut.of(world.log)
    model = PairwisePreference("pooled", optimization=QUICK).fit(cut.train)
    scores = model.score(model.fitted_on.queries(cut.train)).numpy()[0]
    np.testing.assert_allclose(
        margins(model, cut.train, cut.test), scores[cut.test.winner] - scores[cut.test.loser], atol=1e-6
    )


def test_bins_are_exact_and_empty_ones_stay_empty() -> None:
    world = camps(0.6, users=100, items=10)
    found = disagreement(SignedLinear(5.0), world.log, raters=10_000, counting=FEW)
    assert found.bins["judgements"].tolist() == [0] * 6
    assert found.bins[["bound", "model", "margin"]].isna().all(axis=None)
    assert found.to_dict()["bins"][0]["bound"] is None
    judged = Judgements(*(np.zeros(4, np.int32),), np.arange(4), np.ones(4, bool), np.ones(4, np.float32),
                        np.array([[0, 1], [2, 3], [4, 5], [6, 7]], np.int32))  # fmt: skip
    split, ones = np.array([0.5, 0.55, 0.6, 1.0]), np.ones(4)
    shown = measures.measure(
        judged, {"model": ones, "pooled": -ones}, split, np.ones(4, bool), np.array([9]), protocol="test", exact=False
    )
    assert shown.bins["judgements"].tolist() == [2, 1, 0, 0, 0, 1]
    assert shown.overall["accuracy_model"] == 1
    assert shown.overall["accuracy_pooled"] == 0


def test_ties_count_half() -> None:
    assert right(np.array([2.0, 0.0, -1.0])).tolist() == [1, 0.5, 0]


def test_noise_is_taken_out_of_the_share_below_a_half() -> None:
    rng = np.random.default_rng(0)
    judged = np.full(3000, 30.0)
    rates = np.where(rng.random(3000) < 0.2, 0.3, 0.7)
    hits = rng.binomial(30, rates).astype(float)
    assert share_below(hits, judged) == pytest.approx(0.2, abs=0.06)
    coins = rng.binomial(30, 0.55, 3000).astype(float)
    assert (coins < 15).mean() > 0.2 > 0.05 > share_below(coins, judged)
    assert np.isnan(share_below(np.zeros(0), np.zeros(0)))


def test_bad_input_is_named() -> None:
    world = camps(0.6, users=40, items=10)
    with pytest.raises(CapabilityError, match="BPR cannot fold in a history, which the protocol 'masked' needs"):
        disagreement(BPR(4), world.log)
    with pytest.raises(ConfigError, match="did you mean 'held_out'"):
        disagreement(SignedLinear(), world.log, "heldout")  # type: ignore[arg-type]
    for bins in ((0.5, 0.7, 0.6, 1), (0.4, 1), (0.5,)):
        with pytest.raises(ConfigError, match="edges that rise"):
            Counting(bins)
    uses = Interactions.from_columns([0, 0, 1, 1], [1, 2, 1, 3])
    with pytest.raises(DataError, match="preference needs ratings"):
        disagreement(SignedLinear(), uses)
    value = world.log.value.copy()
    value[:3] = np.nan
    assert disagreement(SignedLinear(5.0), replace(world.log, value=value), raters=5).unrated <= 3


def test_a_log_of_one_user_has_nobody_to_judge() -> None:
    log = Interactions.from_columns([0] * 10, list(range(10)), [1 + item % 5 for item in range(10)])
    with pytest.raises(DataError, match="'masked' learns from half of the users"):
        disagreement(EASE(5.0), log)
