"""The index of a bundle's items: a file beside the model's, and its record in the manifest.

The manifest is replaced last, in one step, so that an interrupted command leaves the bundle as it was or complete. A
file that no manifest names is ignored, and removed by the next index.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from recsys.bundles.bundle import ARRAYS, INDEXES, facts_of
from recsys.bundles.manifest import MANIFEST, Manifest, canonical, read_manifest
from recsys.data.queries import Queries
from recsys.errors import BundleError, ConfigError, RecsysError
from recsys.files import json_values
from recsys.models.base import Recommendations, Recommender

if TYPE_CHECKING:
    from recsys.models.retrieval.index import PersonaIndex
    from recsys.models.retrieval.tuning import Measured, Recall

_CURE = "make it again with `recsys index`, or use --exact"

Recommend = Callable[[Queries, int], Recommendations]
"""The n best items of each query."""


@final
@dataclass(frozen=True)
class IndexRecord:
    """How an index was made, and its recall.

    Attributes:
        asked: the recall that the search was tuned for.
        tuned: recall on the queries that tuned the search.
        measured: recall on other queries, and their latency with and without the index.
        seed: of the clustering.
        build_seconds: of the clustering.
    """

    asked: float
    tuned: Recall
    measured: Measured
    seed: int
    build_seconds: float


def save_index(path: Path, index: PersonaIndex, record: IndexRecord, *, model_digest: str) -> dict[str, Any]:
    """Add an index to the bundle of its model, replacing any other; return its record in the manifest.

    Args:
        path: the bundle of the model that the index is of.
        record: how the index was made, and its recall.
        model_digest: `digest_of` the bundle's manifest when the model was loaded.

    Raises:
        BundleError: there is no bundle, or it now holds another model.
    """
    from recsys.models.retrieval.vector_index import LIBRARY  # noqa: PLC0415 (an optional library)

    with tempfile.TemporaryDirectory(prefix=f".{path.name}.index-", dir=path.parent) as folder:
        written = Path(folder) / "index"
        index.vectors.write(written)
        facts = facts_of(written)
        manifest = read_manifest(path)
        if digest_of(manifest) != model_digest:
            raise BundleError(f"{path}: the model was replaced while its index was made; make the index again")
        name = INDEXES.replace("*", facts["sha256"][:16])
        made = {"file": name, "model_sha256": model_digest, "library": LIBRARY, "cells": index.vectors.cells}
        entry: dict[str, Any] = json_values(made | {"search": asdict(index.search)} | asdict(record))
        others = {file: facts for file, facts in manifest.files.items() if not Path(file).match(INDEXES)}
        content = replace(manifest, files={**others, name: facts}, index=entry).content()
        described = Path(folder) / MANIFEST
        described.write_bytes(canonical(content))
        written.replace(path / name)
        described.replace(path / MANIFEST)
    for other in path.glob(INDEXES):
        if other.name != name:
            other.unlink(missing_ok=True)
    return entry | {"bytes": facts["bytes"]}


def load_index(path: Path, model: Recommender) -> PersonaIndex | None:
    """Return the index of a bundle, whose files `recsys.bundles.bundle.load` has checked; None when it has none.

    Raises:
        BundleError: the index is of another model, or not readable.
        ConfigError: faiss is not installed.
    """
    manifest = read_manifest(path)
    if manifest.index is None:
        return None
    if manifest.index.get("model_sha256") != digest_of(manifest):
        raise BundleError(f"{path}: its index was made of another model; {_CURE}")
    require_library("the bundle holds an index", "; or use --exact")
    from recsys.models.retrieval.index import PersonaIndex, Search  # noqa: PLC0415 (an optional library)
    from recsys.models.retrieval.vector_index import VectorIndex  # noqa: PLC0415

    file = path / str(manifest.index["file"])
    try:
        return PersonaIndex(model, VectorIndex.read(file), Search(**manifest.index["search"]))
    except (RecsysError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{file}: cannot be used ({error}); {_CURE}") from error


def recommender_of(path: Path, model: Recommender, *, exact: bool = False) -> Recommend:
    """Return the function by which the model of a bundle recommends: through its index if it has one, else exactly.

    With `exact` the index is ignored.

    Raises:
        BundleError, ConfigError: as for `load_index`.
    """
    index = None if exact else load_index(path, model)
    return model.recommend if index is None else index.recommend


def digest_of(manifest: Manifest) -> str:
    """Return the SHA-256 of the model's arrays."""
    return str(manifest.files[ARRAYS]["sha256"])


def describe_index(index: Mapping[str, Any]) -> str:
    """Return the recall of an index in a few words, from its entry in the manifest."""
    recall, n = index["measured"]["recall"], index["search"]["n"]
    return f"recall@{n} {recall['mean']:.4f} of the exact lists, on {recall['questions']} questions"


def require_library(what: str, otherwise: str = "") -> None:
    """Check that the library of the index is installed.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import recsys.models.retrieval.vector_index  # noqa: F401, PLC0415 (imports it)
    except ModuleNotFoundError as error:
        missing = f"{error.name} is not installed; pip install 'recsys[index]'"
        raise ConfigError(f"{what}, and {missing}{otherwise}") from None
