"""What several tests of the command line use: a way to call it, a small log, finished runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from recsys.cli.main import main
from recsys.worlds.simulation import simulated_log

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse ends by itself on misuse and --help
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small log as a CSV without titles: only user, item, rating, timestamp."""
    log = simulated_log(seed=1, n_users=80, n_items=60, events_per_user=25)
    path = tmp_path_factory.mktemp("data") / "log.csv"
    frame = {
        "user_id": log.users.ids[log.user_num],
        "item_id": log.items.ids[log.item_num],
        "rating": log.value,
        "timestamp": log.time,
    }
    pd.DataFrame(frame).to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def runs(log_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Finished runs of several models on one split."""
    root = tmp_path_factory.mktemp("runs")
    quick = {
        "persona_ease": ["--regularization", "5", "--factors", "8"],
        "ease": ["--regularization", "20"],
        "ampcf_latent": ["--epochs", "2", "--embedding_size", "8"],
        "ampcf_paper_dot": ["--epochs", "2", "--embedding_size", "8"],
        "popularity": [],
    }
    for name, options in quick.items():
        arguments = [
            *("--config", name, "--data", log_file, "--out", root / name, "--quiet"),
            *options,
        ]
        assert main(["train", "--split", "last_one", *map(str, arguments)]) == 0
    return {name: root / name for name in quick}


@pytest.fixture(scope="session")
def found_run(log_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose personas are found in each history."""
    run = tmp_path_factory.mktemp("found") / "run"
    arguments = ("train", "--config", "ease_personas", "--data", log_file, "--out", run, "--quiet")
    assert main([*map(str, arguments), "--split", "last_one", "--slate", "Seats"]) == 0
    return run
