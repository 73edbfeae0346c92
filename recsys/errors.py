"""Errors that a user can act on.

Every message states the value, its place and the cure. The command line prints it as one line and exits with code 2; a
traceback means a defect of the library.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RecsysError(Exception):
    """Base of every error caused by input, configuration or use; its message needs no traceback."""


class DataError(RecsysError):
    """A log, a dataset card or a split request is unusable. The text names file, line, value and cure."""


class ConfigError(RecsysError):
    """A configuration key or value is unknown or of the wrong type."""


class NotFittedError(RecsysError):
    """A model is used before `fit`."""


class CapabilityError(RecsysError):
    """A model cannot do what is required of it, for example fold in an unknown user."""


class BundleError(RecsysError):
    """A saved model is missing, truncated, altered or of an unknown format."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the closest known word, else an empty string.

    >>> nearest("learnin_rate", ["learning_rate", "epochs"])
    "; did you mean 'learning_rate'?"
    >>> nearest("EPOCHS", ["learning_rate", "epochs"])
    "; did you mean 'epochs'?"
    >>> nearest("zzz", ["epochs"])
    ''
    """
    words = list(known)
    folded = {other.casefold(): other for other in reversed(words)}
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    close = close or [folded[other] for other in difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.5)]
    return f"; did you mean {close[0]!r}?" if close else ""
