"""Spliced users: two real histories joined at a moment of the user's own. The drift is planted, the events are real."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from recsys.data.interactions import Interactions
from recsys.data.vocabulary import Vocabulary
from recsys.errors import ConfigError, DataError
from recsys.types import Doubles, Ints
from recsys.worlds.drift import Kind

_DIMENSIONS = 16
_SHUFFLES = 20


@final
@dataclass(frozen=True, eq=False)
class SplicedUsers:
    """A log of spliced and untouched users, and the truth behind it.

    User numbers 0 .. pairs-1 are spliced, pairs .. 2 pairs-1 are the controls. No event of the source comes twice.

    Attributes:
        log: spliced users have the id "a+b", controls their own, as text; items are those of the source.
        kind: "users", int64, `Kind.ABRUPT` where spliced, `Kind.STABLE` for controls.
        changed_at: "users", int64, position in the history of the first event of B; -1 for controls.
        first_length: "users", int64, events from A, or of the control.
        second_length: "users", int64, events from B; 0 for controls.
        first: "users", int64, number of A, or of the control, in the source's vocabulary.
        second: "users", int64, number of B in the source's vocabulary; -1 for controls.
        source: "events", int64, position in the source of each event.
    """

    log: Interactions
    kind: Ints
    changed_at: Ints
    first_length: Ints
    second_length: Ints
    first: Ints
    second: Ints
    source: Ints


def splice_users(
    log: Interactions,
    seed: int = 0,
    *,
    pairs: int | None = None,
    minimum_events: int = 20,
    maximum_cosine: float | None = None,
) -> SplicedUsers:
    """Join histories of two real users, and keep as many untouched ones as controls.

    ```
    user A      a a a a a a|a a a a          cut drawn uniformly between minimum_events and the last event
    user B      b b x b b b b b              x: an item that is already in A's part
    user a+b    a a a a a a|b b b b b b b    B's first event takes the time of A's first that is cut off
    control c   c c c c c c c c c c          as it is
                            ^ changed_at
    ```

    B's times are shifted by one constant, so all gaps but those at dropped events are real. Where A's events beside the
    cut have equal times, B begins one tick later, the greatest common divisor of all differences of times in the log;
    on the clock "order" the times of a new user are its positions. A, B and the controls are disjoint random users of
    those with more than `minimum_events` events. B's events no longer lie at their true date, so what depends on the
    date (recent popularity, a split at one moment for all) means less on the result.

    Args:
        log: a log with the clock "seconds", "period" or "order".
        seed: of the pairs, the cuts and the controls.
        pairs: spliced users, and controls; None: as many as there are users for.
        minimum_events: fewest events of either part and, plus one, of a control.
        maximum_cosine: keep pairs only if the cosine of their tastes is at most this; None: any random pair. A taste is
            a row of `taste_vectors`; on real logs the median of random pairs is between 0 and .25, so 0 keeps the
            pairs that differ more than most.

    Raises:
        ConfigError: a setting is out of range, or there are not so many pairs.
        DataError: the log has no clock.
    """
    _check(log, pairs, minimum_events, maximum_cosine)
    rng = np.random.default_rng(seed)
    counts = np.diff(log.indptr)
    able = rng.permutation(np.flatnonzero(counts > minimum_events))
    first, second, controls = able[: 3 * (len(able) // 3)].reshape(3, -1)
    if maximum_cosine is not None and len(first):
        first, second = _unlike(first, second, taste_vectors(log, seed), maximum_cosine, rng)
    cut = rng.integers(minimum_events, counts[first])
    pair, event, from_second = _joined(log, first, second, cut)
    fits = np.bincount(pair[from_second], minlength=len(first)) >= minimum_events
    made = np.flatnonzero(fits)[:pairs]
    if len(made) < (pairs or 1):
        raise ConfigError(
            f"splice_users: only {len(made)} pairs of {log.name} fit, not {pairs or 1}; lower pairs or minimum_events "
            f"({minimum_events}), or raise maximum_cosine ({maximum_cosine})"
        )
    new_number = np.full(len(first), -1)
    new_number[made] = np.arange(len(made))
    kept = new_number[pair] >= 0
    pair, event, from_second = new_number[pair[kept]], event[kept], from_second[kept]
    first, second, cut, controls = first[made], second[made], cut[made], controls[: len(made)]
    owner, untouched = _events(log, controls, counts[controls])
    user, source = np.concatenate([pair, len(made) + owner]), np.concatenate([event, untouched])
    time = log.time[source].copy()
    time[: len(pair)][from_second] += _shifts(log, first, cut, pair[from_second], event[from_second])
    lengths = np.bincount(user)
    if log.clock == "order":
        time = np.arange(len(user)) - (np.cumsum(lengths) - lengths)[user]
    none = np.full(len(made), -1)
    first_length = np.concatenate([cut, counts[controls]])
    return SplicedUsers(
        Interactions(
            user.astype(np.int32),
            log.item_num[source],
            log.value[source],
            time,
            _names(log.users, first, second, controls),
            log.items,
            log.metadata,
            log.clock,
            f"{log.name}-spliced",
        ),
        np.repeat(np.array([Kind.ABRUPT, Kind.STABLE], dtype=np.int64), len(made)),
        np.concatenate([cut, none]),
        first_length,
        lengths - first_length,
        np.concatenate([first, controls]),
        np.concatenate([second, none]),
        source,
    )


def _check(log: Interactions, pairs: int | None, minimum_events: int, maximum_cosine: float | None) -> None:
    if log.clock == "none":
        raise DataError(
            f"{log.name} has no clock, so no history can follow another; splice a log with times or an order"
        )
    if minimum_events < 1:
        raise ConfigError(f"splice_users: minimum_events is {minimum_events}; it must be at least 1")
    if pairs is not None and pairs < 1:
        raise ConfigError(f"splice_users: pairs is {pairs}; it must be at least 1, or None for all there are")
    if maximum_cosine is not None and not -1 <= maximum_cosine <= 1:
        raise ConfigError(f"splice_users: maximum_cosine is {maximum_cosine}; it must lie between -1 and 1")


def taste_vectors(log: Interactions, seed: int = 0) -> Doubles:
    """Return "users dimensions": the tastes of users, for cosines, without what popularity and activity explain.

    With X the "users items" matrix of ones, D_u and D_i the diagonal matrices of its row and column sums, each sum plus
    their mean, the rows are those of U S in

        D_u^(-1/2) X D_i^(-1/2) = U S V'

    less the first column, which is activity and has the same sign for all. It is correspondence analysis (Greenacre
    1984, chapter 4) with the regularised degrees of Chaudhuri, Chung and Tsiatas (2012), without which the dimensions
    go to a few rare items of a few users. At most 16 dimensions; users without events get zeros.

    Raises:
        ConfigError: fewer than 4 users or items; tastes cannot be told apart.
    """
    if min(log.n_users, log.n_items) < 4:
        raise ConfigError(f"{log.name} has {log.n_users} users and {log.n_items} items; tastes need 4 of each")
    matrix = log.matrix().astype(np.float64)
    of_user, of_item = (np.asarray(matrix.sum(axis=axis)).ravel() for axis in (1, 0))
    of_user, of_item = (np.maximum(sums + sums.mean(), 1) ** -0.5 for sums in (of_user, of_item))
    scaled = sp.diags(of_user) @ matrix @ sp.diags(of_item)
    size = min(_DIMENSIONS + 1, min(matrix.shape) - 1)
    # The start decides the last digits, so it has a seed too.
    start = np.random.default_rng(seed).random(min(matrix.shape))
    vectors, strength, _ = svds(scaled, k=size, v0=start)
    order = np.argsort(-strength)[1:]
    tastes: Doubles = vectors[:, order] * strength[order]
    return tastes


def _unlike(first: Ints, second: Ints, tastes: Doubles, most: float, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Pair anew, again and again, those whose cosine is above `most`; leave out those that stay so."""
    size = np.maximum(np.linalg.norm(tastes, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    unit, second = tastes / size, second.copy()
    for attempt in range(_SHUFFLES + 1):
        alike = np.flatnonzero((unit[first] * unit[second]).sum(1) > most)
        if not len(alike) or attempt == _SHUFFLES:
            break
        second[alike] = second[rng.permutation(alike)]
    apart = np.setdiff1d(np.arange(len(first)), alike)
    return first[apart], second[apart]


def _events(log: Interactions, users: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """For the first `lengths` events of each of `users`: the row in `users`, and the position in the log."""
    row = np.repeat(np.arange(len(users)), lengths)
    position = np.arange(len(row)) - (np.cumsum(lengths) - lengths)[row]
    return row, log.indptr[users][row] + position


def _joined(log: Interactions, first: Ints, second: Ints, cut: Ints) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
    """ "events" of all pairs, in order: number of the pair, position in the log, whether it is B's."""
    before, old = _events(log, first, cut)
    after, new = _events(log, second, np.diff(log.indptr)[second])
    known = np.isin(after * log.n_items + log.item_num[new], before * log.n_items + log.item_num[old])
    after, new = after[~known], new[~known]
    pair = np.concatenate([before, after])
    order = np.argsort(pair, kind="stable")
    from_second = np.arange(len(pair)) >= len(before)
    return pair[order], np.concatenate([old, new])[order], from_second[order]


def _shifts(log: Interactions, first: Ints, cut: Ints, pair: Ints, event: Ints) -> Ints:
    """What is added to the times of B's events, which are given by their pair and their position in the log."""
    tick = max(int(np.gcd.reduce(log.time - log.time.min())), 1)
    at_cut = log.indptr[first] + cut
    begin = np.maximum(log.time[at_cut], log.time[at_cut - 1] + tick)
    _, heads = np.unique(pair, return_index=True)
    shifts: Ints = (begin - log.time[event[heads]])[pair]
    return shifts


def _names(users: Vocabulary, first: Ints, second: Ints, controls: Ints) -> Vocabulary:
    joined = [f"{a}+{b}" for a, b in zip(users.ids[first], users.ids[second], strict=True)]
    return Vocabulary(np.array([*joined, *users.ids[controls]], dtype=object))
