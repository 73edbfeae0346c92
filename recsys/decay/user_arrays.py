"""Arrays with one row per user, and the committed copy that a rule of forgetting is reset to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]


@final
class UserArrays:
    """What a rule learned of each user: arrays by name, with a row per user.

    A last row that nothing is ever added to stands for unknown users (-1).

    Args:
        initial: the row of a user of whom nothing is learned, by name; its dtype is that of the array.
        n_users: number of users.
    """

    def __init__(self, initial: Arrays, n_users: int) -> None:
        self._initial = initial
        self._arrays = {name: np.repeat(row[None], n_users + 1, axis=0) for name, row in initial.items()}
        self._committed = self.copy()

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self._arrays[name]

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(next(iter(self._arrays.values()))) - 1

    @property
    def bytes_per_user(self) -> int:
        """Bytes of the row of a user in all arrays."""
        return sum(row.nbytes for row in self._initial.values())

    def row(self, user: int) -> bytes:
        """Return what was learned of one user, as bytes from which `put_row` restores it bit for bit."""
        return b"".join(array[user].tobytes() for array in self._arrays.values())

    def put_row(self, user: int, row: bytes) -> None:
        """Take back what `row` returned.

        Raises:
            ValueError: it is of another length.
        """
        if len(row) != self.bytes_per_user:
            raise ValueError(f"the state of a user has {len(row)} bytes instead of {self.bytes_per_user}")
        first = 0
        for name, initial in self._initial.items():
            array = self._arrays[name]
            array[user] = np.frombuffer(row, array.dtype, initial.size, first).reshape(initial.shape)
            first += initial.nbytes

    def reset_row(self, user: int) -> None:
        """Return one user to the last `commit`."""
        for name, array in self._arrays.items():
            array[user] = self._committed[name][user]

    def copy(self) -> Arrays:
        """Return copies of the arrays by name."""
        return {name: array.copy() for name, array in self._arrays.items()}

    def clear(self) -> None:
        """Forget all users."""
        for name, array in self._arrays.items():
            array[:] = self._initial[name]

    def commit(self) -> None:
        """Make the arrays what `reset` returns to."""
        self._committed = self.copy()

    def reset(self) -> None:
        """Return to the last `commit`."""
        self._arrays = self._committed
        self.commit()

    def extend(self, n_users: int) -> None:
        """Make room for more users, in the committed copy too; never shrinks."""
        more = max(n_users - self.n_users, 0)
        for arrays in (self._arrays, self._committed):
            for name, array in arrays.items():
                rows = np.repeat(self._initial[name][None], more, axis=0)
                arrays[name] = np.concatenate([array[:-1], rows, array[-1:]])

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take the arrays from what `copy` returned, which may have another number of users."""
        self._arrays = {name: state[name].copy() for name in self._initial}
