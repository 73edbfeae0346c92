"""The route of several users: their lists in one answer."""

import time
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import TypeAdapter

from recsys.errors import CapabilityError, DataError
from recsys.events.checks import check_id
from recsys.serving.access import require
from recsys.serving.answers import UnknownError
from recsys.serving.http import schemas
from recsys.serving.http.errors import denial
from recsys.serving.http.lists import checked_exclude, checked_length, picked
from recsys.serving.http.middleware import CLIENT
from recsys.serving.http.requests import allowing, json_response, token_of
from recsys.serving.http.routes import item_schemas
from recsys.serving.records import RecommendationList
from recsys.serving.service import Service

_LIST, _ANY = TypeAdapter(RecommendationList), TypeAdapter(Any)


def batch(service: Service) -> APIRouter:
    """Return the route of several users."""
    router = APIRouter(tags=["recommendations"])

    @router.post(
        "/v1/users/recommendations",
        dependencies=[Depends(allowing("read"))],
        response_model=item_schemas.ListsOut,
    )
    async def recommend_to_many(request: Request, body: item_schemas.UsersIn) -> Response:
        """Recommend items to several users. Each counts as a request; others are answered in between."""
        limits = service.limits
        if len(body.user_ids) > item_schemas.MOST_USERS:
            raise DataError(f"{len(body.user_ids)} users at once; ask for at most {item_schemas.MOST_USERS}")
        for place, user_id in enumerate(body.user_ids):
            check_id(f"user_ids[{place}]", user_id)
            require(token_of(request), "read", user_id)
        if len(set(body.user_ids)) < len(body.user_ids):
            raise DataError("user_ids names a user twice; name each once")
        now, n, excluded = schemas.moment(body.at, time.time()), checked_length(body.n, limits), body.exclude
        checked_exclude(excluded, limits)
        filters = schemas.filters(body.genre, body.from_year, body.to_year, body.candidates)
        fields = schemas.check_fields(body.fields)
        service.rate_limiter.acquire(request.scope[CLIENT], len(body.user_ids) - 1)

        def listed(user_id: str) -> dict[str, Any]:
            answers = service.answers
            try:
                found = service.recommend(user_id, n, now, excluded, body.details, filters)
            except (CapabilityError, UnknownError) as error:
                told = denial(error, "")
                return {
                    "user_id": user_id,
                    "recommendations": None,
                    "error": {"code": told.code, "message": told.message},
                }
            return {"user_id": user_id, "recommendations": picked(answers, _LIST, found, fields), "error": None}

        model = service.answers.model
        lists = [await service.answer(lambda user_id=user_id: listed(user_id)) for user_id in body.user_ids]  # type: ignore[misc]
        return json_response(_ANY.dump_json({"model": model, "lists": lists}))

    return router
