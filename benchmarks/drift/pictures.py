"""Pictures of the drift benchmark: recovery with bands, learned against true timescales, half-lives by kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.drift.world_scores import HORIZON, MIN_EVENTS, OURS, TRUTHS, Pool
from recsys.evaluation.drift.scores import recovery_curve
from recsys.pictures import new_figure, save_figure
from recsys.worlds.drift import Kind

_COLOURS = {
    **{"none": "#9aa5b1", "global": "#54728c", "window": "#c3ae8e", "koren": "#6b8f71", "population_adwin": "#8d6a9f"},
    **{"user_adwin": "#e09f3e", OURS: "#9e2a2b", "oracle": "#000000", "oracle+global": "#000000"},
}
"""Arms whose curves are drawn; more would hide each other."""


def draw_recovery(path: Path, pool: Pool) -> Path:
    """Write NDCG@10 by events since an abrupt change, with the band of each arm; return `path`."""
    figure = new_figure(9, 5.5)
    axis = figure.subplots()
    moments = pool.moments(Kind.ABRUPT)
    for arm, colour in _COLOURS.items():
        if arm not in pool.tables or (arm in TRUTHS and arm != pool.oracle):
            continue
        curve = recovery_curve(pool.tables[arm], moments, horizon=HORIZON)
        style = ":" if arm in TRUTHS else "-"
        axis.plot(curve["distance"], curve["mean"], style, color=colour, label=arm)
        axis.fill_between(curve["distance"], curve["low"], curve["high"], color=colour, alpha=0.12, linewidth=0)
    axis.set_title(f"{pool.title}: {int((moments >= 0).sum())} users whose taste changed at once")
    axis.set_xlabel("the user's own events since the change")
    axis.set_ylabel("NDCG@10")
    figure.legend(loc="outside lower center", ncols=4)
    return save_figure(figure, path)


def draw_timescales(path: Path, pool: Pool) -> Path:
    """Write each user's learned half-life over the true one, both in the user's events, on logarithmic axes."""
    mine = pool.users(Kind.RENEWAL) & (pool.lengths >= MIN_EVENTS)
    true, learned = pool.truth.timescale[mine], pool.pooled(OURS, "learned")[mine]
    figure = new_figure(6.5, 6)
    axis = figure.subplots()
    axis.loglog(true, learned, "o", color=_COLOURS[OURS], markersize=3, alpha=0.5)
    ends = [float(true.min()), float(true.max())]
    axis.loglog(ends, ends, ":", color="grey", label="equal")
    axis.set_title(pool.title)
    axis.set_xlabel("true half-life of the user's evidence, events")
    axis.set_ylabel("learned half-life, events")
    axis.legend()
    return save_figure(figure, path)


def draw_kinds(path: Path, pool: Pool) -> Path:
    """Write the distribution of the learned half-lives for each kind of users; return `path`."""
    learned = np.log2(pool.pooled(OURS, "learned"))
    kinds = [kind for kind in Kind if pool.users(kind).any()]
    figure = new_figure(8, 4.5)
    axis = figure.subplots()
    finite = learned[np.isfinite(learned)]
    edges = np.linspace(finite.min(), finite.max() + 1e-9, 25)
    for number, kind in enumerate(kinds):
        values = learned[pool.users(kind)]
        share = np.histogram(values[np.isfinite(values)], edges)[0] / max(len(values), 1)
        axis.step(np.exp2(edges[:-1]), share, where="post", color=f"C{number}", label=kind.name.lower())
    axis.set_xscale("log", base=2)
    axis.set_title(f"{pool.title}: belief after each user's last event")
    axis.set_xlabel("learned half-life, events")
    axis.set_ylabel("share of the users")
    axis.legend()
    return save_figure(figure, path)
