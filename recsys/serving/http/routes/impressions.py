"""The routes that take what was shown and clicked."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field, WithJsonSchema

from recsys.errors import DataError
from recsys.events.checks import check_event_time
from recsys.events.impressions.records import ID, MOST_POSITIONS, Impression, check_click
from recsys.serving.access import Limits, require
from recsys.serving.answers import UnknownError
from recsys.serving.http import schemas
from recsys.serving.http.requests import allowing, token_of
from recsys.serving.service import Service

RecommendationId = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{ID.pattern}$"})]
_When = Annotated[schemas.Whole | None, Field(description="Unix seconds; null: now", json_schema_extra=schemas.TIME)]


class ShownIn(schemas.Body):
    """An item that was shown."""

    item_id: schemas.Id
    position: schemas.Whole = Field(ge=1, le=MOST_POSITIONS, description="in what was shown, 1 for the first")


class ImpressionsIn(schemas.Body):
    """What of a list a user was shown."""

    user_id: schemas.Id
    recommendation_id: RecommendationId
    items: list[ShownIn] = Field(min_length=1, json_schema_extra={"maxItems": Limits.n})
    time: _When = None


class ImpressionsOut(BaseModel):
    """How many impressions are new, and how many were recorded already."""

    recorded: int
    repeated: int


class ClickIn(schemas.Body):
    """An item of a list that a user clicked."""

    user_id: schemas.Id
    recommendation_id: RecommendationId
    item_id: schemas.Id
    time: _When = None


class ClickOut(BaseModel):
    """The click is recorded; of several on one impression the first counts."""

    recorded: bool


def impressions(service: Service) -> APIRouter:
    """Return the routes that take what was shown and clicked."""
    router = APIRouter(tags=["attribution"], dependencies=[Depends(allowing("write"))])

    @router.post("/v1/impressions")
    def shown(request: Request, body: ImpressionsIn) -> ImpressionsOut:
        """Record what a user was shown of a list. Sent again, an item of a list counts once."""
        require(token_of(request), "write", body.user_id)
        if len(body.items) > service.limits.n:
            raise DataError(f"items has {len(body.items)}; a list has {service.limits.n} at most")
        now = time.time()
        when = int(now) if body.time is None else body.time
        taken = [
            Impression(body.user_id, body.recommendation_id, one.item_id, one.position, when) for one in body.items
        ]
        check_event_time("time", when, now)
        recorded = service.store.put_impressions(taken)
        return ImpressionsOut(recorded=recorded, repeated=len(taken) - recorded)

    @router.post("/v1/clicks")
    def clicked(request: Request, body: ClickIn) -> ClickOut:
        """Record that a user clicked an item that was shown. What the person did with it is an event of its own."""
        require(token_of(request), "write", body.user_id)
        now = time.time()
        when = int(now) if body.time is None else body.time
        check_click(body.user_id, body.recommendation_id, body.item_id, when, now)
        if not service.store.put_click(body.user_id, body.recommendation_id, body.item_id, when):
            raise UnknownError("this item of this list was not shown to this user; send POST /v1/impressions first")
        return ClickOut(recorded=True)

    return router
