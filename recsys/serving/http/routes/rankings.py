"""The routes of lists that are the same for everybody: popular, trending, latest."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import TypeAdapter

from recsys.serving.http import schemas
from recsys.serving.http.lists import dumped
from recsys.serving.http.requests import allowing, json_response
from recsys.serving.http.routes.items import Cursor, Fields, FromYear, Genre, ToYear
from recsys.serving.items.popularity import Ranking
from recsys.serving.records import RankedItems
from recsys.serving.service import Service

_RANKED = TypeAdapter(RankedItems)


def rankings(service: Service) -> APIRouter:
    """Return the routes of lists that are the same for everybody."""
    router = APIRouter(tags=["items"], dependencies=[Depends(allowing("read"))])
    n_items = Annotated[int, Query(ge=1, le=service.limits.n, description="length of the list")]

    def answer(
        ranking: Ranking,
        n: int,
        genre: list[str],
        from_year: int | None,
        to_year: int | None,
        fields: list[str],
        cursor: str | None,
    ) -> Response:
        wanted, filters = schemas.check_fields(fields), schemas.filters(genre, from_year, to_year)
        answers = service.answers
        found = answers.ranked_items(ranking, n, filters, cursor)
        return json_response(dumped(answers, _RANKED, found, wanted))

    @router.get("/v1/popular", response_model=RankedItems | schemas.PickedList)
    def popular(
        n: n_items = 10,
        genre: Genre = [],  # noqa: B006
        from_year: FromYear = None,
        to_year: ToYear = None,
        fields: Fields = [],  # noqa: B006
        cursor: Cursor = None,
    ) -> Response:
        """Return what most people use; what was done 30 days ago counts half. At most a minute old."""
        return answer("popular", n, genre, from_year, to_year, fields, cursor)

    @router.get("/v1/trending", response_model=RankedItems | schemas.PickedList)
    def trending(
        n: n_items = 10,
        genre: Genre = [],  # noqa: B006
        from_year: FromYear = None,
        to_year: ToYear = None,
        fields: Fields = [],  # noqa: B006
        cursor: Cursor = None,
    ) -> Response:
        """Return what more people use of late than before. At most a minute old."""
        return answer("trending", n, genre, from_year, to_year, fields, cursor)

    @router.get("/v1/latest", response_model=RankedItems | schemas.PickedList)
    def latest(
        n: n_items = 10,
        genre: Genre = [],  # noqa: B006
        from_year: FromYear = None,
        to_year: ToYear = None,
        fields: Fields = [],  # noqa: B006
        cursor: Cursor = None,
    ) -> Response:
        """Return what came into the catalogue last; the score is when, in Unix seconds."""
        return answer("latest", n, genre, from_year, to_year, fields, cursor)

    return router
