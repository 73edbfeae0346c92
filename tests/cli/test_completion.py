"""Completion as a shell asks for it: through the environment, answered on file descriptor 8."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def completions(tmp_path: Path, line: str) -> set[str]:
    """Return what the shell is offered for the end of a line."""
    answer = tmp_path / "answer"
    program = "from recsys.cli.main import main; main()"
    environment = {
        **os.environ,
        **{"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_POINT": str(len(line))},
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
    }
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
    return {word.strip() for word in answer.read_text(encoding="utf-8").splitlines()}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("recsys per", {"personas"}),
        ("recsys data ins", {"inspect"}),
        ("recsys train --split la", {"last_one", "last_n"}),
        ("recsys serve --no", {"--no-auth"}),
    ],
)
def test_commands_options_and_choices_are_completed(tmp_path: Path, line: str, offered: set[str]) -> None:
    assert completions(tmp_path, line) == offered
