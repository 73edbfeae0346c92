"""The experiment files that come with the library, by name. No library is imported, so that a command line is quick."""

from __future__ import annotations

from pathlib import Path

from recsys.data.catalogue.locations import shipped
from recsys.errors import ConfigError, nearest


def experiment_files() -> dict[str, Path]:
    """Return the files of the shipped experiments by name."""
    return {file.stem: file for file in sorted(shipped("configs").glob("*.yaml"))}


def experiment_file(name: str | Path) -> Path:
    """Return the file of a shipped experiment by its name, "ease" or "tuned/LOG-SPLIT/ease"; a path as it is.

    Raises:
        ConfigError: there is no experiment of that name.
    """
    path = Path(name)
    if path.suffix or not path.name or path.is_file():
        return path
    if len(path.parts) != 1:
        tuned = shipped("configs") / f"{path}.yaml"
        return tuned if path.parts[:1] == ("tuned",) and tuned.is_file() else path
    files = experiment_files()
    if path.name not in files:
        hint = nearest(path.name, files)
        raise ConfigError(f"no experiment {path.name!r}{hint}; there are {', '.join(files)}, or give a YAML file")
    return files[path.name]
