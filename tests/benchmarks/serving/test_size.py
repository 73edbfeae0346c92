"""The sizes of serving, on the smallest scale."""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

import pytest

from benchmarks.serving import size as serving_size
from benchmarks.serving.processes.served_process import resident_bytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_resident_memory_grows_by_written_pages() -> None:
    before = resident_bytes(os.getpid())
    # Pages of its own: a large object may be given memory that was freed, and is resident already.
    with mmap.mmap(-1, 50_000_000) as pages:
        for _ in range(50):
            pages.write(b"x" * 1_000_000)
        assert 40_000_000 < resident_bytes(os.getpid()) - before < 80_000_000


def test_sizes_of_a_served_run(tmp_path: Path) -> None:
    messages: list[str] = []
    (size,) = serving_size.run([], 20, 3, tmp_path, messages.append)
    assert size.items > 100
    assert size.bundle > 4 * size.items**2
    assert size.start > 50_000_000
    assert size.stored > 0
    assert "simulated-ease" in (tmp_path / "report.md").read_text(encoding="utf-8")
