"""What the documentation says can be done: links lead somewhere, commands parse, Python runs."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from recsys.cli.main import build_parser
from recsys.cli.train import parse_settings
from recsys.data.catalogue import cards
from recsys.experiments.configuration import read_experiment, settings
from recsys.models import AMPCF, MF, Decayed, PersonaEASE

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks/README.md"]
)
REPORTS = sorted([ROOT / "benchmarks/LOG.md", *(ROOT / "benchmarks/reports").rglob("*.md")])
RUN = (
    "README.md",
    "docs/cold_items.md",
    "docs/disagreement.md",
    "docs/distortion.md",
    "docs/python.md",
    "docs/personas.md",
    "docs/memory.md",
    "docs/training.md",
    "docs/own_log.md",
    "docs/splits.md",
    "docs/policy.md",
    "docs/interview.md",
    "docs/reliability.md",
)
"""Pages whose Python blocks are complete, and run one after the other."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_INLINE = re.compile(r"`([^`\n]+)`")


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", [*PAGES, *REPORTS], ids=_name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"https?://", target):
            continue
        place, _, anchor = target.partition("#")
        path = (page.parent / place).resolve() if place else page
        assert path.exists(), f"{_name(page)} links to {target}"
        assert path.is_relative_to(ROOT), f"{_name(page)} links outside: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(_anchor, headings), f"{_name(page)} links to {target}"


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target in _LINK.findall(index.read_text(encoding="utf-8"))}
    pages = set((ROOT / "docs").rglob("*.md")) - {index}
    assert pages <= linked


def test_code_of_the_page_on_extending_is_that_of_the_package_that_ci_installs() -> None:
    files = (ROOT / "tests" / "outside" / "recsys_outside_example").glob("*.py")
    package = {line.strip() for file in files for line in file.read_text(encoding="utf-8").splitlines()}
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "extending.md").read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.partition("  # ")[0].strip() for block in blocks if "def " in block for line in block.splitlines()]
    assert len(lines) > 20
    assert [line for line in lines if line and line not in package] == []


def test_every_model_has_a_page_and_every_setting_of_the_persona_models_stands_in_it() -> None:
    for model, page in ((AMPCF, "ampcf"), (PersonaEASE, "persona_ease"), (MF, "mf"), (Decayed, "decayed")):
        text = (ROOT / "docs" / "models" / f"{page}.md").read_text(encoding="utf-8")
        if page in ("ampcf", "mf"):
            text += (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
        if page == "mf":
            text += (ROOT / "docs" / "models" / "ampcf.md").read_text(encoding="utf-8")
        words = set(re.findall(r"\w+", text))
        for setting in settings(model):
            assert setting.rpartition(".")[2] in words, f"{page}.md does not tell of {setting}"


def test_the_defaults_of_the_linear_experts_are_told_right() -> None:
    text = (ROOT / "docs" / "models" / "persona_ease.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\w+)` \|.*\| ([\d.]+|\w+) \|$", text, re.MULTILINE))
    told_right = {name: float(value) if value[-1].isdigit() else value for name, value in told.items()}
    assert told_right == settings(PersonaEASE)


def _shown() -> Iterator[tuple[str, str]]:
    """Every command line of a block, with its page."""
    for page in PAGES:
        for _, body in _FENCE.findall(page.read_text(encoding="utf-8")):
            for line in body.splitlines():
                if re.match(r"(\.venv/bin/)?recsys [a-z-]", line):
                    yield _name(page), line.partition("  #")[0].strip()


def _mentioned() -> Iterator[tuple[str, str]]:
    """Every command that a sentence speaks of, with its page."""
    for page in PAGES:
        for code in _INLINE.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
            if re.match(r"recsys [a-z-]", code):
                yield _name(page), code


@pytest.mark.parametrize(("page", "line"), sorted(set(_shown())))
def test_commands_parse(page: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    options, rest = build_parser().parse_known_args(shlex.split(line)[1:])
    if options.command != "train":
        assert rest == []
        return
    read_experiment(options.config, parse_settings(rest))
    assert options.out is not None
    made = f"--out {options.data}" in (ROOT / page).read_text(encoding="utf-8")  # by `recsys data partition`
    assert options.data in cards.all_cards() or Path(options.data).suffix or made


@pytest.mark.parametrize(("page", "line"), sorted(set(_mentioned())))
def test_commands_and_options_that_are_mentioned_exist(
    page: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(line)[1:]
    command = [word for word in words[:1] if not word.startswith("-")]
    with pytest.raises(SystemExit) as end:
        build_parser().parse_args([*command, "--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    for option in (word for word in words if word.startswith("-")):
        assert option in told
    if command == ["data"]:
        assert words[1] in told


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_configurations_datasets_and_modules_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"configs/\w+\.yaml", text):
        assert (ROOT / name).is_file(), f"{_name(page)} names {name}"
    for name in re.findall(r"python -m ([\w.]+)", text):
        assert importlib.util.find_spec(name) is not None, f"{_name(page)} names {name}"
    for name in re.findall(r"`(docs/[\w/.]+|benchmarks/[A-Z]\w+\.md)`", text):
        assert (ROOT / name).exists(), f"{_name(page)} names {name}"


def test_every_configuration_is_in_the_readme_and_valid() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        assert f"`configs/{path.name}`" in text
        assert read_experiment(path).build(0) is not None
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["model"]["class_path"].startswith("recsys.models.")


@pytest.mark.parametrize("page", RUN)
def test_python_blocks_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the simulated log, which takes the place of MovieLens latest-small."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = [body for language, body in _FENCE.findall(text) if language == "python"]
    assert blocks
    namespace: dict[str, object] = {"__name__": "page"}
    for body in blocks:
        code = compile(body.replace("ml-latest-small", "simulated"), page, "exec")
        exec(code, namespace)
