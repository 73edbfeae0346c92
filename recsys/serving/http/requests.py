"""What routes have in common: who asks, whether that is allowed, which parameters a path takes, and refusals."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from recsys.errors import nearest
from recsys.events.checks import check_id, shown
from recsys.events.tokens import Scope, Token
from recsys.serving.access import Code, Denied, require
from recsys.serving.http import schemas
from recsys.serving.http.middleware import TOKEN
from recsys.serving.norms.circumstances import Circumstances

_REFUSALS: dict[int, tuple[Code, str]] = {
    400: ("invalid_request", "the body cannot be read; send UTF-8 JSON"),
    404: ("not_found", "there is no such path; see /openapi.json"),
    405: ("method_not_allowed", "this path does not take this method; see the header `Allow`, or /openapi.json"),
}
"""Code and message for the errors that the framework raises, by status."""


def handle_errors(app: FastAPI) -> None:
    """Let an application answer the errors of the framework as it answers its own."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)


def token_of(request: Request) -> Token:
    """Return the token of a request."""
    token: Token = request.scope[TOKEN]
    return token


def allowing(scope: Scope) -> Any:  # noqa: ANN401 (a dependency)
    """Return a check that the token has a scope."""

    async def check(request: Request) -> None:
        require(token_of(request), scope)

    return check


def allowing_user(scope: Scope) -> Any:  # noqa: ANN401
    """Return a check that the token has a scope, and is not another user's."""

    async def check(request: Request, user_id: schemas.Id) -> None:
        check_id("user_id", user_id)
        require(token_of(request), scope, user_id)

    return check


async def stated(
    request: Request,
    age: Annotated[int | None, Query(ge=0, le=schemas.OLDEST, description=schemas.AGE)] = None,
    region: Annotated[str | None, Query(min_length=1, max_length=50, description=schemas.REGION)] = None,
    consent: Annotated[list[str], Query(max_length=20, description=schemas.CONSENT)] = [],  # noqa: B006
    role: Annotated[str | None, Query(min_length=1, max_length=50, description=schemas.ROLE)] = None,
    profiling: Annotated[Literal["history", "none"], Query(description=schemas.PROFILING)] = "history",
    decisions: Annotated[Literal["true", "false"], Query(description=schemas.DECISIONS)] = "false",
) -> Circumstances:
    """Return what the query of a request says of who asks."""
    consents = frozenset(consent) if consent else None
    said = Circumstances(age, region, consents, role, profiling == "history", decisions == "true")
    return checked(request, said)


def checked(request: Request, said: Circumstances) -> Circumstances:
    """Raise where the token is of the very user of whom the request says how old, from where or in which role."""
    if token_of(request).user_id is not None and (said.age, said.region, said.role) != (None, None, None):
        raise Denied(
            403,
            "scope_missing",
            "age, region and role are told by the service, not by the person; leave them out, or use a token of the "
            "service",
        )
    return said


def json_response(content: bytes) -> Response:
    """Return JSON as a response; being typed, it is not validated again."""
    return Response(content, media_type="application/json")


async def check_parameters(request: Request) -> None:
    """Raise for a query parameter that the route does not take, or takes once and is given twice."""
    if request.method not in ("GET", "HEAD") and _is_similar(request):
        raise HTTPException(405)
    if not request.scope["query_string"]:
        return
    operation = (
        request.app.openapi()["paths"].get(request.scope["route"].path_format, {}).get(request.method.lower(), {})
    )
    known = {one["name"]: one["schema"] for one in operation.get("parameters", ()) if one["in"] == "query"}
    given = Counter(name for name, _ in parse_qsl(request.scope["query_string"].decode(), keep_blank_values=True))
    for name, times in given.items():
        if name not in known:
            hint = nearest(name, known) or (f"; it takes {', '.join(known)}" if known else "; it takes none, remove it")
            raise Denied(422, "invalid_request", f"there is no query parameter {shown(name)} here{hint}")
        if times > 1 and known[name].get("type") != "array":
            raise Denied(422, "invalid_request", f"the query parameter {name} is given {times} times; give it once")


async def _invalid(_: Request, error: Exception) -> Response:
    """Name the invalid fields and the reasons, without the values that were sent."""
    assert isinstance(error, RequestValidationError)
    faults = error.errors()
    if any(
        fault["type"] == "json_invalid" or (fault["loc"] == ("body",) and fault["input"] is None) for fault in faults
    ):
        raise Denied(400, *_REFUSALS[400]) from None
    errors = [
        f"{'.'.join(str(part) for part in fault['loc'] if not isinstance(part, str) or part.isprintable())[:200]}: "
        f"{fault['msg'].removeprefix('Value error, ')}"
        for fault in faults[:3]
    ]
    raise Denied(422, "invalid_request", "; ".join(errors) + "; correct it, see /openapi.json") from None


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code if error.status_code in _REFUSALS else 400
    headers = {"Allow": ", ".join(_methods(request))} if status == 405 else None
    raise Denied(status, *_REFUSALS[status], headers) from None


def _is_similar(request: Request) -> bool:
    """Return whether a path asks what goes with an item: decoded it looks like that of an item with a slash, too."""
    return re.fullmatch(rb"/v1/items/.+/similar", request.scope.get("raw_path") or b"") is not None


def _methods(request: Request) -> list[str]:
    """Return the methods that the path of a request allows."""
    if _is_similar(request):
        return ["GET", "HEAD"]
    scope, routes = dict(request.scope), request.app.routes
    found = {
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(route.matches(scope | {"method": method})[0] is Match.FULL for route in routes)
    }
    return sorted(found | ({"HEAD"} if "GET" in found else set()))
