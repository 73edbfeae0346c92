"""The manifest of a bundle: what it is, how it was made, and the checksums of everything else."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, final, get_args

import recsys
from recsys.bundles.legacy import todays_manifest
from recsys.data.readers.columns import Clock
from recsys.errors import BundleError

FORMAT_VERSION = 2
MANIFEST = "manifest.json"
DIGEST = "manifest_sha256"
"""The key that holds the checksum of the manifest itself."""


@final
@dataclass(frozen=True)
class Manifest:
    """The content of a manifest, of any format version in the terms of the present one.

    Attributes:
        format_version: version of this layout.
        library_version: version of this package that wrote it.
        model: public name of the model's class, `recsys.models.EASE`.
        parameters: the constructor's arguments.
        dataset: name of the log the model was fitted on.
        fingerprint: SHA-256 of that log (`Interactions.fingerprint`).
        clock: the unit of time of that log.
        created: UTC, ISO 8601.
        git_commit: commit of the library's checkout; None when it was installed otherwise.
        files: SHA-256 and size in bytes of each file, by name.
        split: the split the model was trained on; None when unknown.
        seed: the seed of the run; None when unknown, or when nothing is random.
        metrics: values by name.
        index: how the index of the items was made, and its recall; None where there is none.
        notes: anything else that the caller of `save` added.
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

    @property
    def model_id(self) -> str:
        """The first 16 digits of the SHA-256 of the parameters, by which a service names the model that answers."""
        return str(self.files["arrays.safetensors"]["sha256"])[:16]

    def content(self) -> dict[str, Any]:
        """Return the content of the file, without its checksum."""
        entries = {key: getattr(self, key) for key in KEYS}
        return entries | dict(self.notes) | ({} if self.index is None else {INDEX: self.index})


GIVEN = ("split", "seed", "metrics")
"""The keys that a caller of `save` may give; the others are the library's own."""
INDEX = "index"
"""The key that a manifest has where the bundle holds an index."""
KEYS = tuple(entry.name for entry in fields(Manifest) if entry.name not in ("notes", INDEX))
"""The keys that every manifest has."""


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of a bundle, without loading the model.

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
    if version not in (1, FORMAT_VERSION) or not isinstance(version, int) or isinstance(version, bool):
        raise BundleError(
            f"{file}: format version {version!r} is unknown, this library reads version {FORMAT_VERSION} and earlier; "
            "update the library, or train again"
        )
    digest = content.pop(DIGEST, None)
    # The bytes are compared too: the digest alone does not depend on how the JSON is spelt.
    if digest != _digest(content) or raw != canonical(content) or any(key not in content for key in KEYS):
        raise BundleError(altered)
    well_formed = (
        isinstance(content["model"], str)
        and isinstance(content["parameters"], dict)
        and isinstance(content["files"], dict)
        and all(isinstance(facts, dict) for facts in content["files"].values())
        and isinstance(content.get(INDEX, {}), dict)
        and all(isinstance(content[key], str) for key in ("library_version", "dataset", "fingerprint", "created"))
        and isinstance(content["metrics"], dict)
        and content["clock"] in get_args(Clock)
    )
    if not well_formed:
        raise BundleError(altered)
    content = todays_manifest(content)
    entries = {key: content.pop(key) for key in KEYS}
    return Manifest(**entries, index=content.pop(INDEX, None), notes=content)


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


def git_commit() -> str | None:
    """Return the commit of the library's own checkout; None when it was installed otherwise."""
    root = Path(recsys.__file__).parents[1]
    git = shutil.which("git")
    # Without this check, git would find another repository that the environment lies in.
    if git is None or not (root / ".git").exists():
        return None
    command = [git, "-C", str(root), "rev-parse", "HEAD"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    return result.stdout.strip() or None if result.returncode == 0 else None
