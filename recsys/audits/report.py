"""What an audit found: every measure against no system, paired over seeds; tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import numpy as np
from scipy.stats import t as student

from recsys.audits.measures import MEASURES
from recsys.audits.runs import Cell
from recsys.errors import DataError
from recsys.files import write_text
from recsys.pictures import new_figure, save_figure
from recsys.types import Doubles

CAUTION: Final = "A statement about models of people, not about people."
FEWEST_SEEDS: Final = 5
"""With fewer there is no interval."""
_LEVEL = 0.95
_COLOURS = (
    "#9aa5b1",
    "#30638e",
    "#c97b63",
    "#6b8f71",
    "#8d6a9f",
    "#e09f3e",
    "#9e2a2b",
    "#2a9d8f",
    "#264653",
    "#d4a5a5",
)


@final
@dataclass(frozen=True)
class Difference:
    """A mean over seeds, and how far it is from that of another arm.

    Attributes:
        value: the mean of the arm; NaN where the measure has no meaning.
        difference: the mean of the differences of the same seed.
        half: half of the 95% interval of that mean, by Student's t; None with fewer than 5 seeds.
        seeds: how many.
    """

    value: float
    difference: float
    half: float | None
    seeds: int

    @property
    def sign(self) -> int:
        """1 or -1 where the interval leaves out 0, else 0."""
        if self.half is None or not abs(self.difference) > self.half:
            return 0
        return 1 if self.difference > 0 else -1


@final
@dataclass(frozen=True, eq=False)
class Audit:
    """The cells of an audit, by world, arm and seed."""

    cells: Sequence[Cell]

    @property
    def worlds(self) -> list[str]:
        """The worlds, in order."""
        return list(dict.fromkeys(cell["world"] for cell in self.cells))

    @property
    def arms(self) -> list[str]:
        """The arms, in order."""
        return list(dict.fromkeys(cell["arm"] for cell in self.cells))

    def values(self, world: str, arm: str, measure: str) -> dict[int, float]:
        """Return a measure by seed."""
        return {
            cell["seed"]: cell["measures"][measure]
            for cell in self.cells
            if cell["world"] == world and cell["arm"] == arm
        }

    def difference(self, world: str, arm: str, measure: str, against: str = "none") -> Difference:
        """Return a measure of an arm, and its difference from that of another, paired over seeds.

        Where the measure has no meaning for the other (no list), the difference is NaN.

        Raises:
            DataError: one of the arms was not run in that world.
        """
        own, other = (self.values(world, name, measure) for name in (arm, against))
        for name, found in ((arm, own), (against, other)):
            if not found:
                raise DataError(f"{name!r} was not run in {world}; there are {', '.join(self.arms)}")
        shared = sorted(set(own) & set(other))
        gained = np.asarray([own[seed] - other[seed] for seed in shared])
        mean, half = paired_interval(gained)
        return Difference(float(np.mean(list(own.values()))), mean, half, len(own))

    def rows(self) -> list[dict[str, object]]:
        """Return every measure of every arm, against no system and, for a mitigation, against its model."""
        rows: list[dict[str, object]] = []
        for world in self.worlds:
            for arm in self.arms:
                if not self.values(world, arm, "moment"):
                    continue
                for measure in MEASURES:
                    alone = self.difference(world, arm, measure)
                    if np.isnan(alone.value):
                        continue
                    row: dict[str, object] = {
                        "world": world,
                        "arm": arm,
                        "measure": measure,
                        "value": alone.value,
                        "against_none": alone.difference,
                        "half_interval": alone.half,
                        "seeds": alone.seeds,
                    }
                    if (base := arm.split(" + ")[0]) != arm and base in self.arms:
                        gained = self.difference(world, arm, measure, base)
                        row |= {"against_model": gained.difference, "half_interval_model": gained.half}
                    rows.append(row)
        return rows

    def markdown(self, measures: Sequence[str] = tuple(MEASURES)) -> str:
        """Return one table for each world."""
        parts = []
        for world in self.worlds:
            arms = [arm for arm in self.arms if self.values(world, arm, "moment")]
            known = [name for name in measures if not all(np.isnan(self._mean(world, arm, name)) for arm in arms)]
            seeds = "1 seed" if self._seeds(world) == 1 else f"{self._seeds(world)} seeds"
            lines = [f"**{world}** ({seeds}). {CAUTION} In brackets: less that of no system.", ""]
            lines += ["| arm | " + " | ".join(known) + " |", "|:---|" + "---:|" * len(known)]
            lines += [
                f"| {arm} | " + " | ".join(self._shown(world, arm, name) for name in known) + " |" for arm in arms
            ]
            parts.append("\n".join(lines))
        return "\n\n".join(parts)

    def _mean(self, world: str, arm: str, measure: str) -> float:
        return float(np.mean(list(self.values(world, arm, measure).values())))

    def _seeds(self, world: str) -> int:
        return len({cell["seed"] for cell in self.cells if cell["world"] == world})

    def _shown(self, world: str, arm: str, measure: str) -> str:
        found = self.difference(world, arm, measure)
        if np.isnan(found.value):
            return "-"
        text = f"{found.value:.3f}"
        if arm == "none" or np.isnan(found.difference):
            return text
        return f"{text} ({found.difference:+.3f}{'' if found.half is None else f' ±{found.half:.3f}'})"


def paired_interval(differences: Doubles) -> tuple[float, float | None]:
    """Return the mean of paired differences and half of its 95% interval, None with fewer than 5.

    >>> paired_interval(np.array([1.0, 2.0]))
    (1.5, None)
    """
    count = len(differences)
    mean = float(differences.mean()) if count else float("nan")
    if count < FEWEST_SEEDS or np.isnan(mean):
        return mean, None
    error = float(differences.std(ddof=1)) / count**0.5
    return mean, float(student.ppf((1 + _LEVEL) / 2, count - 1)) * error


def write_audit(audit: Audit, out: Path) -> list[Path]:
    """Write `report.md` and a picture for each world into a folder, and return their paths."""
    pictures = [draw_world(audit, world, out / f"{world}.png") for world in audit.worlds]
    words = "\n".join(f"- `{name}`: {text}" for name, text in MEASURES.items())
    shown = "\n\n".join(f"![{path.stem}]({path.name})" for path in pictures)
    title = "# Audit of closed loops"
    return [write_text(out / "report.md", f"{title}\n\n{audit.markdown()}\n\n{words}\n\n{shown}\n"), *pictures]


def draw_world(audit: Audit, world: str, path: Path) -> Path:
    """Draw what arms do to users in one world: utility against the chamber, and both round by round."""
    arms = [arm for arm in audit.arms if audit.values(world, arm, "moment")]
    chamber = {"shaping": "taste", "chaney": "neighbour", "camps": "across"}.get(world, "sycophancy")
    followed = "across" if world == "camps" else "sycophancy"
    figure = new_figure(13, 5)
    figure.suptitle(f"{world}: {CAUTION[0].lower()}{CAUTION[1:]}")
    plane, utility, list_ = figure.subplots(1, 3)
    for number, arm in enumerate(arms):
        colour = _COLOURS[number % len(_COLOURS)]
        style = ("-", "--", ":")[number // len(_COLOURS) % 3]
        marker = "os^"[number // len(_COLOURS) % 3]
        x, y = (np.asarray(list(audit.values(world, arm, name).values())) for name in (chamber, "moment"))
        if not np.isnan(x).all():
            spread = [paired_interval(values)[1] for values in (x, y)]
            plane.errorbar(
                x.mean(), y.mean(), xerr=spread[0], yerr=spread[1], fmt=marker, color=colour, label=arm, markersize=6
            )
        for axes, name in ((utility, "moment"), (list_, followed)):
            rows = [
                cell["series"][name]
                for cell in audit.cells
                if cell["world"] == world and cell["arm"] == arm and name in cell["series"]
            ]
            if rows:
                mean = np.asarray(rows, np.float64).mean(0)
                window = min(5, len(mean))
                smooth = np.convolve(mean, np.ones(window) / window, "valid")
                start = np.arange(len(smooth)) + window
                axes.plot(start, smooth, style, color=colour, label=None if name in ("across", "sycophancy") else arm)
    plane.set(xlabel=MEASURES[chamber], ylabel=MEASURES["moment"])
    utility.set(xlabel="round (mean of five)", ylabel=MEASURES["moment"])
    list_.set(xlabel="round (mean of five)", ylabel=MEASURES[followed])
    for axes in (plane, utility, list_):
        axes.xaxis.label.set_size(8)
        axes.yaxis.label.set_size(8)
    if not list_.lines:
        list_.set_visible(False)
    handles, labels = utility.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)
    return save_figure(figure, path)
