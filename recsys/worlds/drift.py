"""Simulates users whose tastes drift, each at their own moment and pace, and records the truth."""

from __future__ import annotations

import sys
from dataclasses import astuple, dataclass, field
from enum import IntEnum
from typing import final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.errors import ConfigError
from recsys.types import DAY, Doubles, Ints
from recsys.worlds import simulation
from recsys.worlds.simulation import GENRES, START, YEAR, check_limits


@final
class Kind(IntEnum):
    """How a user's taste drifts; the drawing shows the active mixture of personas, A or B (C, D), over the history.

    ```
    STABLE     AAAAAAAAAAAAAAAAAAAAAAAA
    ABRUPT     AAAAAAAAAABBBBBBBBBBBBBB    permanent
    GRADUAL    AAAAAAAAAABAABABBABBBBBB    from A to B, linearly over a span
    RECURRING  AABBBBAAAABBBBAAAABBBBAA    alternating; each run is half a period
    BURST      AAAAAAAAAABBBAAAAAAAAAAA    B is a guest on the account
    RENEWAL    AAAAABBBCCCCCCCCDDDDDDEE    each lasts a geometric number of events, then a new one is drawn
                         ^
                         changed_at (RENEWAL: the end of the first mixture)
    ```
    """

    STABLE = 0
    ABRUPT = 1
    GRADUAL = 2
    RECURRING = 3
    BURST = 4
    RENEWAL = 5


KINDS = tuple(kind.name.lower() for kind in Kind)
"""Names of the kinds, by number."""


@final
@dataclass(frozen=True)
class KindShares:
    """Relative shares of the kinds among the users; the numbers of users follow them up to rounding.

    Raises:
        ConfigError: a share is negative or not finite, or all are 0.
    """

    stable: float = 1.0
    abrupt: float = 1.0
    gradual: float = 1.0
    recurring: float = 1.0
    burst: float = 1.0
    renewal: float = 0.0

    def __post_init__(self) -> None:
        check_limits("shares of drift", self, **dict.fromkeys(KINDS, (0, sys.float_info.max)))
        if not any(getattr(self, name) for name in KINDS):
            raise ConfigError("shares of drift: all are 0; give one kind a share above 0")


@final
@dataclass(frozen=True)
class DriftConfig:
    """Settings of a world of drifting users. A pair is the lowest and the highest value of a user.

    Attributes:
        seed: of all draws.
        n_users: number of users.
        n_items: number of items, in `n_genres * clusters_per_genre` clusters of about equal size.
        events_per_user: mean number of events; that of a user is `least_events` plus a log-normal rest, at most half of
            the items.
        least_events: minimum number of events of a user.
        n_genres: number of genres, at most 16, at least twice the largest number of personas, as two mixtures share no
            genre.
        clusters_per_genre: clusters of items in a genre; a persona is a taste for one cluster.
        personas: number of personas of a mixture, uniform.
        focus: share of a persona's events inside its cluster; half of the rest is from its genre.
        shares: of the kinds of drift.
        moment: of the change, as a fraction of the user's events, uniform.
        span: GRADUAL: length of the change, as a fraction of the user's events, uniform.
        period: RECURRING: length of A and B together, as a fraction of the user's events, log-uniform.
        burst: BURST: number of events of the guest, uniform.
        dwell: RENEWAL: mean number of events of a mixture, D, log-uniform.
        pace: mean events per day of an active user, log-uniform, independent of everything else.
        years: length of the log, except for users too slow to fit.

    Raises:
        ConfigError: a value is out of range, or two do not go together.
    """

    seed: int = 0
    n_users: int = 600
    n_items: int = 3000
    events_per_user: int = 120
    least_events: int = 50
    n_genres: int = 8
    clusters_per_genre: int = 4
    personas: tuple[int, int] = (2, 3)
    focus: float = 0.9
    shares: KindShares = field(default_factory=KindShares)
    moment: tuple[float, float] = (0.3, 0.7)
    span: tuple[float, float] = (0.1, 0.3)
    period: tuple[float, float] = (0.1, 0.4)
    burst: tuple[int, int] = (5, 12)
    dwell: tuple[float, float] = (4.0, 400.0)
    pace: tuple[float, float] = (0.1, 10.0)
    years: float = 4.0

    def __post_init__(self) -> None:
        check_limits(
            "drift world",
            self,
            n_genres=(2, len(GENRES)),
            clusters_per_genre=(1, 1000),
            n_users=(1, 10_000_000),
            n_items=(max(self.n_genres * self.clusters_per_genre, 8), 10_000_000),
            events_per_user=(4, self.n_items // 2),
            least_events=(4, self.events_per_user),
            focus=(0, 1),
            years=(0.01, 100),
            personas=(1, self.n_genres // 2),
            moment=(0.05, 0.95),
            span=(0, 0.9),
            period=(0.001, 0.9),
            burst=(1, self.n_items),
            dwell=(2, 1e9),
            pace=(0.001, 10_000),
        )
        last = self.moment[1]
        for name, taken, room, what in (
            ("span", self.span[1], 1 - last, "the change would not end"),
            ("period", self.period[1] / 2, min(self.moment[0], 1 - last), "no taste would return"),
            ("burst", self.burst[1] + 2, (1 - last) * self.least_events, "nothing would follow the guest"),
        ):
            if taken > room + 1e-9:
                high = getattr(self, name)[1]
                raise ConfigError(
                    f"drift world: {name} is up to {high} with moment {self.moment[0]} to {last} and least_events "
                    f"{self.least_events}; {what}: lower {name}, or let moment keep clear of the ends"
                )


@final
@dataclass(frozen=True, eq=False)
class DriftWorld:
    """A simulated log and the truth behind it.

    **True timescale.** With S_u(a) the probability that two events of user u, a events apart, come from the same
    mixture of personas (without a guest's events, mean over the user's history),

        T_u = the smallest age a > 0 with S_u(a) <= 1/2,

    the half-life of the user's evidence, in the user's events. STABLE and BURST: S_u = 1, T_u is infinite. RENEWAL:
    S_u(a) = (1 - 1/D_u)^a in expectation, and a, not rounded, is

        T_u = ln 2 / -ln(1 - 1/D_u), about D_u ln 2.

    ABRUPT, GRADUAL, RECURRING: S_u(a) = mean_i b_i b_{i+a} + (1 - b_i)(1 - b_{i+a}), with b_i the probability that
    event i comes from mixture B: for n events, about n/3 after an abrupt change in the middle, a quarter of the period
    for recurring tastes. Only RENEWAL draws T_u independently of the length of the history; claims on timescales need
    it.

    Attributes:
        log: the log; user and item ids are 1, 2, ...; clock "seconds", no two events of a user at the same time;
            ratings 1 to 5; no item twice for a user.
        kind: "users", int64, a `Kind`.
        changed_at: "users", int64, position in the user's history of the first event after the change; -1: no change.
        settled_at: "users", int64, position of the first event certain to come from mixture B, if it is permanent
            (ABRUPT: `changed_at`; GRADUAL: the end of the span); else -1.
        returns_at: "users", int64, position of the first event after the guest's (BURST); else -1.
        timescale: "users", float64, T_u in events; infinite if old events stay valid.
        dwell: "users", float64, D_u in events (RENEWAL); else infinite.
        mixture: "events", int64, number of the mixture that generated the event: 0 for A, 1 for B, ...
        persona: "events", int64, the persona that generated the event: the number of the cluster it likes.
        item_cluster: "items", int64, cluster of each item; its genre is `cluster // clusters_per_genre`.
        item_genre: "items", int64, leading genre of each item.
        genres: names of the genres.
    """

    log: Interactions
    kind: Ints
    changed_at: Ints
    settled_at: Ints
    returns_at: Ints
    timescale: Doubles
    dwell: Doubles
    mixture: Ints
    persona: Ints
    item_cluster: Ints
    item_genre: Ints
    genres: tuple[str, ...]


def drift_world(seed: int = 0, n_users: int = 600, events_per_user: int = 120) -> DriftWorld:
    """Return a world of the five kinds of drift, a fifth of the users each: for claims on recovery and harm.

    >>> drift_world(n_users=20).log
    Interactions(simulated-drift: 2400 events, 20 users, 3000 items, clock seconds)
    """
    return simulate_drift(DriftConfig(seed=seed, n_users=n_users, events_per_user=events_per_user))


def drift_log(seed: int = 0) -> Interactions:
    """Return the log of `drift_world`, as the card `simulated-drift` names it."""
    return drift_world(seed).log


def timescale_world(seed: int = 0, n_users: int = 600, events_per_user: int = 120) -> DriftWorld:
    """Return a world in which every user follows a renewal process: for claims on learned timescales."""
    renewal = KindShares(0, 0, 0, 0, 0, renewal=1)
    return simulate_drift(DriftConfig(seed=seed, n_users=n_users, events_per_user=events_per_user, shares=renewal))


def timescale_log(seed: int = 0) -> Interactions:
    """Return the log of `timescale_world`, as the card `simulated-timescales` names it."""
    return timescale_world(seed).log


def simulate_drift(config: DriftConfig) -> DriftWorld:
    """Simulate a world of users with several personas that drift independently.

    Event i of user u comes from one mixture of personas (`Kind`; B with probability b_i for all but RENEWAL), and from
    one of its personas, drawn by the mixture's shares. The persona draws an item of its cluster, of its genre or of
    all, and within a cluster with probability proportional to 1 / (rank + 5). A user who has exhausted a cluster draws
    from a wider range.
    """
    rng = np.random.default_rng(config.seed)
    n_clusters = config.n_genres * config.clusters_per_genre
    item_cluster = rng.permutation(np.arange(config.n_items, dtype=np.int64) % n_clusters)
    most = config.n_items // 2 - config.least_events + 1
    rest = config.n_users * (config.events_per_user - config.least_events + 1)
    counts = config.least_events - 1 + simulation.draw_activity(config.n_users, rest, most, 0.5, rng)
    user = np.repeat(np.arange(config.n_users), counts)
    position = np.arange(len(user)) - (np.cumsum(counts) - counts)[user]
    life = _draw_lives(config, counts, rng)
    mixture = _draw_mixture(life, user, position, rng)
    persona = _draw_personas(config, life.kind, user, mixture, rng)
    item = _draw_items(config, item_cluster, user, persona, rng)
    expected = 3.1 + 0.8 * (item_cluster[item] == persona)
    rating = simulation.draw_ratings(expected, user, item, config.n_users, config.n_items, rng)
    time = _draw_times(config, counts, user, rng)
    item_genre = item_cluster // config.clusters_per_genre
    metadata = simulation.item_metadata(item_genre, config.n_genres, rng)
    log = simulation.numbered_log("simulated-drift", user, item, rating, time, metadata)
    renewed = np.flatnonzero((life.kind[user] == Kind.RENEWAL) & (mixture == 1))
    owners, first = np.unique(user[renewed], return_index=True)
    changed_at = np.where(np.isin(life.kind, (Kind.STABLE, Kind.RENEWAL)), -1, life.change)
    changed_at[owners] = position[renewed[first]]
    settled = np.where(life.kind == Kind.GRADUAL, life.change + life.span - 1, life.change)
    return DriftWorld(
        log,
        life.kind,
        changed_at,
        np.where(np.isin(life.kind, (Kind.ABRUPT, Kind.GRADUAL)), settled, -1),
        np.where(life.kind == Kind.BURST, life.change + life.burst, -1),
        _timescale(life, counts, user, position),
        life.dwell,
        mixture,
        persona,
        item_cluster,
        item_genre,
        GENRES[: config.n_genres],
    )


@final
@dataclass(frozen=True, eq=False)
class _Lives:
    """Kind and settings of each user, all "users" and in events; only the settings of the kind are used."""

    kind: Ints
    change: Ints
    span: Ints
    half_period: Ints
    burst: Ints
    dwell: Doubles

    def blend(self, user: Ints, position: Ints) -> Doubles:
        """ "events": probability that an event comes from mixture B; 0 for RENEWAL."""
        since = position - self.change[user]
        by_kind = {
            Kind.ABRUPT: since >= 0,
            # Above 0 at the moment itself, 1 at its last event.
            Kind.GRADUAL: np.clip((since + 1) / self.span[user], 0, 1),
            Kind.RECURRING: since // self.half_period[user] % 2 == 0,
            Kind.BURST: (since >= 0) & (since < self.burst[user]),
        }
        return np.select([self.kind[user] == kind for kind in by_kind], list(by_kind.values()), 0.0)


def _draw_lives(config: DriftConfig, counts: Ints, rng: np.random.Generator) -> _Lives:
    n_users = config.n_users
    shares = np.array(astuple(config.shares))
    ends = np.cumsum(shares / shares.max())
    kind = np.searchsorted(ends, (rng.permutation(n_users) + 0.5) / n_users * ends[-1], side="right")
    moment, span = rng.uniform(*config.moment, n_users), rng.uniform(*config.span, n_users)
    period = _log_uniform(config.period, n_users, rng)
    change = np.clip(np.round(moment * counts), 1, counts - 1).astype(np.int64)
    return _Lives(
        kind.astype(np.int64),
        change,
        np.clip(np.round(span * counts), 1, counts - change).astype(np.int64),
        np.maximum(np.round(period * counts / 2), 1).astype(np.int64),
        rng.integers(config.burst[0], config.burst[1] + 1, n_users),
        np.where(kind == Kind.RENEWAL, _log_uniform(config.dwell, n_users, rng), np.inf),
    )


def _log_uniform(limits: tuple[float, float], size: int, rng: np.random.Generator) -> Doubles:
    return np.asarray(np.exp(rng.uniform(np.log(limits[0]), np.log(limits[1]), size)))


def _draw_mixture(life: _Lives, user: Ints, position: Ints, rng: np.random.Generator) -> Ints:
    """ "events": number of the active mixture; a renewal precedes an event with probability 1 / D."""
    guests = rng.random(len(user)) < life.blend(user, position)
    renewals = np.cumsum((rng.random(len(user)) < 1 / life.dwell[user]) & (position > 0))
    starts = np.flatnonzero(position == 0)
    return np.where(life.kind[user] == Kind.RENEWAL, renewals - renewals[starts][user], guests)


def _draw_personas(config: DriftConfig, kind: Ints, user: Ints, mixture: Ints, rng: np.random.Generator) -> Ints:
    """ "events": the cluster that the active persona likes."""
    # One row for each mixture of each user; A and B for all kinds but RENEWAL, even if B is never active.
    rows = np.where(kind == Kind.RENEWAL, 1, 2)
    np.maximum.at(rows, user, mixture + 1)
    first = np.cumsum(rows) - rows
    owner = np.repeat(np.arange(config.n_users), rows)
    most = config.personas[1]
    # The smallest of exponentials with rates w: drawing without replacement in proportion to w (Efraimidis and
    # Spirakis, 2006).
    appeal = 1 / np.arange(2, config.n_genres + 2) ** 0.5
    genres = np.argsort(rng.exponential(size=(len(owner), config.n_genres)) / appeal, axis=1)
    second = np.flatnonzero((kind[owner] != Kind.RENEWAL) & (np.arange(len(owner)) > first[owner]))
    genres[second, :most] = genres[second - 1, most : 2 * most]
    clusters = genres[:, :most] * config.clusters_per_genre + _draw_siblings(config, (len(owner), most), rng)
    present = np.arange(most) < rng.integers(config.personas[0], most + 1, config.n_users)[owner, None]
    shares = rng.gamma(2.0, size=present.shape) * present
    row = first[user] + mixture
    return clusters[row, simulation.choose(shares[row], rng)]


def _draw_siblings(config: DriftConfig, shape: int | tuple[int, int], rng: np.random.Generator) -> Ints:
    """Draw clusters of a genre, counted from 0; earlier ones are more popular."""
    appeal = 1 / np.arange(1, config.clusters_per_genre + 1) ** 0.5
    return np.asarray(rng.choice(config.clusters_per_genre, shape, p=appeal / appeal.sum()))


def _draw_items(config: DriftConfig, item_cluster: Ints, user: Ints, persona: Ints, rng: np.random.Generator) -> Ints:
    """ "events": an item for each event, none twice for a user; the earlier of two equal draws wins."""
    size = np.bincount(item_cluster)
    start = np.cumsum(size) - size
    by_cluster = np.lexsort((rng.random(config.n_items), item_cluster))
    item = np.full(len(user), -1, dtype=np.int64)
    taken, attempt = simulation.NO_KEYS, 0
    while len(missing := np.flatnonzero(item < 0)):
        chance, cluster = rng.random(len(missing)), persona[missing]
        genre = cluster // config.clusters_per_genre
        # From the fourth attempt on the whole genre, from the eighth all items, finally without regard to popularity.
        focus = config.focus if attempt < 4 else 0.0
        near = (1 + config.focus) / 2 if attempt < 8 else 0.0
        genre = np.where(chance < near, genre, rng.integers(config.n_genres, size=len(missing)))
        sibling = genre * config.clusters_per_genre + _draw_siblings(config, len(missing), rng)
        cluster = np.where(chance < focus, cluster, sibling)
        drawn = by_cluster[start[cluster] + simulation.draw_ranks(size[cluster], rng)]
        if attempt >= 12:
            drawn = rng.integers(config.n_items, size=len(missing))
        taken, fresh = simulation.add_new(taken, user[missing] * config.n_items + drawn)
        item[missing[fresh]] = drawn[fresh]
        attempt += 1
    return item


def _draw_times(config: DriftConfig, counts: Ints, user: Ints, rng: np.random.Generator) -> Ints:
    """ "events": Unix seconds, rising within each user; gaps are log-normal around the user's mean."""
    mean = DAY / _log_uniform(config.pace, config.n_users, rng)
    # The mean of a log-normal with mu = -1/2 and sigma = 1 is 1.
    gaps = 1 + (mean[user] * rng.lognormal(-0.5, 1.0, len(user))).astype(np.int64)
    total = np.cumsum(gaps)
    ends = np.cumsum(counts) - 1
    age = total - total[ends - counts + 1][user]
    slack = np.maximum(config.years * YEAR - age[ends], 0)
    begin = START + (slack * rng.random(config.n_users)).astype(np.int64)
    return np.asarray(begin[user] + age)


def _timescale(life: _Lives, counts: Ints, user: Ints, position: Ints) -> Doubles:
    """ "users": T_u of `DriftWorld`."""
    scale = np.full(len(counts), np.inf)
    renewal = life.kind == Kind.RENEWAL
    scale[renewal] = np.log(2) / -np.log1p(-1 / life.dwell[renewal])
    blend = np.full((len(counts), counts.max()), np.nan)
    blend[user, position] = life.blend(user, position)
    moving = np.isin(life.kind, (Kind.ABRUPT, Kind.GRADUAL, Kind.RECURRING))
    for age in range(1, int(counts.max())):
        pending = np.flatnonzero(moving & np.isinf(scale) & (counts > age))
        if not len(pending):
            break
        new, old = blend[pending, age:], blend[pending, :-age]
        same = np.nansum(new * old + (1 - new) * (1 - old), axis=1) / (counts[pending] - age)
        scale[pending[same <= 0.5]] = age
    return scale
