"""Dislikes and skips are uses in no model."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.models.base import Recommender
from recsys.models.ials import IALS
from recsys.models.linear.ease import EASE
from recsys.models.linear.itemknn import ItemKNN
from recsys.models.popularity import Popularity, RecentPopularity


@pytest.mark.parametrize(
    "model", [Popularity(), RecentPopularity(), EASE(), ItemKNN(), IALS(embedding_size=2)], ids=repr
)
def test_what_is_disliked_is_nothing_that_was_used(model: Recommender) -> None:
    """An item that everybody dislikes and nobody has used is recommended to nobody before one that was used."""
    draw = np.random.default_rng(0)
    users, items = np.repeat(np.arange(6), 8), np.tile(np.arange(8), 6)
    kept = draw.random(len(users)) < 0.8
    log = Interactions.from_columns(users[kept], items[kept], times=draw.permutation(int(kept.sum())))
    extra = Interactions.from_columns(
        [*log.user_num, *range(log.n_users)],
        [*log.item_num, *[99] * log.n_users],
        times=[*log.time, *range(1000, 1000 + log.n_users)],
        kinds=["use"] * len(log) + ["dislike"] * log.n_users,
    )
    model = model.unfitted().fit(extra)
    best = model.recommend(Queries.from_history([[], [0, 1]]), 3)
    disliked = int(extra.items.numbers([99])[0])
    assert disliked not in best.items
    assert model.fitted_on.item_counts[disliked] == 0
