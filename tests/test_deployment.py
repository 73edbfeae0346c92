"""The files that put the service into containers, and `make serve`: all they name is there, all they promise holds."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from recsys.cli import demo
from recsys.cli.main import build_parser
from recsys.events.addresses import is_address
from recsys.experiments.configuration import read_experiment

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "deploying.md"


def _instructions() -> list[tuple[str, str]]:
    """Every instruction of the Dockerfile with its arguments."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines if line)]


def _all(name: str) -> list[str]:
    return [rest for found, rest in _instructions() if found == name]


def _last(name: str) -> str:
    return _all(name)[-1]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return content


def _options(command: list[str]) -> argparse.Namespace:
    """Parse a command of recsys; it must know every argument."""
    options, rest = build_parser().parse_known_args(command)
    assert rest == []
    return options


def test_what_is_copied_into_the_image_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    kept = {line[1:] for line in ignored if line.startswith("!")}
    copied: set[str] = set()
    for arguments in _all("COPY"):
        words = shlex.split(arguments)
        if not words[0].startswith("--from="):
            copied.update(words[:-1])
    assert copied == kept
    for path in copied:
        assert (ROOT / path).exists(), path
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {
        Path(pattern).parts[0]
        for patterns in project["tool"]["setuptools"]["data-files"].values()
        for pattern in patterns
    }
    assert needed | {project["project"]["readme"], "LICENSE"} <= copied


def test_the_image_is_pinned_and_installs_what_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert all(image == "${PYTHON_IMAGE}" for image in (line.partition(" AS ")[0] for line in _all("FROM")))
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.\d+\.\d+-slim-\w+", _last("ARG"))
    installed = " ".join(_all("RUN"))
    assert "-c constraints.txt" in installed
    (extras,) = re.findall(r"\.\[([\w,]+)\]", installed)
    assert set(extras.split(",")) <= set(project["project"]["optional-dependencies"])
    assert re.findall(r"^torch==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE) == ["torch=="]


def test_the_image_runs_as_somebody_without_rights_and_holds_no_secret() -> None:
    user, group = _last("USER").split(":")
    made = " ".join(_all("RUN"))
    assert f"--uid {user} " in made
    assert f"--gid {group} " in made
    names = [name for name, _ in _instructions()]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "ADD" not in names
    assert not re.search("password|token|secret", " ".join(_all("ENV") + _all("ARG")).lower())
    assert _last("STOPSIGNAL") == "SIGTERM"


def test_the_image_serves_on_the_port_that_it_tells_and_asks_itself() -> None:
    options = _options(json.loads(_last("CMD")))
    assert (options.command, options.host, str(options.port)) == ("serve", "0.0.0.0", _last("EXPOSE"))
    assert not options.no_auth
    check = _last("HEALTHCHECK")
    (command,) = re.findall(r"CMD (\[.*\])$", check)
    code = json.loads(command)[2]
    compile(code, "HEALTHCHECK", "exec")
    assert f"http://127.0.0.1:{options.port}/healthz" in code
    assert json.loads(_last("ENTRYPOINT")) == ["entrypoint"]


def test_the_entrypoint_gives_the_password_of_a_file_to_its_process_only(tmp_path: Path) -> None:
    entrypoint = ROOT / "deploy" / "entrypoint"
    assert os.access(entrypoint, os.X_OK)
    fake = tmp_path / "recsys"
    fake.write_text('#!/bin/sh\necho "$PGPASSWORD:$#:$1:$2"\n', encoding="utf-8")
    fake.chmod(0o755)
    (tmp_path / "password").write_text("p w$1\n", encoding="utf-8")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PGPASSWORD_FILE": str(tmp_path / "password")}
    done = subprocess.run([entrypoint, "serve", "a b"], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "p w$1:2:serve:a b\n"
    missing = environment | {"PGPASSWORD_FILE": str(tmp_path / "nothing")}
    assert subprocess.run([entrypoint], env=missing, capture_output=True, check=False).returncode != 0


def _recsys_services(compose: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
    for name, service in compose["services"].items():
        if service["image"] == "recsys:local":
            yield name, service, [*service.get("entrypoint", ["entrypoint"])[1:], *service["command"]]


def test_every_command_of_compose_is_one_of_recsys(compose: dict[str, Any]) -> None:
    commands = {name: command for name, _, command in _recsys_services(compose)}
    assert set(commands) == {"serve", "job", "train", "token"}
    serve, token = _options(commands["serve"]), _options(commands["token"])
    assert (serve.host, serve.port, serve.no_auth) == ("0.0.0.0", int(_last("EXPOSE")), False)
    train = build_parser().parse_args(commands["train"])
    assert serve.events == token.events == train.data
    assert is_address(train.data)
    shipped = Path("/opt/recsys/share/recsys/configs")  # where the Dockerfile's environment keeps them
    assert train.config.parent == shipped
    assert f"python -m venv {shipped.parents[2]}" in _all("RUN")
    assert read_experiment(ROOT / "configs" / train.config.name).build(0) is not None


def test_compose_publishes_the_service_to_this_machine_and_nothing_else(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"serve": [f"127.0.0.1:8000:{_last('EXPOSE')}"]}
    assert compose["networks"]["inside"] == {"internal": True}
    assert compose["services"]["database"]["networks"] == ["inside"]


def test_compose_keeps_secrets_out_and_data_in(compose: dict[str, Any]) -> None:
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    assert not re.search(r"(?i)password: *[\"']?\w", text)
    assert compose["secrets"] == {"database_password": {"file": "./secrets/database_password"}}
    assert "/secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    database = compose["services"]["database"]
    assert re.fullmatch(r"postgres:\d+\.\d+-\w+", database["image"])
    assert database["environment"]["POSTGRES_PASSWORD_FILE"] == "/run/secrets/database_password"
    for name, service, _ in _recsys_services(compose):
        assert service["environment"] == {"PGPASSWORD_FILE": "/run/secrets/database_password"}, name
        assert service["depends_on"] == {"database": {"condition": "service_healthy"}}, name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert set(service["volumes"] + database["volumes"]) == {"data:/data", "database:/var/lib/postgresql/data"}
    assert set(compose["volumes"]) == {"data", "database"}
    assert database["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]


def test_make_serve_serves_what_the_demo_trained() -> None:
    told = subprocess.run(
        ["make", "--no-print-directory", "-n", "-o", "setup", "serve"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    *_, build, serve = told.stdout.splitlines()
    options = _options(shlex.split(serve)[1:])
    assert options.no_auth
    assert (options.host, options.port) == ("127.0.0.1", 8000)
    trained = build_parser().parse_args(["demo"]).out / demo.folder_of(demo.SEATED)
    assert options.run == trained
    assert build == f"test -f {trained}/metrics.json || .venv/bin/recsys demo"
