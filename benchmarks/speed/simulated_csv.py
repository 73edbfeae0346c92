"""A simulated log of any size as a CSV file, written piece by piece."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from recsys.errors import ConfigError
from recsys.types import Ints
from recsys.worlds.simulation import draw_activity, draw_distinct, draw_ranks

CLUSTERS = 50
_EVENTS_PER_PIECE = 1_000_000


def write_simulated_csv(
    path: Path, n_events: int = 20_000_000, n_users: int = 138_000, n_items: int = 27_000, seed: int = 0
) -> None:
    """Write exactly `n_events` rows `userId,movieId,rating,timestamp`, no item twice for a user, in bounded memory.

    Items belong to 50 clusters; a user draws most items from one cluster, some from a second and some from all, each
    with probability about proportional to 1 / (rank + 5). Numbers of events per user are log-normal. The defaults
    have the size of MovieLens 20M.

    Users and items are numbered from 1; every user occurs.

    Raises:
        ConfigError: more events than users with half of the items each can have, or fewer than users.
    """
    most = n_items // 2
    if n_items < 2 * CLUSTERS or not n_users <= n_events <= n_users * most:
        raise ConfigError(
            f"simulated log: {n_events} events, {n_users} users and {n_items} items do not fit; needed are at least "
            f"{2 * CLUSTERS} items, one event per user, and at most {most} (half of the items) per user"
        )
    rng = np.random.default_rng(seed)
    counts = draw_activity(n_users, n_events, most, 1.0, rng)
    main, second = rng.integers(CLUSTERS, size=n_users), rng.integers(CLUSTERS, size=n_users)
    number_of_rank = rng.permutation(n_items)
    quality = rng.normal(3.5, 0.5, n_items)
    ends = np.cumsum(counts)
    # Pieces end between users, so that no repeat spans two pieces.
    bounds = np.unique(np.searchsorted(ends, np.arange(_EVENTS_PER_PIECE, n_events, _EVENTS_PER_PIECE)))
    schema = pa.schema(
        [("userId", pa.int64()), ("movieId", pa.int64()), ("rating", pa.float64()), ("timestamp", pa.int64())]
    )
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    with path.open("wb") as file, csv.CSVWriter(file, schema, write_options=options) as writer:
        # Arrow would quote the header.
        file.write((",".join(schema.names) + "\n").encode())
        for start, stop in zip([0, *bounds], [*bounds, n_users], strict=True):

            def draw(user: Ints, attempt: int, start: int = int(start)) -> Ints:
                chance = rng.random(len(user))
                cluster = np.where(chance < 0.6, main[start + user], second[start + user])
                # Clusters take turns in the ranking. Late attempts draw from everything, or a full cluster never ends.
                ranks = draw_ranks((n_items - cluster + CLUSTERS - 1) // CLUSTERS, rng) * CLUSTERS + cluster
                anything = (chance > 0.85) | (attempt >= 4)
                size = np.full(int(anything.sum()), n_items)
                ranks[anything] = rng.integers(size) if attempt >= 8 else draw_ranks(size, rng)
                return number_of_rank[ranks][:, None]

            user, drawn = draw_distinct(counts[start:stop], n_items, draw)
            user, item = user + start, drawn[:, 0]
            rating = np.clip(np.round(2 * (quality[item] + rng.normal(0, 0.9, len(item)))) / 2, 0.5, 5.0)
            time = 1_000_000_000 + user * 1_000 + rng.integers(300_000_000, size=len(user))
            writer.write_table(
                pa.table({"userId": user + 1, "movieId": item + 1, "rating": rating, "timestamp": time}, schema=schema)
            )
