"""Checks that models, rules of forgetting and metrics written outside of this library keep its contracts.

    check_recommender(MyModel)
    check_forgetting(MyRule())
    check_metric(my_metric)

Each raises an AssertionError that names what is broken. They need no test framework.
"""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from recsys.bundles import bundle
from recsys.bundles.classes import configured
from recsys.checks import public_name
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.base import Forgetting
from recsys.errors import CapabilityError, NotFittedError
from recsys.evaluation.metrics import MetricFunction, RankedHits
from recsys.models.base import Recommender
from recsys.models.capabilities import FoldIn, PersonaRecommender, as_fold_in
from recsys.models.parameters import from_plain
from recsys.slates import Greedy
from recsys.worlds.blocks import block_log


@final
@dataclass(frozen=True)
class Subject:
    """A model under test.

    Attributes:
        kind: its class.
        arguments: of its constructor; small and fast ones.
        log: a block log, see `block_log`.
        additive: whether `contributions` add up to the scores.
        forgets: whether a further event makes the earlier ones count less, even one that says nothing itself.
        learns_users: whether the model learns something of known users that their histories do not hold.
        reads_ratings: whether what an event says depends on the user's other ratings, those of weight 0 included.
    """

    kind: type[Recommender]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    log: Interactions = field(default_factory=block_log)
    additive: bool = True
    forgets: bool = False
    learns_users: bool = False
    reads_ratings: bool = False

    def make(self) -> Recommender:
        """Return a new model."""
        return self.kind(**self.arguments)

    @cached_property
    def model(self) -> Recommender:
        """The fitted model."""
        return self.make().fit(self.log)

    @cached_property
    def queries(self) -> Queries:
        """One query of each user of the log."""
        return Queries.from_interactions(self.log)


def check_recommender(kind: type[Recommender], arguments: Mapping[str, Any] | None = None, **traits: Any) -> None:  # noqa: ANN401
    """Check that a model keeps the contract of `recsys.models.base.Recommender`.

    It is fitted on a small log of two blocks of users and items, a few times.

    Args:
        kind: the class.
        arguments: of its constructor, such that it learns the blocks within seconds.
        traits: `additive`, `forgets`, `learns_users`, `reads_ratings` and `log`; see `Subject`.

    Raises:
        AssertionError: a check fails; the message begins with its name.
    """
    subject = Subject(kind, arguments or {}, **traits)
    for check in RECOMMENDER_CHECKS:
        try:
            check(subject)
        except Exception as error:
            raise AssertionError(f"{kind.__name__}, {check.__name__}: {type(error).__name__}: {error}") from error


def check_forgetting(rule: Forgetting, *, monotone: bool = True) -> None:
    """Check that a rule gives every event of any history a weight in [0, 1], whatever the batch.

    Args:
        rule: the rule; it may have learned something.
        monotone: whether weights never grow with age within a history.
    """
    rng = np.random.default_rng(0)
    times = [np.sort(rng.integers(0, 40, size)) for size in (5, 0, 1, 30, 2)]
    items = [rng.integers(-1, 9, len(row)) for row in times]
    queries = Queries.from_history(items, times=times, now=[50] * len(times))
    weights = rule.weights(queries)
    assert weights.dtype == np.float32, f"weights are {weights.dtype}, not float32"
    assert weights.shape == queries.times.shape, "there must be one weight for each event"
    assert bool(((weights >= 0) & (weights <= 1)).all()), "weights must be in [0, 1]"
    if monotone:
        same = queries.history.rows[1:] == queries.history.rows[:-1]
        assert bool((np.diff(weights)[same] >= -1e-6).all()), "weights must not grow with age"
    for row in range(len(queries)):
        alone = rule.weights(queries.take(np.asarray([row])))
        begin, end = queries.history.indptr[row : row + 2]
        np.testing.assert_allclose(alone, weights[begin:end], rtol=1e-5, atol=1e-7, err_msg="a batch changes weights")


def check_metric(metric: MetricFunction) -> None:
    """Check that a metric, larger for better lists, has one value per query, NaN exactly without relevant items."""
    top = np.array([[1, 2, 3, 4], [9, 8, 1, 7], [9, 8, 7, UNKNOWN], [1, 2, 3, 4]], np.int32)
    hits = RankedHits.of(top, Ragged.of([[1, 2, 3, 4], [1, 2], [1], []]))
    for k in (1, 2, 4):
        values = metric(hits, k)
        assert values.shape == (4,), f"there must be one value for each query, not {values.shape}"
        np.testing.assert_array_equal(np.isnan(values), hits.n_relevant == 0, "NaN means that nothing is relevant")
        assert values[0] >= values[2], "a perfect list must not score less than one without a hit"


def _refuses_before_fit(subject: Subject) -> None:
    model = subject.make()
    query = Queries.from_history([[0]])
    uses: list[Callable[[], object]] = [lambda: model.recommend(query, 3), model.arrays]
    if isinstance(model, PersonaRecommender) and model.has_personas:
        uses += [partial(model.personas, query), model.item_vectors]
    for use in uses:
        with _raises(NotFittedError):
            use()


def _keeps_constructor_arguments(subject: Subject) -> None:
    model = subject.make()
    parameters = json.loads(json.dumps(model.parameters_of_constructor()))
    assert set(parameters) == set(inspect.signature(subject.kind).parameters)
    again = from_plain(subject.kind, parameters, "arguments", configured)
    assert again.parameters_of_constructor() == model.parameters_of_constructor()


def _forgets_when_fitted_again_and_is_deterministic(subject: Subject) -> None:
    half = subject.log.select(np.arange(0, len(subject.log), 2)).compact()
    refitted = subject.make().fit(half).fit(subject.log)
    _assert_equal(refitted.score(subject.queries), subject.model.score(subject.queries))


def _survives_saving_and_loading(subject: Subject) -> None:
    model = subject.model
    with tempfile.TemporaryDirectory() as folder:
        path = bundle.save(model, Path(folder) / "model")
        assert bundle.read_manifest(path).model == public_name(subject.kind)
        loaded = bundle.load(path, [subject.kind])
    assert type(loaded) is type(model)
    assert loaded.parameters_of_constructor() == model.parameters_of_constructor()
    for name, value in vars(model.fitted_on).items():
        assert np.array_equal(getattr(loaded.fitted_on, name), value), name
    _assert_equal(loaded.score(subject.queries), model.score(subject.queries))
    if isinstance(model, PersonaRecommender) and isinstance(loaded, PersonaRecommender) and model.has_personas:
        _assert_equal(loaded.item_vectors(), model.item_vectors())


def _scores_every_item(subject: Subject) -> None:
    scores = subject.model.score(subject.queries)
    assert scores.shape == (len(subject.queries), subject.log.n_items)
    assert bool(torch.isfinite(scores).all())


def _serves_or_refuses_unknown_users(subject: Subject) -> None:
    queries = Queries.from_history([[0, 1]])
    if subject.model.needs_known_users:
        with _raises(CapabilityError, subject.kind.__name__):
            subject.model.recommend(queries, 3)
        return
    items = subject.model.recommend(queries, 3).items
    assert bool((items >= 0).all())
    assert not {0, 1} & set(items.ravel().tolist())


def _treats_known_and_unknown_users_with_one_history_alike(subject: Subject) -> None:
    if subject.learns_users:
        return
    unknown = replace(subject.queries, users=np.full(len(subject.queries), UNKNOWN, np.int32))
    if subject.model.needs_known_users:
        with _raises(CapabilityError, "not trained on"):
            subject.model.score(unknown)
    else:
        _assert_equal(subject.model.score(unknown), subject.model.score(subject.queries))


def _ignores_unknown_items_and_repeated_events(subject: Subject) -> None:
    score = subject.model.score
    plain = score(Queries.from_history([[0, 1], [2]], users=[0, 1]))
    noisy = score(Queries.from_history([[UNKNOWN, 0, 1, 0], [2, UNKNOWN]], users=[0, 1]))
    if not subject.forgets:
        torch.testing.assert_close(noisy, plain, rtol=1e-5, atol=1e-6)
    empty = Queries.from_history([[]], users=[0])
    _assert_equal(score(Queries.from_history([[UNKNOWN]], users=[0])), score(empty))


def _answers_empty_histories_and_no_query(subject: Subject) -> None:
    score = subject.model.score
    assert bool(torch.isfinite(score(Queries.from_history([[], []], users=[0, 1]))).all())
    assert bool(torch.isfinite(score(Queries.from_history([[], [0, 3], []], users=[0, 1, 2]))).all())
    assert subject.model.recommend(Queries.from_history([]), 5).items.shape == (0, 5)


def _gives_the_same_lists_in_any_batch(subject: Subject) -> None:
    whole = subject.model.recommend(subject.queries, 6)
    parts = subject.model.recommend(subject.queries, 6, batch_size=5)
    np.testing.assert_array_equal(parts.items, whole.items)
    np.testing.assert_allclose(parts.scores, whole.scores, rtol=1e-4, atol=1e-6)


def _uses_or_refuses_event_weights(subject: Subject) -> None:
    model, queries = subject.model, subject.queries
    ones = np.ones(len(queries.history.items), np.float32)
    if not model.folds_in:
        with _raises(CapabilityError, "weights"):
            model.score(queries.with_weights(ones))
        return
    plain = model.score(queries)
    _assert_equal(model.score(queries.with_weights(ones)), plain)
    ramp = np.linspace(0.1, 1, len(ones), dtype=np.float32)
    assert not torch.allclose(model.score(queries.with_weights(ramp)), plain), "weights change no score"
    if subject.forgets or subject.reads_ratings:
        return
    chosen = np.arange(len(ones)) % 2 == 0
    rows = [queries.history.items[chosen & (queries.history.rows == row)] for row in range(len(queries))]
    shorter = Queries.from_history(rows, users=queries.users)
    dropped = model.score(queries.with_weights(chosen.astype(np.float32)))
    torch.testing.assert_close(dropped, model.score(shorter), rtol=1e-4, atol=1e-5)


def _lists_are_sorted_unique_unseen_and_padded(subject: Subject) -> None:
    n_items = subject.log.n_items
    answer = subject.model.recommend(subject.queries, n_items + 3)
    for row in range(len(subject.queries)):
        items, seen = answer.items[row], subject.queries.history.row(row)
        recommended = items[items != UNKNOWN]
        assert sorted([*recommended, *seen]) == list(range(n_items))
        assert bool((items[len(recommended) :] == UNKNOWN).all())
        assert bool((answer.scores[row, len(recommended) :] == -np.inf).all())
        # A slate may list a lower score first: what it chooses from is sorted.
        best = subject.model.recommend(subject.queries.take(np.asarray([row])), n_items + 3, slate=Greedy()).scores[0]
        assert bool((np.diff(best[: len(recommended)]) <= 0).all())
        np.testing.assert_allclose(-np.sort(-answer.scores[row]), best, rtol=1e-5, atol=1e-5)


def _obeys_exclusions_and_candidates(subject: Subject) -> None:
    queries = subject.queries
    candidates = Ragged.of([[0, 1, 2, 3, UNKNOWN]] * len(queries))
    excluding = replace(queries, exclude=Ragged.of([[0, UNKNOWN, 2]] * len(queries)))
    items = subject.model.recommend(excluding, 4, candidates=candidates).items
    assert bool((np.sort(items, axis=1) == [UNKNOWN, UNKNOWN, 1, 3]).all())


def _stays_within_the_block_of_the_user(subject: Subject) -> None:
    if not (subject.model.folds_in or subject.model.needs_known_users):
        return  # the same list for everyone
    items = subject.model.recommend(subject.queries, 2).items
    item_block = np.array([str(item)[0] for item in subject.log.items.ids])
    user_block = np.array([str(user)[0] for user in subject.log.users.ids])
    assert (item_block[items] == user_block[:, None]).mean() >= 0.95


def _contributions_add_up(subject: Subject) -> None:
    model, queries = subject.model, subject.queries
    if not model.folds_in:
        with _raises(CapabilityError, "fold in"):
            as_fold_in(model, "this check")
        return
    assert isinstance(model, FoldIn)
    weighted = queries.with_weights(np.linspace(0.2, 1, len(queries.history.items), dtype=np.float32))
    catalogue = np.tile(np.arange(subject.log.n_items, dtype=np.int32), (len(queries), 1))
    items = np.random.default_rng(0).permuted(catalogue, axis=1)[:, :5]
    each = model.contributions(weighted, items)
    assert each.shape == (len(queries.history.items), 5)
    if subject.additive:
        total = torch.zeros(len(queries), 5).index_add_(0, torch.from_numpy(queries.history.rows), each)
        scores = model.score(weighted).gather(1, torch.from_numpy(items.astype(np.int64)))
        torch.testing.assert_close(total, scores, rtol=1e-4, atol=1e-5)


def _unknown_and_repeated_events_contribute_nothing(subject: Subject) -> None:
    if subject.model.folds_in:
        queries = Queries.from_history([[3, UNKNOWN, 0, 3], [UNKNOWN]])
        each = as_fold_in(subject.model, "this check").contributions(queries, np.array([[1, 2], [1, 2]], np.int32))
        assert bool((each[[0, 1, 4]] == 0).all())
        assert bool((each[[2, 3]] != 0).any())


def _personas_have_their_shapes_and_attention_sums_to_one(subject: Subject) -> None:
    model, queries = subject.model, subject.queries
    if not (isinstance(model, PersonaRecommender) and model.has_personas):
        return
    personas, vectors = model.personas(queries), model.item_vectors()
    assert personas.dim() == 3
    assert len(personas) == len(queries)
    assert vectors.shape == (subject.log.n_items, personas.shape[2])
    items = np.tile(np.array([1, 5, 9], np.int32), (len(queries), 1))
    attention = model.attention(queries, items)
    assert attention.shape == (len(queries), personas.shape[1], 3)
    assert bool((attention >= 0).all())
    torch.testing.assert_close(attention.sum(1), torch.ones(len(queries), 3), rtol=1e-5, atol=1e-5)
    if personas.shape[1] == 1 and subject.additive:
        torch.testing.assert_close(personas[:, 0] @ vectors.T, model.score(queries))


RECOMMENDER_CHECKS: tuple[Callable[[Subject], None], ...] = (
    _refuses_before_fit,
    _keeps_constructor_arguments,
    _forgets_when_fitted_again_and_is_deterministic,
    _survives_saving_and_loading,
    _scores_every_item,
    _serves_or_refuses_unknown_users,
    _treats_known_and_unknown_users_with_one_history_alike,
    _ignores_unknown_items_and_repeated_events,
    _answers_empty_histories_and_no_query,
    _gives_the_same_lists_in_any_batch,
    _uses_or_refuses_event_weights,
    _lists_are_sorted_unique_unseen_and_padded,
    _obeys_exclusions_and_candidates,
    _stays_within_the_block_of_the_user,
    _contributions_add_up,
    _unknown_and_repeated_events_contribute_nothing,
    _personas_have_their_shapes_and_attention_sums_to_one,
)
"""What `check_recommender` checks, one after the other."""


def _assert_equal(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=0)


@contextmanager
def _raises(kind: type[Exception], text: str = "") -> Iterator[None]:
    try:
        yield
    except kind as error:
        assert text in str(error), f"the message of {kind.__name__} must contain {text!r}: {error}"  # noqa: PT017
    else:
        raise AssertionError(f"{kind.__name__} must be raised")
