"""Splices two real histories into one user, for real events with planted drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from recsys.data.interactions import Interactions
from recsys.data.vocabulary import Vocabulary
from recsys.errors import ConfigError, DataError
from recsys.types import Doubles, Ints, Mask
from recsys.worlds.drift import Kind

_DIMENSIONS = 16
_SHUFFLES = 20


@final
@dataclass(frozen=True, eq=False)
class SplicedUsers:
    """A log of spliced users and controls, and the truth behind it.

    User numbers 0 .. pairs-1 are spliced, pairs .. 2 pairs-1 are the controls. No event of the source occurs twice.

    Attributes:
        log: ids are "a+b" for spliced users, and the text of the source's id for controls; items as in the source.
        kind: "users", int64, `Kind.ABRUPT` for spliced users, `Kind.STABLE` for controls.
        changed_at: "users", int64, position in the history of the first event of B; -1 for controls.
        first: "users", int64, number of A, or of the control, in the source's vocabulary.
        second: "users", int64, number of B in the source's vocabulary; -1 for controls.
        source: "events", int64, position in the source of each event.
    """

    log: Interactions
    kind: Ints
    changed_at: Ints
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
    """Join histories of two real users each, and take as many other users as controls.

    ```
    user A      a a a a a a|a a a a          cut drawn uniformly between minimum_events and the last event
    user B      b b x b b b b b              x: an item that is already in A's part
    user a+b    a a a a a a|b b b b b b b    B's first event takes the time of A's first that is cut off
    control c   c c c c c c c c c c          unchanged
                            ^ changed_at
    ```

    B's times are shifted by one constant, so all gaps but those at dropped events are real. If A's events at the cut
    have equal times, B begins one tick later, the greatest common divisor of all differences of times in the log; with
    the clock "order" times are positions. A, B and the controls are disjoint random users with more than
    `minimum_events` events. B's events are not at their true dates, so methods that depend on dates (recent popularity,
    a global temporal split) mean less on the result.

    Args:
        log: a log with the clock "seconds", "period" or "order".
        seed: of the pairs, the cuts and the controls.
        pairs: number of spliced users, and of controls; None: as many as possible.
        minimum_events: minimum number of events of either part and, plus one, of a control.
        maximum_cosine: keep pairs only if the cosine of their tastes is at most this; None: any random pair. A taste is
            a row of `taste_vectors`; on real logs the median of random pairs is between 0 and .25, so 0 selects pairs
            that differ more than most.

    Raises:
        ConfigError: a setting is out of range, or there are fewer pairs.
        DataError: the log has no clock.
    """
    _check(log, pairs, minimum_events, maximum_cosine)
    rng = np.random.default_rng(seed)
    counts = np.diff(log.indptr)
    active = rng.permutation(np.flatnonzero(counts > minimum_events))
    first, second, controls = active[: 3 * (len(active) // 3)].reshape(3, -1)
    if maximum_cosine is not None and len(first):
        first, second = _dissimilar(first, second, taste_vectors(log, seed), maximum_cosine, rng)
    cut = rng.integers(minimum_events, counts[first])
    pair, event, from_second = _joined(log, first, second, cut)
    long = np.bincount(pair[from_second], minlength=len(first)) >= minimum_events
    chosen = np.flatnonzero(long)[:pairs]
    if len(chosen) < (pairs or 1):
        raise ConfigError(
            f"splice_users: only {len(chosen)} pairs of {log.name} fit, not {pairs or 1}; lower pairs or "
            f"minimum_events ({minimum_events}), or raise maximum_cosine ({maximum_cosine})"
        )
    new_number = np.full(len(first), -1)
    new_number[chosen] = np.arange(len(chosen))
    keep = new_number[pair] >= 0
    pair, event, from_second = new_number[pair[keep]], event[keep], from_second[keep]
    first, second, cut, controls = first[chosen], second[chosen], cut[chosen], controls[: len(chosen)]
    owner, unchanged = _events(log, controls, counts[controls])
    user, source = np.concatenate([pair, len(chosen) + owner]), np.concatenate([event, unchanged])
    time = log.time[source].copy()
    time[: len(pair)][from_second] += _shifts(log, first, cut, pair[from_second], event[from_second])
    if log.clock == "order":
        lengths = np.bincount(user)
        time = np.arange(len(user)) - (np.cumsum(lengths) - lengths)[user]
    none = np.full(len(chosen), -1)
    ids = log.users.ids
    names = [f"{a}+{b}" for a, b in zip(ids[first], ids[second], strict=True)]
    return SplicedUsers(
        Interactions(
            user.astype(np.int32),
            log.item_num[source],
            log.value[source],
            time,
            Vocabulary(np.array([*names, *ids[controls]], dtype=object)),
            log.items,
            log.metadata,
            log.clock,
            f"{log.name}-spliced",
            None if log.kinds is None else log.kinds[source],
        ),
        np.repeat(np.array([Kind.ABRUPT, Kind.STABLE], dtype=np.int64), len(chosen)),
        np.concatenate([cut, none]),
        np.concatenate([first, controls]),
        np.concatenate([second, none]),
        source,
    )


def _check(log: Interactions, pairs: int | None, minimum_events: int, maximum_cosine: float | None) -> None:
    if log.clock == "none":
        raise DataError(f"{log.name} has no clock to join histories by; splice a log with times or an order")
    if minimum_events < 1:
        raise ConfigError(f"splice_users: minimum_events is {minimum_events}; it must be at least 1")
    if pairs is not None and pairs < 1:
        raise ConfigError(f"splice_users: pairs is {pairs}; it must be at least 1, or None for all there are")
    if maximum_cosine is not None and not -1 <= maximum_cosine <= 1:
        raise ConfigError(f"splice_users: maximum_cosine is {maximum_cosine}; it must lie between -1 and 1")


def taste_vectors(log: Interactions, seed: int = 0) -> Doubles:
    """Return "users dimensions": the tastes of users, for cosines, adjusted for popularity and activity.

    With X the "users items" matrix of ones, D_u and D_i the diagonal matrices of its row and column sums, each sum plus
    their mean, the rows are those of U S in

        D_u^(-1/2) X D_i^(-1/2) = U S V'

    less the first column, which is activity and has the same sign for all. It is correspondence analysis (Greenacre
    1984, chapter 4) with the regularised degrees of Chaudhuri, Chung and Tsiatas (2012), without which a few rare items
    of a few users dominate the dimensions. At most 16 dimensions; zeros for users without events.

    Raises:
        ConfigError: fewer than 4 users or items.
    """
    if min(log.n_users, log.n_items) < 4:
        raise ConfigError(f"{log.name} has {log.n_users} users and {log.n_items} items; tastes need 4 of each")
    matrix = log.matrix().astype(np.float64)
    of_user, of_item = (np.asarray(matrix.sum(axis=axis)).ravel() for axis in (1, 0))
    of_user, of_item = (np.maximum(sums + sums.mean(), 1) ** -0.5 for sums in (of_user, of_item))
    scaled = sp.diags(of_user) @ matrix @ sp.diags(of_item)
    size = min(_DIMENSIONS + 1, min(matrix.shape) - 1)
    # The start vector determines the last digits, so it is seeded.
    start = np.random.default_rng(seed).random(min(matrix.shape))
    vectors, strength, _ = svds(scaled, k=size, v0=start)
    order = np.argsort(-strength)[1:]
    return np.asarray(vectors[:, order] * strength[order])


def _dissimilar(first: Ints, second: Ints, tastes: Doubles, most: float, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Shuffle the pairs with a cosine above `most` a few times; leave out those still above."""
    size = np.maximum(np.linalg.norm(tastes, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    unit, second = tastes / size, second.copy()
    for attempt in range(_SHUFFLES + 1):
        similar = np.flatnonzero((unit[first] * unit[second]).sum(1) > most)
        if not len(similar) or attempt == _SHUFFLES:
            break
        second[similar] = second[rng.permutation(similar)]
    rest = np.setdiff1d(np.arange(len(first)), similar)
    return first[rest], second[rest]


def _events(log: Interactions, users: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """Return the row in `users` and the position in the log of the first `lengths` events of each of `users`."""
    row = np.repeat(np.arange(len(users)), lengths)
    position = np.arange(len(row)) - (np.cumsum(lengths) - lengths)[row]
    return row, log.indptr[users][row] + position


def _joined(log: Interactions, first: Ints, second: Ints, cut: Ints) -> tuple[Ints, Ints, Mask]:
    """ "events" of all pairs, in order: number of the pair, position in the log, whether it is B's."""
    before, old = _events(log, first, cut)
    after, new = _events(log, second, np.diff(log.indptr)[second])
    repeated = np.isin(after * log.n_items + log.item_num[new], before * log.n_items + log.item_num[old])
    after, new = after[~repeated], new[~repeated]
    pair = np.concatenate([before, after])
    order = np.argsort(pair, kind="stable")
    from_second = np.arange(len(pair)) >= len(before)
    return pair[order], np.concatenate([old, new])[order], from_second[order]


def _shifts(log: Interactions, first: Ints, cut: Ints, pair: Ints, event: Ints) -> Ints:
    """Return the shift of the time of each of B's events, given by their pair and their position in the log."""
    tick = max(int(np.gcd.reduce(log.time - log.time.min())), 1)
    at_cut = log.indptr[first] + cut
    begin = np.maximum(log.time[at_cut], log.time[at_cut - 1] + tick)
    _, heads = np.unique(pair, return_index=True)
    return np.asarray((begin - log.time[event[heads]])[pair])
