"""Limits on the head of a request: uvicorn has none on its time, and not every parser has one on its size."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast, final

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD_BYTES: Final = 16_384
"""Largest size of the head of a request."""

HEAD_SECONDS: Final = 10.0
"""Seconds within which the head of a request must arrive; else idle connections could use up all that are allowed."""

_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@final
class BoundedHead(asyncio.Protocol):
    """A connection of uvicorn that is closed when the head of a request is too long or takes too long.

    Between requests uvicorn's own idle timeout holds; `recsys.serving.http.middleware` limits the body.

    Args:
        seconds: from the first byte of a head, or from the start of the connection, to the end of the head.
        options: of uvicorn's protocol.
    """

    def __init__(self, seconds: float = HEAD_SECONDS, **options: Any) -> None:  # noqa: ANN401 (uvicorn's own)
        self._http: Any = AutoHTTPProtocol(**options)
        self._seconds = seconds
        self._transport: asyncio.Transport
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._http.connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        self._http.data_received(data)
        cycle = self._http.cycle  # of the request whose head came last
        if cycle is not None and not cycle.response_complete:
            self._size = 0
            self._stop_timer()
            return
        self._size += len(data)
        if self._size > HEAD_BYTES and not self._transport.is_closing():
            self._transport.write(_TOO_LARGE)
            self._transport.close()
        self._start_timer()

    def eof_received(self) -> bool | None:
        return cast("bool | None", self._http.eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._http.connection_lost(exc)

    def pause_writing(self) -> None:
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._http.resume_writing()

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
