"""Simulates logs with known personas: for tests, for the demonstration without network, and for scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.vocabulary import Vocabulary
from recsys.errors import ConfigError
from recsys.types import Doubles, Ints

GENRES = (
    *("Adventure", "Animation", "Biography", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("History", "Horror", "Musical", "Mystery", "Romance", "Thriller", "War", "Western"),
)
_ADJECTIVES = (
    *("Crimson", "Silent", "Broken", "Golden", "Distant", "Hollow", "Electric", "Frozen", "Gentle", "Hidden"),
    *("Iron", "Burning", "Lonely", "Midnight", "Northern", "Open", "Paper", "Quiet", "Restless", "Scarlet"),
    *("Second", "Tender", "Unseen", "Velvet", "Winter", "Young", "Amber", "Bitter", "Copper", "Drifting"),
)
_NOUNS = (
    *("Harbour", "Garden", "Letter", "Mirror", "River", "Summer", "Voyage", "Window", "Bridge", "Castle"),
    *("Circus", "Desert", "Empire", "Forest", "Ghost", "Hunter", "Island", "Journey", "Kingdom", "Lantern"),
    *("Mountain", "Orchard", "Parade", "Quarry", "Road", "Station", "Tide", "Valley", "Witness"),
)
START = 1_325_376_000  # 2012-01-01T00:00:00Z
YEAR = 31_557_600
NO_KEYS: Ints = np.full(1, -1)  # below all keys, so that each has a predecessor
_SHIFT = 5.0


@final
@dataclass(frozen=True)
class WorldConfig:
    """Settings of a simulated world.

    Attributes:
        seed: of all draws.
        n_users: number of users.
        n_items: number of items, each with one leading genre and some with a second.
        events_per_user: mean number of events; that of a user is log-normal, at most half of the items.
        n_genres: number of genres, at most 16.
        max_personas: maximum number of personas of a user, at least 1.
        drift: amplitude of the slow waves in the log-odds of the personas; 0: constant tastes.
        years: length of the log.

    Raises:
        ConfigError: a size is out of range.
    """

    seed: int = 0
    n_users: int = 400
    n_items: int = 300
    events_per_user: int = 60
    n_genres: int = 8
    max_personas: int = 4
    drift: float = 1.5
    years: float = 4.0

    def __post_init__(self) -> None:
        check_limits(
            "simulated world",
            self,
            n_users=(1, 10_000_000),
            n_items=(self.n_genres, 10_000_000),
            events_per_user=(1, self.n_items // 2),
            n_genres=(2, len(GENRES)),
            max_personas=(1, self.n_genres),
            drift=(0, np.inf),
            years=(0.01, 100),
        )


@final
@dataclass(frozen=True, eq=False)
class World:
    """A simulated log and the truth behind it.

    Attributes:
        log: the log; user and item ids are 1, 2, ...; clock "seconds"; ratings 1 to 5; no item twice for a user.
        persona: "events", int64, the persona that generated each event, in the log's order.
        mixtures: "users personas", share of each persona in the user's history; 0 for personas the user lacks.
        tastes: "users personas genres", distribution over genres of each persona; 0 for personas the user lacks.
        item_genre: "items", int64, the leading genre of each item.
        genres: names of the genres.
    """

    log: Interactions
    persona: Ints
    mixtures: Doubles
    tastes: Doubles
    item_genre: Ints
    genres: tuple[str, ...]


def check_limits(what: str, config: object, **limits: tuple[float, float]) -> None:
    """Raise a ConfigError for the first attribute of `config` outside its limits (inclusive); a pair must also rise."""
    for name, (least, most) in limits.items():
        value = getattr(config, name)
        if isinstance(value, tuple):
            low, high = value
            if not least <= low <= high <= most:
                raise ConfigError(f"{what}: {name} is {low} to {high}; it must rise and lie in {least} to {most}")
        elif not least <= value <= most:
            raise ConfigError(f"{what}: {name} is {value}; it must lie between {least} and {most}")


def simulated_log(seed: int = 0, n_users: int = 400, n_items: int = 300, events_per_user: int = 60) -> Interactions:
    """Return the log of the default world, in the given size.

    >>> simulated_log(n_users=20, n_items=40, events_per_user=10).metadata.titles[0]
    'Crimson Harbour (1960)'
    """
    return simulate(WorldConfig(seed=seed, n_users=n_users, n_items=n_items, events_per_user=events_per_user)).log


def simulate(config: WorldConfig) -> World:
    """Simulate a world of users with several, drifting personas.

    A persona is a distribution over genres, most of it on one. At time t the user acts as persona k with probability

        p_uk(t) = softmax_k( b_uk + drift * sin(2 pi (t / w_uk + f_uk)) )

    with waves w_uk of one to three years; the persona draws a genre, and the genre an item with probability
    proportional to 1 / (rank + 5). Ratings rise with the user's taste for the item's genre and with the item's quality.
    """
    rng = np.random.default_rng(config.seed)
    # Ranks of items within a genre are shuffled, so that they are independent of the item number.
    item_genre = rng.permutation(np.arange(config.n_items, dtype=np.int64) % config.n_genres)
    by_genre = np.argsort(item_genre, kind="stable")
    sizes = np.bincount(item_genre, minlength=config.n_genres)
    starts = np.cumsum(sizes) - sizes
    by_genre = by_genre[np.lexsort((rng.random(config.n_items), item_genre[by_genre]))]
    tastes, logits, waves, phases = _users(config, rng)
    counts = draw_activity(config.n_users, config.n_users * config.events_per_user, config.n_items // 2, 0.5, rng)
    begin = rng.uniform(0, 0.7 * config.years, config.n_users)
    length = np.minimum(config.years - begin, config.years * rng.uniform(0.2, 1.0, config.n_users))

    def shares_at(user: Ints, year: Doubles) -> Doubles:
        wave = np.sin(2 * np.pi * (year[:, None] / waves[user] + phases[user]))
        odds = np.exp(logits[user] + config.drift * wave)
        return np.asarray(odds / odds.sum(1, keepdims=True))

    def draw(user: Ints, attempt: int) -> Ints:
        year = begin[user] + length[user] * rng.random(len(user))
        persona = choose(shares_at(user, year), rng)
        # A user who has exhausted a genre draws from others.
        genre = choose(tastes[user, persona] + 0.02 * attempt, rng)
        item = by_genre[starts[genre] + draw_ranks(sizes[genre], rng)]
        return np.stack([item, persona, (START + year * YEAR).astype(np.int64)], axis=1)

    user, drawn = draw_distinct(counts, config.n_items, draw)
    order = np.lexsort((drawn[:, 2], user))
    user, (item, persona, time) = user[order], drawn[order].T
    grid = begin[:, None] + length[:, None] * np.linspace(0, 1, 33)
    everyone = np.repeat(np.arange(config.n_users), grid.shape[1])
    mixtures = shares_at(everyone, grid.ravel()).reshape(config.n_users, -1, config.max_personas).mean(1)
    appeal = np.log(np.einsum("uk,ukg->ug", mixtures, tastes) * config.n_genres + 0.1)
    rating = draw_ratings(3.4 + 0.7 * appeal[user, item_genre[item]], user, item, config.n_users, config.n_items, rng)
    log = numbered_log("simulated", user, item, rating, time.copy(), item_metadata(item_genre, config.n_genres, rng))
    return World(log, persona.copy(), mixtures, tastes, item_genre, GENRES[: config.n_genres])


def draw_ratings(
    mean: Doubles, user: Ints, item: Ints, n_users: int, n_items: int, rng: np.random.Generator
) -> Doubles:
    """ "events": whole ratings from 1 to 5 around a mean, with an offset of the item, one of the user, and noise."""
    rating = mean + rng.normal(0, 0.5, n_items)[item]
    rating += rng.normal(0, 0.3, n_users)[user] + rng.normal(0, 0.5, len(user))
    return np.asarray(np.clip(np.round(rating), 1, 5))


def numbered_log(
    name: str, user: Ints, item: Ints, rating: Doubles, time: Ints, metadata: ItemMetadata
) -> Interactions:
    """Return the log of sorted events; ids are 1, 2, ...; every user has events."""
    users, items = Vocabulary(np.arange(1, user[-1] + 2)), Vocabulary(np.arange(1, len(metadata) + 1))
    numbers = user.astype(np.int32), item.astype(np.int32)
    return Interactions(*numbers, rating.astype(np.float32), time, users, items, metadata, "seconds", name)


def draw_distinct(counts: Ints, n_items: int, draw: Callable[[Ints, int], Ints]) -> tuple[Ints, Ints]:
    """Draw until each user has the given number of different items.

    `draw`, called with the user of each draw and the number of the attempt, returns "draws columns" with the item in
    column 0. Later attempts must be able to draw every item, or the loop does not end. Returns "events" users,
    ascending, and "events columns" draws.
    """
    users: list[Ints] = []
    rows: list[Ints] = []
    keys, missing, attempt = NO_KEYS, counts.copy(), 0
    while missing.any():
        user = np.repeat(np.arange(len(counts)), missing)
        drawn = draw(user, attempt)
        keys, fresh = add_new(keys, user * n_items + drawn[:, 0])
        users.append(user[fresh])
        rows.append(drawn[fresh])
        missing = missing - np.bincount(users[-1], minlength=len(counts))
        attempt += 1
    owner = np.concatenate(users)
    order = np.argsort(owner, kind="stable")
    return owner[order], np.concatenate(rows)[order]


def add_new(keys: Ints, drawn: Ints) -> tuple[Ints, Ints]:
    """Return sorted `keys` with those of `drawn` added, and the first position in `drawn` of each new key, by key.

    Start with `NO_KEYS`. The few draws of a late attempt are looked up among the many keys, not the reverse.
    """
    new, first = np.unique(drawn, return_index=True)
    place = np.searchsorted(keys, new, side="right")
    fresh = keys[place - 1] != new
    return np.insert(keys, place[fresh], new[fresh]), first[fresh]


def _users(config: WorldConfig, rng: np.random.Generator) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """ "users personas genres" tastes; "users personas" base log-odds (-inf where absent), waves and phases."""
    shape = (config.n_users, config.max_personas)
    present = np.arange(config.max_personas) < rng.integers(1, config.max_personas + 1, config.n_users)[:, None]
    # Leading genres differ between the personas of a user.
    leading = np.argsort(rng.random((config.n_users, config.n_genres)), axis=1)[:, : config.max_personas]
    tastes = 0.35 * rng.dirichlet(np.full(config.n_genres, 0.3), size=shape)
    np.put_along_axis(tastes, leading[..., None], np.take_along_axis(tastes, leading[..., None], 2) + 0.65, 2)
    tastes *= present[..., None]
    logits = np.where(present, rng.normal(0, 0.7, shape), -np.inf)
    return tastes, logits, rng.uniform(1, 3, shape), rng.random(shape)


def draw_activity(n_users: int, total: int, most: int, spread: float, rng: np.random.Generator) -> Ints:
    """ "users" numbers of events with sum `total`, log-normal, each between 1 and `most`."""
    weight = rng.lognormal(0, spread, n_users)
    counts: Ints = np.clip((weight / weight.sum() * total).astype(np.int64), 1, most)
    while (rest := total - int(counts.sum())) != 0:
        adjustable = rng.permutation(np.flatnonzero(counts < most if rest > 0 else counts > 1))[: abs(rest)]
        counts[adjustable] += 1 if rest > 0 else -1
    return counts


def choose(weights: Doubles, rng: np.random.Generator) -> Ints:
    """ "draws": a column of each row, drawn with probability proportional to the weight."""
    total = np.cumsum(weights, axis=1)
    return np.asarray((rng.random((len(weights), 1)) * total[:, -1:] >= total[:, :-1]).sum(1))


def draw_ranks(sizes: Ints, rng: np.random.Generator) -> Ints:
    """ "draws": ranks below `sizes`, with probability about proportional to 1 / (rank + 5): inverse transform."""
    rank = _SHIFT * ((sizes / _SHIFT + 1) ** rng.random(len(sizes)) - 1)
    return np.asarray(np.minimum(rank.astype(np.int64), sizes - 1))


def item_metadata(item_genre: Ints, n_genres: int, rng: np.random.Generator) -> ItemMetadata:
    """Titles by item number; the leading genre of each item and, for some, a second one."""
    n_items = len(item_genre)
    second = np.where(rng.random(n_items) < 0.3, rng.integers(n_genres, size=n_items), item_genre)
    genres = tuple(
        tuple(sorted({GENRES[leading], GENRES[other]})) for leading, other in zip(item_genre, second, strict=True)
    )
    return ItemMetadata(tuple(map(_title, range(n_items))), genres)


def _title(number: int) -> str:
    # 30 and 29 are coprime, so every pair of words occurs once in 870 titles; then sequels begin.
    sequel = number // (len(_ADJECTIVES) * len(_NOUNS)) + 1
    name = f"{_ADJECTIVES[number % len(_ADJECTIVES)]} {_NOUNS[number % len(_NOUNS)]}"
    return f"{name}{f' {sequel}' if sequel > 1 else ''} ({1960 + number * 34 % 61})"
