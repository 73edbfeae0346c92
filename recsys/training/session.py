"""Circumstances of a fit: logging, resuming, device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

from recsys.errors import ConfigError, nearest

ACCELERATORS = ("auto", "cpu", "gpu")
"""The devices that a model may be trained on; "auto" takes a GPU where there is one."""

CHECKPOINT = "last.ckpt"
"""The file in a session's directory from which an interrupted training goes on; models in closed form write none."""


@final
@dataclass(frozen=True)
class Session:
    """Circumstances of one fit, which do not change its result.

    Attributes:
        directory: checkpoints and logs are written below it; nothing is written when None.
        resume: continue from `directory`'s last checkpoint when there is one.
        progress: show a progress bar.
        accelerator: "auto", "cpu" or "gpu".

    Raises:
        ConfigError: there is no such accelerator, or no GPU that can be used.
    """

    directory: Path | None = None
    resume: bool = False
    progress: bool = False
    accelerator: str = "auto"

    def __post_init__(self) -> None:
        if self.accelerator not in ACCELERATORS:
            hint = nearest(str(self.accelerator), ACCELERATORS)
            raise ConfigError(f"accelerator is {self.accelerator!r}; it must be one of {', '.join(ACCELERATORS)}{hint}")
        if self.accelerator == "gpu":
            import torch  # noqa: PLC0415 (a command line that trains nothing needs none)

            if not (torch.cuda.is_available() or torch.backends.mps.is_available()):
                raise ConfigError(
                    "accelerator is 'gpu', and this machine has none that PyTorch can use; use 'cpu', or install "
                    "PyTorch with support of the GPU"
                )


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
