"""Connections: one limit of the head of a request however it is sent, its time, and the connections of one address."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import pytest
import uvicorn
from uvicorn.server import ServerState

from recsys.serving.http.connection import HEAD_BYTES, AddressLimit, BoundedConnection

T = TypeVar("T")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _serve(
    ask: Callable[[Callable[[], Awaitable[Streams]]], Awaitable[T]],
    most: int = 100,
    *,
    early: bool = False,
    seconds: float = 30.0,
    answer: bytes | None = None,
) -> T:
    """Ask a service that says how long a body is, or gives an answer; with `early` it refuses without reading it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        size, more = 0, not early
        while more:
            message = await receive()
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        content = str(size).encode() if answer is None else answer
        headers = [(b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_keep_alive=1, ws="none")
    config.load()
    limit, state, counted = AddressLimit(most), ServerState(), list[str]()

    def connection() -> BoundedConnection:
        return BoundedConnection(limit, counted.append, seconds, config=config, server_state=state, app_state={})

    async def run() -> T:
        server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
        writers = []

        async def connect() -> Streams:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writers.append(writer)
            return reader, writer

        async with server:
            try:
                return await ask(connect)
            finally:
                for writer in writers:
                    writer.close()
                await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)

    return asyncio.run(run())


def _answers(
    parts: Sequence[bytes], *, pause: float = 0.001, early: bool = False, seconds: float = 30.0
) -> list[tuple[int, bytes]]:
    """Send parts one after the other, each in a packet of its own; return status and content of the answers."""

    async def ask(connect: Callable[[], Awaitable[Streams]]) -> bytes:
        reader, writer = await connect()
        try:
            for part in parts:
                writer.write(part)
                await asyncio.sleep(pause)
            return await asyncio.wait_for(reader.read(), 60)
        except ConnectionError:  # the answer was overtaken
            return b""

    received = _serve(ask, early=early, seconds=seconds)
    return [
        (int(status), content) for status, content in re.findall(rb"HTTP/1\.1 (\d+) .*?\r\n\r\n([^H]*)", received, re.S)
    ]


def _head(size: int, line: str = "GET / HTTP/1.1", *more: str) -> bytes:
    start = "\r\n".join([line, "Host: local", *more, "X: "])
    return (start + "x" * (size - len(start) - 4)).encode() + b"\r\n\r\n"


def _split(content: bytes, *places: int) -> list[bytes]:
    edges = [0, *places, len(content)]
    return [content[start:stop] for start, stop in pairwise(edges)]


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize(
    "how", ["whole", "halves", "in the blank line", "byte by byte", "after a request", "after a body"]
)
def test_the_limit_of_a_head_is_the_same_however_it_is_sent(over: int, how: str) -> None:
    head = _head(HEAD_BYTES + over)
    first: list[tuple[int, bytes]] = []
    if how == "halves":
        parts = _split(head, len(head) // 2)
    elif how == "in the blank line":
        parts = _split(head, len(head) - 3, len(head) - 1)
    elif how == "byte by byte":
        parts = _split(head, 40, *range(len(head) - 200, len(head)))
    elif how == "after a request":
        parts, first = [_head(60) + head], [(200, b"0")]
    elif how == "after a body":  # whose bytes are not those of a head
        before = _head(90, "POST / HTTP/1.1", "Content-Length: 20000") + b"y" * 20_000
        parts, first = _split(before + head, 70, 19_000, 20_085), [(200, b"20000")]
    else:
        parts = [head]
    *others, (status, content) = _answers(parts)
    if over:
        assert (status, json.loads(content)["error"]["code"]) == (431, "head_too_large")
    else:
        assert (status, content) == (200, b"0")
        assert others == first


def test_every_byte_of_a_head_may_come_alone() -> None:
    head = _head(400, "POST / HTTP/1.1", "Content-Length: 3")
    sent = b"\r\n\r\n" + head + b"abc" + head + b"\r\n\r"
    assert _answers([sent[k : k + 1] for k in range(len(sent))], pause=0) == [(200, b"3"), (200, b"3")]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_a_chunked_body_ends_where_it_ends(size: int) -> None:
    chunks = b"4\r\n\r\n\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\nTrailer: x\r\n\r\n"
    sent = (_head(100, "POST / HTTP/1.1", "Transfer-Encoding: chunked") + chunks) * 2 + _head(HEAD_BYTES)
    parts = [sent[:300], *(sent[k : k + size] for k in range(300, 400, size)), sent[300 + -(-100 // size) * size :]]
    assert _answers(parts, pause=0) == [(200, b"9"), (200, b"9"), (200, b"0")]


def test_trailers_without_end_are_cut_off() -> None:
    sent = _head(100, "POST / HTTP/1.1", "Transfer-Encoding: chunked") + b"0\r\n" + b"T: x\r\n" * 2_000_000
    assert _answers([sent], pause=0.2) == []


def test_a_refused_body_is_not_read_to_its_end() -> None:
    told = [_head(100, "POST / HTTP/1.1", "Content-Length: 1000000"), *[b"x" * 8_000] * 4]
    assert [status for status, _ in _answers(told, pause=0.05, early=True)] in ([200], [])
    short = [_head(100, "POST / HTTP/1.1", "Content-Length: 9"), b"123456789", _head(60)]
    assert [status for status, _ in _answers(short, pause=0.02, early=True)] == [200, 200]


@pytest.mark.parametrize("half", [b"", b"GET / HTTP/1.1\r\nHost: local", b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHo"])
def test_silent_and_incomplete_requests_time_out(half: bytes) -> None:
    assert len(_answers([half], seconds=0.3)) == half.count(b"\r\n\r\n")  # to the end: the server closes


def test_a_body_may_take_longer_than_a_head() -> None:
    head = _head(100, "POST / HTTP/1.1", "Content-Length: 2", "Connection: close")
    assert _answers([head, b"", b"ab"], pause=0.3, seconds=0.4) == [(200, b"2")]


def test_connections_with_requests_are_refused_beyond_the_limit_of_their_address() -> None:
    async def ask(connect: Callable[[], Awaitable[Streams]]) -> tuple[bytes, bytes]:
        held = [await connect() for _ in range(3)]
        for _, writer in held:
            writer.write(_head(80, "POST / HTTP/1.1", "Content-Length: 5"))  # whose body does not come
        await asyncio.sleep(0.2)
        refused = await (await connect())[0].read()
        held[0][1].close()
        await held[0][1].wait_closed()
        for _ in range(100):
            reader, writer = await connect()
            writer.write(_head(80, "GET / HTTP/1.1", "Connection: close"))
            answer = await reader.read()
            if b"200 OK" in answer:
                break
            await asyncio.sleep(0.01)
        return refused, answer

    refused, answer = _serve(ask, most=3)
    head, _, content = refused.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 ")
    assert json.loads(content)["error"]["code"] == "too_many_connections"
    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_half_open_connections_shut_nobody_out() -> None:
    async def ask(connect: Callable[[], Awaitable[Streams]]) -> tuple[int, bytes]:
        half = []
        for number in range(100):
            half.append(await connect())
            half[-1][1].write(b"GET / HTTP/1.1" if number % 2 else b"")
        reader, writer = await connect()
        writer.write(_head(80, "GET / HTTP/1.1", "Connection: close"))
        answer = await reader.read()
        dropped = 0
        for reader, _ in half[:90]:
            try:
                dropped += await asyncio.wait_for(reader.read(), 60) == b""
            except ConnectionError:
                dropped += 1
        return dropped, answer

    dropped, answer = _serve(ask, most=8)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert dropped == 90


def test_a_connection_whose_answer_is_not_read_yet_keeps_it() -> None:
    async def ask(connect: Callable[[], Awaitable[Streams]]) -> tuple[bytes, int]:
        reader, writer = await connect()
        writer.write(_head(80, "GET / HTTP/1.1", "Connection: close"))
        await asyncio.sleep(0.3)  # answered, as far as the application is concerned
        refused = await (await connect())[0].read()
        return refused, len((await reader.read()).partition(b"\r\n\r\n")[2])

    refused, size = _serve(ask, most=1, answer=b"x" * 30_000_000)
    assert refused.startswith(b"HTTP/1.1 429 ")
    assert size == 30_000_000


def test_who_never_reads_an_answer_shuts_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys.serving.http.connection._UNREAD_SECONDS", 0.1)

    async def ask(connect: Callable[[], Awaitable[Streams]]) -> bytes:
        (await connect())[1].write(_head(80))
        await asyncio.sleep(0.5)
        reader, writer = await connect()
        writer.write(_head(80))
        return await reader.readline()

    assert _serve(ask, most=1, answer=b"x" * 30_000_000) == b"HTTP/1.1 200 OK\r\n"


def test_a_long_head_is_refused_however_slowly_it_is_sent() -> None:
    parts = [b"GET / HTTP/1.1\r\nX: ", *[b"x" * 7_000] * 28, b"\r\n\r\n"]

    async def ask(connect: Callable[[], Awaitable[Streams]]) -> bytes:
        reader, writer = await connect()
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.write_eof()
        return await reader.read()

    assert _serve(ask).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 2", "Content-Length: 2"),
        ("Content-Length: 2", "Content-Length: 3"),
        ("Content-Length: 2", "Transfer-Encoding: chunked"),
        ("Content-Length: two",),
    ],
)
def test_a_request_with_two_lengths_is_refused_in_json(lines: tuple[str, ...]) -> None:
    async def ask(connect: Callable[[], Awaitable[Streams]]) -> bytes:
        reader, writer = await connect()
        writer.write(_head(200, "POST / HTTP/1.1", *lines))
        return await reader.read()

    head, _, content = _serve(ask).partition(b"\r\n\r\n")
    error = json.loads(content)["error"]
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json")
    assert error["code"] == "invalid_request"
    assert "the length of a body once" in error["message"]


class _Waiting:
    idle = False

    def drop(self) -> None:
        raise AssertionError


def test_proxies_have_no_limit_and_a_network_of_ipv6_counts_as_one_address() -> None:
    limit = AddressLimit(2, ["10.0.0.1", "2001:db8:1::9", "172.16.0.0/12"])
    for address in ("10.0.0.1", "::ffff:10.0.0.1", "2001:db8:1::9", "172.18.0.1"):
        assert [limit.open(address, _Waiting()) for _ in range(5)] == [None] * 5
    held = [_Waiting() for _ in range(3)]
    assert [limit.open(f"2001:db8::{k}", one) is None for k, one in enumerate(held)] == [True, True, False]
    assert limit.open("2001:db8:0:1::", _Waiting()) is None
    assert limit.open("10.0.0.2", _Waiting()) is None
    limit.close("2001:db8::7", held[0])
    assert limit.open("2001:db8::8", _Waiting()) is None
