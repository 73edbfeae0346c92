"""Facts about the run of a benchmark: machine, versions, date, commit; never a host name or a path."""

from __future__ import annotations

import datetime
import functools
import os
import platform
import resource
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import torch

_PACKAGES = ("recsys", "torch", "numpy", "scipy", "pandas", "implicit", "cornac")


@functools.cache
def environment() -> dict[str, str]:
    """Return the facts of this process by name, in the order in which a report prints them."""
    return {
        "date": today(),
        "commit": commit(),
        "machine": f"{cores()} cores, {memory_gb():.0f} GB, {cpu_model()}, torch on {torch.get_num_threads()} threads",
        "versions": ", ".join([f"Python {platform.python_version()}", *map(_version, _PACKAGES)]),
    }


def today() -> str:
    """Return the date as YYYY-MM-DD, UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gb() -> float:
    """Return the physical memory in GiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def cpu_model() -> str:
    """Return the processor's model name from the kernel, else the architecture."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """Return the short git commit, marked where tracked files differ from it; "unknown" outside a checkout."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        completed = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True)
        return completed.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short", "HEAD") + (" (with uncommitted changes)" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def peak_memory_gb() -> float:
    """Return the peak resident memory of this process so far, in GB (10^9 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"{package} not installed"
