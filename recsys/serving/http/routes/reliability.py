"""The routes of reliability: how far a person's events count, what to ask again, and "I meant that"."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from recsys.events.checks import check_id
from recsys.serving.http import schemas
from recsys.serving.http.requests import allowing_user
from recsys.serving.records import PersonsReliability, QuestionsAgain
from recsys.serving.service import Service
from recsys.serving.users.served import MEANT

_PATH = "/v1/users/{user_id:path}"


class MeantIn(schemas.Body):
    """That the person meant an answer, whatever the model thinks of it, or takes this back."""

    item_id: schemas.Id
    meant: bool = Field(
        description="true: the answer about the item counts fully; false: as far as the model believes it"
    )


class MeantOut(BaseModel):
    """Whether the person has confirmed the answer about an item; the next list honours it."""

    item_id: str
    meant: bool


def reliability(service: Service) -> APIRouter:
    """Return the routes of reliability."""
    router = APIRouter(tags=["users"])
    events = Annotated[int, Query(ge=1, le=service.limits.history, description="how many of the newest events")]
    newest = min(100, service.limits.history)
    questions = Annotated[int, Query(ge=1, le=20, description="how many questions")]

    @router.get(_PATH + "/reliability", dependencies=[Depends(allowing_user("read"))])
    async def found(user_id: schemas.Id, n: events = newest) -> PersonsReliability:
        """Return how far each event of a user counts, and why: which answers are preferences, which were thrown in."""
        return await service.answer(lambda: service.answers.reliability(user_id, n))

    @router.put(_PATH + "/reliability", dependencies=[Depends(allowing_user("write"))])
    async def mean(user_id: schemas.Id, body: MeantIn) -> MeantOut:
        """Say "I meant that": the answer about an item counts fully until this is taken back."""
        check_id("item_id", body.item_id)
        if body.meant:
            await service.answer(lambda: service.answers.check_answered(user_id, body.item_id))
        value = "true" if body.meant else None
        await asyncio.to_thread(service.store.put_setting, user_id, MEANT + body.item_id, value)
        return MeantOut(item_id=body.item_id, meant=body.meant)

    @router.get(_PATH + "/ask-again", dependencies=[Depends(allowing_user("read"))])
    async def again(user_id: schemas.Id, n: questions = 3) -> QuestionsAgain:
        """Return the questions to a user whose repeat would tell most that the list depends on, with what it tells."""
        return await service.answer(lambda: service.answers.ask_again(user_id, n))

    return router
