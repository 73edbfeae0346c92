"""Exports a run: items, vectors, personas, everybody's lists and the network that scores, in a directory."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal, final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.data.interactions import Interactions
from recsys.data.titles import year_of
from recsys.errors import DataError
from recsys.experiments.exports.lists_database import write_database
from recsys.experiments.exports.vectors import item_table, persona_tables, user_tables, vectors_of
from recsys.experiments.indexing import answerable_users
from recsys.experiments.lists.everybody import ListSettings, write_lists
from recsys.experiments.lists.rows import id_type
from recsys.experiments.runs import load_model, run_log
from recsys.files import json_values, locked, replacing, write_json
from recsys.models.base import Recommender
from recsys.models.capabilities import PersonaRecommender, ScoringNetwork
from recsys.models.personas.model import WithPersonas
from recsys.models.slated import Slated

MANIFEST: Final = "export.json"
_MARK: Final = "export.unfinished"
Lists = Literal["parquet", "sqlite", "none"]

_LIST_SETTINGS: Final = ListSettings()

_COMPARED: Final = 64
"""Users whose scores are compared with those of the network."""


@final
@dataclass(frozen=True)
class ExportSettings:
    """What is exported.

    Attributes:
        lists: how everybody's lists are written.
        settings: of these.
        network: whether the network that scores is written, where the model is one.
    """

    lists: Lists = "parquet"
    settings: ListSettings = _LIST_SETTINGS
    network: bool = True


def export_run(
    run: Path,
    out: Path,
    export: ExportSettings,
    *,
    source: str | None = None,
    columns: Mapping[str, Any] | None = None,
    allow: Iterable[type | str] = (),
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Export a run to a directory, which appears when it is complete; return the content of its `export.json`.

    It is made in DIR.partial, from which an interrupted export goes on with everybody's lists.

    Args:
        run: directory of a finished run.
        out: the directory.
        export: what.
        source: read the run's log from here.
        columns: how to read it, in addition to what the run recorded.
        allow: classes from elsewhere that the run's bundle may name.
        overwrite: replace the directory of an earlier export.
        progress: called with the number of users who have their list, and of all users.
        say: called with a line at each step.

    Raises:
        BundleError: the network does not give the scores of the model.
        DataError: the directory is there already, or the log cannot be read.
    """
    if out.exists() and not (overwrite and (out / MANIFEST).exists()):
        cure = "replace it with --overwrite" if (out / MANIFEST).exists() else "it is no export, and is left alone"
        raise DataError(f"{out} is there already; choose another directory ({cure})")
    if not out.parent.is_dir():
        raise DataError(f"{out.parent} is no directory; make it, or choose another place for {out.name}")
    model = load_model(run, allow)
    log = run_log(run, model, source, columns)
    folder = out.with_name(f"{out.name}.partial")
    if folder.exists() and not (folder / _MARK).exists():
        raise DataError(f"{folder} is there, and not made by this command; move it, or choose another name")
    folder.mkdir(exist_ok=True)
    with locked(folder / _MARK, f"{folder} is in use: another export is going on there; wait until it is done"):
        job = _Export(model, log, folder)
        job.items()
        say("items")
        job.vectors()
        say("vectors and personas")
        if export.network:
            job.network()
        if export.lists != "none":
            lists = folder / "lists.parquet"
            write_lists(
                run,
                lists,
                export.settings,
                source=source,
                columns=columns,
                allow=allow,
                overwrite=True,
                progress=progress,
            )
            if export.lists == "sqlite":
                job.database(lists)
            else:
                job.files["lists.parquet"] = pq.ParquetFile(lists).metadata.num_rows
        return job.finish(out)


@final
class _Export:
    """Writes the files of an export to a folder, and notes what they hold and what is left out."""

    def __init__(self, model: Recommender, log: Interactions, folder: Path) -> None:
        self._model, self._log, self._folder = model, log, folder
        self._users = answerable_users(model, log)
        self.files: dict[str, int] = {}
        self._left_out: dict[str, str] = {}
        self._vectors: dict[str, Any] = {}
        self._network: dict[str, Any] | None = None

    def items(self) -> None:
        """Write the items."""
        self._write("items.parquet", [self._item_table()])

    def vectors(self) -> None:
        """Write the vectors of items and users, and the personas."""
        found = vectors_of(self._model)
        if isinstance(found, str):
            self._left_out["vectors"] = found
            found = []
        for one in found:
            self._vectors[one.kind] = {"meaning": one.meaning, "dimensions": one.items.shape[1]}
            self._write(f"item_{one.kind}.parquet", [item_table(self._model, one.items)])
            self._write(f"user_{one.kind}.parquet", user_tables(one, self._log, self._users))
        has = isinstance(self._model, PersonaRecommender) and self._model.has_personas
        if has or isinstance(self._model, WithPersonas):
            self._write("personas.parquet", persona_tables(self._model, self._log, self._users))
        else:
            self._left_out["personas"] = f"{type(self._model).__name__} has no personas"

    def network(self) -> None:
        """Write the network that scores, where the model is one and the libraries are there."""
        scoring = self._model.base if isinstance(self._model, WithPersonas | Slated) else self._model
        if not isinstance(scoring, ScoringNetwork) or scoring is not scoring.scoring_model:
            self._left_out["network"] = f"{type(scoring).__name__} is no network: export AMPCF, MF or SequentialAMPCF"
            return
        if isinstance(self._model, WithPersonas) and self._model.chosen_sharpness > 0:
            self._left_out["network"] = "attention over found personas decides the scores, which no network gives"
            return
        try:
            from recsys.experiments.exports.onnx_network import write_network  # noqa: PLC0415 (an optional library)
        except ModuleNotFoundError as error:
            self._left_out["network"] = f"{error.name} is not installed; pip install 'recsys[export]'"
            return
        chosen = self._users[np.unique(np.linspace(0, len(self._users) - 1, _COMPARED).astype(int))]
        queries = scoring.fitted_on.queries(self._log, chosen)
        facts = {"model": type(scoring).__name__, "fingerprint": scoring.fitted_on.fingerprint}
        self._network = write_network(scoring, self._folder / "model.onnx", queries, facts)
        self.files["model.onnx"] = self._model.n_items

    def database(self, lists: Path) -> None:
        """Write the lists and the items as a SQLite file instead of the Parquet file."""
        write_database(self._folder / "lists.db", lists, self._item_table())
        self.files["lists.db"] = pq.ParquetFile(lists).metadata.num_rows
        lists.unlink()

    def finish(self, out: Path) -> dict[str, Any]:
        """Write what there is, and give the folder its name; return the former."""
        fitted = self._model.fitted_on
        content: dict[str, Any] = json_values(
            {
                "format": 1,
                "recsys": version("recsys"),
                "model": type(self._model).__name__,
                "dataset": fitted.dataset,
                "fingerprint": fitted.fingerprint,
                "users": len(self._users),
                "items": len(fitted.items),
                "rows": self.files,
                "vectors": self._vectors,
                "network": self._network,
                "left_out": self._left_out,
            }
        )
        for path in self._folder.iterdir():
            if path.is_dir():  # parts of lists, of an earlier attempt with other settings
                shutil.rmtree(path)
            elif path.name not in (*self.files, _MARK):
                path.unlink()
        write_json(self._folder / MANIFEST, content)
        former = out.with_name(f".{out.name}.{uuid.uuid4().hex}")
        if out.exists():
            out.rename(former)
        try:
            self._folder.rename(out)
        except OSError:
            former.rename(out)
            raise
        (out / _MARK).unlink()
        shutil.rmtree(former, ignore_errors=True)
        return content

    def _write(self, name: str, tables: Iterable[pa.Table]) -> None:
        parts = iter(tables)
        first = next(parts, None)
        if first is None:
            return
        rows = 0
        with replacing(self._folder / name) as partial, pq.ParquetWriter(partial, first.schema) as writer:
            for table in chain([first], parts):
                writer.write_table(table)
                rows += table.num_rows
        self.files[name] = rows

    def _item_table(self) -> pa.Table:
        fitted = self._model.fitted_on
        metadata, items = fitted.metadata, fitted.items
        return pa.table(
            {
                "item_id": pa.array(items.ids, id_type(items)),
                "number": pa.array(np.arange(len(items), dtype=np.int32)),
                "title": pa.array(metadata.titles, pa.string()),
                "year": pa.array([year_of(title) for title in metadata.titles], pa.int32()),
                "genres": pa.array(metadata.genres, pa.list_(pa.string())),
                "uses": pa.array(fitted.item_counts),
            }
        )
