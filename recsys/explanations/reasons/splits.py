"""Beside a reason: how many people would rather have another title of the same list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from recsys.data.pairs import Splits
from recsys.data.titles import readable_title
from recsys.explanations.records import Explanation, Split
from recsys.models.base import FittedOn


def with_splits(explained: Sequence[Explanation], splits: Splits, fitted: FittedOn) -> tuple[Explanation, ...]:
    """Return the explanations of a list, each with the other title over which people are most evenly split.

    Args:
        explained: of one list.
        splits: of the model's items.
        fitted: what the model was fitted on.
    """
    nearest = splits.nearest(fitted.items.numbers([one.item_id for one in explained]))
    ids, titles = fitted.items.ids, fitted.metadata.titles
    found = []
    for one, near in zip(explained, nearest, strict=True):
        if near is None:
            found.append(one)
            continue
        title = titles[near.other]
        sentence = (
            f"{near.preferred} of {near.raters} people who rated both in one go, and not alike, prefer it to "
            f"{readable_title(title)}."
        )
        item_id = type(one.item_id)(ids[near.other])
        found.append(replace(one, split=Split(item_id, title, near.preferred, near.raters, sentence)))
    return tuple(found)
