"""Garbage of the service, looked for a little at a time, so that nobody waits for all of it."""

from __future__ import annotations

import gc
from typing import Final, final

_YOUNG: Final = 16
"""Answers from one look at all that is young to the next; in between only what the last one made is looked at."""

_FULL: Final = 10_000
"""Looks at all that is young from one at everything to the next: that takes a tenth of a second."""


@final
class Garbage:
    """Python's search for objects that only know each other, in many small steps.

    Python begins a search when 700 objects more have been made than freed. A service that keeps lists frees about as
    many old ones as it makes, so that number is reached once in a hundred answers, and then tens of thousands of young
    objects are looked through: 5 to 25 ms in which nobody is answered. Looking after every answer takes .05.
    """

    def __init__(self) -> None:
        self._looked = 0

    def prepare(self) -> None:
        """Put what is there aside for good: to look through the libraries again and again takes longer than an answer.

        What is kept of users is renewed all the time, so that a quarter of all is new every few seconds, after which
        Python would look through everything by itself: that is left to `look`.
        """
        gc.collect()
        gc.freeze()
        young, middle, _ = gc.get_threshold()
        gc.set_threshold(young, middle, _FULL)

    def look(self) -> None:
        """Look through what has been made since the last look: to be called after every answer."""
        self._looked += 1
        if self._looked % _YOUNG:
            gc.collect(0)
        else:
            gc.collect(1 if self._looked % (_YOUNG * _FULL) else 2)
