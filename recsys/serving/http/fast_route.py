"""The most frequent request, answered without the web framework: .35 ms instead of .56 beside the model's own time.

The gain is that of parsing and validating parameters (`benchmarks/LOG.md`, "The web framework"). Whatever this module
does not recognise goes to the routes; `tests/serving/http/test_fast_route.py` compares the two.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Final, final

from recsys.events.checks import check_id
from recsys.events.tokens import Token
from recsys.serving.access import require
from recsys.serving.answers import Details
from recsys.serving.http.lists import SentList, tagged
from recsys.serving.http.middleware import TOKEN, App, Receive, Scope, Send
from recsys.serving.service import Service

_PATH: Final = re.compile(r"/v1/users/([^/]+)/recommendations")
_QUERY: Final = re.compile(rb"(?:n=([1-9][0-9]{0,2})(&details=ready)?|(details=ready))?")


@final
class FastRoute:
    """Answers `GET /v1/users/{id}/recommendations` with `n` and `details=ready` at most, and passes on everything else.

    It does what the route does, in the same order: check the id, the token, ask the model. A malformed request is
    passed on, for the route to refuse.

    Args:
        app: the routes.
        service: answers.
        route: the template of the path, for metrics.
        n: length of the list where the request gives none.
    """

    def __init__(self, app: App, service: Service, route: str, n: int) -> None:
        self._app = app
        self._service = service
        self._route = SimpleNamespace(path=route)  # for metrics, like a route of the framework
        self._n = n

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request that `Guard` has admitted."""
        get = scope["type"] == "http" and scope["method"] == "GET"
        path = _PATH.fullmatch(scope["path"]) if get else None
        query = _QUERY.fullmatch(scope.get("query_string", b""))
        n = int(query[1] or self._n) if query else 0
        if path is None or not 0 < n <= self._service.limits.n:
            await self._app(scope, receive, send)
            return
        user_id = path[1]
        scope["route"] = self._route
        token: Token = scope[TOKEN]
        check_id("user_id", user_id)
        require(token, "read", user_id)
        details: Details = "ready" if query and (query[2] or query[3]) else True
        service = self._service
        found = await service.answer(lambda: self._answer(user_id, n, details))
        headers = [(name.encode(), value.encode()) for name, value in found.headers.items()]
        headers += [
            (b"content-length", str(len(found.content)).encode()),
            (b"content-type", b"application/json"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": found.content})

    def _answer(self, user_id: str, n: int, details: Details) -> SentList:
        """Return a list as it is sent."""
        return tagged(self._service.answers, self._service.recommend(user_id, n, None, (), details), None)
