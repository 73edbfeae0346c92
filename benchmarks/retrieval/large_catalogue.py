"""A simulated large catalogue with a model and users. `python -m benchmarks.large_catalogue DIR`.

Nothing is trained, so the recommendations mean nothing; but the same code makes them from arrays of the same size and
of a realistic shape: items in clusters of very different sizes, vectors of few effective dimensions and of different
lengths, popularity with a long tail that the biases follow, users with a few tastes each. The command writes a run for
`recsys index`, `recsys recommend` and `recsys serve`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.tools.command import parser, program
from recsys.bundles import bundle
from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries
from recsys.data.vocabulary import Vocabulary
from recsys.experiments.runs import METRICS, DataSettings
from recsys.files import write_json
from recsys.models.ampcf.model import AMPCF
from recsys.models.ampcf.settings import Attention, HistoryPooling, Readout
from recsys.models.base import FittedOn
from recsys.types import DAY

_SIZE_TAIL, _POPULARITY_TAIL = 0.7, 0.8
"""Exponents of Zipf's law for the sizes of clusters and the popularity of items."""

_NOISE = 0.6
"""Length of an item's own part of its vector, where that of its cluster has length 1."""

_INPUT_SCALE = 3.0
"""Of the input vectors of items: scores span about as much as those of a trained model."""

_START = 1_700_000_000


@final
@dataclass(frozen=True)
class Shape:
    """Size of a catalogue."""

    items: int = 1_000_000  # number of items
    size: int = 64  # dimensions of the vectors
    personas: int = 4  # K
    users: int = 2_000  # number of users in the log
    seed: int = 0  # of everything


@final
@dataclass(frozen=True)
class Plan:
    """Size of the benchmark."""

    shape: Shape  # of the catalogue
    queries: int = 300  # number of queries that tune, and as many that measure
    long: int = 100  # queries with long histories, and with long lists
    others: bool = True  # compare other kinds of index, which takes longer than all else
    threads: int = 1  # that build


@final
class LargeCatalogue:
    """Items, clusters and users."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        source = np.random.default_rng(shape.seed)
        clusters = max(8 * shape.personas, shape.items // 500)
        share = np.arange(1, clusters + 1) ** -_SIZE_TAIL
        self.cluster = np.sort(source.choice(clusters, shape.items, p=share / share.sum())).astype(np.int32)
        self.start = np.searchsorted(self.cluster, np.arange(clusters + 1))
        self.popularity = source.permutation(np.arange(1, shape.items + 1) ** -_POPULARITY_TAIL)
        self.persona = source.integers(shape.personas, size=clusters).astype(np.int32)
        centre = self._directions(source, clusters)
        own = self._directions(source, shape.items)
        length = np.exp(0.25 * source.standard_normal((shape.items, 1)))
        self.vectors = (length * (centre[self.cluster] + _NOISE * own)).astype(np.float32)

    def _directions(self, source: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
        """Return vectors of length about 1 with decreasing coordinates, like those of a factorisation."""
        spectrum = np.arange(1, self.shape.size + 1) ** -0.5
        return source.standard_normal((count, self.shape.size)) * (spectrum / np.linalg.norm(spectrum))

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """Events of each item, "items"."""
        return np.asarray(np.ceil(self.popularity / self.popularity.min()), np.int64)

    def histories(self, lengths: npt.NDArray[np.integer], seed: int) -> list[npt.NDArray[np.int64]]:
        """Draw the distinct items of users, about `lengths` of them, from two clusters of every persona."""
        source = np.random.default_rng([self.shape.seed, seed])
        filled = np.flatnonzero(np.diff(self.start) > 0)
        total = np.concatenate([[0.0], np.cumsum(self.popularity)])
        rows = []
        for length in lengths.tolist():
            own = [source.choice(filled[self.persona[filled] == k], 2) for k in range(self.shape.personas)]
            tastes = source.choice(np.concatenate(own), length)
            low, high = total[self.start[tastes]], total[self.start[tastes + 1]]
            drawn = np.searchsorted(total, low + (high - low) * source.random(length), side="right") - 1
            rows.append(source.permutation(np.unique(drawn)))
        return rows

    def queries(self, count: int, seed: int, *, length: int | None = None) -> Queries:
        """Return queries of unknown users, with histories of very different lengths unless one is given."""
        source = np.random.default_rng([self.shape.seed, seed, 1])
        lengths = np.exp(source.normal(3.7, 0.8, count)).astype(int) + 5 if length is None else np.full(count, length)
        return Queries.from_history(self.histories(lengths, seed))

    def model(self, readout: Readout = "attentive") -> AMPCF:
        """Return AMP-CF as if it had learned this catalogue."""
        shape = self.shape
        source = np.random.default_rng([shape.seed, 0])
        history, attention = HistoryPooling(pooling_power=1.0), Attention(readout=readout, item_bias=True)
        model = AMPCF(shape.size, personas=shape.personas, attention=attention, history=history, seed=shape.seed)
        prototype = source.standard_normal((shape.personas, history.routing_size))
        noise = source.standard_normal((shape.items, history.routing_size))
        router = prototype[self.persona[self.cluster]] + 0.5 * noise
        arrays = {
            "users.input": _INPUT_SCALE * self.vectors,
            "users.router": router.astype(np.float32),
            "users.prototype": prototype.astype(np.float32),
            "items.item": self.vectors,
            "items.bias": np.log1p(20 * self.popularity / self.popularity.mean()).astype(np.float32),
            "items.log_temperature": np.zeros((), np.float32),
        }
        return model.restore(self._fitted_on(), arrays)

    def _fitted_on(self) -> FittedOn:
        items = Vocabulary(np.arange(self.shape.items))
        titles = tuple(f"Item {number} of cluster {cluster}" for number, cluster in enumerate(self.cluster.tolist()))
        genres = tuple((f"Genre {kind}",) for kind in self.persona[self.cluster].tolist())
        users = Vocabulary(np.arange(self.shape.users))
        name = f"simulated-{self.shape.items}"
        return FittedOn(users, items, ItemMetadata(titles, genres), self.counts, "seconds", name, "0" * 64)


def write_run(folder: Path, catalogue: LargeCatalogue, readout: Readout = "attentive") -> Path:
    """Write a run of the catalogue: a bundle, a log of its users, and the metrics that the commands read."""
    folder.mkdir(parents=True)
    queries = catalogue.queries(catalogue.shape.users, seed=1)
    log = folder / "log.csv"
    times = _START + DAY * queries.times
    pd.DataFrame({"user": queries.history.rows, "item": queries.history.items, "time": times}).to_csv(log, index=False)
    bundle.save(catalogue.model(readout), folder / "model")
    write_json(folder / METRICS, {"data": asdict(DataSettings(str(log.resolve())))})
    return folder


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Write a run; return the exit code."""
    default = Shape()
    command = parser("large_catalogue", __doc__)
    command.add_argument("out", type=Path, metavar="DIR", help="directory of the run, to be made")
    command.add_argument("--items", type=int, default=default.items)
    command.add_argument("--users", type=int, default=default.users)
    command.add_argument("--seed", type=int, default=default.seed)
    options = command.parse_args(arguments)

    catalogue = LargeCatalogue(Shape(items=options.items, users=options.users, seed=options.seed))
    print(f"a run of {options.items} items: {write_run(options.out, catalogue)}")
    return 0
