"""Memories: bytes that are counted, states that are carried, placebos that fail, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.queries import Queries, Ragged
from recsys.decay import GlobalHalfLife
from recsys.errors import CapabilityError, ConfigError
from recsys.models import EASE, Decayed, ItemKNN, Popularity, Remembering, WithPersonas
from recsys.models.memories import (
    Dual,
    EpisodicRecent,
    EpisodicSimilar,
    Exemplars,
    Memory,
    Parametric,
    SemanticSummary,
)
from recsys.models.memories.pursuit import pursue
from recsys.models.memories.stored import pack_events, pack_numbers, unpack_events, unpack_numbers
from recsys.testing import check_recommender
from recsys.worlds.blocks import block_log

LOG = block_log()
MODEL = EASE(10.0).fit(LOG)
QUERIES = Queries.from_interactions(LOG)


@pytest.mark.parametrize(
    "memory", [EpisodicRecent(30), Exemplars(4), EpisodicSimilar(40), SemanticSummary(4), Parametric(8), Dual(34)]
)
def test_a_model_with_a_memory_keeps_the_contract(memory: Memory) -> None:
    check_recommender(Remembering, {"model": EASE(10.0), "memory": memory})


def test_a_decayed_model_and_one_without_rows_keep_it_too() -> None:
    decayed = Decayed(EASE(10.0), GlobalHalfLife(5.0))
    check_recommender(Remembering, {"model": decayed, "memory": Exemplars(4)}, forgets=True)
    check_recommender(Remembering, {"model": ItemKNN(), "memory": Exemplars(4)})


@given(
    st.lists(st.lists(st.integers(0, 70_000), max_size=9), max_size=5), st.booleans(), st.sampled_from([500, 70_001])
)
def test_events_come_back_from_their_bytes(rows: list[list[int]], weighted: bool, n_items: int) -> None:
    events = Ragged.of([[item % n_items for item in row] for row in rows])
    weights = np.linspace(0.5, 1, len(events.items)).astype(np.float32) if weighted else None
    stored = pack_events(events, weights, n_items)
    np.testing.assert_array_equal(stored.sizes, events.lengths * ((2 if n_items <= 65_536 else 4) + weighted))
    back, again = unpack_events(stored, n_items)
    np.testing.assert_array_equal(back.items, events.items)
    np.testing.assert_array_equal(back.indptr, events.indptr)
    if weights is not None and len(weights):
        largest = np.asarray([weights[events.rows == row].max() for row in events.rows.tolist()])
        np.testing.assert_allclose(again, weights / largest, atol=0.5 / 255 + 1e-6)


@settings(deadline=None)
@given(st.integers(1, 20), st.floats(0.1, 1e6))
def test_numbers_come_back_to_half_a_step(width: int, size: float) -> None:
    numbers = (np.random.default_rng(width).standard_normal((3, width)) * size).astype(np.float32)
    stored = pack_numbers(numbers)
    assert (stored.sizes == width + 2).all()
    step = np.abs(numbers).max(1, keepdims=True) / 127
    assert (np.abs(unpack_numbers(stored) - numbers) <= 0.56 * step + 1e-7 + np.abs(numbers) * 1e-3).all()


def test_exemplars_with_room_for_all_events_give_the_scores_of_the_history() -> None:
    kept = Exemplars(50)
    scores = kept.scores(MODEL, kept.encode(MODEL, QUERIES))
    whole = MODEL.score(QUERIES)
    cosine = torch.nn.functional.cosine_similarity(scores, whole)
    assert float(cosine.min()) > 0.999


def test_pursuit_finds_what_a_target_is_made_of() -> None:
    rng = np.random.default_rng(0)
    atoms = torch.from_numpy(rng.standard_normal((1, 12, 60)).astype(np.float32))
    made = 3.0 * atoms[0, 4] + 1.0 * atoms[0, 9]
    gram, target = torch.bmm(atoms, atoms.transpose(1, 2)), (atoms[0] @ made)[None]
    places, weights = pursue(gram, target, torch.ones(1, 12, dtype=torch.bool), 2)
    assert places.tolist() == [[4, 9]]
    torch.testing.assert_close(weights, torch.tensor([[3.0, 1.0]]), rtol=1e-3, atol=1e-3)


def test_pursuit_of_more_atoms_than_there_are_repeats_none() -> None:
    gram = torch.eye(3)[None]
    places, weights = pursue(gram, torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[True, False, False]]), 3)
    assert float(weights.sum()) == 1.0
    assert int(places[0, 0]) == 0


def test_a_state_of_full_rank_gives_the_scores_of_the_history() -> None:
    memory = Parametric(LOG.n_items).learned(MODEL, LOG)
    assert isinstance(memory, Parametric)
    exact = memory.state(QUERIES) @ memory.arrays()["directions"].T
    np.testing.assert_allclose(exact, MODEL.score(QUERIES).numpy(), atol=1e-4)
    rounded = memory.scores(MODEL, memory.encode(MODEL, QUERIES)).numpy()
    np.testing.assert_allclose(rounded, exact, atol=0.05)


@pytest.mark.parametrize("memory", [Parametric(6), SemanticSummary(4)])
def test_a_state_carried_event_by_event_is_the_one_from_scratch(memory: Parametric | SemanticSummary) -> None:
    learned = memory.learned(MODEL, LOG)
    assert isinstance(learned, Parametric | SemanticSummary)
    half_life, items = 5.0, np.arange(8)
    queries = Queries.from_history([items]).with_weights((2.0 ** (-(7 - items) / half_life)).astype(np.float32))
    state = learned.state(Queries.from_history([[]]))
    for item in items.tolist():
        state = learned.carried(state, np.asarray([item], np.int32), 2.0 ** (-1 / half_life))
    one, other = pack_numbers(state), pack_numbers(learned.state(queries))
    units = one.data[:-2].view(np.int8).astype(int) - other.data[:-2].view(np.int8)
    assert np.abs(units).max() <= 1


def test_shuffled_item_vectors_fail_what_a_memory_passes() -> None:
    memory = Parametric(8).learned(MODEL, LOG)
    arrays = memory.arrays()
    shuffled = memory.restored({**arrays, "directions": np.roll(arrays["directions"], LOG.n_items // 2, 0)})
    blocks = np.asarray([str(item)[0] for item in LOG.items.ids])
    own = np.asarray([str(user)[0] for user in LOG.users.ids])

    def right(each: Memory) -> float:
        best = each.scores(MODEL, each.encode(MODEL, QUERIES)).argmax(1).numpy()
        return float((blocks[best] == own).mean())

    assert right(memory) > 0.9
    assert right(shuffled) < 0.5


def test_what_was_disliked_is_never_kept() -> None:
    queries = Queries.from_history([[0, 1, 2]])
    disliked = Queries(
        queries.users, queries.history, queries.values, queries.times, queries.now, kinds=np.asarray([0, 5, 0], np.int8)
    )
    for memory in (EpisodicRecent(3), Exemplars(3)):
        assert 1 not in memory.choose(MODEL, disliked)[0]


def test_dual_divides_its_bytes_and_never_takes_more() -> None:
    dual = Dual(34).learned(MODEL, LOG, lambda memory: float(memory.chosen[0]) if isinstance(memory, Dual) else 0.0)
    assert isinstance(dual, Dual)
    assert dual.chosen[0] == 11
    assert dual.encode(MODEL, QUERIES).sizes.max() <= 34


def test_bad_input_is_refused_with_its_cure() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        Exemplars(0)
    with pytest.raises(ConfigError, match="capacity is 20"):
        Dual(20, events=8)
    with pytest.raises(CapabilityError, match="fold in"):
        Remembering(Popularity())
    with pytest.raises(CapabilityError, match="put it within"):
        Remembering(WithPersonas(EASE(10.0)))
    with pytest.raises(CapabilityError, match="put it within"):
        Decayed(Remembering(EASE(10.0)), GlobalHalfLife(5.0))
    with pytest.raises(CapabilityError, match="reads ratings"):
        Remembering(EASE(10.0, feedback="weighted"))
    with pytest.raises(CapabilityError, match="rows of a linear model"):
        Remembering(ItemKNN(), Parametric(4)).fit(LOG)
