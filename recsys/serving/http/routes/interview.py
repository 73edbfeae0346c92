"""The route of interviews: somebody new answers a few questions, of which nothing is kept."""

from typing import Literal

from fastapi import APIRouter, Depends, Response
from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.config import JsonDict

from recsys.elicitation.questions import MOST_ANSWERS
from recsys.errors import DataError
from recsys.serving.http import schemas
from recsys.serving.http.requests import allowing
from recsys.serving.interview.records import InterviewScreen, SaidAnswer
from recsys.serving.service import Service

_SCREEN = TypeAdapter(InterviewScreen)
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


def interview(service: Service) -> APIRouter:
    """Return the route of interviews."""
    router = APIRouter(tags=["interview"])

    @router.post("/v1/interview", dependencies=[Depends(allowing("read"))], response_model=InterviewScreen)
    async def ask(body: InterviewIn) -> Response:
        """Return the next questions to somebody new, and the list that the answers so far make. Nothing is kept.

        To go on with the model, send the answers as events: a like, a dislike, a rating.
        """
        if body.n > service.limits.n:
            raise DataError(f"n is {body.n}; ask for at most {service.limits.n}")
        said = [SaidAnswer(each.item_id, each.answer, each.value) for each in body.answers]
        answers = service.answers
        found = await service.answer(lambda: answers.interview(said, body.n, body.screen, body.skipped))
        return Response(_SCREEN.dump_json(found), media_type="application/json")

    return router
