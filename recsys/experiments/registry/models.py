"""A folder of runs, of which one is in place, and the record of how each came there.

models/
  0001/ 0002/ ...   runs, as `recsys train --out` makes them
  served            a link to the one in place: `recsys serve --run models/served`
  lineage.jsonl     a line for each attempt
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, final

from recsys.errors import DataError
from recsys.experiments.runs import METRICS
from recsys.files import json_values, locked, write_text

SERVED: Final = "served"
LINEAGE: Final = "lineage.jsonl"
_LOCK: Final = ".lock"
"""It is there from the first attempt on."""

Outcome = Literal["in place", "refused", "rolled back", "put back"]


@final
@dataclass(frozen=True)
class Finding:
    """What one check of a new run found.

    Attributes:
        check: its name.
        passed: whether the run may be put in place, as far as this goes.
        found: in a sentence.
    """

    check: str
    passed: bool
    found: str


@final
@dataclass(frozen=True)
class Attempt:
    """What became of one run.

    Attributes:
        run: its name in the registry.
        time: Unix seconds.
        outcome: "in place"; "refused" by a check, or by a service; "rolled back", it was in place and gave alarm; "put
            back", an earlier run was put in place again.
        former: the run that was in place before; None: there was none.
        config: name of the experiment.
        experiment: as it was asked for, as plain values; empty where a run was put back.
        log: fingerprint of the log that it was trained on.
        events: of that log.
        findings: of the checks.
        reason: why it was refused or rolled back.
    """

    run: str
    time: int
    outcome: Outcome
    former: str | None
    config: str
    experiment: Mapping[str, Any]
    log: str
    events: int
    findings: tuple[Finding, ...] = ()
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {str(name): value for name, value in json_values(asdict(self)).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Attempt:
        """Return the attempt of plain values."""
        return cls(**values | {"findings": tuple(Finding(**one) for one in values["findings"])})


@final
class Registry:
    """A folder of runs.

    Args:
        folder: it is made if it is not there.

    Raises:
        DataError: the folder holds something else, or its record cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        strange = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
        if strange and not any((folder / name).exists() for name in (LINEAGE, _LOCK)):
            raise DataError(f"{folder} is there and is no registry of models; choose another folder")
        served = folder / SERVED
        if served.exists() and not served.is_symlink():
            raise DataError(f"{served} is no link, and would be replaced by one; move it away")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def locked(self) -> AbstractContextManager[None]:
        """Let nobody else change the registry meanwhile.

        Raises:
            DataError: somebody else does.
        """
        return locked(
            self.folder / _LOCK, f"{self.folder} is in use: another training is going on; wait until it is done"
        )

    @property
    def lineage(self) -> tuple[Attempt, ...]:
        """All attempts, the newest last."""
        path = self.folder / LINEAGE
        if not path.exists():
            return ()
        attempts = []
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    attempts.append(Attempt.from_dict(json.loads(line)))
                except (ValueError, TypeError, KeyError) as error:
                    raise DataError(
                        f"{path}, line {number}: no attempt can be read there ({type(error).__name__}); mend the line, "
                        "or take it out"
                    ) from error
        return tuple(attempts)

    @property
    def in_place(self) -> str | None:
        """Name of the run in place; None: there is none.

        Raises:
            DataError: the link leads nowhere, or out of the registry.
        """
        served = self.folder / SERVED
        if not served.is_symlink():
            return None
        run = served.resolve()
        if run.parent != self.folder.resolve() or not (run / METRICS).exists():
            raise DataError(
                f"{served} leads to {run}, which is no finished run of the registry; set or remove the link"
            )
        return run.name

    def run(self, name: str) -> Path:
        """Return the directory of a run."""
        return self.folder / name

    def next_name(self) -> str:
        """Return the name of the next run; what an interrupted training left there is replaced."""
        present = self.in_place
        taken = [*(attempt.run for attempt in self.lineage), *([] if present is None else [present])]
        return f"{max([0, *(int(name) for name in taken if name.isdecimal())]) + 1:04}"

    def put(self, name: str) -> None:
        """Put a run in place, in one step."""
        link = self.folder / f".{SERVED}.{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(name)
        link.replace(self.folder / SERVED)

    def record(self, attempt: Attempt) -> Attempt:
        """Add a line to the record."""
        lines = [json.dumps(each.to_dict(), ensure_ascii=False) for each in (*self.lineage, attempt)]
        write_text(self.folder / LINEAGE, "".join(f"{line}\n" for line in lines))
        return attempt

    def before(self, name: str | None) -> str | None:
        """Return the run that was in place before one and is still there; None: there is none."""
        earlier = [attempt.former for attempt in self.lineage if attempt.run == name and attempt.outcome == "in place"]
        found = earlier[-1] if earlier else None
        return found if found is not None and (self.run(found) / METRICS).exists() else None

    def prune(self, keep: int) -> list[str]:
        """Remove the directories of the oldest runs beyond `keep`, never that in place or the one before it."""
        needed = {self.in_place, self.before(self.in_place)}
        runs = [path.name for path in self.folder.iterdir() if path.name.isdecimal() and path.is_dir()]
        runs.sort(key=int)
        gone = [name for name in runs[: max(0, len(runs) - keep)] if name not in needed]
        for name in gone:
            shutil.rmtree(self.run(name))
        return gone
