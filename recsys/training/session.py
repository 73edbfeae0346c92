"""Circumstances of a fit: logging, resuming, device."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from recsys.checks import whole
from recsys.errors import ConfigError, nearest

ACCELERATORS = ("auto", "cpu", "gpu")
"""The devices that a model may be trained on; "auto" takes a GPU where there is one."""

STRATEGIES = ("auto", "ddp")
"""How several devices train one model: "ddp" is Lightning's data-parallel training, and "auto" where there are several.
"""

CHECKPOINT = "last.ckpt"
"""The file in a session's directory from which an interrupted training goes on; models in closed form write none."""


@final
@dataclass(frozen=True)
class Session:
    """Circumstances of one fit, which do not change its result, but for rounding where there are several devices.

    With several devices or nodes Lightning starts the running program again for each. All do the same up to the end of
    the fit; what follows is for the first alone (`is_first`).

    Attributes:
        directory: checkpoints and logs are written below it; nothing is written when None.
        resume: continue from `directory`'s last checkpoint when there is one.
        progress: show a progress bar.
        accelerator: "auto", "cpu" or "gpu".
        devices: GPUs of each machine that share every batch; processes, on a CPU.
        strategy: "auto" or "ddp".
        nodes: machines, on each of which the program is started.

    Raises:
        ConfigError: there is no such accelerator or strategy, no GPU that can be used, fewer GPUs than devices, or
            fewer than one device or node.
    """

    directory: Path | None = None
    resume: bool = False
    progress: bool = False
    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"
    nodes: int = 1

    def __post_init__(self) -> None:
        whole("devices", self.devices)
        whole("nodes", self.nodes)
        if self.strategy not in STRATEGIES:
            hint = nearest(str(self.strategy), STRATEGIES)
            raise ConfigError(f"strategy is {self.strategy!r}; it must be one of {', '.join(STRATEGIES)}{hint}")
        if self.accelerator not in ACCELERATORS:
            hint = nearest(str(self.accelerator), ACCELERATORS)
            raise ConfigError(f"accelerator is {self.accelerator!r}; it must be one of {', '.join(ACCELERATORS)}{hint}")
        if self.accelerator == "gpu" or self.devices > 1:
            import torch  # noqa: PLC0415 (a command line that trains nothing needs none)

            gpus = torch.cuda.device_count() if self.accelerator != "cpu" else 0
            if 0 < gpus < self.devices:
                raise ConfigError(
                    f"devices is {self.devices}, and PyTorch can use {gpus} GPU of this machine; give at most {gpus}, "
                    "or train on the CPU with accelerator 'cpu'"
                )
            mps = torch.backends.mps.is_available()
            if self.accelerator == "gpu" and not (gpus or mps):
                raise ConfigError(
                    "accelerator is 'gpu', and this machine has none that PyTorch can use; use 'cpu', or install "
                    "PyTorch with support of the GPU"
                )

    @property
    def is_parallel(self) -> bool:
        """Whether several processes may train together."""
        return self.devices > 1 or self.nodes > 1 or self.strategy == "ddp"

    @property
    def alone(self) -> Session:
        """The same for what one process does by itself, without checkpoints."""
        return replace(self, directory=None, devices=1, strategy="auto", nodes=1)

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that evaluates and writes."""
        ranks = ("RANK",) if "RANK" in os.environ else ("NODE_RANK", "LOCAL_RANK", "SLURM_PROCID")
        return not self.is_parallel or all(os.environ.get(rank, "0") == "0" for rank in ranks)


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
