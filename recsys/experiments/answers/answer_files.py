"""Files of answers: CSV with named columns, whose values may have line breaks within quotation marks."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from recsys.errors import DataError


def read_rows(path: Path, columns: Sequence[str], expected: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return the place of each row, for errors, and its values in some columns; "" where a row has none.

    Args:
        path: of the file.
        columns: names.
        expected: names of the columns that the file should have, for errors.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            return [
                (f"{path}, line {reader.line_num}", [(row.get(name) or "").strip() for name in columns])
                for row in reader
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path}: cannot be read ({error}); give a CSV file with the columns {','.join(expected)}"
        ) from error
