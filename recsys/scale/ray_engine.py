"""The adapter to Ray. The only module that imports it."""

from __future__ import annotations

import logging
import os
import shutil
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, final
from uuid import uuid4

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody, unless the user asks for it
os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "600")  # busy machines take more than its minute

import ray
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayTaskError,
    WorkerCrashedError,
)

from recsys.errors import RecsysError
from recsys.scale.engine import Engine, Result, Say

_TRIES: Final = 4
"""Times that a piece is begun before it is given up."""

_LOST: Final = (WorkerCrashedError, NodeDiedError, ObjectLostError, OutOfMemoryError)
"""What a piece ends with whose worker, machine or result is gone."""


@final
class RayEngine(Engine):
    """Pieces are tasks of one processor each, and their results come back through Ray's object store.

    As many tasks as there are workers are begun before the earliest is done with, so that the results that wait are
    no more than that.

    Args:
        workers: tasks at a time; None: one for each processor.
        say: called with a line when a piece is repeated.
    """

    def __init__(self, workers: int | None, say: Say) -> None:
        self._say = say
        self._ours = not ray.is_initialized()
        if self._ours:
            elsewhere = bool(os.environ.get("RAY_ADDRESS"))
            ray.init(
                num_cpus=None if elsewhere else workers,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        super().__init__(workers or max(1, int(ray.cluster_resources().get("CPU", 1))))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ours:
            ray.shutdown()

    def map(self, function: Callable[[Any], Any], pieces: Sequence[Any], what: str = "piece") -> Iterator[Any]:
        # Repeated here rather than by Ray, so that it can be told.
        task = ray.remote(num_cpus=1, max_retries=0)(_call)
        shared = ray.put(function)
        begun: deque[tuple[int, int, Any]] = deque()
        waiting = deque(range(len(pieces)))
        while begun or waiting:
            while waiting and len(begun) < self.workers:
                number = waiting.popleft()
                begun.append((number, 1, task.remote(shared, pieces[number])))
            number, tries, reference = begun.popleft()
            try:
                result = ray.get(reference)
            except _LOST as error:
                if tries == _TRIES:
                    raise RecsysError(
                        f"{what} {number} lost its worker {tries} times ({_first_line(error)}); a piece that needs "
                        "more memory than its machine has ends like this: make smaller parts, or use fewer workers"
                    ) from error
                line = f"{what} {number} lost its worker ({type(error).__name__}) and is repeated"
                self.repeated.append(line)
                self._say(line)
                begun.appendleft((number, tries + 1, task.remote(shared, pieces[number])))
                continue
            except RayTaskError as error:
                raise error.cause from None
            del reference
            yield result
            del result  # before the next one is here

    def own(self, pieces: int) -> range:
        return range(0)

    def together(self, function: Callable[[Engine], Result], most: int, folder: Path) -> Result:
        processors = max(1, int(ray.cluster_resources().get("CPU", 1)))
        processes = min(self.workers, most, processors)  # more would wait for a processor, and the others for them
        for tries in range(1, _TRIES + 1):
            try:
                return _trained(function, processes, folder.resolve())
            except _LostError as error:
                if tries == _TRIES:
                    raise RecsysError(
                        f"training lost a worker {tries} times ({error}); a worker that needs more memory than its "
                        "machine has ends like this: use more machines, or fewer workers"
                    ) from error
                line = f"training lost a worker of {processes} ({error}) and goes on from its last checkpoint"
                self.repeated.append(line)
                self._say(line)
        raise AssertionError


class _LostError(Exception):
    """A process of several that talk to each other is gone; the message has what Ray saw."""


def _trained(function: Callable[[Engine], Result], processes: int, folder: Path) -> Result:
    """Call a function in several processes of Ray Train.

    Raises:
        What the function raises, if it is one of our errors; else _LostError, as others fail when one is gone.
    """
    name = f".ray-{uuid4().hex}"  # Ray checks that all machines see this folder
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Ray in Ray
        from ray.train import RunConfig, ScalingConfig, WorkerGroupError  # noqa: PLC0415 (two seconds to import)
        from ray.train.torch import TorchTrainer  # noqa: PLC0415

        try:
            trainer = TorchTrainer(
                _together,
                train_loop_config={"function": function},
                scaling_config=ScalingConfig(num_workers=processes),
                run_config=RunConfig(name=name, storage_path=str(folder)),
            )
            result: Result = trainer.fit().return_value
            return result
        except WorkerGroupError as error:
            failures = [getattr(each, "_base_exc", each) for each in error.worker_failures.values()]
            for failure in failures:
                if isinstance(failure, RecsysError):
                    raise failure from None
            raise _LostError(", ".join(sorted({type(failure).__name__ for failure in failures}))) from error
        finally:
            shutil.rmtree(folder / name, ignore_errors=True)


def _together(config: dict[str, Callable[[Engine], Any]]) -> Any:  # noqa: ANN401 - of any type
    """Call a function in a process that Ray Train has started."""
    # Lightning knows by this that processes are there already, and reads their numbers as those of `torchrun`.
    os.environ["TORCHELASTIC_RUN_ID"] = "ray"
    from recsys.scale.group import Group  # noqa: PLC0415 (needs torch)

    return config["function"](Group())


def _call(function: Callable[[Any], Any], piece: Any) -> Any:  # noqa: ANN401 - of any type
    return function(piece)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
