"""Reads the users whose lists are asked for from a file, by the rules for logs."""

from __future__ import annotations

from pathlib import Path

from recsys.data.readers.coded import Coded
from recsys.data.readers.columns import Columns
from recsys.data.readers.layout import detect, is_bare_list
from recsys.data.readers.parsing import chunks
from recsys.data.readers.sources import find_log
from recsys.data.readers.validation import Validator
from recsys.errors import DataError


def read_users(path: Path) -> list[str]:
    """Return the ids of users in a file, each once, in the order in which they come first.

    The file has any format of a log with a column for the user, or is ids one to a line, or a JSON list of ids.

    Raises:
        DataError: naming file, line and value: no file, nothing readable, no user column, no id.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; give a file with the ids of the users, one to a line")
    source = find_log(path)
    columns = Columns(names=("user",)) if is_bare_list(source) else Columns()
    layout = detect(source, columns, required=("user",))
    validator = Validator(columns)
    ids: dict[str, None] = {}
    for chunk in chunks(layout):
        checked = validator.check(chunk.with_column("item", Coded.of_one("anything", len(chunk.lines))))
        if checked.rejected:
            raise DataError(f"{checked.where}, {layout.unit} {checked.rejected[0].line}: {checked.rejected[0].reason}")
        ids |= dict.fromkeys(checked.user.decoded())
    if not ids:
        raise DataError(f"{path}: only a header; give the ids of the users, one to a line")
    return list(ids)
