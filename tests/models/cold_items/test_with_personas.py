"""New items in a model with found personas: they are listed and owned as others, and nobody's personas change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.bundles import bundle
from recsys.data.items import ItemMetadata
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.decay import GlobalHalfLife
from recsys.explanations import explain
from recsys.models import EASE, Decayed, Recommender, Slated, WithColdItems, WithPersonas
from recsys.models.cold_items.adding import takes_items, with_items
from recsys.models.personas.ownership import ownership
from recsys.slates import Calibrated, Seats
from tests.models.cold_items.test_cold_items import genre_log

LOG = genre_log(40, 60)
NEW = Vocabulary(["new war", "new love"])
METADATA = ItemMetadata(("War again (1999)", "Love again (1999)"), (("War",), ("Romance",)))
COLD = WithColdItems(EASE(10.0), scale=3.0)


@pytest.mark.parametrize(
    "model",
    [WithPersonas(COLD), WithPersonas(COLD, sharpness=0.5), WithPersonas(Decayed(COLD, GlobalHalfLife(20.0)))],
    ids=["personas", "attention", "decayed"],
)
def test_a_new_item_is_owned_as_others_are_and_nobodys_personas_change(model: WithPersonas) -> None:
    before = model.fit(LOG)
    assert takes_items(before)
    after = with_items(before, NEW, METADATA)
    assert isinstance(after, WithPersonas)
    queries, same = after.fitted_on.queries(LOG), before.fitted_on.queries(LOG)
    found, former = after.found(queries), before.found(same)
    np.testing.assert_array_equal(found.numbers, former.numbers)
    assert torch.equal(after.score(queries)[:, : LOG.n_items], before.score(same))
    listed = after.recommend(queries, 10)
    new = listed.items >= LOG.n_items
    assert new.any()
    owners = listed.owners
    assert owners is not None
    read = after.read(queries)
    scoring = read.model if after.chosen_sharpness else after.scoring_model.base  # type: ignore[attr-defined]
    by_rule = ownership(scoring, read.queries, listed.items, after.dictionary, found.personas, evidence=False).owner
    assert (by_rule[new] != UNKNOWN).any()
    np.testing.assert_array_equal(owners[new], by_rule[new])
    assert before.n_items == LOG.n_items


def test_a_new_item_counts_to_the_taste_that_it_is_most_like() -> None:
    model = with_items(WithPersonas(COLD).fit(LOG), NEW, METADATA)
    assert isinstance(model, WithPersonas)
    dictionary = model.dictionary
    likeness = dictionary.vectors[-2:] @ dictionary.vectors[: LOG.n_items].T
    for row, genre in enumerate(("War", "Romance")):
        best = np.argsort(-likeness[row])[:3].tolist()
        assert {LOG.metadata.genres[item] for item in best} == {(genre,)}
        assert LOG.metadata.genres[int(np.flatnonzero(dictionary.taste == dictionary.taste[-2 + row])[0])] == (genre,)


def test_the_reason_of_a_new_item_is_of_the_persona_that_owns_it(tmp_path: Path) -> None:
    fitted = with_items(WithPersonas(COLD, slate=Seats()).fit(LOG), NEW, METADATA)
    bundle.save(fitted, tmp_path / "bundle")
    loaded = bundle.load(tmp_path / "bundle")
    queries = fitted.fitted_on.queries(LOG)
    listed = fitted.recommend(queries, 10)
    np.testing.assert_array_equal(listed.items, loaded.recommend(queries, 10).items)
    user = int(np.flatnonzero((listed.items >= LOG.n_items).any(1))[0])
    (told,) = explain(fitted, queries.take(np.asarray([user])), 10)
    new = [one for one in told if one.item_id in ("new war", "new love")]
    assert new
    assert all(one.evidence and one.owner is not None for one in new)


def test_a_slate_over_clusters_takes_new_items() -> None:
    bare: Recommender = Slated(COLD, Calibrated()).fit(LOG)
    model = with_items(bare, NEW, METADATA)
    assert (model.recommend(model.fitted_on.queries(LOG), 10).items >= LOG.n_items).any()
    assert not takes_items(WithPersonas(EASE(10.0)).fit(LOG))
