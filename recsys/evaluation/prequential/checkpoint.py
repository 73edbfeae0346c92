"""Checkpoints of a replay: the ranks so far and the learned state of the forgetting, in one file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from recsys.errors import DataError
from recsys.files import replacing
from recsys.types import Items, Mask

_STATE = "state."
_FILE = "replay.npz"


@final
@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A replay after some chunks.

    Attributes:
        call: digest of everything that decides the result; a checkpoint of another call is refused.
        chunks: chunks done.
        rank: "relevant items of the questions so far", int32.
        known: likewise, bool.
        seconds: time used so far, by part.
        state: of the online forgetting, arrays by name; empty without one.
    """

    call: str
    chunks: int
    rank: Items
    known: Mask
    seconds: dict[str, float]
    state: dict[str, npt.NDArray[Any]]

    def save(self, folder: Path) -> None:
        """Write to a folder; the former checkpoint is replaced in one step.

        Raises:
            TypeError: the state holds Python objects, which could only be pickled.
        """
        for name, array in self.state.items():
            if array.dtype.hasobject:
                raise TypeError(f"state {name!r} holds Python objects; a checkpoint keeps plain arrays only")
        facts = json.dumps({"call": self.call, "chunks": self.chunks, "seconds": self.seconds})
        arrays: dict[str, npt.NDArray[Any]] = {f"{_STATE}{name}": array for name, array in self.state.items()}
        arrays |= {"facts": np.array(facts), "rank": self.rank, "known": self.known}
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / _FILE) as partial, partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, folder: Path, call: str) -> Self | None:
        """Read the checkpoint of a folder; None if there is none.

        Raises:
            DataError: the file cannot be read, or belongs to another call.
        """
        path = folder / _FILE
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            facts = json.loads(str(arrays["facts"]))
            state = {name.removeprefix(_STATE): array for name, array in arrays.items() if name.startswith(_STATE)}
            made = facts["call"], facts["chunks"], arrays["rank"], arrays["known"]
            checkpoint = cls(*made, facts["seconds"], state)
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise DataError(f"{path}: cannot read this checkpoint ({error}); delete it to start again") from error
        if checkpoint.call != call:
            raise DataError(
                f"{path} is of a replay of another log, model, forgetting or settings; give another folder, or delete "
                "it to start again"
            )
        return checkpoint


def digest(facts: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """Return the SHA-256 of plain facts and arrays."""
    total = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype} {array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()
