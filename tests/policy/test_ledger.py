"""The ledger: what is appended is there, what is changed is found, and a crash leaves nothing torn behind."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recsys.errors import DataError
from recsys.policy.ledger import Ledger, LedgerError, entry, keyed_hash, verify


def filled(folder: Path, lines: int) -> Path:
    ledger = Ledger(folder)
    for number in range(lines):
        assert ledger.append({"items": [f"i{number}", "ü\n"], "user": None}) == f"0-{number}"
    ledger.close()
    return folder / "0000.jsonl"


def test_lines_are_found_by_their_id_and_hold_the_hash_of_the_one_before(tmp_path: Path) -> None:
    path = filled(tmp_path, 300)
    found = verify(tmp_path)
    assert (found.lines, found.broken) == (300, ())
    assert len(path.read_text().splitlines()) == 300
    for number in (0, 1, 17, 298, 299):
        line, intact = entry(tmp_path, f"0-{number}") or ({}, False)
        assert (line["id"], line["items"][0], intact) == (number, f"i{number}", True)
    assert entry(tmp_path, "0-300") is None
    assert entry(tmp_path, "7-0") is None
    with pytest.raises(DataError, match="FILE-LINE"):
        entry(tmp_path, "../x")


@pytest.mark.parametrize(
    ("change", "first"),
    [
        (lambda lines: [*lines[:4], lines[4].replace(b"i4", b"i5"), *lines[5:]], "line 6"),
        (lambda lines: [*lines[:4], *lines[5:]], "line 5"),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], "line 3"),
        (lambda lines: [b"{}\n", *lines], "line 1"),
        (lambda lines: [*lines[:-1], lines[-1][:-5]], "line 10"),
        (lambda lines: lines[1:], "line 1"),
    ],
)
def test_the_first_line_that_is_not_as_it_was_written_is_named(
    tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], first: str
) -> None:
    path = filled(tmp_path, 10)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    (broken,) = verify(tmp_path).broken
    assert broken.startswith(f"0000.jsonl, {first}:")


def test_a_cut_end_shows_in_the_head_alone(tmp_path: Path) -> None:
    path = filled(tmp_path, 10)
    whole = verify(tmp_path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:7]))
    cut = verify(tmp_path)
    assert cut.broken == ()
    assert cut.heads != whole.heads


def test_a_changed_line_shows_when_it_is_looked_at(tmp_path: Path) -> None:
    path = filled(tmp_path, 10)
    path.write_bytes(path.read_bytes().replace(b"i4", b"i5"))
    assert [(entry(tmp_path, f"0-{number}") or ({}, None))[1] for number in (3, 4, 5)] == [True, False, True]


def test_a_torn_end_is_cut_off_and_the_chain_goes_on(tmp_path: Path) -> None:
    path = filled(tmp_path, 5)
    with path.open("ab") as stream:
        stream.write(b'{"id":5,"previous":"ab')
    assert verify(tmp_path).broken == ("0000.jsonl, line 6: it is torn",)
    ledger = Ledger(tmp_path)
    assert ledger.append({"items": []}) == "0-5"
    ledger.close()
    found = verify(tmp_path)
    assert (found.lines, found.broken) == (6, ())


def test_each_writer_has_a_file_of_its_own(tmp_path: Path) -> None:
    one, other = Ledger(tmp_path), Ledger(tmp_path)
    assert (one.append({}), other.append({}), one.append({})) == ("0-0", "1-0", "0-1")
    one.close()
    again = Ledger(tmp_path)
    assert again.append({}) == "0-2"
    again.close()
    other.close()
    assert verify(tmp_path).lines == 4


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    ledgers = [Ledger(tmp_path) for _ in range(3)]
    for ledger in ledgers:
        ledger.append({})
        ledger.close()
    (tmp_path / "0001.jsonl").unlink()
    (broken,) = verify(tmp_path).broken
    assert broken.startswith("0001.jsonl: it is gone")


def test_a_line_that_could_not_be_written_whole_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    ledger = Ledger(tmp_path)
    ledger.append({"items": []})
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, line: write(file, line[:7]))
        full.setattr(os, "ftruncate", lambda file, size: (_ for _ in ()).throw(OSError(5, "the disk fails")))
        for _ in range(2):
            with pytest.raises(LedgerError, match="cannot be written"):
                ledger.append({"items": [1]})
    assert ledger.append({"items": [2]}) == "0-1"
    ledger.close()
    found = verify(tmp_path)
    assert (found.lines, found.broken) == (2, ())


def test_threads_do_not_tear_the_chain(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda number: ledger.append({"items": [number]}), range(400)))
    ledger.close()
    assert len(set(written)) == 400
    assert verify(tmp_path).broken == ()


def _write_for_ever(folder: str) -> None:
    ledger = Ledger(folder)
    while True:
        ledger.append({"items": list(range(50))})


def test_a_killed_writer_leaves_whole_lines(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_write_for_ever, args=(str(tmp_path),))
    process.start()
    path = tmp_path / "0000.jsonl"
    while not path.exists() or path.stat().st_size < 50_000:
        process.join(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    found = verify(tmp_path)
    assert found.broken == ()
    assert found.lines > 100


def test_who_a_line_is_about_is_known_with_the_key_alone(tmp_path: Path) -> None:
    digests = {keyed_hash(key, "ada") for key in ("00" * 32, "01" * 32)}
    assert len(digests) == 2
    ledger = Ledger(tmp_path)
    ledger.append({"user": keyed_hash("00" * 32, "ada")})
    ledger.close()
    assert "ada" not in (tmp_path / "0000.jsonl").read_text()
    assert json.loads((tmp_path / "0000.jsonl").read_text())["user"] in digests


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no ledger"):
        verify(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        Ledger(tmp_path / "file")
