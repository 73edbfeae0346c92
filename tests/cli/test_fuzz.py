"""Random commands, options and files: every one ends in an answer or in one line that says what is wrong."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from recsys.cli.main import build_parser, main
from recsys.worlds.simulation import simulated_log

CASES = int(os.environ.get("RECSYS_FUZZ_CASES", "1000"))
BATCHES = 20
Pool = dict[str, list[str]]

_WORDS = (
    *("", " ", "0", "-1", "1", "3", "1e9", "1e400", "nan", "inf", "null", "true", "99999999999999999999", "-0", "0x10"),
    *(
        "1",
        "2",
        "u1",
        "u2",
        "i1",
        "ä",
        "日本",
        "\u200b",
        "\udcff",
        "\x00",
        "a\nb",
        "%",
        "{}",
        "[]",
        "[1",
        "{a: ",
        "{a: 1}",
    ),
    *("=", "a=b", "user=user", "item=nothing", "time=time", "encoding=latin9000", "separator=ab", "names=user,item"),
    *("value_range=1", "time_unit=weeks", "reader=x", "--", "-", "--x", "-n", ".", "..", "/", "/dev/null", "/dev/full"),
    *("/proc/1/x", "nowhere/x", "x.png", "x.svg", "x.bmp", "2015-01-01", "1969-13-99", "1600010000000", "sqlite:///"),
    *("sqlite:////proc/x", "postgresql://", "memory:", "ftp://x", "ndcg@10", "ndcg@0", "ndgc@10", "ndcg", "os.system"),
    *(
        "recsys.models.EASE",
        "recsys.nothing.X",
        "simulated",
        "ml-latest-smal",
        "ease",
        "eaes",
        "global_time",
        "x" * 3000,
    ),
)
_SETTINGS = (
    *(
        "regularization",
        "factors",
        "personas",
        "filters.min_user_events",
        "filters.min_item_events",
        "validation.users",
    ),
    *(
        "validation.metric",
        "neighbours",
        "rule",
        "rule.half_life",
        "half_life",
        "model",
        "seed",
        "nothing",
        "",
        "a.b.c",
    ),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of logs, histories, runs and a store, which every case may use as it is."""
    root = tmp_path_factory.mktemp("fuzz")
    log = simulated_log(seed=1, n_users=30, n_items=25, events_per_user=12)
    frame = pd.DataFrame(
        {
            "user": log.users.ids[log.user_num],
            "item": log.items.ids[log.item_num],
            "rating": log.value,
            "time": log.time,
        }
    )
    frame.to_csv(root / "log.csv", index=False)
    frame.to_csv(root / "log.tsv", index=False, sep="\t")
    frame.to_parquet(root / "log.parquet")
    frame.to_json(root / "log.jsonl", orient="records", lines=True)
    text = (root / "log.csv").read_bytes()
    (root / "log.csv.gz").write_bytes(gzip.compress(text))
    with zipfile.ZipFile(root / "log.zip", "w") as archive:
        archive.writestr("log.csv", text)
    (root / "items.txt").write_text("1\n2\n3\n")
    (root / "items.json").write_text(json.dumps([{"item": 1, "time": 5}, {"item": 2, "time": 6}]))
    (root / "config.yaml").write_text("model: {class_path: recsys.models.EASE, init_args: {regularization: 5}}\n")
    for name in ("ease", "popularity"):
        assert (
            main(["train", "--config", name, "--data", str(root / "log.csv"), "--out", str(root / name), "--quiet"])
            == 0
        )
    assert main(["events", "import", str(root / "log.csv"), "--events", str(root / "events.db")]) == 0
    return root


def _commands(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Yield every command that can be called, with its parser."""
    if parser.get_default("call") is not None:
        yield words, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from _commands(inner, (*words, name))


def _damaged(draw: random.Random, content: bytes) -> bytes:
    """Return a file's content with some fault."""
    at = draw.randrange(len(content) + 1)
    noise = draw.randbytes(draw.randrange(1, 9))
    faults: list[Callable[[], bytes]] = [
        lambda: content[:at],
        lambda: content[:at] + noise + content[at:],
        lambda: content[:at] + noise + content[at + len(noise) :],
        lambda: content.replace(b"\n", b"\r"),
        lambda: content.replace(b",", b";"),
        lambda: content.replace(b",", b"\t", draw.randrange(5)),
        lambda: b"\xef\xbb\xbf" + content,
        lambda: content.decode("latin-1").encode("utf-16"),
        lambda: gzip.compress(content),
        lambda: content + b'1,"2\n',
        lambda: b"",
        lambda: b"\n" * 3,
        lambda: b"\x00" * 50,
    ]
    return draw.choice(faults)()


def _file(draw: random.Random, world: Path, folder: Path) -> str:
    """Return the path of a file or folder of the world: as it is, damaged, or under another suffix."""
    paths = sorted(world.iterdir())
    path = draw.choice(paths)
    kind = draw.random()
    if kind < 0.4:
        return str(path)
    copy = folder / f"{draw.randrange(10)}{draw.choice([path.suffix, '.csv', '.json', '.gz', '.zip', ''])}"
    if path.is_dir():
        shutil.copytree(path, copy, dirs_exist_ok=True)
        inside = draw.choice([one for one in sorted(copy.rglob("*")) if one.is_file()])
        if draw.random() < 0.3:
            inside.unlink()
        else:
            inside.write_bytes(_damaged(draw, inside.read_bytes()))
        return str(copy)
    if not copy.is_dir():
        copy.write_bytes(_damaged(draw, path.read_bytes()))
    return str(copy)


def _likely(draw: random.Random, action: argparse.Action, world: Path, folder: Path) -> str:
    """Return a value that makes sense for an option, most times."""
    runs = [str(world / "ease"), str(world / "popularity")]
    if action.choices is not None:
        return str(draw.choice(list(action.choices)))
    by_name = {
        "run": runs,
        "first": runs,
        "second": runs,
        "data": [str(world / name) for name in ("log.csv", "log.parquet", "log.zip", "log.jsonl", "log.csv.gz")],
        "log": [str(world / "log.csv"), "simulated"],
        "file": [str(world / "log.csv"), str(folder / "out.csv"), str(folder / "out.parquet")],
        "config": ["ease", "popularity", "itemknn", str(world / "config.yaml")],
        "out": [str(folder / "run")],
        "history": [str(world / "items.txt"), str(world / "items.json")],
        "events": [str(world / "events.db"), f"sqlite:///{folder / 'new.db'}"],
        "picture": [str(folder / "p.svg")] if draw.random() < 0.03 else ["p.bmp"],
        "user": ["1", "2", "3"],
        "at": ["2015-01-01", "1400000000"],
        "metric": ["ndcg@10", "ndcg"],
        "columns": ["user=user"],
        "label": ["shop"],
        "token": ["0123456789ab"],
        "base": ["ease", "nothing"],
        "arms": ["none", "nothing"],
    }
    return draw.choice(by_name.get(action.dest, ["1", "2", "10"]))


def _value(draw: random.Random, action: argparse.Action, world: Path, folder: Path) -> str:
    kind = draw.random() * (2 if action.required else 1)  # an option that must be given is wrong half as often
    if kind > 0.25:
        return _likely(draw, action, world, folder)
    return _file(draw, world, folder) if kind < 0.15 else draw.choice(_WORDS)


def _case(
    draw: random.Random, commands: list[tuple[tuple[str, ...], argparse.ArgumentParser]], world: Path, folder: Path
) -> list[str]:
    """Return the words of a random call."""
    words, parser = draw.choice(commands)
    call = list(words)
    for action in parser._actions:
        wanted = action.required or draw.random() < 0.2
        if not wanted or action.dest in ("help", "allow_model", "debug"):
            continue
        call += action.option_strings[-1:]
        if action.nargs != 0:
            count = 1 if action.nargs is None else draw.randrange(4)
            call += [_value(draw, action, world, folder) for _ in range(count)]
    if words == ("train",):
        for name in draw.sample(_SETTINGS, draw.randrange(3)):
            call += [f"--{name}", draw.choice(_WORDS)]
        call += ["--data", _likely_data(draw, world)] if draw.random() < 0.3 else []
    if words == ("recommend",) and "--user" not in call and "--history" not in call:
        call += ["--user", draw.choice(["1", "2", "u1"])]
    if words == ("serve",):  # nothing here may listen
        call += ["--host", "203.0.113.1", "--workers", "1"]
    if words == ("demo",):  # or train the models of a demonstration
        call += ["--out", "/dev/null/x"]
    if words == ("data", "fetch"):
        call = [*words, "no such data set"]
    if words == ("audit",):  # a round of one world says as much as thirty of four
        call += ["--rounds", "1", "--seeds", "1", "--processes", "1"]
        call += [] if "--worlds" in call else ["--worlds", "chaney"]
    if words == ("benchmark", "drift"):
        call += ["--base", "nothing"]
    return call


def _likely_data(draw: random.Random, world: Path) -> str:
    return str(draw.choice([world / "log.csv", world / "log.tsv"]))


def _call(words: list[str], encoding: str) -> tuple[int, str, str]:
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        try:
            code = main(words)
        except SystemExit as stop:
            code = int(stop.code or 0)
        for stream in streams:
            stream.flush()
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)
    return code, out, err


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_call_ends_in_a_traceback(batch: int, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = list(_commands(build_parser()))
    assert len(commands) >= 15
    failures, codes = [], set()
    for number in range(batch, CASES, BATCHES):
        draw = random.Random(number)
        folder = tmp_path / str(number)
        folder.mkdir()
        words = _case(draw, commands, world, folder)
        code, out, err = _call(words, draw.choice(["utf-8", "utf-8", "cp1252", "ascii"]))
        told = err.count("\n") and err.splitlines()[-1].startswith("recsys")
        codes.add(code)
        if code not in (0, 2) or "Traceback" in out + err or (code == 2 and not told):
            failures.append(f"case {number}: {words}\n -> {code}: {err[-600:]}")
        shutil.rmtree(folder, ignore_errors=True)
    assert not failures, f"{len(failures)} calls:\n" + "\n".join(failures)
    assert codes == {0, 2}
