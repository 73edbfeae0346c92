"""The routes of the text about a user, which the person can read, change and take back."""

import asyncio
import json
import time
from dataclasses import asdict

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from recsys.events.checks import LARGEST_TIME
from recsys.serving.http import schemas
from recsys.serving.http.requests import allowing_user
from recsys.serving.lists.summary import SUMMARY
from recsys.serving.records import Summary
from recsys.serving.service import Service

_PATH = "/v1/users/{user_id:path}/summary"


class SummaryIn(schemas.Body):
    """What a person writes of themselves; lists are then made of it, and of what the person does later."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "Mostly like Alien (1979); avoids musicals."}]})

    text: schemas.TasteText
    time: schemas.Whole | None = Field(
        None,
        ge=0,
        lt=LARGEST_TIME,
        description="when it was written, Unix seconds, to put a former text back as it was; null, and at most: now",
    )


class SummaryOut(BaseModel):
    """The text about a user: what the person wrote, and when, else what the history says."""

    text: str
    written: str = Field(description="by the `person`, or from the `history`")
    time: int | None = Field(description="when the person wrote it, Unix seconds")
    events_since: int = Field(description="what the person did since; n such events count n / (n + 10) in lists")


def summaries(service: Service) -> APIRouter:
    """Return the routes of the text about a user."""
    router = APIRouter(tags=["users"])

    @router.get(_PATH, dependencies=[Depends(allowing_user("read"))])
    async def summary(user_id: schemas.Id) -> SummaryOut:
        """Return the text about a user: what lists are made of where the person wrote it."""
        return _out(await service.answer(lambda: service.answers.summary(user_id)))

    @router.put(_PATH, dependencies=[Depends(allowing_user("write"))])
    async def put(user_id: schemas.Id, body: SummaryIn) -> SummaryOut:
        """Write the text about a user. It is read at once; a word that is not understood is named."""
        text = await service.answer(lambda: service.answers.check_summary(body.text))
        now = int(time.time())
        written = now if body.time is None else min(body.time, now)
        content = json.dumps({"text": text, "time": written}, ensure_ascii=False)
        await asyncio.to_thread(service.store.put_setting, user_id, SUMMARY, content)
        return _out(await service.answer(lambda: service.answers.summary(user_id)))

    @router.delete(_PATH, dependencies=[Depends(allowing_user("write"))], status_code=204)
    def forget(user_id: schemas.Id) -> Response:
        """Take the text of the person back: the history counts again, and lists are those of before."""
        service.store.put_setting(user_id, SUMMARY, None)
        return Response(status_code=204)

    return router


def _out(summary: Summary) -> SummaryOut:
    return SummaryOut(**asdict(summary))
