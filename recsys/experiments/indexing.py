"""Makes an index of the items of a run's model, tunes and measures it, and adds it to the run's bundle."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recsys.bundles.index import IndexRecord, digest_of, require_library, save_index
from recsys.bundles.manifest import read_manifest
from recsys.data.interactions import Interactions
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.experiments.index_settings import IndexSettings
from recsys.experiments.runs import load_model, run_log
from recsys.models.base import Recommender
from recsys.models.retrieval.points import indexable, require_retrievable
from recsys.types import Items

_LARGEST_RATIO = 0.8
"""An index is refused if its median latency is a larger part of that of the exact lists."""


def index_run(
    run: Path,
    settings: IndexSettings,
    *,
    source: str | None = None,
    columns: Mapping[str, Any] | None = None,
    allow: Iterable[type | str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Index the items of a run's model, and add the index to its bundle; return its record in the manifest.

    Queries are users of the log with their whole history, as they will ask. Some of the users tune the search, others
    measure it.

    Args:
        run: its directory.
        settings: of the index.
        source: read the run's log from here.
        columns: how to read it, in addition to what the run recorded.
        allow: classes from elsewhere that the run's bundle may name.
        say: called with a line at each step.

    Raises:
        CapabilityError: the model cannot be indexed.
        ConfigError: faiss is not installed, the recall is out of reach, or the exact lists are about as fast.
    """
    path = run / "model"
    model = indexable(load_model(run, allow))
    require_retrievable(model)
    require_library("`recsys index` makes an index")
    from recsys.models.retrieval.index import PersonaIndex, Search  # noqa: PLC0415 (an optional library)
    from recsys.models.retrieval.tuning import measured, tuned  # noqa: PLC0415

    digest = digest_of(read_manifest(path))
    log = run_log(run, model, source, columns)
    users = answerable_users(model, log)
    if len(users) < 2:
        raise ConfigError(
            f"{log.name} has {len(users)} users whom the model can answer, and an index is tuned with one part of them "
            "and measured with another"
        )
    drawn = np.random.default_rng(settings.seed).permutation(users)[: 2 * settings.questions]
    tuning, others = (model.fitted_on.queries(log, part) for part in np.array_split(drawn, 2))
    say(f"making cells of {model.n_items} items")
    started = time.perf_counter()
    search = Search(1, settings.depth, settings.n)
    index = PersonaIndex.build(model, search, cells=settings.cells, seed=settings.seed, threads=settings.threads)
    seconds = time.perf_counter() - started
    say(f"tuning on {len(tuning)} questions")
    index, recall = tuned(index, tuning, settings.recall)
    say(f"measuring on {len(others)} others")
    measurement = measured(index, others, settings.n)
    through, exactly = measurement.index.median, measurement.exact.median
    if through > _LARGEST_RATIO * exactly and not settings.force:
        raise ConfigError(
            f"{run}: a list takes {through:.2f} ms through the index and {exactly:.2f} ms exactly (medians): with "
            f"{model.n_items} items there is little to gain; stay with the exact lists, or keep the index with --force"
        )
    record = IndexRecord(settings.recall, recall, measurement, settings.seed, round(seconds, 3))
    return save_index(path, index, record, model_digest=digest)


def answerable_users(model: Recommender, log: Interactions) -> Items:
    """Return the users of a log whom a model can answer from a history with items that it knows, or learned vectors."""
    if not model.folds_in:
        return np.flatnonzero(model.fitted_on.users.numbers(log.users.ids) != UNKNOWN).astype(np.int32)
    known = model.fitted_on.items.numbers(log.items.ids)[log.item_num] != UNKNOWN
    return np.unique(log.user_num[known])
