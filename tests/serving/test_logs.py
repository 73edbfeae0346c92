"""Logs: one line of JSON each, few of one kind, and a count of what was left out."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recsys.serving.logs import LINES, SECONDS, LogLines


class _Log:
    """A logger whose lines are read back, and a clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0
        self._stream = io.StringIO()
        self.handler = LogLines(self._stream, lambda: self.now)
        self.logger = logging.Logger("test", logging.WARNING)
        self.logger.addHandler(self.handler)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    def fail(self, cause: str = "busy", number: int = 0) -> None:
        self.logger.error("failed %d", number, extra={"code": "store_unavailable", "cause": cause, "request_id": "r1"})


@pytest.fixture
def log() -> Iterator[_Log]:
    made = _Log()
    yield made
    made.handler.close()


def test_a_line_says_when_how_bad_which_request_and_why(log: _Log) -> None:
    log.fail()
    log.logger.warning("two\nlines")
    first, second = log.lines()
    assert first["time"].endswith("+00:00")
    assert {name: first[name] for name in ("level", "message", "code", "cause", "request_id")} == {
        "level": "error", "message": "failed 0", "code": "store_unavailable", "cause": "busy", "request_id": "r1",
    }  # fmt: skip
    assert (second["level"], second["message"]) == ("warning", "two lines")


def test_a_traceback_is_left_out(log: _Log) -> None:
    try:
        raise RuntimeError("secret")
    except RuntimeError:
        log.logger.exception("a defect")
    (line,) = log.lines()
    assert "secret" not in json.dumps(line)
    assert "Traceback" not in json.dumps(line)


@pytest.mark.parametrize("path", ["/srv/my logs/ratings.csv", Path("/srv/logs/ratings.csv"), "runs/a/ratings.csv"])
def test_of_a_path_only_the_last_name_is_told(log: _Log, path: str | Path) -> None:
    log.logger.warning("%s: 3 of %s events are repeats, see %r", path, "2,000", "C:\\logs\\cures.txt")
    (line,) = log.lines()
    assert line["message"] == "ratings.csv: 3 of 2,000 events are repeats, see 'cures.txt'"


def test_many_lines_of_one_kind_are_counted(log: _Log) -> None:
    for number in range(131):
        log.fail(number=number)
    log.fail("disk_full")  # another cause is another kind
    assert [line["cause"] for line in log.lines()] == ["busy"] * LINES + ["disk_full"]
    log.now += SECONDS
    log.fail(number=131)
    assert log.lines()[-1]["suppressed"] == 131 - LINES
    assert log.lines()[-1]["message"] == "failed 131"


def test_what_was_counted_is_told_at_the_end(log: _Log) -> None:
    for number in range(LINES + 7):
        log.fail(number=number)
    log.handler.close()
    assert len(log.lines()) == LINES + 1
    assert (log.lines()[-1]["suppressed"], log.lines()[-1]["message"]) == (7, f"failed {LINES + 6}")


def test_a_stream_that_fails_stops_nothing() -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    logger, other = logging.Logger("test"), io.StringIO()
    for stream in (Full(), other):
        logger.addHandler(LogLines(stream))
    logger.error("a line")
    assert json.loads(other.getvalue())["message"] == "a line"
