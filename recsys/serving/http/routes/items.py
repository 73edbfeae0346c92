"""The routes of the catalogue: items found, looked up, put, changed and deleted; what goes with one.

Annotations are evaluated here: they hold the limits of a service.
"""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import TypeAdapter

from recsys.errors import DataError
from recsys.events.checks import check_id, check_time
from recsys.events.items.records import StoredItem
from recsys.serving.access import Denied
from recsys.serving.answers import UnknownError
from recsys.serving.http import schemas
from recsys.serving.http.lists import dumped
from recsys.serving.http.requests import allowing, json_response, token_of
from recsys.serving.http.routes import item_schemas
from recsys.serving.records import CatalogueItem, SimilarItems, TitleMatches
from recsys.serving.service import Service

T = TypeVar("T")

_ITEM = "/v1/items/{item_id:path}"
_Title = Annotated[
    str | None,
    Query(min_length=1, max_length=200, description="a title, or beginnings of its words; without it all items, by id"),
]
Genre = Annotated[list[str], Query(description=schemas.GENRE, max_length=schemas.MOST_GENRES, examples=[["Drama"]])]
FromYear = Annotated[int | None, Query(ge=0, le=schemas.LATEST, description=schemas.FROM_YEAR, examples=[1990])]
ToYear = Annotated[int | None, Query(ge=0, le=schemas.LATEST, description=schemas.TO_YEAR, examples=[1999])]
Fields = Annotated[list[schemas.ListedField], Query(description=schemas.FIELDS, examples=[["title", "metadata"]])]
Cursor = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=schemas.LONGEST_CURSOR,
        description=schemas.CURSOR,
        examples=["*"],
        json_schema_extra={"format": "cursor", "pattern": schemas.CURSOR_PATTERN},
    ),
]
_Available = Annotated[bool | None, Query(description="whether they may be listed; without it all")]
_FOUND, _SIMILAR = TypeAdapter(TitleMatches), TypeAdapter(SimilarItems)


def items(service: Service) -> APIRouter:
    """Return the routes of the catalogue."""
    router = APIRouter(tags=["items"])
    n_items = Annotated[int, Query(ge=1, le=service.limits.n, description="length of the list")]
    reading = [Depends(allowing("read"))]

    @router.get("/v1/items", dependencies=reading, response_model=TitleMatches | schemas.PickedList)
    def find(
        query: _Title = None,
        n: n_items = 10,
        genre: Genre = [],  # noqa: B006
        from_year: FromYear = None,
        to_year: ToYear = None,
        available: _Available = None,
        fields: Fields = [],  # noqa: B006
        cursor: Cursor = None,
    ) -> Response:
        """Find items by title: those that begin so, those with such words, those that hold it; the most used first."""
        wanted, answers = schemas.check_fields(fields), service.answers
        found = answers.find_items(query, n, schemas.filters(genre, from_year, to_year), available, cursor)
        return json_response(dumped(answers, _FOUND, found, wanted))

    @router.get("/v1/genres", dependencies=reading)
    def genres() -> schemas.GenresOut:
        """Return the genres by which lists can be filtered."""
        answers = service.answers
        return schemas.GenresOut(model=answers.model, genres=list(answers.genres))

    @router.get(
        _ITEM + "/similar", dependencies=reading, response_model=SimilarItems | schemas.PickedList | CatalogueItem
    )
    async def similar(
        request: Request,
        item_id: schemas.Id,
        n: n_items = 10,
        genre: Genre = [],  # noqa: B006
        from_year: FromYear = None,
        to_year: ToYear = None,
        fields: Fields = [],  # noqa: B006
    ) -> Response:
        """Return what goes with an item."""
        own = _only_id(request)
        if own is not None:  # of an item whose id ends in "/similar"
            check_id("item_id", own)
            return await _json(lambda: service.answers.item(own), CatalogueItem)
        check_id("item_id", item_id)
        wanted, filters = schemas.check_fields(fields), schemas.filters(genre, from_year, to_year)
        answers = service.answers
        return json_response(
            await service.answer(lambda: dumped(answers, _SIMILAR, answers.similar(item_id, n, filters), wanted))
        )

    @router.get(_ITEM, dependencies=reading)
    def look_up(item_id: schemas.Id) -> CatalogueItem:
        """Return what is known of an item, also of one that the model cannot recommend."""
        check_id("item_id", item_id)
        return service.answers.item(item_id)

    _changing(service, router)
    return router


def _changing(service: Service, router: APIRouter) -> None:
    """Add the routes that change the catalogue."""
    writing = [Depends(_of_the_service)]

    @router.put("/v1/items", dependencies=writing)
    def put_many(body: item_schemas.ItemsIn) -> item_schemas.ItemsPutOut:
        """Put items into the catalogue, all or none, each in place of what was said of it. Twice is as good as once."""
        if len(body.items) > service.limits.batch:
            raise DataError(f"{len(body.items)} items at once; send at most {service.limits.batch} in a request")
        if len({one.item_id for one in body.items}) < len(body.items):
            raise Denied(409, "item_conflict", "an item is there twice; give each item once. Nothing was taken")
        stored = []
        for place, one in enumerate(body.items):
            try:
                stored.append(_stored(one.item_id, one))
            except DataError as error:
                raise DataError(f"items[{place}]: {error}") from None
        return item_schemas.ItemsPutOut(**asdict(service.store.put_items(stored, int(time.time()))))

    @router.put(_ITEM, dependencies=writing)
    def put(item_id: schemas.Id, body: item_schemas.ItemIn) -> CatalogueItem:
        """Put an item into the catalogue, in place of what was said of it; every process knows at its next answer."""
        service.store.put_items([_stored(item_id, body)], int(time.time()))
        return service.answers.item(item_id)

    @router.patch(_ITEM, dependencies=writing)
    def change(item_id: schemas.Id, body: item_schemas.ItemChangesIn) -> CatalogueItem:
        """Change some fields of an item, such as whether it is available; what is not named stays."""
        check_id("item_id", item_id)
        service.answers.item(item_id)  # there is one
        changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
        if changes.get("genres") is not None:
            changes["genres"] = tuple(changes["genres"])
        if changes.get("added_at") is not None:
            check_time("added_at", changes["added_at"])
        service.store.patch_item(item_id, changes, int(time.time()))
        return service.answers.item(item_id)

    @router.delete(_ITEM, dependencies=writing, status_code=204, response_class=Response)
    def delete(item_id: schemas.Id) -> Response:
        """Take an item out of the catalogue: it is neither listed nor found, until it is put again."""
        check_id("item_id", item_id)
        service.answers.item(item_id)
        if not service.store.delete_item(item_id, int(time.time())):  # another request was faster
            raise UnknownError("this item was deleted already")
        return Response(status_code=204)


async def _of_the_service(request: Request) -> None:
    """Raise unless the token may write, for all users: the catalogue is nobody's own."""
    await allowing("write")(request)
    if token_of(request).user_id is not None:
        raise Denied(403, "other_user", "this token is for one user; the catalogue needs one without a user")


def _stored(item_id: str, body: item_schemas.ItemIn) -> StoredItem:
    said = body.model_dump(exclude={"item_id"})
    genres = said.pop("genres")
    return StoredItem(item_id, genres=None if genres is None else tuple(genres), **said)


def _only_id(request: Request) -> str | None:
    """Return the id of a path that names an item and nothing else, though its decoded form looks otherwise."""
    found = re.fullmatch(rb"/v1/items/([^/]+)", request.scope.get("raw_path") or b"")
    return unquote(found[1]) if found else None


async def _json(call: Callable[[], T], kind: type[T]) -> Response:
    return json_response(TypeAdapter(kind).dump_json(await asyncio.to_thread(call)))
