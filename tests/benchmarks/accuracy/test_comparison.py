"""Whom a table compares, what tells two models apart, and placebos that must miss the bars."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from benchmarks.accuracy.bars import bars
from benchmarks.accuracy.comparison import OWN, TWIN, Result, best_baseline, paired, placebo_pairs
from benchmarks.accuracy.inspection import IDENTICAL, SHUFFLED
from benchmarks.accuracy.section import asked, models_table
from benchmarks.tools.differences import corrected
from benchmarks.tools.grid import Budget, Outcome
from recsys.experiments.configuration import check_experiment

_USERS = 200
_EXPERIMENT = check_experiment({"model": {"class_path": "recsys.models.PersonaEASE", "init_args": {"personas": 4}}})


def _table(ndcg: npt.ArrayLike, served: npt.ArrayLike = True) -> pd.DataFrame:
    """A per-user table in which the last quarter of the users has no history."""
    users = np.arange(_USERS)
    table = pd.DataFrame({"user_id": users, "n_history": np.where(users < 150, 5, 0), "n_relevant": 3})
    table["served"] = np.broadcast_to(np.asarray(served), _USERS)
    for metric in ("ndcg@10", "recall@10", "hr@10", "mrr@10", "tdd@10", "tdd_excess@10", "minority_recall@10"):
        table[metric] = np.broadcast_to(np.asarray(ndcg, dtype=np.float64), _USERS)
    return table


def _result(tables: dict[str, list[pd.DataFrame]], effective: float = 3.6) -> Result:
    health = {"effective": effective, "mean_cosine": 0.1, "dead": 0.0}
    run = {"test": {"coverage@10": 0.5}, "seconds": 1.0, "epochs": 1, "parameters": 7, "capped": False, "counts": {}}
    outcomes = {
        name: Outcome(
            *(name, None, ({"capped": False, "changes": {}, "valid": 0.1, "cell": name},), 0, _EXPERIMENT),
            runs=tuple({**run, "seed": seed, "health": health} for seed in range(len(own))),
        )
        for name, own in tables.items()
    }
    placebos = {IDENTICAL: {**health, "effective": 1.0}, SHUFFLED: {**health, "effective": 1.3}}
    inspection = {"health": health, "placebos": placebos}
    return Result("ml-1m-ordered", "random", None, Budget(), outcomes, None, "", tables, inspection)


def _column(table: str, name: str) -> dict[str, str]:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    place = rows[0].index(name)
    return {row[0]: row[place] for row in rows[2:]}


def test_the_headline_is_whom_every_model_serves_and_cold_users_stand_apart() -> None:
    """`mf` is better for those it knows; `ease` only seems better, because it serves whom `mf` does not know."""
    known = np.arange(_USERS) < 100
    tables = {"ease": [_table(np.where(known, 0.2, 0.8))], "mf": [_table(np.where(known, 0.3, 0.1), known)]}
    result = _result(tables)
    assert asked(result) == "100 users whom every model serves, 100 cold"
    table = models_table(result)
    assert _column(table, "NDCG@10") == {"ease": ".2000", "mf": ".3000"}
    assert _column(table, "cold NDCG@10") == {"ease": ".8000", "mf": ".1000"}
    assert _column(table, "popularity's list") == {"ease": "nobody", "mf": "100 of 100"}
    assert best_baseline(result) == "mf"
    (pair,) = corrected(paired(result, "mf", "ease", ["ndcg@10"]))
    assert (pair.users, pair.outcome) == (100, "won")
    assert pair.diff == pytest.approx(0.1)


def test_mean_of_the_table_and_test_weigh_the_same_users() -> None:
    values = np.random.default_rng(0).random((3, _USERS))
    tables = {OWN: [_table(values[0]), _table(values[1])], TWIN: [_table(values[2])]}
    result = _result(tables)
    (pair,) = paired(result, OWN, TWIN, ["ndcg@10"])
    assert pair.diff == pytest.approx(result.mean(OWN, "ndcg@10") - result.mean(TWIN, "ndcg@10"))
    assert pair.users == int(result.served.sum()) == 150


def test_where_nobody_is_served_by_all_nobody_is_compared() -> None:
    result = _result({"ease": [_table(0.2)], "mf": [_table(0.1, served=False)]})
    assert asked(result) == "0 users whom every model serves, 200 cold"
    assert _column(models_table(result), "NDCG@10") == {"ease": "-", "mf": "-"}
    assert paired(result, "ease", "mf", ["ndcg@10"]) == []


def test_a_skewed_difference_with_mean_0_is_a_tie_and_misses_the_bar() -> None:
    """The rank test alone rejects it."""
    difference = np.random.default_rng(1).exponential(size=_USERS)
    difference[:150] -= difference[:150].mean()
    result = _result({OWN: [_table(0.5 + difference)], TWIN: [_table(0.5)]})
    family = corrected(paired(result, OWN, TWIN, ["ndcg@10"]))
    assert family[0].p_holm < 0.05
    assert family[0].outcome == "tie"
    assert "**missed**" in _bar(result, "its twin, ndcg@10")


def test_every_bar_has_a_placebo_that_misses_it() -> None:
    rng = np.random.default_rng(2)
    twin = rng.random(_USERS)
    gain = rng.normal(0.1, 0.05, _USERS)
    better = _table(twin + gain)
    better["tdd@10"] = twin - gain
    result = _result({OWN: [better], TWIN: [_table(twin)], "popularity": [_table(twin - 0.4)]})
    for claim in ("its twin, ndcg@10", "its twin, minority_recall@10", "its twin, tdd@10", "everywhere", "effective"):
        row = _bar(result, claim)
        assert row[3] != "-", claim
        assert row[4] == "met", claim
    assert "exchanged by lot" in _bar(result, "its twin, ndcg@10")[3]
    assert f"{IDENTICAL} 1.00, {SHUFFLED} 1.30" in _bar(result, "effective")[3]


def test_a_bar_that_its_placebo_meets_is_void() -> None:
    result = _result({OWN: [_table(0.5)], TWIN: [_table(0.4)], "popularity": [_table(0.45)]})
    assert "void" in _bar(result, "everywhere")[4]


def test_the_placebo_of_a_paired_bar_finds_nothing() -> None:
    rng = np.random.default_rng(3)
    twin = rng.random(_USERS)
    result = _result({OWN: [_table(twin + rng.normal(0.1, 0.05, _USERS))], TWIN: [_table(twin)]})
    (real,) = corrected(paired(result, OWN, TWIN, ["ndcg@10"]))
    (placebo,) = corrected(placebo_pairs(result, OWN, TWIN, ["ndcg@10"]))
    assert real.better(0.01)
    assert not placebo.better(0.01)
    assert placebo.outcome == "tie"


def _bar(result: Result, claim: str) -> list[str]:
    family = corrected(paired(result, OWN, TWIN, ("ndcg@10", "minority_recall@10", "tdd@10")))
    return next(row for row in bars([result], family) if claim in row[0])
