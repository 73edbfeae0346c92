"""What items are about, in the labels by which a list is compared with a history."""

from __future__ import annotations

from recsys.data.items import ItemMetadata
from recsys.models.personas.dictionary import TasteDictionary
from recsys.types import Doubles

_LABELLED = 0.5
"""Share of the items that must have a genre: of histories in which few have one, genres say little."""


def content_parts(metadata: ItemMetadata, dictionary: TasteDictionary) -> Doubles:
    """Return "items labels", read-only: the part of each item that is about each label; rows sum to 1, or to 0.

    Labels are genres; where most items have none, the tastes of the dictionary, of which each item in use has one.
    """
    return metadata.genre_parts if metadata.labelled >= _LABELLED else dictionary.parts
