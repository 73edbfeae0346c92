"""The routes of interviews: somebody new, of whom nothing is kept, or a user answers a few questions."""

import asyncio
from typing import Literal

from fastapi import APIRouter, Depends, Response
from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.config import JsonDict

from recsys.elicitation.questions import MOST_ANSWERS
from recsys.errors import DataError
from recsys.serving.http import schemas
from recsys.serving.http.requests import allowing, allowing_user
from recsys.serving.interview.records import InterviewScreen, SaidAnswer
from recsys.serving.service import Service

_SCREEN = TypeAdapter(InterviewScreen)
_OF_USER = "/v1/users/{user_id:path}/interview"
_MOST = 20
"""Questions of a screen."""


_VALUE: JsonDict = {
    "if": {"properties": {"answer": {"const": "rating"}}},
    "then": {"properties": {"value": {"type": "number"}}, "required": ["value"]},
    "else": {"properties": {"value": {"type": "null"}}},
}


class AnswerIn(schemas.Body):
    """What somebody says of an item; `value` with a rating, in the scale of the log, and else left out."""

    model_config = ConfigDict(json_schema_extra=_VALUE)

    item_id: schemas.Id
    answer: Literal["rating", "like", "dislike", "dont_know"]
    value: float | None = None


class InterviewIn(schemas.Body):
    """The answers so far, none at first. Of several about one item the last counts."""

    answers: list[AnswerIn] = Field(default_factory=list, description="the earliest first", max_length=MOST_ANSWERS)
    skipped: list[schemas.Id] = Field(
        default_factory=list, description="items that are not to be asked about", max_length=MOST_ANSWERS
    )
    screen: schemas.Whole = Field(4, ge=1, le=_MOST, description="questions of the next screen")
    n: schemas.Length = Field(10, description="length of the list")

    def said(self) -> list[SaidAnswer]:
        """Return the answers."""
        return [SaidAnswer(each.item_id, each.answer, each.value) for each in self.answers]


def interview(service: Service) -> APIRouter:
    """Return the routes of interviews."""
    router = APIRouter(tags=["interview"])
    reads_and_writes = [Depends(allowing_user("read")), Depends(allowing_user("write"))]

    async def screen(body: InterviewIn, said: list[SaidAnswer], user_id: str | None = None) -> InterviewScreen:
        if body.n > service.limits.n:
            raise DataError(f"n is {body.n}; ask for at most {service.limits.n}")
        answers = service.answers
        return await service.answer(lambda: answers.interview(said, body.n, body.screen, body.skipped, user_id))

    @router.post("/v1/interview", dependencies=[Depends(allowing("read"))], response_model=InterviewScreen)
    async def ask(body: InterviewIn) -> Response:
        """Return the next questions to somebody new, and the list that the answers so far make. Nothing is kept.

        To go on with the model, send the answers as events: a like, a dislike, a rating.
        """
        found = await screen(body, body.said())
        return Response(_SCREEN.dump_json(found), media_type="application/json")

    @router.post(_OF_USER, dependencies=reads_and_writes, response_model=InterviewScreen)
    async def ask_user(user_id: schemas.Id, body: InterviewIn) -> Response:
        """Return the next questions to a user, who has done something before, or not; the answers become events.

        What the user did counts as answers before these, and is not asked about. Send all answers so far each time:
        those that are stored already are stored once, and a later one about the same item takes the place of an
        earlier one.
        """
        said = body.said()
        found = await screen(body, said, user_id)  # first, as it refuses what cannot be stored
        await asyncio.to_thread(service.keep_answers, user_id, said)
        return Response(_SCREEN.dump_json(found), media_type="application/json")

    return router
