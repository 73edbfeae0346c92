"""Work in parts beside a file: what is complete is kept when it is interrupted, and joined in one step at the end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, final

from recsys.errors import DataError
from recsys.experiments.lists.files import check_out, join_parts
from recsys.files import json_values, write_json

STATE = "state.json"

Piece = TypeVar("Piece")
Each = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]
"""Calls a function for each of some arguments, and yields the results in order."""


@final
@dataclass(frozen=True)
class PartedFile:
    """A file that is written in parts to the folder FILE.parts beside it.

    Attributes:
        out: the file.
        question: what decides the content, as plain values: parts of another question are not joined with these.
    """

    out: Path
    question: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """Where the parts are."""
        return self.out.with_name(f"{self.out.name}.parts")

    def begin(self, *, overwrite: bool) -> None:
        """Prepare the folder, or find what an interrupted command has left there.

        Args:
            overwrite: replace the file, and parts of another question.

        Raises:
            ConfigError: the ending of the file is none of those that can be written.
            DataError: the file is there, or parts of another question.
        """
        check_out(self.out)
        if self.out.exists() and not overwrite:
            raise DataError(f"{self.out} is there already; choose another name, or replace it with --overwrite")
        state = self.folder / STATE
        question = json_values(self.question)
        if state.exists():
            stored = _read(state)
            if stored == question:
                return
            other = ", ".join(sorted(name for name in question if stored.get(name) != question[name]))
            if not overwrite:
                raise DataError(
                    f"{self.folder} holds parts of lists that were asked for otherwise ({other or STATE}); finish them "
                    "by the command that began them, or begin anew with --overwrite"
                )
            shutil.rmtree(self.folder)
        elif self.folder.exists():
            raise DataError(f"{self.folder} is there, and not made by this command; move it, or choose another name")
        self.folder.mkdir(parents=True)
        write_json(state, question)

    def write(
        self,
        pieces: Sequence[Piece],
        make: Callable[[tuple[Piece, Path]], None],
        names: Sequence[str],
        progress: Callable[[int], None] = lambda _: None,
        each: Each = map,
    ) -> int:
        """Make the parts that are missing, join them, and remove the folder; return how many were there already.

        Args:
            pieces: what each part is made of.
            make: writes a part, given its piece and its path, whole or not at all.
            names: of the columns.
            progress: called with the number of complete parts.
            each: calls `make` with all of its arguments, here or elsewhere.
        """
        parts = [self.folder / f"{number:06d}{self.out.suffix.lower()}" for number in range(len(pieces))]
        missing = [(piece, part) for piece, part in zip(pieces, parts, strict=True) if not part.exists()]
        there = len(parts) - len(missing)
        progress(there)
        for done, _ in enumerate(each(make, missing), 1):
            progress(there + done)
        join_parts(parts, names, self.out)
        shutil.rmtree(self.folder)
        return there


def _read(state: Path) -> dict[str, Any]:
    try:
        content = json.loads(state.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
