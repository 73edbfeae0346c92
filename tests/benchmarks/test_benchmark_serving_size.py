"""The sizes of serving, on the smallest scale."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks import serving_size

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_the_memory_of_a_process_is_that_which_it_holds() -> None:
    before = serving_size.resident(os.getpid())
    held = bytearray(b"x") * 50_000_000
    grown = 0
    for _ in range(50):  # the kernel may be late to count what a process holds
        grown = serving_size.resident(os.getpid()) - before
        if grown > 40_000_000:
            break
        time.sleep(0.1)
    assert 40_000_000 < grown < 80_000_000
    assert len(held) == 50_000_000


def test_what_a_served_run_takes_is_measured(tmp_path: Path) -> None:
    told: list[str] = []
    (size,) = serving_size.run([], 20, 3, tmp_path, told.append)
    assert size.items > 100
    assert size.bundle > 4 * size.items**2
    assert size.start > 50_000_000
    assert size.stored > 0
    assert "simulated-ease" in (tmp_path / "report.md").read_text(encoding="utf-8")
