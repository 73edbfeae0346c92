"""SequentialAMPCF: formulas, exact evidence, states of one size, cross-fitting, interrupted training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay import GlobalHalfLife
from recsys.errors import ConfigError
from recsys.models import Decayed, LinearNextItem, SequentialAMPCF
from recsys.models.base import Recommender
from recsys.models.sequential.expert import SequenceExpert, cross_fitted, reusing_experts
from recsys.models.sequential.memories import event_decay, prefix_decay
from recsys.models.sequential.settings import PersonaReading, Readout, SequenceLoss, SequenceObjective
from recsys.models.sequential.states import RECENT
from recsys.models.sequential.training import SequenceTask
from recsys.training.session import Session
from recsys.training.trainable import Optimization

EXPERT = LinearNextItem((1.0, 4.0), 1.0)
QUICK = Optimization(4, 8, 0.01, warm_up=5, schedule="linear", clip=5.0)


def chains(users: int = 40, items: int = 24, length: int = 12, seed: int = 0) -> Interactions:
    """Users walk through the items in order, from a start of their own: what comes next is known."""
    source = np.random.default_rng(seed)
    start = source.integers(0, items, users)
    walk = (start[:, None] + np.arange(length)) % items
    return Interactions.from_columns(
        np.repeat(np.arange(users), length), walk.ravel(), times=np.tile(np.arange(length), users), name="chains"
    )


def model(**arguments: object) -> SequentialAMPCF:
    given = {"embedding_size": 8, "half_lives": (1.0, 4.0), "expert": EXPERT, "optimization": QUICK} | arguments
    return SequentialAMPCF(**given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def log() -> Interactions:
    return chains()


@pytest.fixture(scope="module")
def fitted(log: Interactions) -> SequentialAMPCF:
    return model(reading=PersonaReading(personas=2, item_components=2, hidden=6)).fit(log)


def test_it_learns_what_comes_next_with_and_without_the_expert(log: Interactions) -> None:
    queries = Queries.from_interactions(log)
    wanted = (queries.history.items[queries.history.indptr[1:] - 1] + 1) % log.n_items
    for expert in (EXPERT, None):
        trained = model(expert=expert, optimization=replace(QUICK, epochs=40, learning_rate=0.03)).fit(log)
        assert (trained.recommend(queries, 1).items[:, 0] == wanted).mean() > 0.9


def test_prefixes_have_the_memories_of_queries() -> None:
    items, table = np.array([3, 1, 4, 0, 2]), torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    half_lives = (1.0, 3.0, float("inf"))
    scanned = torch.einsum("hts,sd->thd", prefix_decay(5, half_lives), table[items])
    for last in range(1, 6):
        decay = torch.from_numpy(event_decay(Queries.from_history([items[:last]]), half_lives))
        torch.testing.assert_close(scanned[last - 1], decay.T @ table[items[:last]])


@pytest.mark.parametrize("readout", ["mixture", "attentive", "log_sum_exp"])
def test_contributions_are_exact_given_the_attention(log: Interactions, readout: Readout) -> None:
    """With all else held fixed, leaving an event out changes the score by its contribution."""
    reading = PersonaReading(personas=3, readout=readout, item_components=2, hidden=6)
    trained = model(reading=reading).fit(log)
    queries = Queries.from_interactions(log).take(np.arange(3))
    items = np.array([[0, 7], [3, 9], [11, 2]], np.int32)
    network = trained._network
    state = network.state(trained._memories_of(queries))
    numbers = torch.from_numpy(items.astype(np.int64))
    attention = network(state.vector, numbers).attention
    total = torch.zeros(3, 2).index_add_(
        0, torch.from_numpy(queries.history.rows), trained.contributions(queries, items)
    )
    value = torch.einsum("qpn,qpn->qn", attention, _pair_values(trained, queries, items))
    # What the constants of the hidden layer add to z is no event's.
    assert network.inner_bias is not None
    assert network.outer is not None
    assert state.active is not None
    constant = (state.active * network.inner_bias) @ network.outer.T
    values = torch.einsum("qnd,qd->qn", _by_state(trained, numbers, attention), constant)
    linear = trained._linear
    assert linear is not None
    expert = trained._expert_weight() * linear.score(queries).gather(1, numbers)
    torch.testing.assert_close(total, (value - values + expert).detach(), rtol=1e-4, atol=1e-5)


def _pair_values(trained: SequentialAMPCF, queries: Queries, items: np.ndarray) -> torch.Tensor:
    vectors = trained.item_vectors()[torch.from_numpy(items.astype(np.int64))]
    return torch.einsum("qpd,qnd->qpn", trained.personas(queries), vectors)


def _by_state(trained: SequentialAMPCF, numbers: torch.Tensor, attention: torch.Tensor) -> torch.Tensor:
    """The gradient of sum_p a_p U_p . V_p by z, by automatic differentiation."""
    network, rows = trained._network, []
    state = torch.zeros(len(numbers), trained.embedding_size, requires_grad=True)
    vectors = network.components(numbers)
    value = (attention * network._pairs(network.personas(state), vectors)).sum(1)
    for column in range(value.shape[1]):
        rows.append(torch.autograd.grad(value[:, column].sum(), state, retain_graph=True)[0])
    return torch.stack(rows, 1)


def test_score_is_the_mixture_of_persona_scores_the_bias_and_the_expert(fitted: SequentialAMPCF) -> None:
    queries = Queries.from_history([[0, 5, 9], [2]])
    items = np.array([[1, 6, 23], [3, 4, 5]], np.int32)
    attention = fitted.attention(queries, items)
    numbers = torch.from_numpy(items.astype(np.int64))
    own = (attention * _pair_values(fitted, queries, items)).sum(1) + fitted._network.bias[numbers]
    linear = fitted._linear
    assert linear is not None
    expected = own + fitted._expert_weight() * linear.score(queries).gather(1, numbers)
    torch.testing.assert_close(fitted.score(queries).gather(1, numbers), expected.detach())


def test_states_grow_by_events_and_score_like_histories(fitted: SequentialAMPCF) -> None:
    source = np.random.default_rng(1)
    rows = source.integers(-1, 24, (5, 30)).astype(np.int32)
    states = fitted.states(Queries.from_history(list(rows[:, :10])))
    for column in range(10, 30):
        states = fitted.advanced(states, rows[:, column])
    whole = Queries.from_history(list(rows))
    torch.testing.assert_close(fitted.score_states(states), fitted.score(whole), rtol=1e-3, atol=1e-4)
    again = fitted.states(whole)
    np.testing.assert_array_equal(again.recent, states.recent)
    assert states.bytes_per_user == again.bytes_per_user == 4 * RECENT + 4 * 8 + 8


def test_a_state_forgets_items_beyond_its_size() -> None:
    log = chains(users=6, items=400, length=390)
    trained = model(optimization=replace(QUICK, epochs=1), half_lives=(1.0, 20.0), expert=None).fit(log)
    queries = Queries.from_interactions(log)
    states = trained.states(queries)
    assert states.recent.shape == (6, RECENT)
    assert (states.recent != UNKNOWN).all()
    torch.testing.assert_close(trained.score_states(states), trained.score(queries), rtol=1e-2, atol=1e-2)


def test_users_train_against_an_expert_that_has_not_seen_them(log: Interactions) -> None:

    weights, part = cross_fitted(EXPERT, log, 2, Session())
    for fold in (0, 1):
        others = log.select(part.numpy()[log.user_num] != fold)
        lesser = LinearNextItem(EXPERT.half_lives, EXPERT.regularization / 2**0.5).fit(others)
        np.testing.assert_array_equal(weights[fold].numpy(), lesser.arrays()["weights"])
    assert set(part.tolist()) == {0, 1}


def test_sampled_loss_comes_near_the_full_one(log: Interactions) -> None:

    trained = model().fit(log)
    source = torch.Generator().manual_seed(0)
    expert = torch.rand(2, 2, log.n_items, log.n_items, generator=source), torch.arange(log.n_users) % 2

    values = []
    for objective in (SequenceObjective("full_softmax", dropout=0.0), SequenceObjective(negatives=4000, dropout=0.0)):
        reader = SequenceExpert(expert[0], EXPERT.half_lives)
        task = SequenceTask(trained._network, objective, trained._memories, log, (reader, expert[1]), 8, 0)
        values.append(float(task.loss(0, 0)[0].detach()))
    assert values[0] == pytest.approx(values[1], rel=0.02)


def test_training_goes_on_where_it_was_interrupted(log: Interactions, tmp_path: Path) -> None:
    def improving(calls: list[int], stop: int) -> Callable[[Recommender], float]:
        def validate(_: Recommender) -> float:
            calls.append(1)
            if len(calls) == stop:
                raise KeyboardInterrupt
            return float(len(calls))

        return validate

    whole = model().fit(log, improving([], 0))
    with pytest.raises(KeyboardInterrupt):
        model().fit(log, improving([], 3), Session(tmp_path))
    resumed = model().fit(log, improving([1, 1], 0), Session(tmp_path, resume=True))
    queries = Queries.from_interactions(log)
    torch.testing.assert_close(resumed.score(queries), whole.score(queries), rtol=0, atol=0)


def test_validation_chooses_the_factor_of_the_expert(log: Interactions) -> None:
    def prefers_three(current: Recommender) -> float:
        assert isinstance(current, SequentialAMPCF)
        return -abs(current.ranking_factor - 3.0)

    trained = model().fit(log, prefers_three)
    assert trained.ranking_factor == 3.0


def test_decay_of_a_rule_composes_with_that_of_the_memories(log: Interactions) -> None:
    decayed = Decayed(model(), GlobalHalfLife(2.0)).fit(log)
    queries = Queries.from_interactions(log)
    inner = decayed.scoring_model
    weighted = queries.with_weights(decayed.forgetting.weights(queries))
    torch.testing.assert_close(decayed.score(queries), inner.score(weighted))
    assert not torch.allclose(decayed.score(queries), inner.score(queries))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"half_lives": (3.0, 1.0)}, "ascending"),
        ({"half_lives": (1.0, float("inf"))}, "finite"),
        ({"expert": LinearNextItem(feedback="liked")}, "expert.feedback"),
        ({"folds": 1}, "folds"),
    ],
)
def test_impossible_settings_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model(**arguments)


def test_a_log_without_order_is_refused() -> None:
    log = Interactions.from_columns(["a", "a", "b"], [1, 2, 1])
    with pytest.raises(ConfigError, match="no order"):
        model().fit(log)


@pytest.mark.parametrize("loss", ["full_softmax", "sampled_softmax"])
@pytest.mark.parametrize("expert", [EXPERT, None], ids=["with the expert", "alone"])
def test_products_may_be_computed_in_bfloat16(
    log: Interactions, expert: LinearNextItem | None, loss: SequenceLoss
) -> None:
    """As on a GPU: the loss changes by rounding alone."""
    trained = model(expert=expert, reading=PersonaReading(personas=2, item_components=2)).fit(log)
    reader = None
    if expert is not None:
        weights, fold = cross_fitted(expert, log, 2, Session())
        reader = SequenceExpert(weights, expert.half_lives), fold
    task = SequenceTask(trained._network, SequenceObjective(loss, dropout=0.0), trained._memories, log, reader, 8, 0)
    plain = float(task.loss(0, 0)[0].detach())
    with torch.autocast("cpu", torch.bfloat16):
        rounded = task.loss(0, 0)[0].detach()
    assert rounded.dtype == torch.float32
    assert float(rounded) == pytest.approx(plain, rel=0.02)


def test_the_expert_may_start_with_the_weight_of_least_loss(log: Interactions) -> None:
    untrained = replace(QUICK, epochs=0)
    given, found = (model(expert_weight=weight, optimization=untrained).fit(log) for weight in (10.0, None))
    weights = [float(each._network.log_weight.detach().exp()) for each in (given, found) if each._network.log_weight]
    assert weights[0] == pytest.approx(10.0)
    assert np.log2(weights[1]) == pytest.approx(round(np.log2(weights[1])), abs=1e-5)
    assert weights[1] != pytest.approx(1.0)


def test_choosing_the_factor_changes_no_score(log: Interactions) -> None:
    """While it is chosen the parts of a score are kept: what is validated is what the model scores."""
    queries, seen = Queries.from_interactions(log), []

    def validate(current: Recommender) -> float:
        assert isinstance(current, SequentialAMPCF)
        seen.append((current.ranking_factor, current.score(queries)))
        return -abs(current.ranking_factor - 6.0)

    both = SequentialAMPCF._both
    with mock.patch.object(SequentialAMPCF, "_both", autospec=True, side_effect=both) as counted:
        trained = model(optimization=replace(QUICK, validate_every=4)).fit(log, validate)
        chosen = [scores for factor, scores in seen if factor == trained.ranking_factor == 6.0]
        torch.testing.assert_close(chosen[-1], trained.score(queries), rtol=0, atol=0)
    assert counted.call_count == 3  # once after the epochs, once for all factors, once here
    assert len({factor for factor, _ in seen}) == 5  # 2, 3, 4, 6, 10: it climbs and stops behind the top


def test_reused_experts_change_no_model(log: Interactions) -> None:
    own = model().fit(log)
    with reusing_experts() as experts:
        shared = [model().fit(log) for _ in range(2)]
    assert experts.seconds > 0
    queries = Queries.from_interactions(log)
    for each in shared:
        torch.testing.assert_close(each.score(queries), own.score(queries), rtol=0, atol=0)


def test_somebody_without_a_history_gets_the_popular_items(fitted: SequentialAMPCF) -> None:
    queries = Queries.from_history([[], [UNKNOWN], [3]])
    assert not fitted.score(queries)[:2].any()
    assert fitted.score(queries)[2].any()
    np.testing.assert_array_equal(fitted.recommend(queries, 5).items[0], fitted.fitted_on.tie_order[:5])
    torch.testing.assert_close(fitted.score_states(fitted.states(queries)), fitted.score(queries), rtol=1e-3, atol=1e-4)
    nothing = queries.with_weights(np.zeros(2, np.float32))
    assert not fitted.score(nothing).any()
