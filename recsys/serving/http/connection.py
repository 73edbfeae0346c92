"""Limits on connections: the size and time of the head of a request, and the connections of one address.

uvicorn limits neither. `recsys.serving.http.middleware` limits the body and the time of an answer.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Collection
from typing import Any, Final, Protocol, cast, final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from recsys.serving.access import Denied
from recsys.serving.http.errors import content_of, new_request_id

HEAD_BYTES: Final = 16_384
"""Largest size of the head of a request, from its first byte to the blank line at its end."""

HEAD_SECONDS: Final = 10.0
"""Seconds within which the head of a request must arrive; else idle connections could use up all that are allowed."""

_CHUNKED_BYTES: Final = 8_388_608
"""Largest size of a chunked body on the wire: chunk sizes and trailers, which no limit of the body counts, included."""

_LINGER_SECONDS: Final = 1.0
"""A connection whose head was refused takes what is still sent until nothing has come for this long."""

_LINGER_BYTES: Final = 8_388_608
"""The most bytes that it takes."""

_UNREAD_SECONDS: Final = 30.0
"""For how long after a request its client may take to read the answer before the connection counts as idle."""

_END: Final = b"\r\n\r\n"

_REASONS: Final = {400: "Bad Request", 429: "Too Many Requests", 431: "Request Header Fields Too Large"}
_TOO_LARGE: Final = Denied(
    431,
    "head_too_large",
    f"the head of a request may have {HEAD_BYTES} bytes; send long lists of items in a body, see /openapi.json",
)
_NO_HTTP: Final = Denied(
    400,
    "invalid_request",
    "this is not a valid HTTP/1.1 request; send each header on a line of its own, and the length of a body once: "
    "as `Content-Length` or as `Transfer-Encoding: chunked`, not both",
)


class Held(Protocol):
    """An open connection."""

    @property
    def idle(self) -> bool:
        """Whether no request is under way: nobody loses an answer if it is closed."""

    def drop(self) -> None:
        """Close it."""


@final
class AddressLimit:
    """The open connections of each address, of which an IPv6 client has 2^64: a /64 counts as one.

    A further connection takes the place of the oldest on which no request is under way, so that whoever only opens
    connections shuts out nobody who shares the address. Where there is none, it is refused.

    Args:
        most: open connections of an address.
        proxies: addresses and networks without a limit, which pass on the requests of many clients.
    """

    def __init__(self, most: int, proxies: Collection[str] = ()) -> None:
        self._most = most
        self._proxies = [ipaddress.ip_network(proxy, strict=False) for proxy in proxies]
        self._open: dict[str, dict[Held, None]] = {}  # in the order of opening
        self._refusal = Denied(
            429,
            "too_many_connections",
            f"more than {most} connections from one address; use those that are open, or name the address of a proxy "
            "with --proxy",
        )

    def open(self, address: str, connection: Held) -> Denied | None:
        """Take a new connection of an address; return the refusal if there are too many."""
        network = _network(address)
        held = self._open.setdefault(network, {})
        if len(held) >= self._most and not self._is_proxy(address):
            oldest = next((one for one in held if one.idle), None)
            if oldest is None:
                return self._refusal
            del held[oldest]
            oldest.drop()
        held[connection] = None
        return None

    def _is_proxy(self, address: str) -> bool:
        found = _parsed(address)
        return found is not None and any(found in network for network in self._proxies)

    def close(self, address: str, connection: Held) -> None:
        """Forget a connection."""
        network = _network(address)
        held = self._open.get(network, {})
        held.pop(connection, None)
        if not held:
            self._open.pop(network, None)


@final
class BoundedConnection(asyncio.Protocol):
    """A connection of uvicorn that is refused beyond the limit of its address, and closed for a long or slow head.

    The bytes of a head are counted to the blank line that ends it, so that nothing depends on how they were sent.
    Between requests uvicorn's own idle timeout holds.

    Args:
        limit: of connections of an address.
        count_error: counts a refusal by its code.
        seconds: from the first byte of a head, or from the start of the connection, to the end of the head.
        options: of uvicorn's protocol.
    """

    def __init__(
        self,
        limit: AddressLimit,
        count_error: Callable[[str], None],
        seconds: float = HEAD_SECONDS,
        **options: Any,  # noqa: ANN401 (uvicorn's own)
    ) -> None:
        self._http = cast("Any", HttpToolsProtocol(**options))
        self._http.send_400_response = self._refuse_invalid  # instead of plain text
        self._limit = limit
        self._count_error = count_error
        self._seconds = seconds
        self._address: str | None = None  # None: refused
        self._ended = False  # whatever still comes is dropped
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._size = 0  # of the head so far, or of what came after an answer to a request that was not read to its end
        self._tail = b""  # the last bytes of the head or of the chunked body so far, which may begin `_END`
        self._body = 0  # bytes to come of a body whose length was given
        self._chunked = 0  # bytes so far of a chunked body, or 0
        self._heard = 0.0  # when the last data came, by the clock of the loop
        self._lingered = 0  # bytes that came after the refusal of a head

    @property
    def idle(self) -> bool:
        if not self._complete:
            return False
        waited = asyncio.get_running_loop().time() - self._heard
        return not self._transport.get_write_buffer_size() or waited > _UNREAD_SECONDS

    @property
    def _complete(self) -> bool:
        """Whether every request that came was answered; a part of the answer may still have to be sent."""
        cycle = self._http.cycle
        return cycle is None or bool(cycle.response_complete)

    def drop(self) -> None:
        if self._transport.get_write_buffer_size():
            self._transport.abort()  # nobody reads
        else:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else "unknown"
        refusal = self._limit.open(address, self)
        if refusal is not None:
            self._refuse(refusal)
            self._transport.close()
            return
        self._address = address
        self._http.connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        self._heard = asyncio.get_running_loop().time()
        if self._ended:
            self._linger(len(data))
        start = 0
        while start < len(data) and not (self._ended or self._transport.is_closing()):
            if self._body:
                start = self._take_body(data, start)
            elif self._chunked:
                start = self._take_chunked(data, start)
            else:
                start = self._take_head(data, start)

    def eof_received(self) -> bool | None:
        return None if self._address is None or self._ended else cast("bool | None", self._http.eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._address is not None:
            self._limit.close(self._address, self)
            self._http.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._address is not None:
            self._http.pause_writing()

    def resume_writing(self) -> None:
        if self._address is not None:
            self._http.resume_writing()

    def _take_head(self, data: bytes, start: int) -> int:
        """Pass on the data up to the end of the head of a request, and return where the rest begins."""
        stop = self._up_to_end(data, start)
        self._size += stop - start
        if self._size > HEAD_BYTES:
            self._refuse(_TOO_LARGE)
            self._ended = True
            self._transport.write_eof()  # closed at once, what is still sent would make the client lose the answer
            self._linger(len(data) - stop)
            return stop
        before = self._http.cycle
        self._http.data_received(data[start:stop])
        cycle = self._http.cycle
        if cycle is before:  # part of a head, or empty lines before one
            self._start_timer()
        else:
            self._stop_timer()
            self._size, self._tail = 0, b""
            if cycle.more_body:
                lengths = [value for name, value in cycle.scope["headers"] if name == b"content-length"]
                self._body, self._chunked = (int(lengths[0]), 0) if lengths else (0, 1)
        return stop

    def _take_body(self, data: bytes, start: int) -> int:
        """Pass on a body whose length was given, and return where the rest begins."""
        stop = min(len(data), start + self._body)
        self._body -= stop - start
        if self._http.cycle.response_complete:  # the request was refused before its body was read
            self._start_timer()
            self._size += stop - start
            if self._size > HEAD_BYTES:
                self._transport.close()
                return stop
        self._http.data_received(data[start:stop])
        if not self._body:
            self._size = 0
        return stop

    def _take_chunked(self, data: bytes, start: int) -> int:
        """Pass on a chunked body, which ends with a blank line, and return where the rest begins."""
        stop = self._up_to_end(data, start)
        self._chunked += stop - start
        if self._http.cycle.response_complete or self._chunked > _CHUNKED_BYTES:
            self._transport.close()  # where the body ends is not known
            return stop
        self._http.data_received(data[start:stop])
        if not self._http.cycle.more_body:
            self._chunked, self._tail = 0, b""
        return stop

    def _up_to_end(self, data: bytes, start: int) -> int:
        """Return where the first blank line ends, which may have begun in earlier data, or where the data ends."""
        begun = (self._tail + data[start : start + 3]).find(_END)
        if begun >= 0:
            stop = start + begun + len(_END) - len(self._tail)
        else:
            found = data.find(_END, start)
            stop = len(data) if found < 0 else found + len(_END)
        self._tail = (self._tail + data[max(start, stop - 3) : stop])[-3:]
        return stop

    def _refuse(self, denied: Denied) -> None:
        """Answer that the connection ends."""
        self._count_error(denied.code)
        content = content_of(denied, new_request_id())
        head = f"HTTP/1.1 {denied.status} {_REASONS[denied.status]}\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(content)}\r\nConnection: close\r\n"
        head += "Retry-After: 1\r\n\r\n" if denied.status == 429 else "\r\n"
        self._transport.write(head.encode() + content)

    def _refuse_invalid(self, _: str) -> None:
        self._refuse(_NO_HTTP)
        self._transport.close()

    def _linger(self, size: int) -> None:
        """Drop some bytes that came after a refusal, and close when no more come."""
        self._stop_timer()
        self._lingered += size
        if self._lingered > _LINGER_BYTES:
            self._transport.close()
        else:
            self._timer = asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.close)

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._time_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        self._timer = None
        if self._complete:
            self._transport.close()
        else:  # the next request waits for the answer to the last one
            self._start_timer()


def _network(address: str) -> str:
    """Return what counts as one address.

    >>> _network("192.0.2.7"), _network("::ffff:192.0.2.7"), _network("2001:db8::7"), _network("unknown")
    ('192.0.2.7', '192.0.2.7', '2001:db8::/64', 'unknown')
    """
    found = _parsed(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((found, 64), strict=False))
    return address if found is None else str(found)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
