from __future__ import annotations

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.errors import ConfigError
from recsys.models.personas.dictionary import TasteDictionary, TasteSettings
from recsys.worlds.blocks import block_log
from recsys.worlds.simulation import World


def test_the_same_log_gives_the_same_tastes(world: World, dictionary: TasteDictionary) -> None:
    again = TasteDictionary.of(world.log)
    np.testing.assert_array_equal(again.taste, dictionary.taste)
    np.testing.assert_array_equal(again.merges, dictionary.merges)


def test_tastes_of_blocks_are_the_blocks() -> None:
    log = block_log(blocks=4, users=20)
    found = TasteDictionary.of(log, TasteSettings(tastes=4, dim=4, shrinkage=1.0))
    block = np.asarray([str(item)[0] for item in log.items.ids])
    assert len(found) == 4
    assert len({(str(one), int(other)) for one, other in zip(block, found.taste, strict=True)}) == 4


def test_tree_ends_in_one_node_that_holds_all(dictionary: TasteDictionary) -> None:
    members = dictionary.members
    assert members.shape == (2 * len(dictionary) - 1, len(dictionary))
    assert members[-1].all()
    for number, (one, other) in enumerate(dictionary.merges):
        assert not (members[one] & members[other]).any()
        np.testing.assert_array_equal(members[len(dictionary) + number], members[one] | members[other])


def test_refitting_on_most_of_the_log_keeps_the_number_of_each_taste(world: World, dictionary: TasteDictionary) -> None:
    keep = np.random.default_rng(0).random(len(world.log)) < 0.95
    log = world.log.select(keep).compact()
    after = TasteDictionary.of(log, former=dictionary)
    before = dictionary.taste[world.log.items.numbers(log.items.ids)]
    assert (after.taste == before).mean() > 0.9
    assert after.one_taste == dictionary.one_taste
    known = dictionary.vectors[world.log.items.numbers(log.items.ids)]
    np.testing.assert_allclose(after.vectors, known, atol=1e-6)  # nothing new is known of any item


def test_an_item_moves_as_far_as_its_events_are_new(world: World) -> None:
    few = world.log.select(np.random.default_rng(1).random(len(world.log)) < 0.3).compact()
    before = TasteDictionary.of(few)
    after = TasteDictionary.of(world.log, former=before)
    number = world.log.items.numbers(few.items.ids)
    stayed = np.einsum("id,id->i", after.vectors[number], before.vectors)
    assert 0.3 < np.median(stayed) < 0.98  # two thirds of the events are new


def test_refitting_keeps_the_tree(world: World, dictionary: TasteDictionary) -> None:
    after = TasteDictionary.of(world.log, former=dictionary)
    np.testing.assert_array_equal(after.merges, dictionary.merges)


def test_new_items_get_an_inherited_taste(world: World) -> None:
    known = world.log.items.ids[: world.log.n_items - 20]
    older = world.log.select(np.isin(world.log.items.ids[world.log.item_num], known)).compact()
    after = TasteDictionary.of(world.log, former=TasteDictionary.of(older))
    assert after.taste.min() >= 0
    assert after.taste.max() < len(after)


def test_arrays_restore_the_dictionary(dictionary: TasteDictionary) -> None:
    again = TasteDictionary.restored(dictionary.items, dictionary.counts, dictionary.arrays())
    np.testing.assert_array_equal(again.centres, dictionary.centres)
    np.testing.assert_array_equal(again.members, dictionary.members)


def test_a_log_of_one_item_has_one_taste() -> None:
    found = TasteDictionary.of(Interactions.from_columns([1, 2], [7, 7]))
    assert len(found) == 1
    assert found.members.tolist() == [[True]]


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="metadata_weight is 2"):
        TasteSettings(metadata_weight=2)
    with pytest.raises(ConfigError, match="tastes is 0"):
        TasteSettings(tastes=0)
