"""A small run to serve: 40 people, two tastes, 30 items."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recsys.experiments.configuration import read_experiment
from recsys.experiments.runs import DataSettings, train_run

ROOT = Path(__file__).parents[2]
USERS, ITEMS, EVENTS = 40, 30, 12
START, STEP = 1_400_000_000, 86_400


def write_log(path: Path) -> Path:
    """Write ratings: even users like the first half of the items, odd ones the second; all at times of their own."""
    draw = np.random.default_rng(0)
    lines = ["user_id,item_id,rating,timestamp"]
    for user in range(USERS):
        own = np.arange(ITEMS // 2) + (user % 2) * ITEMS // 2
        other = np.setdiff1d(np.arange(ITEMS), own)
        items = np.concatenate([draw.choice(own, EVENTS - 3, replace=False), draw.choice(other, 3, replace=False)])
        for place, item in enumerate(draw.permutation(items)):
            rating = int(draw.integers(1, 6))
            lines.append(f"u{user},i{item},{rating},{START + place * STEP * 7 + user * 97}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def train(out: Path, log: Path | str, config: str = "persona_ease_decay", **settings: object) -> Path:
    """Train a run of a configuration on a log; a setting `objective__loss` is `--objective.loss`.

    Users have half-lives of their own, whatever those earn on the log, so that the service has them to learn.
    """
    if config.endswith("_decay") and "rule" not in settings:
        settings = {"own": "always"} | settings
    overrides = [(name.replace("__", "."), str(value)) for name, value in settings.items()]
    experiment = read_experiment(ROOT / "configs" / f"{config}.yaml", overrides)
    train_run(experiment, DataSettings(str(log)), out, cutoffs=[5])
    return out
