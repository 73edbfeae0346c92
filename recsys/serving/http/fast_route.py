"""The question that is asked most, answered without the web framework, whose part would be a third of the work."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from recsys.events.checks import check_id
from recsys.events.store import Token
from recsys.serving.access import require
from recsys.serving.answers import RecommendationList
from recsys.serving.http.middleware import TOKEN, App, Receive, Scope, Send
from recsys.serving.service import Service

_PATH: Final = re.compile(r"/v1/users/([^/]+)/recommendations")
_QUERY: Final = re.compile(rb"(?:n=([1-9][0-9]{0,2}))?")


@final
@dataclass(frozen=True)
class _Route:
    """What is counted as one kind of request."""

    path: str


@final
class Direct:
    """Answers `GET /v1/users/{id}/recommendations` that has no parameter but `n`, and leaves the rest to the routes.

    It does what the route does, in the same order: the id, the token, the model. Whatever the route would refuse for
    its form does not match here.

    Args:
        app: answers everything else.
        service: the model, limits.
        route: the template of the path, as metrics know it.
        n: length of the list where the request gives none.
        written: makes JSON of an answer.
    """

    def __init__(
        self, app: App, service: Service, route: str, n: int, written: Callable[[RecommendationList], bytes]
    ) -> None:
        self._app = app
        self._service = service
        self._route = _Route(route)
        self._n = n
        self._written = written

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, which `Guard` has let in."""
        asked = _asked(scope)
        if asked is None or (asked[1] or self._n) > self._service.limits.n:
            await self._app(scope, receive, send)
            return
        user_id, n = asked[0], asked[1] or self._n
        scope["route"] = self._route
        token: Token = scope[TOKEN]
        check_id("user_id", user_id)
        require(token, "read", user_id)
        answers = self._service.answers
        content = await self._service.answer(lambda: self._written(answers.recommend(user_id, n, None, ())))
        headers = [(b"content-length", str(len(content)).encode()), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


def _asked(scope: Scope) -> tuple[str, int] | None:
    """Return the user and n, 0 where it is left out; None where the request is another."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    path, query = _PATH.fullmatch(scope["path"]), _QUERY.fullmatch(scope.get("query_string", b""))
    return None if path is None or query is None else (path[1], int(query[1] or 0))
