"""The manifest of a bundle: what it is, how it was made, and the checksums of everything else."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, final

import numpy as np

import recsys
from recsys.errors import BundleError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
DIGEST = "manifest_sha256"
"""The key that holds the checksum of the manifest itself."""


@final
@dataclass(frozen=True)
class Manifest:
    """What a bundle says about itself.

    Attributes:
        format_version: version of this layout.
        library_version: version of this package that wrote it.
        model: dotted path of the model's class; only classes exported by `recsys.models` are ever accepted.
        parameters: the constructor's arguments.
        dataset: name of the log the model was fitted on.
        fingerprint: SHA-256 of that log (`Interactions.fingerprint`).
        clock: the unit of time of that log.
        created: UTC, ISO 8601.
        git_commit: commit of the library's checkout; None when it was installed otherwise.
        files: SHA-256 and size in bytes of each file, by name.
        split: the split the model was trained on; None when not told.
        seed: the seed of the run; None when nothing was drawn or told.
        metrics: what was measured, by name.
        index: of the items, for large catalogues, how it was made and what it finds; None where there is none.
        notes: anything else the caller wanted to keep.
    """

    format_version: int
    library_version: str
    model: str
    parameters: Mapping[str, Any]
    dataset: str
    fingerprint: str
    clock: str
    created: str
    git_commit: str | None
    files: Mapping[str, Mapping[str, Any]]
    split: Any = None
    seed: int | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    index: Mapping[str, Any] | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """Return what the file holds, without its checksum."""
        known = {key: getattr(self, key) for key in KEYS}
        return known | dict(self.notes) | ({} if self.index is None else {INDEX: self.index})


GIVEN = ("split", "seed", "metrics")
"""The keys that a caller of `save` may give; the others are the library's own."""
INDEX = "index"
"""The key that a manifest has where the bundle holds an index."""
KEYS = tuple(entry.name for entry in fields(Manifest) if entry.name not in ("notes", INDEX))
"""The keys that every manifest has."""


def read_manifest(path: Path) -> Manifest:
    """Return what a bundle says about itself, without loading the model.

    Raises:
        BundleError: there is no bundle, or its manifest is altered or of another format version.
    """
    file = Path(path) / MANIFEST
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{file}: cannot be read ({error.strerror}); give the directory that was saved, or train again"
        ) from error
    altered = f"{file}: not as it was written (truncated or altered); copy the bundle again, or train again"
    try:
        content = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(altered) from error
    if not isinstance(content, dict):
        raise BundleError(altered)
    version = content.get("format_version")
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise BundleError(
            f"{file}: format version {version!r} is unknown, this library reads version {FORMAT_VERSION}; "
            "update the library, or train again"
        )
    digest = content.pop(DIGEST, None)
    # Comparing the bytes, too, leaves no byte of the file whose change would go unnoticed.
    if digest != _digest(content) or raw != canonical(content) or any(key not in content for key in KEYS):
        raise BundleError(altered)
    well_formed = (
        isinstance(content["model"], str)
        and isinstance(content["parameters"], dict)
        and isinstance(content["files"], dict)
        and all(isinstance(facts, dict) for facts in content["files"].values())
        and isinstance(content.get(INDEX, {}), dict)
    )
    if not well_formed:
        raise BundleError(altered)
    known = {key: content.pop(key) for key in KEYS}
    return Manifest(**known, index=content.pop(INDEX, None), notes=content)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def canonical(content: Mapping[str, Any]) -> bytes:
    """Return the only spelling of a manifest that is accepted, with the checksum of its content."""
    try:
        whole = {**content, DIGEST: _digest(content)}
        return (json.dumps(whole, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise BundleError(f"the manifest cannot be written as JSON: {error}") from error


def json_values(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return JSON values: numpy scalars as numbers, tuples as lists, NaN and infinity as None."""
    if isinstance(value, Mapping):
        return {str(key): json_values(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(entry) for entry in value]
    if isinstance(value, np.generic):
        return json_values(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def git_commit() -> str | None:
    """Return the commit of the library's own checkout; None when it was installed otherwise."""
    root = Path(recsys.__file__).parents[1]
    git = shutil.which("git")
    # Only a checkout of this library counts: an environment inside some other repository is not that.
    if git is None or not (root / ".git").exists():
        return None
    done = subprocess.run(  # noqa: S603 - fixed arguments
        [git, "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None if done.returncode == 0 else None
