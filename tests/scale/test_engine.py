"""The engine: results in order, errors as they were raised, and a lost worker's piece is repeated and told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.errors import ConfigError, DataError, RecsysError
from recsys.scale.engine import Engine
from recsys.scale.engines import engine_of


def _slow_square(number: int) -> int:
    time.sleep(0.05 if number == 0 else 0.0)
    return number**2


def _refuse(number: int) -> int:
    raise DataError(f"piece {number} is bad")


class _DiesOnce:
    """Kills its own process the first time that it is called with 1."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __call__(self, number: int) -> int:
        if number == 1 and not self._mark.exists():
            self._mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number


def _die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.fixture(params=["local", "ray"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine of each kind."""
    if request.param == "ray":
        request.getfixturevalue("cluster")
    with engine_of(request.param, 2 if request.param == "ray" else None) as each:
        yield each


def test_results_come_in_the_order_of_the_pieces(engine: Engine) -> None:
    assert list(engine.map(_slow_square, range(5))) == [0, 1, 4, 9, 16]


def test_no_pieces_have_no_results(engine: Engine) -> None:
    assert list(engine.map(_slow_square, [])) == []


def test_an_error_of_a_piece_is_raised_as_it_was(engine: Engine) -> None:
    with pytest.raises(DataError, match=r"^piece 3 is bad$"):
        list(engine.map(_refuse, [3]))


def test_nothing_is_repeated_without_a_loss(engine: Engine) -> None:
    list(engine.map(_slow_square, range(3)))
    assert engine.repeated == []


def test_workers_need_an_engine_that_has_any() -> None:
    with pytest.raises(ConfigError, match="workers is 2, and the engine 'local' is one process"):
        engine_of("local", 2)


@pytest.mark.usefixtures("cluster")
def test_a_killed_workers_piece_is_repeated_and_told(tmp_path: Path) -> None:
    told: list[str] = []
    with engine_of("ray", 2, told.append) as engine:
        assert list(engine.map(_DiesOnce(tmp_path / "mark"), range(4), "part")) == [0, 1, 2, 3]
        assert engine.repeated == told == ["part 1 lost its worker (WorkerCrashedError) and is repeated"]


@pytest.mark.usefixtures("cluster")
def test_a_piece_that_kills_every_worker_is_given_up() -> None:
    with (
        engine_of("ray", 2) as engine,
        pytest.raises(RecsysError, match=r"part 0 lost its worker 4 times.*smaller parts"),
    ):
        list(engine.map(_die, [0], "part"))


def _refuse_in_one(engine: Engine) -> list[int]:
    if engine.own(2) == range(1, 2):
        raise DataError("part 1 is bad")
    return list(engine.map(_slow_square, range(3)))


@pytest.mark.usefixtures("cluster")
def test_an_error_of_one_of_several_processes_is_raised_while_others_wait(tmp_path: Path) -> None:
    with engine_of("ray", 2) as engine, pytest.raises(DataError, match=r"^part 1 is bad$"):
        engine.together(_refuse_in_one, 2, tmp_path)
    assert engine.repeated == []
    assert not list(tmp_path.iterdir())


def test_one_process_is_a_group_of_its_own(tmp_path: Path) -> None:
    with engine_of("local", None) as engine:
        assert engine.own(2) == range(2)
        assert engine.together(_squares, 2, tmp_path) == [0, 1, 4]


def _squares(engine: Engine) -> list[int]:
    return list(engine.map(_slow_square, range(3)))
