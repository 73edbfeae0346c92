"""A small run to show in a browser: 60 people of one or two of three tastes, 90 films with titles and genres."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.serving.serving_run import START, STEP, train

USERS, FILMS, EVENTS = 60, 90, 20
GENRES = ("Crime|Thriller", "Comedy|Romance", "Sci-Fi|Western")
_FIRST = ("Red", "Silent", "Golden", "Northern", "Hidden", "Last", "Broken", "Distant", "Paper")
_SECOND = ("Harbour", "Winter", "River", "Garden", "Signal", "Bridge", "Letter", "Orchard", "Island", "Lantern")
HOSTILE = "<img src=x onerror=\"document.title='taken'\"> & <b>bold</b> (1999)"
"""The title of the film that everybody has seen, save the last user."""


def titles() -> list[str]:
    """Return the title of each film; of film n at n."""
    found = [
        f"{first} {second} ({1960 + 7 * k + n})" for k, first in enumerate(_FIRST) for n, second in enumerate(_SECOND)
    ]
    return [HOSTILE, *found[1:]]


SEATS = "{class_path: recsys.slates.Seats, init_args: {weight: 0.6}}"
"""Enough weight for the second taste to have seats in most lists."""


def train_titled(folder: Path) -> Path:
    """Train AMP-CF with decay on a log with titles, and return the directory of the run."""
    return train(folder / "run", write_titled(folder), "ampcf_decay", model__slate=SEATS)


def write_titled(folder: Path) -> Path:
    """Write the log, and return the file of ratings.

    User u has taste u % 3, with 11 films of it or more, and a second one with 8; every sixth user has the first alone.
    Films of the tastes are rated 3.5 to 5.
    """
    draw = np.random.default_rng(0)
    third = FILMS // len(GENRES)
    ratings = ["userId,movieId,rating,timestamp"]
    for user in range(USERS):
        first, second = (np.arange(third) + (user + k) % len(GENRES) * third for k in range(2))
        one = user % 6 == 0
        films = draw.choice(first[first > 0], 19 if one else 11, replace=False)
        if not one:  # in turns, so that both tastes are of today
            films = np.insert(films, np.arange(8) + 3, draw.choice(second[second > 0], 8, replace=False))
        seen = ([0] if user < USERS - 1 else []) + films.tolist()
        for place, film in enumerate(seen):
            ratings.append(f"{user},{film},{draw.integers(7, 11) / 2},{START + place * STEP * 2 + user * 97}")
    movies = ["movieId,title,genres"]
    for film, title in enumerate(titles()):
        quoted = title.replace('"', '""')
        movies.append(f'{film},"{quoted}",{GENRES[film // third]}')
    log = folder / "log"
    log.mkdir()
    (log / "ratings.csv").write_text("\n".join(ratings) + "\n", encoding="utf-8")
    (log / "movies.csv").write_text("\n".join(movies) + "\n", encoding="utf-8")
    return log / "ratings.csv"
