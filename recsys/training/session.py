"""Circumstances of a fit: logging, resuming, device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final


@final
@dataclass(frozen=True)
class Session:
    """Circumstances of one fit, which do not change its result.

    Attributes:
        directory: checkpoints and logs are written below it; nothing is written when None.
        resume: continue from `directory`'s last checkpoint when there is one.
        progress: show a progress bar.
        accelerator: "auto", "cpu", "gpu", as Lightning's `Trainer` takes it.
    """

    directory: Path | None = None
    resume: bool = False
    progress: bool = False
    accelerator: str = "auto"


@final
@dataclass(frozen=True)
class Effort:
    """Work and time of a fit.

    Attributes:
        epochs: passes over the training data.
        examples: positives presented in all.
        seconds: wall-clock time of the fit.
    """

    epochs: int
    examples: int
    seconds: float
