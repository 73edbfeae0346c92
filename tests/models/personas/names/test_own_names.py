"""Names of one user's personas: true of the own events, distinct, and the same until the next checkpoint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries
from recsys.data.titles import short_title
from recsys.data.vocabulary import UNKNOWN
from recsys.explanations.deeds import may_be_reasons
from recsys.explanations.found import names_of_found
from recsys.explanations.text import WHOLE
from recsys.models import EASE, WithPersonas
from recsys.models.personas.growth import until_checkpoint
from recsys.models.personas.names.labels import HOLDS, LEAST_LIFT
from recsys.worlds.simulation import simulated_log


@pytest.fixture(scope="module")
def log() -> Interactions:
    return simulated_log(n_users=300, n_items=400)


@pytest.fixture(scope="module")
def model(log: Interactions) -> WithPersonas:
    return WithPersonas(EASE(50.0)).fit(log)


def test_a_name_is_true_of_the_personas_own_events(model: WithPersonas, log: Interactions) -> None:
    queries = Queries.from_interactions(log, np.arange(60, dtype=np.int32))
    found = model.found(queries)
    of_event = found.personas.of_events(model.dictionary, queries)
    early, liked = until_checkpoint(queries), may_be_reasons(queries)
    kinds = []
    for row, of_user in enumerate(names_of_found(model, queries, found)):
        own = early & (queries.history.rows == row)
        assert [name is not None for name in of_user] == (found.numbers[row] != UNKNOWN).tolist()
        assert len({name.text for name in of_user if name is not None}) == found.personas.counts[row]
        for persona, name in enumerate(of_user):
            if name is None or name.text == WHOLE:
                continue
            kinds.append(name.kind)
            mine = own & (of_event == persona)
            if name.kind == "labels":
                true = model.labels.named(name.labels)
                assert true is not None
                assert true[queries.history.items[mine]].mean() >= HOLDS
                assert name.lift >= LEAST_LIFT
            else:
                stands = mine & liked if (mine & liked).sum() > 1 else mine
                titles = {short_title(log.metadata.titles[item]) for item in queries.history.items[stands].tolist()}
                assert set(name.labels) <= titles
    assert min(kinds.count("labels"), kinds.count("titles")) > 10


def test_a_name_stays_until_the_next_checkpoint(model: WithPersonas, log: Interactions) -> None:
    several = 0
    for user in range(12):
        whole = Queries.from_interactions(log, np.asarray([user], np.int32))
        place = np.arange(len(whole.history.items))
        before = None
        for length in range(28, 42):  # checkpoints are 28 and 42
            queries = whole.keep(place < length)
            (names,) = names_of_found(model, queries, model.found(queries))
            several += sum(name is not None for name in names) > 1
            assert before is None or names == before
            before = names
    assert several > 50


def test_titles_that_were_not_liked_name_nothing(log: Interactions) -> None:
    titles = tuple(f"Film {number}" for number in range(log.n_items))
    plain = replace(log, metadata=ItemMetadata(titles, ((),) * log.n_items))
    model = WithPersonas(EASE(50.0)).fit(plain)
    queries = Queries.from_interactions(plain, np.arange(20, dtype=np.int32))
    found = model.found(queries)
    names = [name for row in names_of_found(model, queries, found) for name in row if name and name.text != WHOLE]
    assert {name.kind for name in names} == {"titles"}
    values = np.where(np.arange(len(queries.values)) % 2, 5.0, 1.0).astype(np.float32)
    rated = replace(queries, values=values, kinds=None)
    held = []
    for row, of_user in enumerate(names_of_found(model, rated, found)):
        own = slice(*queries.history.indptr[row : row + 2].tolist())
        liked = {titles[item] for item in queries.history.items[own][values[own] > 3].tolist()}
        held += [{*name.labels} <= liked for name in of_user if name and name.text != WHOLE]
    assert np.mean(held) > 0.9  # else of a persona with fewer than two that were liked


def test_weights_and_other_users_do_not_matter(model: WithPersonas, log: Interactions) -> None:
    queries = Queries.from_interactions(log, np.arange(8, dtype=np.int32))
    names = names_of_found(model, queries, model.found(queries))
    faded = queries.with_weights(np.linspace(0, 1, len(queries.values)).astype(np.float32))
    assert names_of_found(model, faded, model.found(queries)) == names
    one = queries.take(np.asarray([5]))
    assert names_of_found(model, one, model.found(one)) == [names[5]]
