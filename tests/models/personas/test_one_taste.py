from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import ConfigError
from recsys.models.personas.clusters import PersonaSettings, find_personas
from recsys.models.personas.dictionary import TasteDictionary, TasteSettings
from recsys.models.personas.one_taste import coherence
from recsys.types import Ints
from recsys.worlds.blocks import block_log
from recsys.worlds.simulation import World


def _of_one_genre(log: Interactions, events: int, stray: float = 0.0) -> list[Ints]:
    """Histories that draw from one genre's items, a share of them from everything."""
    rng = np.random.default_rng(1)
    histories = []
    for genre in sorted({name for row in log.metadata.genres for name in row}):
        own = np.asarray([item for item, row in enumerate(log.metadata.genres) if row == (genre,)])
        others = rng.choice(log.n_items, round(stray * events), replace=False)
        histories.append(np.unique(np.concatenate([rng.choice(own, events - len(others), replace=False), others])))
    return histories


def test_coherence_is_the_mean_cosine_of_two_events() -> None:
    rng = np.random.default_rng(0)
    themes = rng.normal(size=(9, 4)).astype(np.float32)
    themes /= np.linalg.norm(themes, axis=1, keepdims=True)
    themes[8] = 0.0  # of which nothing is known
    own = np.asarray([0, 3, 5, 8])
    queries = Queries.from_history([own, [2], []])
    weights = np.asarray([1.0, 2.0, 0.5, 1.0, 1.0], np.float32)
    pairs = [(0, 3, 1.0 * 2.0), (0, 5, 1.0 * 0.5), (3, 5, 2.0 * 0.5)]
    expected = sum(w * themes[i] @ themes[j] for i, j, w in pairs) / sum(w for *_, w in pairs)
    np.testing.assert_allclose(coherence(themes, queries.with_weights(weights)), [expected, 1.0, 1.0], rtol=1e-5)


def test_users_of_one_genre_have_one_persona_also_with_strays(world: World, dictionary: TasteDictionary) -> None:
    for events, stray in ((10, 0.0), (30, 0.0), (30, 0.2)):
        found = find_personas(dictionary, Queries.from_history(_of_one_genre(world.log, events, stray)))
        assert (found.counts == 1).mean() >= 0.85


def test_users_of_two_genres_have_several(world: World, dictionary: TasteDictionary) -> None:
    single = _of_one_genre(world.log, 15)
    both = [np.concatenate(pair) for pair in pairwise(single)]
    assert (find_personas(dictionary, Queries.from_history(both)).counts > 1).mean() >= 0.85


def test_without_labels_the_tastes_tell_what_is_one() -> None:
    log = block_log(blocks=8, users=20, items=20)
    dictionary = TasteDictionary.of(log, TasteSettings(shrinkage=1.0))
    assert 0.0 < dictionary.one_taste < 1.0
    assert (find_personas(dictionary, Queries.from_interactions(log)).counts == 1).all()


def test_a_long_history_has_room_for_fewer_strays(world: World, dictionary: TasteDictionary) -> None:
    queries = Queries.from_history(_of_one_genre(world.log, 40, 0.5))
    few, many = (
        find_personas(dictionary, queries, PersonaSettings(stray=0.6, strays=count)).counts for count in (0, 40)
    )
    assert few.sum() > many.sum()
    with pytest.raises(ConfigError, match="stray is 2"):
        PersonaSettings(stray=2)
    with pytest.raises(ConfigError, match="strays is -1"):
        PersonaSettings(strays=-1)
