"""The routes of an operator, and the page: state, metrics, reload, the schema, static files."""

from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from recsys.serving.access import Denied
from recsys.serving.http import schemas
from recsys.serving.http.middleware import METRICS
from recsys.serving.http.page import page_files
from recsys.serving.http.requests import allowing
from recsys.serving.metrics import CONTENT_TYPE
from recsys.serving.service import Service


def administration(service: Service) -> APIRouter:
    """Return the routes that need the scope `admin`."""
    router = APIRouter(tags=["administration"])

    @router.post("/v1/admin/reload", dependencies=[Depends(allowing("admin"))])
    def reload() -> schemas.StateOut:
        """Load the bundle anew beside the old one, check it, and let it answer. A bad one is refused."""
        return schemas.StateOut(status="reloaded", model=service.reload_everywhere())

    @router.get(METRICS, dependencies=[Depends(allowing("admin"))], response_class=Response)
    async def metrics() -> Response:
        """Return latencies, events, errors and the state of the store, for Prometheus; the store may be down."""
        return Response(service.metrics.render(await service.lag()), media_type=CONTENT_TYPE)

    return router


def operation(service: Service, unavailable: dict[str, Any]) -> APIRouter:
    """Return the routes that need no token; `unavailable` describes the answer of a service that is not ready."""
    router = APIRouter(tags=["operation"])

    @router.get("/healthz")
    async def health() -> schemas.StateOut:
        """Tell that the process lives."""
        return schemas.StateOut(status="alive", model=service.answers.model)

    @router.get("/readyz", responses={503: unavailable})
    def ready() -> schemas.ReadyOut:
        """Tell whether requests can be answered: the store is there, and what it holds is known and learned."""
        answers = service.answers
        answers.catch_up()
        if not service.warm:
            raise Denied(503, "warming", "half-lives are learned from stored events; try again in a moment")
        return schemas.ReadyOut(status="ready", model=answers.model, scrubbing=service.store.unscrubbed())

    @router.get("/openapi.json", include_in_schema=False)
    async def schema(request: Request) -> JSONResponse:
        return JSONResponse(request.app.openapi())

    return router


def page() -> APIRouter:
    """Return the page and its files."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    @router.get("/page/{name}")
    async def file(request: Request) -> Response:
        found = page_files().get(request.scope["path"])
        if found is None:
            raise HTTPException(404)
        return Response(found.content, headers=found.headers)

    return router
