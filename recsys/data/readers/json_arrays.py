"""Reads the entries of a JSON array one after the other."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator

from recsys.data.readers.sources import Source
from recsys.errors import DataError

_BLOCK_BYTES = 1 << 20
_LONGEST_ENTRY = 1 << 24
_BETWEEN = re.compile(r"[\s,]*")


def array_entries(source: Source) -> Iterator[object]:
    """Yield the entries of a JSON array; its text is never held as a whole.

    Raises:
        DataError: it is no JSON array; the message counts entries from 1.
    """
    decoder = json.JSONDecoder()
    decode = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace").decode
    with source.open_text() as stream:
        text, number, opened = "", 1, False
        while True:
            block = stream.read(_BLOCK_BYTES)
            text += decode(block, final=not block)
            if not opened:
                text = text.lstrip().removeprefix("[")
                opened = True
            at, fault = 0, "the array does not end"
            while True:
                at = _end_of_blanks(text, at)
                if text.startswith("]", at):
                    return
                try:
                    entry, end = decoder.raw_decode(text, at)
                except (ValueError, RecursionError) as error:
                    fault = str(error)
                    break
                if end == len(text) and block:  # a number may go on in the next block
                    break
                yield entry
                at, number = end, number + 1
            text = text[at:]
            if not block or len(text) > _LONGEST_ENTRY:
                raise DataError(f"{source.label}, entry {number}: no valid JSON array ({fault}); correct the file")


def _end_of_blanks(text: str, at: int) -> int:
    match = _BETWEEN.match(text, at)
    assert match is not None  # it matches nothing, too
    return match.end()
