from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries
from recsys.models import EASE
from recsys.models.personas.dictionary import TasteDictionary
from recsys.models.personas.found import FoundPersonas
from recsys.models.personas.growth import at_checkpoint, with_later_events
from recsys.models.personas.names.labels import HOLDS, LEAST_LIFT, Labels, TasteName, Uses, joined, names_that_hold
from recsys.models.personas.names.taste_names import TasteNames
from recsys.models.personas.ownership import PersonaOwners
from recsys.slates import Seats
from recsys.worlds.simulation import simulated_log


@pytest.fixture(scope="module")
def log() -> Interactions:
    return simulated_log(n_users=300, n_items=400)


@pytest.fixture(scope="module")
def dictionary(log: Interactions) -> TasteDictionary:
    return TasteDictionary.of(log)


@pytest.fixture(scope="module")
def queries(log: Interactions) -> Queries:
    return Queries.from_interactions(log)


def _found(dictionary: TasteDictionary, queries: Queries) -> FoundPersonas:
    weight = np.bincount(dictionary.taste[queries.history.items], minlength=len(dictionary)).astype(np.float64)
    return with_later_events(dictionary, weight, queries, at_checkpoint(dictionary, weight, queries))


@pytest.fixture(scope="module")
def found(dictionary: TasteDictionary, queries: Queries) -> FoundPersonas:
    return _found(dictionary, queries)


@pytest.fixture(scope="module")
def named(log: Interactions, dictionary: TasteDictionary, queries: Queries, found: FoundPersonas) -> TasteNames:
    return TasteNames.of(dictionary, log.metadata, queries, found)


def test_no_two_nodes_have_one_name_and_none_has_a_number(named: TasteNames) -> None:
    texts = [name.text for name in named.names]
    assert len(set(texts)) == len(texts)
    assert not any(text.startswith("persona") for text in texts)


def test_names_of_labels_hold_for_what_the_personas_have(
    log: Interactions, dictionary: TasteDictionary, queries: Queries, found: FoundPersonas, named: TasteNames
) -> None:
    labels = Labels.of(log.metadata, np.bincount(log.item_num, minlength=log.n_items).astype(np.float64))
    of_event, names = found.personas.of_events(dictionary, queries), named.of_personas(found)
    held = []
    for event, (row, item) in enumerate(zip(queries.history.rows, queries.history.items, strict=True)):
        name = names[row][of_event[event]]
        if name is not None and name.kind == "labels":
            has = labels.named(name.labels)
            assert has is not None
            held.append(has[item])
    assert len(held) > 1000
    assert np.mean(held) >= 0.85
    assert min(name.lift for name in named.names if name.kind == "labels") >= LEAST_LIFT


def test_names_hold_for_what_is_recommended(
    log: Interactions, dictionary: TasteDictionary, queries: Queries, found: FoundPersonas
) -> None:
    model = EASE(50.0).fit(log)
    listed = model.recommend(
        queries, 10, slate=Seats(), owners=PersonaOwners(model, queries, dictionary, found.personas)
    )
    assert listed.owners is not None
    named = TasteNames.of(dictionary, log.metadata, queries, found, listed=listed.items, owner=listed.owners)
    names = named.of_personas(found)
    labels = Labels.of(log.metadata, np.bincount(log.item_num, minlength=log.n_items))
    true_of = {name.labels: labels.named(name.labels) for name in named.names if name.kind == "labels"}
    held = [
        has[item]
        for row, (items, owners) in enumerate(zip(listed.items, listed.owners, strict=True))
        for item, owner in zip(items, owners, strict=True)
        if owner >= 0 and (name := names[row][owner]) is not None and (has := true_of.get(name.labels)) is not None
    ]
    assert len(held) > 500
    assert np.mean(held) >= 0.85


def test_personas_of_a_user_have_different_names(
    dictionary: TasteDictionary, queries: Queries, found: FoundPersonas, named: TasteNames
) -> None:
    for row, count in zip(named.of_personas(found), found.personas.counts, strict=True):
        assert [name is None for name in row] == [False] * count + [True] * (len(row) - count)
        assert len({name.text for name in row if name is not None}) == count


def test_names_stay_after_refitting_on_most_of_the_log(
    log: Interactions, dictionary: TasteDictionary, queries: Queries, found: FoundPersonas, named: TasteNames
) -> None:
    part = log.select(np.random.default_rng(1).random(len(log)) < 0.95).compact()
    after = TasteDictionary.of(part, former=dictionary)
    asked = Queries.from_interactions(part)
    again = TasteNames.of(after, part.metadata, asked, _found(after, asked), former=named)
    kept = np.mean([one.text == other.text for one, other in zip(named.names, again.names, strict=True)])
    assert kept >= 0.85


def test_without_labels_two_titles_name_a_taste() -> None:
    log = simulated_log(n_users=80, n_items=120, events_per_user=20)
    titles = tuple(f"Film {number}, The" for number in range(log.n_items))
    plain = replace(log, metadata=ItemMetadata(titles, ((),) * log.n_items))
    dictionary, queries = TasteDictionary.of(plain), Queries.from_interactions(plain)
    named = TasteNames.of(dictionary, plain.metadata, queries, _found(dictionary, queries))
    assert {name.kind for name in named.names} == {"titles"}
    assert all(name.text.startswith("like The Film ") and " and The Film " in name.text for name in named.names)


def test_tags_are_labels_where_there_are_no_genres_and_numbers_are_none() -> None:
    tags, titles = (("1717", "quiet"),) * 6, ("Heat (1995)",) * 6
    assert Labels.of(ItemMetadata(titles, ((),) * 6, tags), np.ones(6)).names == ("1990s", "quiet")
    genres = (("Crime", "(no genres listed)"),) * 6
    assert Labels.of(ItemMetadata(titles, genres, tags), np.ones(6)).names == ("1990s", "Crime")


def _catalogue() -> tuple[ItemMetadata, Labels]:
    """A hundred items of each of five genres, ten of each decade from the 1910s on, used alike."""
    genres = ("Comedy", "Crime", "Drama", "Horror", "War")
    rows = [
        (f"{genre} {year}{number} ({year})", (genre,))
        for genre in genres
        for year in range(1915, 2015, 10)
        for number in range(10)
    ]
    metadata = ItemMetadata(tuple(title for title, _ in rows), tuple(own for _, own in rows))
    return metadata, Labels.of(metadata, np.ones(len(rows)))


def _best(labels: Labels, own: list[int], recommended: list[int], *others: list[int]) -> str | None:
    uses = [Uses.of(labels, np.asarray(items), np.ones(len(items))) for items in (own, recommended, *others)]
    found = list(names_that_hold(labels, uses[0], uses[1], uses[2:]))
    assert all(name.holds >= HOLDS and name.lift >= LEAST_LIFT for _, name in found)
    return found[0][1].text if found else None


def test_a_name_of_labels_is_true_of_the_events_and_of_what_is_recommended() -> None:
    _, labels = _catalogue()
    horror, war = range(300, 400), range(400, 500)
    assert _best(labels, [*horror[::7]], [*horror[1::7]]) == "Horror"
    assert _best(labels, [*horror[::7]], [*war[::7]]) is None
    assert _best(labels, [*horror[::7]], [*horror[1::7]], [*horror[2::7]]) is None  # the other persona is horror, too
    assert _best(labels, [*horror[::7], *war[::7]], [*horror[1::7], *war[1::7]]) == "Horror & War"


def test_a_span_of_years_names_where_it_says_more() -> None:
    _, labels = _catalogue()
    assert _best(labels, [*range(380, 400)], [*range(380, 400)]) == "Horror from 1995 on"
    late = [*range(80, 100), *range(180, 200), *range(280, 300), *range(380, 400), *range(480, 500)]
    assert _best(labels, late, late) == "titles from 1995 on"


def test_names_say_what_labels_select() -> None:
    _, labels = _catalogue()
    selected = labels.named(("Horror", "1970 to 1989"))
    assert selected is not None
    assert np.flatnonzero(selected).tolist() == [*range(360, 380)]
    assert labels.named(("Western",)) is None
    assert joined(("Horror", "War", "before 1970")) == "Horror & War before 1970"


def test_name_survives_json() -> None:
    name = TasteName("Horror & Mystery", "labels", ("Horror", "Mystery"), 0.9, 3.2)
    assert TasteName.from_dict(name.to_dict()) == name
