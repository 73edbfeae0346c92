"""Save a fitted model as a directory that holds data only, and load it without running anything from it.

manifest.json        what it is, how it was made, SHA-256 and size of every other file
arrays.safetensors   everything learned
items.parquet        item_id, title, genres, tags, count in the order of the model's item numbers
users.parquet        user_id in the order of the model's user numbers
index-*.faiss        an index of the items, where one was made (`recsys.bundles.index`)
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

import recsys
from recsys.bundles.classes import permitted
from recsys.bundles.manifest import (
    DIGEST,
    FORMAT_VERSION,
    GIVEN,
    INDEX,
    KEYS,
    MANIFEST,
    Manifest,
    canonical,
    git_commit,
    read_manifest,
)
from recsys.checks import path_of
from recsys.data.items import ItemMetadata
from recsys.data.vocabulary import Vocabulary
from recsys.errors import BundleError, ConfigError, RecsysError
from recsys.files import json_values
from recsys.models.base import FittedOn, Recommender
from recsys.models.parameters import ARGUMENTS, CLASS, from_section, to_plain

__all__ = ["FORMAT_VERSION", "MANIFEST", "Manifest", "load", "read_manifest", "save"]

ARRAYS, ITEMS, USERS = "arrays.safetensors", "items.parquet", "users.parquet"
_FILES = (ARRAYS, ITEMS, USERS)
_BROKEN_FILES = (SafetensorError, pa.ArrowException)
INDEXES = "index-*.faiss"
"""Files of indexes. One that the manifest does not name was left by an interrupted command, and is ignored."""


def save(model: Recommender, path: str | Path, *, extra: Mapping[str, Any] | None = None) -> Path:
    """Write a fitted model to a directory, whole or not at all.

    The bundle is written beside `path` and renamed. A bundle that is already there is replaced; anything else is not.

    Args:
        model: a fitted model, whose class can be imported.
        path: the directory to make; its parents are made too.
        extra: split, seed, metrics and anything else worth keeping, as JSON values; merged into the manifest. Numbers
            that JSON cannot hold (NaN, infinity) are kept as null.

    Raises:
        NotFittedError: before `fit`.
        ConfigError: it is no model.
        BundleError: `path` holds something that is not a bundle, `extra` claims a key of the manifest, or a class
            cannot be imported by its name.
    """
    if not isinstance(model, Recommender):
        raise ConfigError(f"save needs a fitted model, not {type(model).__name__}, as in save(model, path)")
    path = path_of("save", path)
    if not isinstance(extra, Mapping | None):
        raise ConfigError(f"extra is {extra!r}; give a mapping of names to JSON values")
    notes = dict(extra or {})
    if reserved := sorted(set(notes) & ({*KEYS, INDEX, DIGEST} - set(GIVEN))):
        raise BundleError(f"extra holds {reserved[0]!r}, which the manifest of a bundle uses itself; use another name")
    _refuse_to_replace_other_things(path)
    fitted_on, arrays = model.fitted_on, model.arrays()
    description = to_plain(model)
    for section in _sections(description):
        module, _, attribute = section[CLASS].rpartition(".")
        if module == "__main__" or not hasattr(sys.modules.get(module), attribute):
            raise BundleError(
                f"{section[CLASS]} cannot be imported by that name, so no bundle of it could be loaded; define it at "
                "the top level of an installed module"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.new-", dir=path.parent))
    try:
        save_file({key: np.asarray(value, order="C") for key, value in arrays.items()}, temporary / ARRAYS)
        (temporary / ARRAYS).chmod(0o666 & ~_umask())  # safetensors makes files that only their owner can read
        _write_vocabularies(fitted_on, temporary)
        content = {
            "format_version": FORMAT_VERSION,
            "library_version": recsys.__version__,
            "model": description[CLASS],
            "parameters": description[ARGUMENTS],
            "dataset": fitted_on.dataset,
            "fingerprint": fitted_on.fingerprint,
            "clock": fitted_on.clock,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "git_commit": git_commit(),
            "files": {file: facts_of(temporary / file) for file in _FILES},
            "split": None,
            "seed": description[ARGUMENTS].get("seed"),
            "metrics": {},
        } | json_values(notes)
        (temporary / MANIFEST).write_bytes(canonical(content))
        _swap(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def load(path: str | Path, allow: Iterable[type | str] | type | str = ()) -> Recommender:
    """Return the model of a bundle, after checking every byte of it.

    Nothing that the bundle names is imported: its classes must be exported by this library, be given in `allow`, or be
    entry points of an installed package.

    Args:
        path: its directory.
        allow: models and rules of forgetting from elsewhere that the bundle may name, as classes or by dotted path;
            one, or several.

    Raises:
        BundleError: naming the file and the cure, when anything is missing, truncated, altered or left over, when the
            format is of a later version, or when a class is not trusted.
        ConfigError: `allow` holds no model or rule of forgetting, or a name that cannot be found.
    """
    path = Path(path)
    manifest = read_manifest(path)
    _verify_files(path, manifest)
    description = {CLASS: manifest.model, ARGUMENTS: manifest.parameters}
    for section in _sections(description):
        if ARGUMENTS not in section:  # only a user's own file may leave them to the defaults
            raise BundleError(
                f"{path / MANIFEST}: {section[CLASS]!r} without {ARGUMENTS} is not a model of this library as `save` "
                "describes it; copy the bundle again, or train again"
            )
    resolve = permitted(allow)
    try:
        model = from_section(description, Recommender, f"{path / MANIFEST}: model", resolve)
        return model.restore(_read_fitted_on(path, manifest), load_file(path / ARRAYS))
    except BundleError:
        raise
    except (RecsysError, LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, *_BROKEN_FILES) as error:
        raise BundleError(
            f"{path}: written by version {manifest.library_version}, this is {recsys.__version__}, and they do not "
            f"agree on {manifest.model} ({type(error).__name__}: {error}); load it with that version, or train again"
        ) from error


def facts_of(file: Path) -> dict[str, Any]:
    """Return the size and the SHA-256 of a file, as a manifest has them."""
    with file.open("rb") as stream:
        return {"sha256": hashlib.file_digest(stream, "sha256").hexdigest(), "bytes": file.stat().st_size}


def _verify_files(path: Path, manifest: Manifest) -> None:
    files = _FILES if manifest.index is None else (*_FILES, str(manifest.index.get("file")))
    if sorted(manifest.files) != sorted(files) or not all(fnmatchcase(name, INDEXES) for name in files[len(_FILES) :]):
        held = f"lists the files {sorted(manifest.files)}, a bundle of format {FORMAT_VERSION} holds {sorted(files)}"
        raise BundleError(f"{path / MANIFEST}: {held}; train again")
    for extra in sorted({entry.name for entry in path.iterdir()} - {MANIFEST, *files}):
        if not fnmatchcase(extra, INDEXES):
            raise BundleError(f"{path / extra}: does not belong to the bundle; move it elsewhere")
    for name in files:
        file = path / name
        cure = "copy the bundle again, or train again"
        if not file.exists():
            raise BundleError(f"{file}: is missing; {cure}")
        if not stat.S_ISREG(file.lstat().st_mode):
            raise BundleError(f"{file}: is not a plain file; {cure}")
        expected, size = manifest.files[name], file.stat().st_size
        if size != expected.get("bytes"):
            raise BundleError(f"{file}: has {size} bytes instead of {expected.get('bytes')} (truncated?); {cure}")
        if facts_of(file) != expected:
            raise BundleError(f"{file}: its SHA-256 is not the one in the manifest, it was altered; {cure}")


def _sections(plain: object) -> Iterator[Mapping[str, Any]]:
    """Yield the mappings that name a class: of the model and of everything within it."""
    if isinstance(plain, Mapping):
        if isinstance(plain.get(CLASS), str):
            yield plain
        for value in plain.values():
            yield from _sections(value)


def _write_vocabularies(fitted_on: FittedOn, directory: Path) -> None:
    metadata = fitted_on.metadata
    words = pa.list_(pa.string())
    columns = {
        "item_id": _ids(fitted_on.items),
        "title": pa.array(metadata.titles, pa.string()),
        "genres": pa.array(metadata.genres, words),
        "tags": pa.array(metadata.tags, words),
        "count": pa.array(fitted_on.item_counts, pa.int64()),
    }
    pq.write_table(pa.table(columns), directory / ITEMS)
    pq.write_table(pa.table({"user_id": _ids(fitted_on.users)}), directory / USERS)


def _ids(vocabulary: Vocabulary) -> pa.Array:
    return pa.array(vocabulary.ids, pa.int64() if vocabulary.is_integer else pa.string())


def _vocabulary(column: pa.ChunkedArray) -> Vocabulary:
    whole = column.combine_chunks()
    integer = pa.types.is_integer(whole.type)
    return Vocabulary(whole.to_numpy(zero_copy_only=False).astype(np.int64 if integer else object))


def _read_fitted_on(path: Path, manifest: Manifest) -> FittedOn:
    items, users = pq.read_table(path / ITEMS), pq.read_table(path / USERS)
    genres, tags = (tuple(map(tuple, items[name].to_pylist())) for name in ("genres", "tags"))
    metadata = ItemMetadata(tuple(items["title"].to_pylist()), genres, tags)
    ids, counts = (_vocabulary(users["user_id"]), _vocabulary(items["item_id"])), items["count"].to_numpy()
    return FittedOn(*ids, metadata, counts, manifest.clock, manifest.dataset, manifest.fingerprint)


def _refuse_to_replace_other_things(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        names = {entry.name for entry in path.iterdir() if not fnmatchcase(entry.name, INDEXES)}
        if not names or (MANIFEST in names and names <= {MANIFEST, *_FILES}):
            return
    if path.exists() or path.is_symlink():
        raise BundleError(f"{path}: exists and is not a bundle, it will not be replaced; choose another directory")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _swap(new: Path, path: Path) -> None:
    """Rename `new` to `path`; what was there steps aside first, and comes back should the rename fail."""
    # mkdtemp makes directories that only their owner can read; a bundle is as readable as any other new directory.
    new.chmod(0o777 & ~_umask())
    if not path.exists():
        new.rename(path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.old-", dir=path.parent))
    old = aside / "bundle"
    try:
        path.rename(old)
        new.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        aside.rmdir()
        raise
    shutil.rmtree(aside)
