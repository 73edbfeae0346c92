"""`recsys index`: makes an index of a run's items, tunes and measures it, and keeps it in the run's bundle."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from recsys.bundles.index import IndexRecord, digest_of, require_library, save_index, told_of
from recsys.bundles.manifest import read_manifest
from recsys.checks import positive
from recsys.data.interactions import Interactions
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.experiments.runs import load_model, run_data
from recsys.models.base import Recommender
from recsys.models.retrieval.points import require_retrievable

_WORTH_WHILE = 0.8
"""An index is kept if its median takes at most this part of the time."""


@final
@dataclass(frozen=True)
class IndexSettings:
    """What is asked of an index.

    Attributes:
        n: length of the lists that it is tuned for.
        recall: share of the exact lists that it must find.
        depth: candidates of each persona.
        questions: at most so many tune it, and as many others measure it.
        cells: of the index; None: twice the square root of the number of items.
        seed: of the cells and of the choice of questions.
        threads: that make the cells.
        force: keep an index that is hardly faster than the exact lists.

    Raises:
        ConfigError: a value is out of range.
    """

    n: int = 10
    recall: float = 0.97
    depth: int = 50
    questions: int = 500
    cells: int | None = None
    seed: int = 0
    threads: int = 1
    force: bool = False

    def __post_init__(self) -> None:
        for name in ("n", "depth", "questions", "threads"):
            positive(name, getattr(self, name))
        if self.cells is not None:
            positive("cells", self.cells)
        if not 0 < self.recall < 1:
            raise ConfigError(f"recall is {self.recall:g}; give a share between 0 and 1, such as 0.97")


def index_run(
    run: Path, settings: IndexSettings, *, source: str | None = None, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Index the items of a run's model, and keep the index in its bundle; return what the manifest says of it.

    The questions are those that will come: users of the log with all of their history, of which the model was trained
    on a part. Some of the users tune the search, others measure it.

    Args:
        run: its directory.
        settings: what is asked of the index.
        source: read the run's log from here.
        say: told what happens, a line at a time.

    Raises:
        CapabilityError: the model cannot be indexed.
        ConfigError: faiss is not installed, the recall is out of reach, or the exact lists are about as fast.
    """
    path = run / "model"
    model = load_model(run)
    require_retrievable(model)
    require_library("`recsys index` makes an index")
    from recsys.models.retrieval.index import PersonaIndex, Search  # noqa: PLC0415 (an optional library)
    from recsys.models.retrieval.tuning import measured, tuned  # noqa: PLC0415

    digest = digest_of(read_manifest(path))
    log = run_data(run, source).load()
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
    index, found = tuned(index, tuning, settings.recall)
    say(f"measuring on {len(others)} others")
    result = measured(index, others, settings.n)
    if result.index.median > _WORTH_WHILE * result.exact.median and not settings.force:
        raise ConfigError(
            f"{run}: a list takes {result.index.median:.2f} ms through the index and {result.exact.median:.2f} ms "
            f"exactly (medians): with {model.n_items} items there is little to gain; stay with the exact lists, or "
            "keep the index with --force"
        )
    record = IndexRecord(settings.recall, found, result, settings.seed, round(seconds, 3))
    return save_index(path, index, record, model_digest=digest)


def answerable_users(model: Recommender, log: Interactions) -> npt.NDArray[np.int32]:
    """Return the users of a log whom a model can answer from a history with items that it knows, or learned vectors."""
    if not model.folds_in:
        return np.flatnonzero(model.fitted_on.users.numbers(log.users.ids) != UNKNOWN).astype(np.int32)
    known = model.fitted_on.items.numbers(log.items.ids)[log.item_num] != UNKNOWN
    return np.unique(log.user_num[known])


def add_index(commands: Any) -> None:  # noqa: ANN401 (argparse's subcommands have no public type)
    """Add `index` to the commands of a parser."""
    default = IndexSettings()
    summary = "index a run's items, so that a large catalogue is answered quickly"
    parser = commands.add_parser("index", help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    parser.add_argument("--run", type=Path, required=True, help="directory of a finished run")
    parser.add_argument("--data", help="read the run's log from here")
    parser.add_argument("-n", type=int, default=default.n, help="length of the lists (default: %(default)s)")
    parser.add_argument(
        "--recall",
        type=float,
        default=default.recall,
        help="share of the exact lists to be found (default: %(default)g)",
    )
    parser.add_argument(
        "--depth", type=int, default=default.depth, help="candidates of each persona (default: %(default)s)"
    )
    parser.add_argument(
        "--questions",
        type=int,
        default=default.questions,
        help="at most so many tune it, and as many others measure it (default: %(default)s)",
    )
    parser.add_argument("--cells", type=int, help="of the index (default: twice the square root of the items)")
    parser.add_argument("--seed", type=int, default=default.seed, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=default.threads, help="default: %(default)s")
    parser.add_argument("--force", action="store_true", help="keep an index that is hardly faster than the exact lists")
    parser.add_argument("--json", action="store_true", help="print what the manifest says of it")
    parser.set_defaults(call=_index)


def _index(options: argparse.Namespace) -> None:
    names = ("n", "recall", "depth", "questions", "cells", "seed", "threads", "force")
    settings = IndexSettings(**{name: getattr(options, name) for name in names})

    def say(line: str) -> None:
        sys.stderr.write(f"{line}\n")

    found = index_run(options.run, settings, source=options.data, say=say)
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    times = {name: found["measured"][name] for name in ("index", "exact")}
    shown = [f"{name} {one['median']:.2f} ms (99%: {one['p99']:.2f} ms)" for name, one in times.items()]
    made = f"{found['bytes'] / 1e6:.1f} MB, made in {found['build_seconds']:.1f} s; kept in {options.run / 'model'}"
    sys.stdout.write(f"{told_of(found)}; {', '.join(shown)} a list; {made}\n")
