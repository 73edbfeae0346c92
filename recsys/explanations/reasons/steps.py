"""Work in steps of a few milliseconds, between which whoever does it may do something else."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

Steps = Generator[None, None, T]
"""Does the work as it is iterated, and returns the result."""


def finished(steps: Steps[T]) -> T:
    """Do all steps that are left and return the result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
