"""How files write the kinds of events: the words that are understood for each kind, and kinds read from texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from recsys.data.kinds import CODES, KINDS, Kind
from recsys.errors import nearest
from recsys.types import Kinds

SPELLINGS: Final[dict[Kind, tuple[str, ...]]] = {
    "use": ("used", "interaction", "play", "played", "watch", "watched", "listen", "listened", "read", "consume"),
    "rating": ("rate", "rated", "review", "reviewed"),
    "view": ("viewed", "pv", "page view", "detail view", "browse", "visit"),
    "click": ("clicked",),
    "like": (
        *("liked", "love", "thumbs up", "upvote", "fav", "favorite", "favourite", "favorited", "bookmark", "save"),
        *("wishlist", "cart", "add to cart"),
    ),
    "dislike": ("disliked", "thumbs down", "downvote", "dismiss", "dismissed", "hide", "not interested", "not for me"),
    "buy": ("bought", "purchase", "purchased", "order", "ordered", "transaction", "sale"),
    "skip": ("skipped",),
}
"""Other words for each kind. Case, "_", "-" and blanks do not matter."""

NO_CODE: Final = -1
"""The code of an event whose kind is blank: a rating if it has a value, else a use."""

_UNKNOWN: Final = -2


def folded(text: str) -> str:
    """Return a word as it is compared: in lower case, without "_", "-" and blanks.

    >>> folded("Add_To-Cart")
    'addtocart'
    """
    return re.sub(r"[\s_-]", "", text.lower())


_CODES: Final[dict[str, int]] = {folded(word): CODES[kind] for kind in KINDS for word in (kind, *SPELLINGS[kind])} | {
    "": NO_CODE
}


def codes_of(texts: Iterable[str], own: Mapping[str, Kind]) -> Kinds:
    """Return the code of each text, `NO_CODE` for a blank one, and a smaller number for one that is no kind.

    Args:
        texts: as a file has them.
        own: the file's own words, by kind; they come before the common ones.

    >>> codes_of(["Purchase", "pv", "", "share"], {"share": "like"}).tolist()
    [6, 2, -1, 4]
    """
    known = _CODES | {folded(word): CODES[kind] for word, kind in own.items()}
    return np.array([known.get(folded(text), _UNKNOWN) for text in texts], np.int8)


def are_kinds(values: Iterable[object], own: Mapping[str, Kind]) -> bool:
    """Return whether at least half of the entries of a column, blanks left out, are words for kinds.

    >>> are_kinds(["view", "cart", "remove_from_cart"], {}), are_kinds(["book", "film"], {}), are_kinds([4, 5], {})
    (True, False, False)
    """
    codes = codes_of((str(value) for value in values if value is not None), own)
    codes = codes[codes != NO_CODE]
    return len(codes) > 0 and 2 * int((codes >= 0).sum()) >= len(codes)


def kind_fault(text: str) -> str:
    """Return what is wrong with a word that is no kind, and the cure.

    >>> kind_fault("share")[:66]
    "kind 'share' is none of use, rating, view, click, like, dislike, b"
    """
    words = [*KINDS, *(word for words in SPELLINGS.values() for word in words)]
    hint = nearest(text, words)
    return (
        f"kind {text!r} is none of {', '.join(KINDS)}{hint}; correct it, or declare what it means, as in columns "
        f"kinds={text}:like"
    )
