"""Dataset cards: what is known of a data set, where it comes from, and how its file is read.

Imports neither numpy nor pandas, so that a list of the data sets costs next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, final

import yaml

from recsys.data.catalogue import locations
from recsys.data.readers.columns import Columns, check_keys
from recsys.errors import DataError, nearest


@final
@dataclass(frozen=True)
class Derivation:
    """How a log is made from another one if its own file is missing.

    Attributes:
        source: name of the card of the other log.
        minimum_item_events: items with fewer events are left out.
        clock: "order" replaces times by positions in the user's history; "seconds" keeps them.
    """

    source: str
    minimum_item_events: int = 1
    clock: Literal["order", "seconds"] = "seconds"


@final
@dataclass(frozen=True)
class Card:
    """One dataset card, the file `datasets/NAME.yaml`.

    Attributes:
        name: short name, that of the file.
        title: one line for lists.
        description: a few sentences.
        homepage: page of the publisher.
        licence: terms in one line.
        citation: what a publication must cite.
        url: address of the download; None: `place` says how to get the file.
        file: name of the downloaded file in the folder of logs.
        sha256: checksum of the published file; None if it could not be verified, as `notes` then says.
        md5: checksum given by the publisher or several users of the file; used only without `sha256`.
        md5_url: address of the publisher's MD5 checksum; used only without the other two.
        paths: possible places of the log in a folder of logs, the preferred one first.
        attributes: JSON file of item attributes beside the log.
        place: for a log without URL, which file to put where.
        rows: number of rows of the published log.
        users: number of users of the published log.
        items: number of items of the published log.
        columns: how the file is read, and the policies.
        derivation: how the log is made from another one if its file is missing.
        generator: dotted path of the function that simulates the log from a seed; None: the log is a file.
        pairs: whether it is a log of choices between two items, which `recsys.data.pairs.read_pair_log` reads.
        notes: facts worth knowing, one sentence each.
    """

    name: str
    title: str
    description: str
    licence: str
    citation: str
    homepage: str | None = None
    url: str | None = None
    file: str | None = None
    sha256: str | None = None
    md5: str | None = None
    md5_url: str | None = None
    paths: tuple[str, ...] = ()
    attributes: str | None = None
    place: str | None = None
    rows: int | None = None
    users: int | None = None
    items: int | None = None
    columns: Columns = field(default_factory=Columns)
    derivation: Derivation | None = None
    generator: str | None = None
    pairs: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.url is not None and not (self.url.startswith(("https://", "http://")) and self.file):
            raise DataError(f"card {self.name}: a url must begin with https:// or http:// and go with a file name")
        if bool(self.paths) == bool(self.generator):
            raise DataError(f"card {self.name}: give paths, the places where the log can lie, or a generator")
        if self.pairs and self.generator is None:
            raise DataError(
                f"card {self.name}: a log of pairs is simulated by a generator; files of pairs need no card"
            )

    @classmethod
    def read(cls, path: Path) -> Card:
        """Read a card.

        Raises:
            DataError: the file is not YAML, or a key is unknown, missing or of the wrong type.
        """
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise DataError(f"card {path} cannot be read: {error}") from error
        if not isinstance(content, dict):
            raise DataError(f"card {path}: expected keys and values, found {type(content).__name__}")
        values: dict[str, Any] = {**content, "name": path.stem}
        check_keys(cls, values, f"card {path}")
        try:
            if "columns" in values:
                values["columns"] = Columns.from_mapping(values["columns"])
            if "derivation" in values:
                check_keys(Derivation, values["derivation"], "derivation")
                values["derivation"] = Derivation(**values["derivation"])
            for key in ("paths", "notes"):
                values[key] = tuple(values.get(key, ()))
            return cls(**values)
        except (TypeError, DataError) as error:
            raise DataError(f"card {path}: {error}") from error


@cache
def _read_cards(folder: Path) -> dict[str, Card]:
    return {path.stem: Card.read(path) for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem)}


def all_cards() -> dict[str, Card]:
    """Return all dataset cards by name, sorted."""
    return dict(_read_cards(locations.shipped("datasets")))


def card(name: str) -> Card:
    """Return one card.

    Raises:
        DataError: there is no card of that name; the message lists the names and the nearest one.

    >>> card("ml-100k").rows
    100000
    """
    known = all_cards()
    if name not in known:
        raise DataError(f"no data set {name!r}{nearest(name, known)}; known: {', '.join(known)}; or give a file")
    return known[name]
