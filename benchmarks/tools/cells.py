"""Cells: the results of single runs, stored on disk so that an interrupted benchmark continues where it stopped.

A cell is a JSON file `NAME.json`, where needed with `NAME.parquet` (a table per user) and `NAME.npz` (arrays) beside
it. The JSON file is written last: where it exists, the cell is complete. It holds the identity of the run (settings,
data, budget); a cell with another identity is run again. Beside it stands the environment in which it ran, so that a
report can say whether all cells of a table were run alike.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from benchmarks.tools.environment import environment
from recsys.evaluation.result import Evaluation
from recsys.files import replacing, write_text


def identity(*parts: object) -> str:
    """Return a short digest of plain values: equal for equal settings, whatever the order of keys.

    >>> identity({"a": 1, "b": 2}) == identity({"b": 2, "a": 1}) != identity({"a": 1})
    True
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


@final
@dataclass(frozen=True, eq=False)
class CellContent:
    """Content of a new cell: plain values, and where it has them a table per user and arrays."""

    values: Mapping[str, Any]
    evaluation: Evaluation | None = None
    arrays: Mapping[str, npt.NDArray[Any]] | None = None


@final
@dataclass(frozen=True)
class Cells:
    """A folder of cells; names may contain `/`."""

    root: Path

    def load(self, name: str, identity: str) -> dict[str, Any] | None:
        """Return a cell's content, or None where it is missing, unreadable or of another identity."""
        try:
            stored = json.loads(self.path(name, "json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(stored, dict) or stored.get("identity") != identity:
            return None
        content: dict[str, Any] = stored["content"]
        return content

    def make(self, name: str, identity: str, run: Callable[[], CellContent]) -> tuple[dict[str, Any], float | None]:
        """Return a cell's values, run and saved where it is missing, and the seconds of the run (None: on disk)."""
        stored = self.load(name, identity)
        if stored is not None:
            return stored, None
        began = time.perf_counter()
        content = run()
        seconds = time.perf_counter() - began
        saved = self.save(name, identity, content.values, evaluation=content.evaluation, arrays=content.arrays)
        return saved, seconds

    def save(
        self,
        name: str,
        identity: str,
        content: Mapping[str, Any],
        *,
        evaluation: Evaluation | None = None,
        arrays: Mapping[str, npt.NDArray[Any]] | None = None,
    ) -> dict[str, Any]:
        """Write a cell and return its content as `load` will return it."""
        path = self.path(name, "json")
        path.parent.mkdir(parents=True, exist_ok=True)
        # Tables per user and arrays are large and can be made again; the repository keeps the report.
        ignore = self.root / ".gitignore"
        if not ignore.exists():
            write_text(ignore, "*\n")
        if evaluation is not None:
            evaluation.save(self.path(name, "parquet"))
        if arrays is not None:
            # Not compressed: parameters do not shrink, and are soon read again.
            with replacing(self.path(name, "npz")) as temporary, temporary.open("wb") as stream:
                np.savez(stream, **dict(arrays))  # type: ignore[arg-type]
        text = json.dumps({"identity": identity, "environment": environment(), "content": content}, indent=1)
        write_text(path, text + "\n")
        stored: dict[str, Any] = json.loads(text)["content"]
        return stored

    def environment(self, name: str) -> dict[str, str]:
        """Return the facts of the process that made a cell; none for a cell of before they were stored."""
        facts: dict[str, str] = json.loads(self.path(name, "json").read_text(encoding="utf-8")).get("environment", {})
        return facts

    def evaluation(self, name: str) -> Evaluation:
        """Return the evaluation of a cell that was saved with one."""
        return Evaluation.load(self.path(name, "parquet"))

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]] | None:
        """Return the arrays of a cell, or None where it has none."""
        path = self.path(name, "npz")
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)

    def drop_arrays(self, name: str) -> None:
        """Delete the arrays of a cell."""
        self.path(name, "npz").unlink(missing_ok=True)

    def path(self, name: str, kind: str) -> Path:
        """Return the file of a cell of one kind: json, parquet or npz."""
        return self.root / f"{name}.{kind}"


@final
@dataclass
class Progress:
    """Prints a line per cell, and an estimate of the time left from the measured times so far."""

    total: float  # expected cost of all cells, in seconds at most
    done: float = 0.0
    spent: float = 0.0
    measured: float = 0.0

    def add(self, text: str, cost: float, seconds: float | None) -> None:
        """Report a finished cell, its expected cost out of `total`, and its time; None where it was on disk."""
        self.done += cost
        if seconds is not None:
            self.spent += seconds
            self.measured += cost
        took = "cached" if seconds is None else f"{seconds:.0f} s"
        print(f"[{100 * self.done / max(self.total, 1e-9):3.0f}%] {text} ({took}); {self.eta()}", flush=True)

    def eta(self) -> str:
        """Return the estimated time left, as a text."""
        left = max(self.total - self.done, 0.0)
        pace = self.spent / self.measured if self.measured > 0 else 1.0
        return f"about {left * pace / 60:.0f} min left"
