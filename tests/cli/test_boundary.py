"""Where the command line meets the machine: full disks, places that cannot be written, narrow terminals, defects."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recsys.cli.render import BLOCKS
from recsys.experiments import questions

Call = Callable[..., tuple[int, str, str]]
_PROGRAM = "import sys; from recsys.cli.main import main; sys.exit(main())"


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let files grow to a size in bytes only, as `ulimit -f` does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("config", "settings"), [("ease", ()), ("ampcf_latent", ("--epochs", "1"))])
@pytest.mark.parametrize("size", [0, 5_000, 20_000])
def test_full_disk_is_one_line_that_names_the_place(
    call: Call, log_file: Path, tmp_path: Path, config: str, settings: tuple[str, ...], size: int
) -> None:
    out = tmp_path / "run"
    with largest_file(size):
        code, _, err = call("train", "--config", config, "--data", log_file, "--out", out, "--quiet", *settings)
    assert code == 2
    assert err.startswith(f"recsys: {out}")
    assert "File too large; raise the limit" in err
    assert err.count("\n") == 1
    assert not (out / "metrics.json").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a system without /dev/full")
@pytest.mark.parametrize("command", [("data", "list", "--json"), ("data", "list"), ("--help",)])
def test_output_that_cannot_be_written(command: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    if command != ("--help",):  # argparse forgives
        assert done.returncode == 2
        assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") <= 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["train", "--config", "CONFIG", "--data", "LOG", "--out", "/proc/x/y"], "/proc/x: No such file or directory"),
        (["train", "--config", "FOLDER", "--data", "LOG", "--out", "OUT"], "Is a directory"),
        (["recommend", "--run", "RUN", "--history", "FOLDER"], "FOLDER"),
        (["train", "--config", "CONFIG", "--data", "missing", "--out", "OUT", "--k", "0"], "--k: 0 is out of range"),
        (["train", "--config", "CONFIG", "--data", "missing", "--out", "OUT", "--seed", "-1"], "--seed: -1 is out of"),
        (["train", "--config", "CONFIG", "--data", "missing", "--out", "OUT", "--split-seed", "9e9"], "whole number"),
        (["train", "--config", "CONFIG", "--data", "missing", "--out", "OUT", "--accelerator", "foo"], "auto"),
        (["train", "--config", "CONFIG", "--data", "missing", "--out", "OUT", "--accelerator", "cuda"], "invalid"),
        (["train", "--config", "CONFIG", "--data", "missing", "--out", "OUT", "--threshold", "nan"], "finite"),
        (
            ["train", "--config", "CONFIG", "--data", "missing", "--out", "OUT", "--threshold", "4"],
            "option 'threshold'",
        ),
        (["train", "--config", "CONFIG", "--data", "missing", "--out", "OUT", "--validation.metric", "x@1"], "x"),
        (
            ["train", "--config", "CONFIG", "--data", "missing", "--out", "OUT", "--filters.min_user_events", "0"],
            "is 0",
        ),
        (["train", "--config", "CONFIG", "--data", "missing", "--out", "OUT", "--validation.users", "0"], "is 0"),
        (["recommend", "--run", "RUN", "--user", "3", "-n", "10000000000"], "at most"),
        (["personas", "--run", "missing", "--user", "3", "--picture", "a.bmp"], ".png, .svg, .pdf"),
        (["data", "inspect", "missing", "--picture", "a"], ".png, .svg, .pdf"),
        (["index", "--run", "missing", "--recall", "inf"], "finite"),
        (["tokens", "create", "--events", "missing", "--label", "x", "--days", "0"], "--days: 0 is out of range"),
        (["benchmark", "drift", "--data", "missing", "--out", "OUT", "--arms", "nothing"], "no arm 'nothing'"),
        (["benchmark", "drift", "--data", "missing", "--out", "OUT", "--base", "nothing"], "'nothing'"),
        (["evaluate", "--run", "RUN", "--data", "missing", "--metric", "ndgc"], "ndgc"),
    ],
)
def test_options_are_checked_before_anything_is_read(
    call: Call, runs: dict[str, Path], log_file: Path, tmp_path: Path, arguments: list[str], text: str
) -> None:
    """A log called `missing` would be the error otherwise."""
    known = {"RUN": runs["ease"], "LOG": log_file, "OUT": tmp_path / "out", "FOLDER": tmp_path, "CONFIG": "ease"}
    code, out, err = call(*(known.get(word, word) for word in arguments))
    assert (code, out) == (2, "")
    assert str(known.get(text, text)) in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_narrow_terminals_get_what_they_can_show(runs: dict[str, Path], encoding: str) -> None:
    command = [sys.executable, "-c", _PROGRAM, "personas", "--run", str(runs["persona_ease"]), "--user", "3"]
    environment = os.environ | {"PYTHONIOENCODING": encoding, "COLUMNS": "100"}
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    (active, *_) = [line for line in done.stdout.decode(encoding).splitlines() if "active" in line]
    bar = active.split("active")[1].split()[0]
    assert set(bar) <= set(BLOCKS if encoding == "utf-8" else "0123456789")


def test_defect_is_one_line_and_a_traceback_with_debug(
    call: Call, runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(questions, "recommend", broken)
    question = ("recommend", "--run", runs["ease"], "--user", "3")
    code, out, err = call(*question)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "unexpected ZeroDivisionError: by nothing" in err
    assert "--debug" in err
    assert "report" in err
    for debug in ((*question, "--debug"), ("--debug", *question)):
        code, _, err = call(*debug)
        assert code == 1
        assert "Traceback (most recent call last)" in err
        assert 'raise ZeroDivisionError("by nothing")' in err
    assert "Traceback" in call("recommend", "--run", "missing", "--user", "3", "--debug")[2]


def test_not_enough_memory_is_told(call: Call, runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def large(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 3 TiB")

    monkeypatch.setattr(questions, "recommend", large)
    code, _, err = call("recommend", "--run", runs["ease"], "--user", "3")
    assert code == 2
    assert "not enough memory (Unable to allocate 3 TiB)" in err


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF"), (".SVG", b"<?xml")]
)
def test_pictures_have_the_format_of_their_suffix(
    call: Call, runs: dict[str, Path], tmp_path: Path, suffix: str, start: bytes
) -> None:
    path = tmp_path / f"personas{suffix}"
    assert call("personas", "--run", runs["persona_ease"], "--user", "3", "--json", "--picture", path)[0] == 0
    content = path.read_bytes()
    assert content.startswith(start)
    assert call("personas", "--run", runs["persona_ease"], "--user", "3", "--json", "--picture", path)[0] == 0
    assert path.read_bytes() == content


def test_long_lists_end_with_the_catalogue(call: Call, runs: dict[str, Path]) -> None:
    code, out, _ = call("recommend", "--run", runs["ease"], "--user", "3", "-n", "100000", "--json")
    assert code == 0
    assert 0 < len(json.loads(out)) < 60
