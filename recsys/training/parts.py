"""One network trained on the parts of a log; the result does not depend on which process holds which part.

A loss is a function of sums over the rows of a batch (`recsys.training.shares`), so that its gradient is a sum, too:

    T_i = sum_p s_pi,   loss = L(T),   gradient = sum_p sum_i (dL / dT_i) (ds_pi / dtheta)      over the parts p

Each part is worked on by itself, and what is rounded is rounded within a part. T is added in the order of the parts.
Gradients are added as whole multiples of 2^-36, whose sums are the same in any order and however parts are dealt to
processes; the gradients of a mean that are below it do not move Adam, which adds 1e-8 to their root mean square.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor, nn

from recsys.errors import RecsysError
from recsys.training.shares import Share
from recsys.training.trainable import LossAndParts, Trainable

_UNIT: Final = 2.0**-36
_LARGEST: Final = 2.0**26
"""Sums of gradients are less than this: 2^62 units, which int64 holds."""

_NOBODY: Final = Share(2**62 - 1, 2**62)
"""The rows of a process that has none of any batch."""


@final
class Parts(Trainable):
    """A network trained on parts of a log: every batch has a slice of each part, in an order of the part's own.

    So batches, and what is random, do not depend on the processes, all of which make the same calls.

    Args:
        tasks: the parts that this process holds, by number; at least one. They train the same modules.
        count: of parts, in all processes.
        network: the modules that are trained.
        batch_size: rows of all parts per step.
    """

    def __init__(
        self, tasks: Mapping[int, Trainable], count: int, network: Sequence[nn.Module], batch_size: int
    ) -> None:
        super().__init__(batch_size, 0)
        self._tasks = dict(tasks)
        self._count = count
        self.network = nn.ModuleList(network)
        sizes = [(task.rows_per_epoch, task.examples_per_epoch) for task in tasks.values()]
        self._rows, self._examples = added(torch.tensor(sizes).sum(0)).tolist()
        for task in tasks.values():
            task.steps = self.steps_per_epoch

    @property
    def rows_per_epoch(self) -> int:
        return int(self._rows)

    @property
    def examples_per_epoch(self) -> int:
        return int(self._examples)

    def loss(self, epoch: int, step: int) -> LossAndParts:
        own = {}
        for number, task in self._tasks.items():
            sums: list[Tensor] = []
            task.share = Share(add=_recorder(sums))
            task.loss(epoch, step)
            own[number] = sums
        totals = [total.requires_grad_() for total in self._totals(own)]
        # The loss of these sums: that of a process without rows, which has the same wherever it is.
        some, following = next(iter(self._tasks.values())), iter(totals)
        some.share = replace(_NOBODY, add=lambda _: next(following))
        loss, named = some.loss(epoch, step)
        slopes = torch.autograd.grad(loss, totals, allow_unused=True, materialize_grads=True)
        parameters = [each for each in self.parameters() if each.requires_grad]
        gradient = self._gradient(own.values(), slopes, parameters)
        detached = {name: value.detach() for name, value in named.items()}
        given: Tensor = _WithGradient.apply(loss.detach(), gradient, *parameters)  # type: ignore[no-untyped-call]
        return given, detached

    def _totals(self, own: Mapping[int, list[Tensor]]) -> Iterator[Tensor]:
        """Yield the sums of the whole batch."""
        like = next(iter(own.values()))
        sizes = [each.numel() for each in like]
        table = torch.zeros(self._count, sum(sizes), dtype=torch.float64, device=like[0].device)
        for number, sums in own.items():
            table[number] = torch.cat([each.detach().double().flatten() for each in sums])
        whole = added(table).sum(0)  # a row has one process alone
        for each, total in zip(like, torch.split(whole, sizes), strict=True):
            yield total.to(each.dtype).view_as(each)

    def _gradient(
        self, own: Iterable[list[Tensor]], slopes: Sequence[Tensor], parameters: list[nn.Parameter]
    ) -> list[Tensor]:
        """Return the gradient of the whole batch for each parameter."""
        totals = [torch.zeros_like(each, dtype=torch.int64) for each in parameters]
        for sums in own:
            learned = [(each, slope) for each, slope in zip(sums, slopes, strict=True) if each.requires_grad]
            outputs, weights = [each for each, _ in learned], [slope for _, slope in learned]
            found = torch.autograd.grad(outputs, parameters, weights, allow_unused=True)
            for total, each in zip(totals, found, strict=True):
                if each is not None:
                    total.add_(units(each, self._count))
        return [(added(total).double() * _UNIT).to(each.dtype) for total, each in zip(totals, parameters, strict=True)]

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Any:  # noqa: ANN401 - as torch has it
        # Tasks are no submodules, as a checkpoint has the network once, whoever holds which part; their data go along.
        for task in self._tasks.values():
            task._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


def added(own: Tensor) -> Tensor:
    """Return the sum over processes of a tensor, in place; the tensor itself where there is one."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(own)
    return own


def units(gradient: Tensor, count: int) -> Tensor:
    """Return a gradient, one of so many that are added, as whole multiples of 2^-36, int64.

    Raises:
        RecsysError: it is not finite, or too large.
    """
    largest = float(gradient.abs().max())
    if not largest < _LARGEST / count:
        raise RecsysError(f"the gradient has an entry of {largest:g}: training diverged; lower the learning_rate")
    return gradient.double().mul_(1 / _UNIT).round_().long()


def seed_of_part(seed: int, number: int) -> int:
    """Return the seed of what is drawn for a part."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _recorder(sums: list[Tensor]) -> Callable[[Tensor], Tensor]:
    """Return a function that appends its argument to a list and returns it."""

    def record(own: Tensor) -> Tensor:
        sums.append(own)
        return own

    return record


class _WithGradient(torch.autograd.Function):
    """A loss whose gradient is known."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradient: list[Tensor], *_: nn.Parameter) -> Tensor:  # noqa: ANN401
        ctx.gradient = gradient
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:  # noqa: ANN401
        return None, None, *(slope * each for each in ctx.gradient)
