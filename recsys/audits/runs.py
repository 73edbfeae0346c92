"""All arms in all worlds for all seeds, in processes, cell by cell: what is interrupted goes on."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Final

import torch

from recsys.audits.arms import Arm
from recsys.audits.loop import run_loop
from recsys.audits.measures import measures, series
from recsys.checks import seed_of_draws, whole
from recsys.errors import ConfigError, nearest
from recsys.files import write_json
from recsys.worlds.loops import Camps, Chaney, LoopWorld, Moods, shaping

WORLDS: Final[dict[str, Callable[[], LoopWorld]]] = {
    "moods": Moods,
    "shaping": shaping,
    "chaney": Chaney,
    "camps": Camps,
}
"""The worlds in their default sizes, by name."""

Cell = dict[str, Any]
"""What one arm did in one world with one seed: world, arm, seed, measures, series, short."""


def world_named(name: str) -> LoopWorld:
    """Return a world in its default size.

    Raises:
        ConfigError: there is no such world.
    """
    if name not in WORLDS:
        raise ConfigError(f"no world {name!r}; there are {', '.join(WORLDS)}{nearest(name, WORLDS)}")
    return WORLDS[name]()


def audit(
    worlds: Sequence[LoopWorld],
    arms: Sequence[Arm],
    seeds: Sequence[int],
    *,
    rounds: int = 30,
    out: Path | None = None,
    processes: int = 1,
    progress: Callable[[int, int, Cell], None] | None = None,
) -> list[Cell]:
    """Run all arms in all worlds for all seeds.

    Args:
        worlds: the worlds.
        arms: the arms, of different names; among them `Alone`, with which the others are compared.
        seeds: of the worlds.
        rounds: with a system.
        out: where cells are kept, so that what is interrupted goes on; None: nothing is kept.
        processes: at a time, with one thread each. More than one needs arms that can be pickled.
        progress: called after each cell with the number of those that are complete, that of all, and the cell.

    Raises:
        ConfigError: two arms or worlds have the same name, or a number is out of range.
    """
    whole("processes", processes)
    whole("rounds", rounds)
    for seed in seeds:
        seed_of_draws(seed)
    for what, names in (("arms", [arm.name for arm in arms]), ("worlds", [world.name for world in worlds])):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"two {what} are called {twice[0]!r}; give them different names")
    tasks = [(world, arm, seed, rounds) for seed in seeds for world in worlds for arm in arms]
    done: dict[int, Cell] = {}
    for number, task in enumerate(tasks):
        kept = None if out is None else _kept(out, *task)
        if kept is not None:
            done[number] = kept
    missing = [number for number in range(len(tasks)) if number not in done]

    def finished(number: int, cell: Cell) -> None:
        done[number] = cell
        if out is not None:
            path = _path(out, *tasks[number])
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, cell)
        if progress is not None:
            progress(len(done), len(tasks), cell)

    if processes == 1:
        for number in missing:
            finished(number, run_cell(*tasks[number]))
    elif missing:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(processes, len(missing)), context, initializer=_one_thread) as pool:
            running = {pool.submit(run_cell, *tasks[number]): number for number in missing}
            try:
                for future in as_completed(running):
                    finished(running[future], future.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [done[number] for number in range(len(tasks))]


def run_cell(world: LoopWorld, arm: Arm, seed: int, rounds: int) -> Cell:
    """Return what one arm did in one world with one seed, as plain values."""
    trace = run_loop(world, lambda people: arm.begin(people, world.slate), rounds, seed, arm=arm.name)
    return {
        "world": trace.world,
        "arm": trace.arm,
        "seed": seed,
        "measures": measures(trace),
        "series": series(trace),
        "short": trace.short,
    }


def _one_thread() -> None:
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


def _path(out: Path, world: LoopWorld, arm: Arm, seed: int, rounds: int) -> Path:
    identity = hashlib.sha256(repr((world, arm, rounds)).encode()).hexdigest()[:12]
    return out / "cells" / f"{world.name}-{identity}-{seed}.json"


def _kept(out: Path, world: LoopWorld, arm: Arm, seed: int, rounds: int) -> Cell | None:
    path = _path(out, world, arm, seed, rounds)
    if not path.exists():
        return None
    cell: Cell = json.loads(path.read_text(encoding="utf-8"))
    cell["measures"] = {name: float("nan") if value is None else value for name, value in cell["measures"].items()}
    return cell
