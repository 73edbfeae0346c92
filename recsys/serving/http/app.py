"""The routes of the HTTP service: they turn requests into calls, and answers into JSON.

Annotations are evaluated here, unlike elsewhere: they hold the limits of a service. Names and docstrings of routes are
part of the OpenAPI document.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import unquote

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import HTTPBearer
from pydantic import TypeAdapter

import recsys
from recsys.errors import CapabilityError, DataError
from recsys.events.checks import MOST_PERSONAS, check_event_time, check_id, check_visible
from recsys.events.store import Correction, Event
from recsys.serving.access import CODES, Limits, require
from recsys.serving.answers import Answers, UnknownError
from recsys.serving.changes import changes
from recsys.serving.filters import Filters
from recsys.serving.http import schemas
from recsys.serving.http.examples import with_examples
from recsys.serving.http.fast_route import FastRoute
from recsys.serving.http.lists import (
    ListAsked,
    SentList,
    checked_exclude,
    checked_length,
    paged,
    seen_of,
    tagged,
)
from recsys.serving.http.middleware import EXPOSED, Guard
from recsys.serving.http.requests import (
    allowing,
    allowing_user,
    check_parameters,
    checked,
    handle_errors,
    stated,
    token_of,
)
from recsys.serving.http.routes.batch import batch
from recsys.serving.http.routes.impressions import impressions
from recsys.serving.http.routes.interview import interview
from recsys.serving.http.routes.items import Cursor, Fields, FromYear, Genre, ToYear, items
from recsys.serving.http.routes.norms import forget_own, norms
from recsys.serving.http.routes.operation import administration, operation, page
from recsys.serving.http.routes.rankings import rankings
from recsys.serving.http.routes.reliability import reliability
from recsys.serving.http.routes.summaries import summaries
from recsys.serving.norms.circumstances import Circumstances
from recsys.serving.records import Changed, Personas, RecommendationList, UserSummaries
from recsys.serving.service import Service

# An id may hold a slash, which is one in a decoded path too.
_USER = "/v1/users/{user_id:path}"
_RECOMMENDATIONS = _USER + "/recommendations"
_At = Annotated[
    schemas.Moment | None,
    Query(max_length=40, description="see only what is earlier: Unix seconds or ISO 8601, at most a year ahead"),
]
_Exclude = Annotated[
    list[str], Query(description="items that must not be recommended", json_schema_extra={"maxItems": Limits.exclude})
]
_Details = Annotated[Literal["true", "false", "ready"], Query(description=schemas.DETAILS, examples=["ready"])]
_Persona = Annotated[int | None, Query(ge=0, lt=MOST_PERSONAS, description=schemas.PERSONA, examples=[12])]
_Shelf = Annotated[Literal["now"] | None, Query(description=schemas.SHELF, examples=["now"])]
_Stated = Annotated[Circumstances, Depends(stated)]
_Changed = Annotated[bool, Query(description="whether to tell what the events change in their user's list of ten")]
_LENGTH = 10
_PERSONAS = TypeAdapter(Personas)
_LISTED = RecommendationList | schemas.PickedList
T = TypeVar("T")
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.ErrorOut, "description": ", ".join(codes)}
    for status, codes in CODES.items()
    if status != 405
}


def create_app(service: Service, origins: Sequence[str] = ()) -> FastAPI:
    """Return the ASGI application of a service, which closes the service when it ends.

    Args:
        service: answers.
        origins: of web pages whose scripts may ask.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.close)  # here, because uvicorn ends the process by the signal that it got

    app = FastAPI(
        title="recsys",
        version=recsys.__version__,
        description="Explained recommendations: events in, recommendations with persona, evidence and reason out.",
        docs_url=None,  # those pages load scripts from elsewhere
        redoc_url=None,
        openapi_url=None,  # the routes of operation have it
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.add_middleware(FastRoute, service=service, route=_RECOMMENDATIONS, n=_LENGTH)
    app.add_middleware(Guard, service=service)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["DELETE", "GET", "PATCH", "POST", "PUT"],
            allow_headers=["Authorization", "Content-Type", "If-None-Match"],
            expose_headers=EXPOSED,
        )
    handle_errors(app)
    parameters = Depends(check_parameters)
    app.include_router(page())
    app.include_router(operation(service, _ERRORS[503]), dependencies=[parameters])
    bearer = [Depends(HTTPBearer(auto_error=False))] if service.authenticated else []  # for the schema
    of_items = items(service), rankings(service), impressions(service)
    main = _events(service), batch(service), _recommendations(service), *of_items, _users(service)
    of_people = interview(service), norms(service), summaries(service), reliability(service)
    for router in (*main, *of_people, administration(service)):
        app.include_router(router, dependencies=[parameters, *bearer], responses=_ERRORS)
    described = app.openapi
    app.openapi = lambda: with_examples(described())  # type: ignore[method-assign]
    return app


def _events(service: Service) -> APIRouter:
    router = APIRouter(tags=["events"])

    @router.post("/v1/events", dependencies=[Depends(allowing("write"))], response_model_exclude_none=True)
    async def take(request: Request, body: schemas.EventsIn, changed: _Changed = False) -> schemas.TakenOut:
        """Take events. They are on disk when the answer comes; sent again, they count once."""
        if len(body.events) > service.limits.batch:
            raise DataError(f"{len(body.events)} events at once; send at most {service.limits.batch} in a request")
        events: list[Event] = []
        now = time.time()
        for place, sent in enumerate(body.events):
            require(token_of(request), "write", sent.user_id)
            try:
                events.append(Event(**dict(sent)))
                check_event_time("time", sent.time, now)
            except DataError as error:
                raise DataError(f"events[{place}]: {error}") from None
        users = {event.user_id for event in events}
        changed = changed and len(users) == 1
        if changed:
            require(token_of(request), "read", events[0].user_id)
        answers = service.answers
        before = await _list_now(service, answers, events[0].user_id) if changed else None
        appended = await asyncio.to_thread(service.append, events)
        difference = None if before is None else await _changed(service, answers, events[0].user_id, before)
        return schemas.TakenOut(accepted=appended.accepted, repeated=appended.repeated, changed=difference)

    @router.delete(_USER + "/events/{event_id:path}", status_code=204, response_class=Response)
    def undo(request: Request, user_id: schemas.Id, event_id: schemas.Id) -> Response:
        """Take one event back: the next answer is that of a user who never had it. It stays undone if sent again."""
        # In the decoded path a slash of an id looks like one between ids.
        sent = request.scope.get("raw_path") or b""
        if parts := re.fullmatch(rb"/v1/users/([^/]+)/events/([^/]+)", sent):
            user_id, event_id = unquote(parts[1]), unquote(parts[2])
        own = re.fullmatch(rb"/v1/users/([^/]+)/(data|policy)", sent)  # of a user whose id ends in "/events"
        user_id = unquote(own[1]) if own else user_id
        check_id("user_id", user_id)
        require(token_of(request), "write", user_id)
        if own and own[2] == b"policy":
            forget_own(service, user_id)
        elif own:
            service.erase(user_id)
        elif not service.undo(user_id, event_id):
            raise UnknownError("this user has no event with this id; GET /v1/users/{id}/data lists those there are")
        return Response(status_code=204)

    return router


def _recommendations(service: Service) -> APIRouter:
    router = APIRouter(tags=["recommendations"])
    limits = service.limits
    n_items = Annotated[int, Query(ge=1, le=limits.n, description="length of the list")]

    @router.get(_RECOMMENDATIONS, dependencies=[Depends(allowing_user("read"))], response_model=_LISTED)
    async def recommend(
        user_id: schemas.Id,
        n: n_items = _LENGTH,
        at: _At = None,
        exclude: _Exclude = [],  # noqa: B006
        genre: Genre = [],  # noqa: B006
        from_year: FromYear = None,
        to_year: ToYear = None,
        persona: _Persona = None,
        *,
        said: _Stated,
        details: _Details = "true",
        shelf: _Shelf = None,
        fields: Fields = [],  # noqa: B006
        cursor: Cursor = None,
    ) -> Response:
        """Recommend items to a user, known or not, and say why."""
        asked = ListAsked(
            n,
            schemas.moment(at, time.time()),
            checked_exclude(exclude, limits),
            schemas.details_of(details),
            Filters(tuple(genre), from_year, to_year, persona),
            said,
            schemas.check_fields(fields),
            cursor,
        )
        return await _recommended(service, user_id, asked, visit=shelf is not None)

    @router.post(_RECOMMENDATIONS, dependencies=[Depends(allowing_user("read"))], response_model=_LISTED)
    async def recommend_with(request: Request, user_id: schemas.Id, body: schemas.ListIn) -> Response:
        """Recommend items to a user as GET does, with parameters that are too long for a path."""
        asked = _asked(body, time.time(), checked(request, schemas.said_of(body)), limits)
        return await _recommended(service, user_id, asked, visit=body.shelf is not None)

    @router.post("/v1/recommendations", dependencies=[Depends(allowing("read"))], response_model=_LISTED)
    async def recommend_for(body: schemas.QuestionIn) -> Response:
        """Recommend items to somebody whose history comes with the question. Nothing of it is kept."""
        if body.summary is not None:
            return await _of_text(service, body)
        if "history" not in body.model_fields_set:
            raise DataError("history: field required; send what the person did, or a summary in its place")
        if len(body.history) > limits.history:
            raise DataError(f"history has {len(body.history)} events; send the newest {limits.history}")
        timed = {use.time is None for use in body.history}
        if len(timed) > 1:
            raise DataError("some events of the history have a time and others do not; give it to all, or to none")
        asked = time.time()
        history = []
        for place, event in enumerate(body.history):
            try:
                history.append(event.history_event(asked))
            except DataError as error:
                raise DataError(f"history[{place}]: {error}") from None
        wanted = _asked(body, asked, replace(schemas.said_of(body), recorded=True), limits)
        answers = service.answers

        def listed(exclude: Collection[str]) -> RecommendationList:
            found = answers.recommend_for(
                history,
                wanted.n,
                wanted.at,
                exclude,
                details=wanted.details,
                filters=wanted.filters,
                said=wanted.said,
                stale_seconds=limits.stale_seconds,
            )
            return service.noted(found)

        return await _paged(service, answers, wanted, listed)

    return router


def _users(service: Service) -> APIRouter:
    router = APIRouter(tags=["users"])
    number = Annotated[int, Path(ge=0, lt=MOST_PERSONAS)]

    @router.get("/v1/users", dependencies=[Depends(allowing("read"))])
    def known(request: Request, n: Annotated[int, Query(ge=1, le=20)] = 6) -> UserSummaries:
        """Return a few users that the model knows, with long histories; to a token of one user, that user."""
        answers, own = service.answers, token_of(request).user_id
        if own is None:
            return answers.example_users(n)
        return UserSummaries(answers.model, (answers.user_summary(own),))

    @router.get("/v1/token", dependencies=[Depends(allowing("read"))])
    def token(request: Request) -> schemas.OwnTokenOut:
        """Return what the token of the request allows; without authentication everything."""
        own = token_of(request)
        return schemas.OwnTokenOut(user_id=own.user_id, scopes=sorted(own.scopes))

    @router.get(_USER + "/personas", dependencies=[Depends(allowing_user("read"))], response_model=Personas)
    async def personas(user_id: schemas.Id, at: _At = None) -> Response:
        """Return a user's personas, with their activity over time, and how long the user's events keep counting."""
        now = schemas.moment(at, time.time())
        return await _answer(service, _PERSONAS, lambda: service.answers.personas(user_id, now))

    @router.put(_USER + "/personas/{persona}", dependencies=[Depends(allowing_user("write"))])
    async def correct(user_id: schemas.Id, persona: number, body: schemas.CorrectionIn) -> schemas.CorrectedOut:
        """Mute, boost or rename a persona; the next answer honours it. Tells what that changes in the list of ten."""
        answers = service.answers.of(user_id)
        check_visible("name", body.name)
        correction = Correction(**dict(body), model=answers.corrections_of)
        await asyncio.to_thread(answers.check_correction, user_id, persona, correction)
        before = await _list_now(service, answers, user_id)
        await asyncio.to_thread(service.correct, user_id, persona, correction, answers)
        difference = None if before is None else await _changed(service, answers, user_id, before)
        return schemas.CorrectedOut(**dict(_correction(persona, correction)), changed=difference)

    @router.get(_USER + "/data", dependencies=[Depends(allowing_user("read"))])
    def export(user_id: schemas.Id) -> schemas.DataOut:
        """Return everything that is held of a user."""
        answers = service.answers
        belief = service.store.belief(user_id)
        return schemas.DataOut(
            user_id=user_id,
            events=[
                schemas.StoredEvent(**asdict(one.event), title=answers.title_of(one.event.item_id))
                for one in service.store.of_users([user_id])[user_id]
            ],
            logged=list(answers.logged_events(user_id)),
            corrections=[_correction(k, one) for k, one in service.store.corrections(user_id).items()],
            settings=service.store.settings(user_id),
            belief=belief and schemas.BeliefOut(**asdict(belief) | {"state": belief.state.hex()}),
            impressions=list(service.store.impressions(user_id)),
            tokens=[schemas.TokenOut(**asdict(one)) for one in service.store.tokens() if one.user_id == user_id],
        )

    @router.delete(_USER + "/data", dependencies=[Depends(allowing_user("write"))])
    def erase(user_id: schemas.Id) -> schemas.ErasedOut:
        """Erase everything of a user, tokens included. The next answer is that of somebody new."""
        service.erase(user_id)
        return schemas.ErasedOut(erased=True)

    return router


async def _of_text(service: Service, body: schemas.QuestionIn) -> Response:
    """Recommend to somebody of whom nothing is known but a text."""
    if body.history or body.at is not None or body.persona is not None:
        raise DataError("a summary takes the place of a history; leave out history, at and persona")
    asked, text = _asked(body, 0.0, schemas.said_of(body), service.limits), body.summary or ""
    answers = service.answers
    stale_seconds = service.limits.stale_seconds

    def listed(exclude: Collection[str]) -> RecommendationList:
        found = answers.recommend_text(
            text, asked.n, exclude, filters=asked.filters, said=asked.said, stale_seconds=stale_seconds
        )
        return service.noted(found)

    return await _paged(service, answers, asked, listed)


def _asked(body: schemas.ListIn | schemas.QuestionIn, now: float, said: Circumstances, limits: Limits) -> ListAsked:
    """Return what a body asks for."""
    return ListAsked(
        checked_length(body.n, limits),
        schemas.moment(body.at, now),
        checked_exclude(body.exclude, limits),
        body.details,
        schemas.filters_of(body),
        said,
        schemas.check_fields(body.fields),
        body.cursor,
    )


async def _recommended(service: Service, user_id: str, asked: ListAsked, *, visit: bool) -> Response:
    """Return a list for a user, or the shelf of the present visit."""
    answers = service.answers

    def listed(exclude: Collection[str]) -> RecommendationList:
        if visit:
            return answers.recommend_now(user_id, asked.n, asked.at, exclude, asked.filters, asked.said)
        return service.recommend(user_id, asked.n, asked.at, exclude, asked.details, asked.filters, asked.said)

    return await _paged(service, answers, asked, listed)


async def _paged(
    service: Service, answers: Answers, asked: ListAsked, listed: Callable[[Collection[str]], RecommendationList]
) -> Response:
    """Return a list as JSON, made in the model's thread; `listed` makes it without the items of earlier pages."""
    seen = seen_of(asked.cursor, service.limits)
    exclude = [*asked.exclude, *seen] if seen else asked.exclude

    def page() -> SentList:
        return tagged(answers, paged(listed(exclude), asked.cursor, seen, asked.n, service.limits), asked.fields)

    found = await service.answer(page)
    return Response(found.content, headers=found.headers, media_type="application/json")


async def _answer(service: Service, adapter: TypeAdapter[T], call: Callable[[], T]) -> Response:
    """Return a model's answer as JSON, serialised in the model's thread and, being typed, not validated again."""
    return Response(await service.answer(lambda: adapter.dump_json(call())), media_type="application/json")


async def _list_now(service: Service, answers: Answers, user_id: str) -> RecommendationList | None:
    """Return the user's list of ten; None where the model cannot recommend to this user."""
    with suppress(CapabilityError):
        return await service.answer(lambda: answers.recommend(user_id, _LENGTH, None, (), details="ready"))
    return None


async def _changed(service: Service, answers: Answers, user_id: str, before: RecommendationList) -> Changed | None:
    after = await _list_now(service, answers, user_id)
    return None if after is None else changes(before, after)


def _correction(persona: int, correction: Correction) -> schemas.CorrectionOut:
    return schemas.CorrectionOut(persona=persona, muted=correction.muted, **asdict(correction))
