"""The layout: no import circle, few packages of bounded size, and one list of layers."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_PACKAGES, MOST_LOOSE, MOST_MODULES = 18, 6, 15
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for name in ("recsys", "benchmarks")
    for path in (ROOT / name).rglob("*.py")
}
PACKAGES = [path for path in MODULES.values() if path.name == "__init__.py"]


def _imports(path: Path) -> Iterator[str]:
    """Yield the modules of this repository that a file imports anywhere, in functions and for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in names]
        else:
            continue
        yield from (name for name in names if name in MODULES)


def _circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the modules of an import circle; none without one."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_import_circle() -> None:
    graph = {module: {name for name in _imports(path) if name != module} for module, path in MODULES.items()}
    del graph["recsys"]  # the front door imports a module when one of its names is first used
    assert _circle(graph) == []
    assert _circle({"a": {"b"}, "b": {"a"}}) != []


def test_library_does_not_import_benchmarks() -> None:
    users = {module for module, path in MODULES.items() for name in _imports(path) if name.startswith("benchmarks")}
    assert all(module.startswith("benchmarks") for module in users)


def test_few_packages_and_loose_modules_at_the_top() -> None:
    tops = [path for path in PACKAGES if path.parent.parent == ROOT / "recsys"]
    loose = [path for path in (ROOT / "recsys").glob("*.py") if not path.stem.startswith("__")]
    assert len(tops) <= MOST_PACKAGES
    assert len(loose) <= MOST_LOOSE


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_packages_are_small_and_say_what_they_hold(package: Path) -> None:
    assert sum(path.name != "__init__.py" for path in package.parent.glob("*.py")) <= MOST_MODULES
    docstring = ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))) or ""
    assert docstring.partition("\n\n")[0].endswith("."), docstring


def test_documented_layers_are_those_of_the_import_contracts() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = [sorted(layer.strip("()").split(" | ")) for layer in settings["contracts"][0]["layers"]]
    rows = [
        line.split("|")[1]
        for line in (ROOT / "docs" / "design.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `recsys/")
    ]
    documented = [sorted(re.findall(r"`(recsys/\w+)(?:/|\.py)`", row)) for row in rows]
    assert [[name.replace("/", ".") for name in row] for row in documented] == layers
    tops = {module for module in MODULES if module.startswith("recsys.") and module.count(".") == 1}
    anywhere = {"recsys.testing", "recsys.__main__"}
    assert {name for layer in layers for name in layer} - anywhere == tops - anywhere
