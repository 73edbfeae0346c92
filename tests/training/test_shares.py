"""Two processes that share every batch have its gradient, and train the model of one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys import load
from recsys.cli.main import main
from recsys.errors import ConfigError
from recsys.experiments.runs import load_model
from recsys.models import AMPCF, EASE
from recsys.training.session import Session
from recsys.training.shares import Share
from recsys.worlds.simulation import simulated_log
from tests.log_file import write_log
from tests.training import two_processes

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def off(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """How far losses and gradients of two processes are off those of one, by case."""
    folder = tmp_path_factory.mktemp("off")
    command = [sys.executable, two_processes.__file__]
    started = [subprocess.Popen([*command, str(rank), str(folder)], env=ENVIRONMENT, cwd=ROOT) for rank in (0, 1)]
    assert [process.wait(300) for process in started] == [0, 0]
    both = [json.loads((folder / f"{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1)]
    return {name: max(one[name] for one in both) for name in both[0]}


@pytest.mark.parametrize("case", two_processes.CASES)
def test_loss_and_gradient_of_shares_are_those_of_the_batch(off: dict[str, float], case: str) -> None:
    assert off[case] < 1e-5


def test_shares_are_a_partition_of_the_rows() -> None:
    rows, shares = torch.arange(7), [Share(number, 3) for number in range(3)]
    assert sorted(torch.cat([rows[share.rows] for share in shares]).tolist()) == rows.tolist()
    for share in shares:
        own = rows[share.rows]
        assert share.has(own).all()
        assert share.place(own).tolist() == list(range(len(own)))


SETTINGS = {
    "ampcf_latent": ["--epochs", "3", "--batch_size", "63"],
    "ampcf_sequential": ["--epochs", "3", "--batch_size", "63", "--objective.dropout", "0.2"],
}


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    log = simulated_log(seed=1, n_users=240, n_items=60, events_per_user=15)
    return write_log(log, tmp_path_factory.mktemp("log"))


@pytest.fixture(scope="module", params=SETTINGS)
def trained(request: pytest.FixtureRequest, log_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of one process, of two, and of two that were interrupted after an epoch."""
    folder, config = tmp_path_factory.mktemp(request.param), request.param
    command = ["train", "--config", config, "--data", str(log_file), "--accelerator", "cpu", *SETTINGS[config]]
    assert main([*command, "--quiet", "--out", str(folder / "one")]) == 0
    two = [
        sys.executable,
        "-m",
        "recsys",
        *command,
        "--out",
        str(folder / "two"),
        "--devices",
        "2",
        "--strategy",
        "ddp",
    ]
    done = subprocess.run(two, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "told").write_text(done.stdout, encoding="utf-8")
    return folder


def test_two_processes_train_the_model_of_one(trained: Path) -> None:
    one, two = (load_model(trained / name).arrays() for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, atol=1e-3)


def test_two_processes_reach_the_metrics_of_one(trained: Path) -> None:
    one, two = (json.loads((trained / name / "metrics.json").read_text("utf-8")) for name in ("one", "two"))
    for metric in ("ndcg@10", "recall@20", "mrr@10"):
        assert two["test"][metric] == pytest.approx(one["test"][metric], abs=2e-3)
    assert two["train"]["epochs"] == one["train"]["epochs"] == 3


def test_losses_in_the_logs_are_those_of_the_whole_batch(trained: Path) -> None:
    one, two = ((trained / name / "logs" / "csv" / "metrics.csv").read_text("utf-8").split() for name in ("one", "two"))
    assert one[0] == two[0]
    assert "loss" in one[0].split(",")
    for first, second in zip(one[1:], two[1:], strict=True):
        for value, other in zip(first.split(","), second.split(","), strict=True):
            assert float(other or 0) == pytest.approx(float(value or 0), abs=2e-2)


def test_two_machines_train_the_model_of_one(trained: Path, log_file: Path, tmp_path: Path) -> None:
    """Two commands, told apart by the environment; the second machine has a disk of its own, and writes nothing."""
    config = trained.name.rstrip("0123456789")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "recsys", "train", "--config", config, "--data", str(log_file), *SETTINGS[config]]
    command += ["--accelerator", "cpu", "--nodes", "2", "--quiet"]
    started = []
    for node in ("0", "1"):
        environment = ENVIRONMENT | {"NODE_RANK": node, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        out = ["--out", str(tmp_path / node)]
        started.append(subprocess.Popen([*command, *out], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL))
    assert [process.wait(300) for process in started] == [0, 0]
    one, two = (load_model(run).arrays() for run in (trained / "one", tmp_path / "0"))
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, atol=1e-3)
    assert not (tmp_path / "1").exists()


def test_the_first_of_two_processes_alone_reports(trained: Path) -> None:
    assert (trained / "told").read_text(encoding="utf-8").count("kept in") == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"devices": 0}, "devices is 0; it must be a whole number, at least 1"),
        ({"devices": -2}, "devices is -2; it must be a whole number, at least 1"),
        ({"nodes": 0}, "nodes is 0; it must be a whole number, at least 1"),
        ({"strategy": "dpp"}, "strategy is 'dpp'; it must be one of auto, ddp"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Session(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [["--devices", "2"], ["--strategy", "ddp"], ["--nodes", "2"]])
def test_a_model_in_closed_form_is_refused_before_anything_is_read(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--config", "ease", "--data", "no-such-file.csv", "--out", str(tmp_path / "run")]
    assert main([*command, *options]) == 2
    assert "EASE is trained by one process" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_fit_in_python_is_refused_too(log_file: Path) -> None:
    with pytest.raises(ConfigError, match="train AMPCF, MF or SequentialAMPCF"):
        EASE().fit(load(str(log_file)), session=Session(devices=2))
    assert AMPCF().shares_batches


def test_the_first_process_is_known_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "NODE_RANK", "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    first = [Session(devices=2).is_first]
    monkeypatch.setenv("NODE_RANK", "1")
    first += [Session(devices=2).is_first, Session().is_first]
    monkeypatch.setenv("RANK", "0")
    first.append(Session(devices=2).is_first)
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert [*first, Session(devices=2).is_first] == [True, False, True, True, False]
