"""Lists as they are sent: with the fields that were asked for, and page by page."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from typing import Any, Final, TypeVar, final

from pydantic import TypeAdapter

from recsys.errors import DataError
from recsys.events.checks import LONGEST_ID
from recsys.serving.access import Limits
from recsys.serving.answers import Answers, Details
from recsys.serving.filters import Filters
from recsys.serving.items.cursor import CursorError, decoded, encoded
from recsys.serving.norms.circumstances import Circumstances
from recsys.serving.records import RecommendationList

T = TypeVar("T")

_LIST: Final = TypeAdapter(RecommendationList)
_AGE: Final = re.compile(rb'"age":\d+')
"""Ages of events, as JSON has them. In text a quote is escaped, so that no title looks like it."""


@final
@dataclass(frozen=True)
class SentList:
    """A list as JSON, and the headers that belong to it."""

    content: bytes
    headers: Mapping[str, str]


@final
@dataclass(frozen=True)
class ListAsked:
    """What a request for a list asks for; see `recsys.serving.answers.Answers.recommend`.

    Attributes:
        n, at, exclude, details, filters, said: as there.
        fields: of each item; None: those that it has by itself.
        cursor: of the page; None: no pages are asked for.
    """

    n: int
    at: int | None
    exclude: Collection[str]
    details: Details
    filters: Filters
    said: Circumstances
    fields: frozenset[str] | None = None
    cursor: str | None = None


def checked_exclude(items: Collection[str], limits: Limits) -> Collection[str]:
    """Return the items to exclude, if they are not too many."""
    if len(items) > limits.exclude:
        raise DataError(f"exclude has {len(items)} items; leave at most {limits.exclude} out")
    return items


def checked_length(n: int, limits: Limits) -> int:
    """Return the length of a list, if it is not too long."""
    if n > limits.n:
        raise DataError(f"n is {n}; ask for at most {limits.n}")
    return n


def seen_of(cursor: str | None, limits: Limits) -> Sequence[str]:
    """Return the items of the pages before a cursor.

    Raises:
        DataError: it is no cursor of recommendations.
    """
    seen = [] if cursor is None else decoded(cursor)
    if len(seen) > limits.exclude or not all(isinstance(one, str) and 0 < len(one) <= LONGEST_ID for one in seen):
        raise CursorError("cursor is of another question; hand back the next_cursor of the page before")
    return seen


def paged(
    listed: RecommendationList, cursor: str | None, seen: Sequence[str], n: int, limits: Limits
) -> RecommendationList:
    """Return a page with the cursor of the next: the items of all pages so far, which the next leaves out."""
    if cursor is None:
        return listed
    every = [*seen, *(str(one.item_id) for one in listed.items)]
    following = encoded(every) if len(listed.items) == n and len(every) <= limits.exclude else None
    unknown = tuple(item for item in listed.unknown_excluded if item not in seen)
    return replace(listed, next_cursor=following, unknown_excluded=unknown)


def picked(answers: Answers, adapter: TypeAdapter[T], answer: T, fields: frozenset[str] | None) -> Any:  # noqa: ANN401 - JSON
    """Return an answer as plain values, with only some fields of its items.

    A field that the items do not have by themselves is that of the catalogue.
    """
    plain = adapter.dump_python(answer, mode="json")
    if fields is None:
        return plain
    items = plain["items"]
    lacking = sorted(fields.difference(*items[:1])) if items else []
    facts = answers.items_of([one["item_id"] for one in items]) if lacking else [None] * len(items)
    plain["items"] = [
        {name: value for name, value in one.items() if name == "item_id" or name in fields}
        | ({} if fact is None else {name: value for name, value in asdict(fact).items() if name in lacking})
        for one, fact in zip(items, facts, strict=True)
    ]
    return plain


def dumped(answers: Answers, adapter: TypeAdapter[T], answer: T, fields: frozenset[str] | None) -> bytes:
    """Return an answer as JSON; see `picked`."""
    if fields is None:
        return adapter.dump_json(answer)
    return _json(picked(answers, adapter, answer, fields))


def tagged(answers: Answers, listed: RecommendationList, fields: frozenset[str] | None) -> SentList:
    """Return a list as it is sent, with a tag of everything in it but its moment: the same list of another moment has
    the same tag, and an id of its own.
    """
    if fields is None:
        body = _LIST.dump_json(listed)
        said = [body]
    else:
        plain = picked(answers, _LIST, listed, fields)
        body = _json(plain)
        facts = [one.pop("metadata", None) for one in plain["items"]]  # whose names are anybody's
        said = [_json(plain), _json(facts)]
    digest = blake2b(_timeless(said[0], listed), digest_size=12)
    digest.update(b"".join(said[1:]))
    headers = {"etag": f'W/"{digest.hexdigest()}"'}
    if listed.recommendation_id is not None:
        headers["x-recommendation-id"] = listed.recommendation_id  # a 304 has no body that could tell it
    if listed.stale:
        headers |= {"age": str(listed.stale_seconds), "warning": '110 - "Response is Stale"'}
    return SentList(body, headers)


def _timeless(said: bytes, listed: RecommendationList) -> bytes:
    """Return a list in JSON without what is of its moment; of its id the variant and the model stay."""
    made = (listed.recommendation_id or "").partition("-")[0]
    audit = None if listed.policy is None else listed.policy.audit
    said = _AGE.sub(b"", said)
    for name, value in (("now", listed.now), ("stale_seconds", listed.stale_seconds)):
        said = said.replace(f'"{name}":{value}'.encode(), b"", 1)
    for text in (f'"recommendation_id":"{made}', f'"audit":"{audit}"'):
        said = said.replace(text.encode(), b"", 1)
    return said


def _json(plain: object) -> bytes:
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()
