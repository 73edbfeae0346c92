"""Shared fixtures. Tests on real logs find them through RECSYS_DATA and skip, with a reason, where they are missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# No test fails because the machine is busy: how long an example takes is nobody's promise.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# Tests run in parallel processes; threads of their own would only get into each other's way.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_log_path() -> Callable[[str], Path]:
    """Return a function that finds a file of the real logs, or skips the test."""
    root = Path(os.environ.get("RECSYS_DATA", Path(__file__).parents[2] / "shared" / "data"))

    def find(name: str) -> Path:
        path = root / name
        if not path.exists():
            pytest.skip(f"{name} is not in RECSYS_DATA ({root}); set RECSYS_DATA to the folder that holds it")
        return path

    return find
