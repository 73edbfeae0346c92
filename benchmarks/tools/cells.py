"""Results on disk, one cell at a time, so that an interrupted benchmark goes on where it stopped.

A cell is a JSON file `NAME.json`, with `NAME.parquet` (a table per user) and `NAME.npz` (arrays) beside it where it has
them. The JSON file is written last: where it is, the cell is complete. It holds the identity of what was run (settings,
data, budget), and a cell with another identity is run again.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from benchmarks.tools.report import write_text
from recsys.evaluation.result import Evaluation


def identity(*parts: object) -> str:
    """Return a short digest of plain values: equal for equal settings, whatever the order of keys.

    >>> identity({"a": 1, "b": 2}) == identity({"b": 2, "a": 1}) != identity({"a": 1})
    True
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


@final
@dataclass(frozen=True)
class Cells:
    """A folder of cells; names may contain `/`."""

    root: Path

    def load(self, name: str, identity: str) -> dict[str, Any] | None:
        """Return a cell's content, or None where it is missing, unreadable or of another identity."""
        path = self.path(name, "json")
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(stored, dict) or stored.get("identity") != identity:
            return None
        content: dict[str, Any] = stored["content"]
        return content

    def save(
        self,
        name: str,
        identity: str,
        content: Mapping[str, Any],
        *,
        evaluation: Evaluation | None = None,
        arrays: Mapping[str, npt.NDArray[Any]] | None = None,
    ) -> dict[str, Any]:
        """Write a cell and return its content as it will be read back."""
        self.root.mkdir(parents=True, exist_ok=True)
        # Tables per user and arrays are large and can be made again: the report is what is kept in the repository.
        ignore = self.root / ".gitignore"
        if not ignore.exists():
            write_text(ignore, "*\n")
        if evaluation is not None:
            evaluation.save(self.path(name, "parquet"))
        if arrays is not None:
            self._save_arrays(name, arrays)
        text = json.dumps({"identity": identity, "content": content}, indent=1)
        write_text(self.path(name, "json"), text + "\n")
        stored: dict[str, Any] = json.loads(text)["content"]
        return stored

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
        """Delete the arrays of a cell, once nobody needs them."""
        self.path(name, "npz").unlink(missing_ok=True)

    def path(self, name: str, kind: str) -> Path:
        """Return the file of a cell of one kind: json, parquet or npz."""
        return self.root / f"{name}.{kind}"

    def _save_arrays(self, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        target = self.path(name, "npz")
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            # Not compressed: parameters do not shrink, and are read again soon.
            with os.fdopen(handle, "wb") as stream:
                np.savez(stream, **dict(arrays))  # type: ignore[arg-type]
            Path(temporary).replace(target)
        finally:
            Path(temporary).unlink(missing_ok=True)


@final
@dataclass
class Progress:
    """Prints a line per cell and, from what the cells so far took, when the last one will be done.

    Attributes:
        total: expected cost of all cells, in seconds at most.
        verbose: print at all.
    """

    total: float
    verbose: bool = True
    done: float = 0.0
    spent: float = 0.0
    measured: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def add(self, text: str, cost: float, seconds: float | None) -> None:
        """Tell of a finished cell.

        Args:
            text: what it was.
            cost: what it was expected to cost, out of `total`.
            seconds: what it took; None where it was already there.
        """
        self.done += cost
        if seconds is not None:
            self.spent += seconds
            self.measured += cost
        if self.verbose:
            took = "cached" if seconds is None else f"{seconds:.0f} s"
            print(f"[{100 * self.done / max(self.total, 1e-9):3.0f}%] {text} ({took}); {self.eta()}", flush=True)

    def eta(self) -> str:
        """Return how long the rest will take, as a text."""
        left = max(self.total - self.done, 0.0)
        pace = self.spent / self.measured if self.measured > 0 else 1.0
        return f"about {left * pace / 60:.0f} min left"
