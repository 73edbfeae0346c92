"""The engines by name."""

from __future__ import annotations

from typing import Literal

from recsys.errors import ConfigError
from recsys.scale.engine import Engine, InProcess, Say

EngineName = Literal["local", "ray"]


def engine_of(name: EngineName, workers: int | None, say: Say = lambda _: None) -> Engine:
    """Return an engine, to be used as a context.

    Args:
        name: "local", this process; "ray", the cluster of RAY_ADDRESS, or else one on this machine.
        workers: pieces at a time; None: one for each processor.
        say: called with a line when a piece is repeated.

    Raises:
        ConfigError: the library is missing, or workers are given without an engine that has any.
    """
    if name == "local":
        if workers not in (None, 1):
            raise ConfigError(f"workers is {workers}, and the engine 'local' is one process; give --engine ray")
        return InProcess()
    try:
        from recsys.scale.ray_engine import RayEngine  # noqa: PLC0415 (an optional library)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"engine 'ray' needs {error.name}, which is not installed; pip install 'recsys[scale]'"
        ) from None
    return RayEngine(workers, say)
