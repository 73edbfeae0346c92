"""Whether the cells behind a table were run alike: commit, machine, threads and versions of every one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from benchmarks.tools.cells import Cells

_FACTS = ("commit", "machine", "versions")


def treatment(cells: Cells, names: Iterable[str]) -> dict[str, str]:
    """Return commit, machine and versions of the processes that made some cells, as facts of a report.

    Where they differ, each value stands with its number of cells, and the fact `cells` says that they were not run
    alike: such a table compares treatments as much as models.
    """
    made = [cells.environment(name) for name in names]
    values = {fact: Counter(one.get(fact, "not stored") for one in made) for fact in _FACTS}
    different = [fact for fact, counts in values.items() if len(counts) > 1]
    dates = sorted({one.get("date", "not stored") for one in made})
    alike = (
        f"**not run alike**, {' and '.join(different)} {'differ' if len(different) > 1 else 'differs'}"
        if different
        else "all run alike"
    )
    texts = {
        fact: "; ".join(value if len(counts) == 1 else f"{value} ({n} cells)" for value, n in counts.most_common())
        for fact, counts in values.items()
    }
    return (
        {"cells": f"{len(made)}, {alike}", "run": " to ".join(dict.fromkeys((dates[0], dates[-1])))} | texts
        if made
        else {}
    )
