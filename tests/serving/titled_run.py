"""A small run to show in a browser: 40 people of two tastes, 60 films with titles and genres, one title with markup."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.serving.serving_run import START, STEP, train

USERS, FILMS, EVENTS = 40, 60, 20
_FIRST = ("Red", "Silent", "Golden", "Northern", "Hidden", "Last")
_SECOND = ("Harbour", "Winter", "River", "Garden", "Signal", "Bridge", "Letter", "Orchard", "Island", "Lantern")
HOSTILE = "<img src=x onerror=\"document.title='taken'\"> & <b>bold</b> (1999)"
"""The title of the film that everybody has seen most, save the last user."""


def titles() -> list[str]:
    """Return the title of each film; of film n at n."""
    found = [
        f"{first} {second} ({1960 + 7 * k + n})" for k, first in enumerate(_FIRST) for n, second in enumerate(_SECOND)
    ]
    return [HOSTILE, *found[1:]]


def train_titled(folder: Path) -> Path:
    """Train a run on a log with titles, and return its directory."""
    draw = np.random.default_rng(0)
    half = FILMS // 2
    ratings = ["userId,movieId,rating,timestamp"]
    for user in range(USERS):
        own = np.arange(1, half) + (user % 2) * half
        other = np.setdiff1d(np.arange(1, FILMS), own)
        films = np.concatenate([draw.choice(own, EVENTS - 6, replace=False), draw.choice(other, 5, replace=False)])
        seen = ([0] if user < USERS - 1 else []) + draw.permutation(films).tolist()
        for place, film in enumerate(seen):
            ratings.append(f"{user},{film},{draw.integers(1, 11) / 2},{START + place * STEP * 30 + user * 97}")
    movies = ["movieId,title,genres"]
    for film, title in enumerate(titles()):
        quoted = title.replace('"', '""')
        movies.append(f'{film},"{quoted}",{"Crime|Thriller" if film < half else "Comedy|Romance"}')
    log = folder / "log"
    log.mkdir()
    (log / "ratings.csv").write_text("\n".join(ratings) + "\n", encoding="utf-8")
    (log / "movies.csv").write_text("\n".join(movies) + "\n", encoding="utf-8")
    return train(folder / "run", log / "ratings.csv", calibration=0.3, caution=0.0)
