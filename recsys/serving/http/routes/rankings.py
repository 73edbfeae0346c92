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
_TOLD: dict[Ranking, str] = {
    "popular": "Return what most people use; what was done 30 days ago counts half. At most a minute old.",
    "trending": "Return what more people use of late than before. At most a minute old.",
    "latest": "Return what came into the catalogue last; the score is when, in Unix seconds.",
}


def rankings(service: Service) -> APIRouter:
    """Return the routes of lists that are the same for everybody."""
    router = APIRouter(tags=["items"], dependencies=[Depends(allowing("read"))])
    n_items = Annotated[int, Query(ge=1, le=service.limits.n, description="length of the list")]

    def add(ranking: Ranking, told: str) -> None:
        def ranked(
            n: n_items = 10,
            genre: Genre = [],  # noqa: B006
            from_year: FromYear = None,
            to_year: ToYear = None,
            fields: Fields = [],  # noqa: B006
            cursor: Cursor = None,
        ) -> Response:
            wanted, filters = schemas.check_fields(fields), schemas.filters(genre, from_year, to_year)
            answers = service.answers
            return json_response(dumped(answers, _RANKED, answers.ranked_items(ranking, n, filters, cursor), wanted))

        router.add_api_route(
            f"/v1/{ranking}", ranked, name=ranking, description=told, response_model=RankedItems | schemas.PickedList
        )

    for ranking, told in _TOLD.items():
        add(ranking, told)
    return router
