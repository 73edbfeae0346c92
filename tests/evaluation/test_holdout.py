"""The whole evaluation on models with known scores: tables, counts, batches, saving."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.data.queries import Queries, Ragged
from recsys.data.splits.holdout import Split
from recsys.data.splits.standard import split as split_log
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError, DataError
from recsys.evaluation.comparison import COLD, SERVED, compare_models
from recsys.evaluation.holdout import Evaluation, evaluate, evaluate_lists, validator
from recsys.evaluation.metrics import PerQuery, RankedHits
from recsys.evaluation.significance import compare
from recsys.evaluation.strata import UNDEFINED, quartiles
from recsys.evaluation.tastes import Tastes
from tests.evaluation.evaluation_models import FixedScores, MostUsed, random_holdout, random_log

PER_USER = ("ndcg", "recall", "precision", "hr", "mrr", "map", "liked_ndcg", "regret")
DESCRIBED = ("tdd", "tdd_excess", "ckl", "minority_recall", "novelty", "ild")


@pytest.fixture
def popular() -> tuple[MostUsed, Evaluation]:
    log = random_log(genres=4)
    model = MostUsed().fit(log)
    return model, evaluate(model, random_holdout(log, cold=6), log)


def test_the_table_has_a_row_per_user_and_a_column_per_metric(popular: tuple[MostUsed, Evaluation]) -> None:
    _, result = popular
    assert len(result.per_user) == result.users == 46
    expected = {f"{name}@{k}" for name in PER_USER + DESCRIBED for k in (5, 10, 20)}
    assert set(result.metrics) == expected
    assert set(result.summary) == expected | {f"{name}@{k}" for name in ("coverage", "gini") for k in (5, 10, 20)}
    assert result.per_user["user_id"].dtype.kind == "i"
    for name, value in result.summary.items():
        # Questions made by hand do not say what was liked.
        assert np.isfinite(value) != name.startswith(("liked_ndcg", "regret")), name
    assert {*result.undefined} == {"liked_ndcg", "regret"}


def test_users_without_relevant_items_and_cold_users_are_counted(popular: tuple[MostUsed, Evaluation]) -> None:
    _, result = popular
    without = result.per_user["n_relevant"] == 0
    assert result.users_without_relevant == int(without.sum()) > 0
    assert result.per_user.loc[without, "ndcg@10"].isna().all()
    assert result.per_user.loc[~without, "ndcg@10"].notna().all()
    assert result.per_user.loc[without, "novelty@10"].notna().all()
    assert result.unreachable_relevant > 0
    assert result.cold_users == 6
    assert result.unserved_users == 0
    assert result.counts["users_without_relevant"] == result.users_without_relevant


def test_users_whom_a_model_cannot_serve_get_popular_items() -> None:
    log = random_log()
    scores = np.random.default_rng(0).random((log.n_users, log.n_items)).astype(np.float32)
    model = FixedScores(scores).fit(log)
    warm = evaluate(model, random_holdout(log), log)
    mixed = evaluate(model, random_holdout(log, cold=6, seed=0), log)
    pd.testing.assert_frame_equal(warm.per_user[["ndcg@5", "hr@20"]], mixed.per_user[["ndcg@5", "hr@20"]][:40])
    cold = mixed.per_user["user_kind"] == "cold"
    assert mixed.unserved_users == int(cold.sum()) == 6
    assert (mixed.per_user["served"] == ~cold).all()
    popular = evaluate(MostUsed().fit(log), random_holdout(log, cold=6, seed=0), log).per_user
    pd.testing.assert_frame_equal(mixed.per_user.loc[cold, list(mixed.metrics)], popular.loc[cold, list(mixed.metrics)])
    assert not popular.loc[~cold, "ndcg@10"].equals(mixed.per_user.loc[~cold, "ndcg@10"])


def test_a_metric_does_not_depend_on_the_other_cutoffs(popular: tuple[MostUsed, Evaluation]) -> None:
    model, several = popular
    log = random_log(genres=4)
    for cutoff in (5, 10, 20):
        alone = evaluate(model, random_holdout(log, cold=6), log, cutoffs=cutoff)
        pd.testing.assert_frame_equal(alone.per_user[list(alone.metrics)], several.per_user[list(alone.metrics)])


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_batches_change_nothing_and_progress_is_reported(popular: tuple[MostUsed, Evaluation], batch_size: int) -> None:
    model, whole = popular
    log = random_log(genres=4)
    reports: list[tuple[int, int]] = []
    parts = evaluate(
        model,
        random_holdout(log, cold=6),
        log,
        batch_size=batch_size,
        progress=lambda done, total: reports.append((done, total)),
    )
    pd.testing.assert_frame_equal(parts.per_user, whole.per_user)
    assert parts.summary == whole.summary
    assert reports[-1] == (46, 46)
    assert len(reports) == -(-46 // batch_size)


def test_strata_average_the_users_of_each_group(popular: tuple[MostUsed, Evaluation]) -> None:
    _, result = popular
    table = result.strata
    for stratum in ("taste_entropy_quartile", "activity_quartile", "user_kind"):
        part = table[table["stratum"] == stratum]
        assert part["users"].sum() == result.users
        for row in part.to_dict("records"):
            members = result.per_user[result.per_user[stratum] == row["group"]]
            assert row["users"] == len(members)
            assert row["recall@10"] == pytest.approx(members["recall@10"].mean(), nan_ok=True)


def test_quartiles_keep_equal_values_together() -> None:
    assert quartiles(np.array([1.0, 1.0, 1.0, 9.0, np.nan])).tolist() == ["Q1", "Q1", "Q1", "Q4", UNDEFINED]
    assert quartiles(np.array([np.nan])).tolist() == [UNDEFINED]


def test_an_empty_history_is_a_stratum_of_its_own() -> None:
    log = random_log()
    holdout = random_holdout(log)
    blank = Queries.from_history([[]] * len(holdout), users=holdout.queries.users)
    result = evaluate(MostUsed().fit(log), replace(holdout, queries=blank), log, cutoffs=[5])
    assert set(result.per_user["activity_quartile"]) == {UNDEFINED}
    assert result.per_user["tdd@5"].isna().all()
    assert result.per_user["ndcg@5"].notna().any()


def test_candidates_are_the_only_items_ranked() -> None:
    log = random_log()
    holdout = random_holdout(log)
    allowed = replace(holdout, candidates=Ragged.of([[row % log.n_items] for row in range(len(holdout))]))
    result = evaluate(MostUsed().fit(log), allowed, log, cutoffs=[3])
    seen = holdout.queries.history
    hit = [row % log.n_items in set(holdout.relevant.row(row)) - set(seen.row(row)) for row in range(len(holdout))]
    counted = result.per_user["n_relevant"] > 0
    assert result.per_user.loc[counted, "hr@3"].tolist() == np.array(hit, float)[counted].tolist()


def test_chance_distances_are_the_same_for_all_models() -> None:
    """So that paired differences of the excess are those of the distance, without added noise."""
    log = random_log(genres=4)
    holdout = random_holdout(log)
    scores = np.random.default_rng(0).random((log.n_users, log.n_items)).astype(np.float32)
    chance = [
        result.per_user["tdd@5"] - result.per_user["tdd_excess@5"]
        for result in (evaluate(m.fit(log), holdout, log, cutoffs=[5]) for m in (MostUsed(), FixedScores(scores)))
    ]
    full = holdout.queries.history.lengths < 25
    np.testing.assert_allclose(chance[0][full], chance[1][full])


@pytest.mark.parametrize("texts", [False, True])
def test_save_and_load_are_inverse(popular: tuple[MostUsed, Evaluation], tmp_path: Path, texts: bool) -> None:
    _, result = popular
    if texts:
        result = replace(result, per_user=result.per_user.assign(user_id=[f"u{n}" for n in range(result.users)]))
    path = result.save(tmp_path / "deep" / "per_user.parquet")
    loaded = Evaluation.load(path)
    pd.testing.assert_frame_equal(loaded.per_user, result.per_user, check_dtype=False)
    assert loaded.summary == result.summary
    assert loaded.counts == result.counts
    assert loaded.undefined == result.undefined != {}
    assert loaded.cutoffs == result.cutoffs
    pd.testing.assert_frame_equal(loaded.strata, result.strata)
    assert [entry.name for entry in path.parent.iterdir()] == ["per_user.parquet"]
    assert pd.read_parquet(path)["ndcg@10"].notna().any()


def test_unusable_files_are_named(popular: tuple[MostUsed, Evaluation], tmp_path: Path) -> None:
    path = popular[1].save(tmp_path / "a.parquet")
    path.write_bytes(path.read_bytes()[:100])
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "other.parquet")
    for name, message in (("a", "cannot read"), ("missing", "cannot read"), ("other", "not written by an evaluation")):
        with pytest.raises(DataError, match=message) as caught:
            Evaluation.load(tmp_path / f"{name}.parquet")
        assert f"{name}.parquet" in str(caught.value)


def test_misuse_is_explained() -> None:
    log = random_log()
    model, holdout = MostUsed().fit(log), random_holdout(log)
    with pytest.raises(ConfigError, match="cutoffs"):
        evaluate(model, holdout, log, cutoffs=[])
    with pytest.raises(ConfigError, match="batch_size"):
        evaluate(model, holdout, log, batch_size=0)
    other = random_log(items=31)
    with pytest.raises(DataError, match=r"30 items\), not on the training log .*31 items"):
        evaluate(model, random_holdout(other), other)
    with pytest.raises(ConfigError, match="shape"):
        evaluate_lists(np.zeros((3, 5), np.int32), holdout, log, cutoffs=[10])


def test_a_catalogue_smaller_than_the_cutoff() -> None:
    log = random_log(users=8, items=4)
    blank = Queries.from_history([[0]] * 8)
    strangers = np.arange(100, 108).astype(object)
    holdout = replace(
        random_holdout(log), queries=blank, relevant=Ragged.of([[1, 2]] * 8), user_ids=strangers, values=None
    )
    result = evaluate(MostUsed().fit(log), holdout, log, tastes=Tastes.of(log, clusters=2))
    assert result.summary["recall@5"] == result.summary["ndcg@20"] / result.summary["ndcg@10"] == 1.0
    assert result.summary["precision@20"] == pytest.approx(0.1)


def test_validator_is_the_mean_of_evaluate() -> None:
    log = random_log()
    model, holdout = MostUsed().fit(log), random_holdout(log, cold=3)
    summary = evaluate(model, holdout, log, cutoffs=[3, 10]).summary
    for metric in ("ndcg@10", "recall@3", "mrr@3"):
        assert validator(holdout, metric)(model) == pytest.approx(summary[metric])


def test_validator_samples_once() -> None:
    log = random_log()
    model, holdout = MostUsed().fit(log), random_holdout(log)
    values = [validator(holdout, sample=5, seed=seed)(model) for seed in (1, 1, 2, 3)]
    assert values[0] == values[1]
    assert len(set(values)) > 1
    assert validator(holdout, sample=1000)(model) == validator(holdout)(model)


def test_validator_refuses_unknown_metrics_and_empty_holdouts() -> None:
    log = random_log()
    holdout = random_holdout(log)
    with pytest.raises(ConfigError, match="did you mean 'recall'"):
        validator(holdout, "recal@10")
    with pytest.raises(ConfigError, match="sample"):
        validator(holdout, sample=0)
    with pytest.raises(ConfigError, match="regret@10 is not defined here: the questions do not say"):
        validator(holdout, "regret@10")
    with pytest.raises(ConfigError, match="none of the 40"):
        validator(replace(holdout, relevant=Ragged.of([[]] * 40), values=None))
    unknown = replace(holdout, relevant=Ragged.of([[UNKNOWN]] * 40), values=None)
    assert validator(unknown)(MostUsed().fit(log)) == 0.0


def test_no_questions_give_an_empty_table() -> None:
    log = random_log()
    result = evaluate(MostUsed().fit(log), random_holdout(log).take(np.zeros(0, np.int64)), log)
    assert result.users == 0
    assert np.isnan(list(result.summary.values())[:3]).all()
    assert result.summary["coverage@10"] == 0.0
    assert len(result.strata) == 0


def _split() -> Split:
    log = random_log(genres=4)
    return Split(log, random_holdout(log, seed=1), random_holdout(log), "global_time", leaks_time=False)


def test_a_split_is_evaluated_on_its_test_questions() -> None:
    split = _split()
    model = MostUsed().fit(split.train)
    expected = evaluate(model, split.test, split.train).per_user
    pd.testing.assert_frame_equal(evaluate(model, split).per_user, expected)
    valid = evaluate(model, split.valid, split.train, cutoffs=[5])
    assert not valid.per_user["n_relevant"].equals(expected["n_relevant"])
    with pytest.raises(ConfigError, match=r"split\.valid, split\.train"):
        evaluate(model, split.valid)


def test_ranking_metrics_can_be_chosen_and_own_ones_added() -> None:
    split = _split()
    model = MostUsed().fit(split.train)

    def hits(ranked: RankedHits, k: int) -> PerQuery:
        return np.asarray(ranked.at(k).sum(1))

    result = evaluate(model, split, metrics=["hr", hits], cutoffs=[5])
    assert result.metrics[:2] == ("hr@5", "hits@5")
    assert "ndcg@5" not in result.metrics
    assert "tdd@5" in result.metrics

    def tdd(ranked: RankedHits, k: int) -> PerQuery:
        return np.full(len(ranked.hits), float(k))

    with pytest.raises(ConfigError, match="'tdd@5', which every evaluation has"):
        evaluate(model, split, metrics=[tdd], cutoffs=[5])


def test_models_are_compared_on_one_split() -> None:
    split = _split()
    scores = np.random.default_rng(0).random((split.train.n_users, split.train.n_items)).astype(np.float32)
    models = MostUsed().fit(split.train), FixedScores(scores).fit(split.train)
    results = [evaluate(model, split) for model in models]
    metrics = ["ndcg@10", "minority_recall@5"]
    table = compare_models(*models, split, metrics=metrics)
    warm = [result.per_user[result.per_user["n_history"] > 0] for result in results]
    expected = compare(warm[0], warm[1], metrics)
    served = table[table["group"] == SERVED].drop(columns="group")
    pd.testing.assert_frame_equal(served[["metric", "n", "diff", "p"]], expected[["metric", "n", "diff", "p"]])
    expected = table
    pd.testing.assert_frame_equal(compare_models(*models, split, metrics=metrics), expected)
    pd.testing.assert_frame_equal(compare_models(results[0], results[1], metrics=metrics), expected)
    with pytest.raises(ConfigError, match=r"compare\(a, b, split\)"):
        compare_models(models[0], models[1])
    with pytest.raises(ConfigError, match="ndcg@10"):
        compare_models(*models, split, metrics=["ndcg"])


def test_the_headline_of_a_comparison_is_whom_both_models_serve() -> None:
    """B is better only where A could not serve: the headline says they are equal, the cold rows say that B serves."""
    users = np.arange(40)
    own = pd.DataFrame({"user_id": users, "n_history": np.where(users < 30, 5, 0), "served": users < 20})
    a, b = (own.assign(**{"ndcg@10": 0.5}) for _ in range(2))
    b.loc[b["user_id"] >= 20, "ndcg@10"] = 0.9
    b["served"] = True
    results = [Evaluation(table, ("ndcg@10",), {}, (10,), 0) for table in (a, b)]
    rows = compare_models(results[0], results[1], metrics="ndcg@10")
    assert rows["group"].tolist() == [SERVED, COLD]
    assert rows["n"].tolist() == [20, 20]
    assert rows["diff"].tolist() == [0, pytest.approx(0.4)]
    assert rows["established"].tolist() == [0, 1]
    a["served"] = False
    rows = compare_models(results[0], results[1], metrics="ndcg@10")
    assert rows["n"].tolist() == [0, 40]
    assert rows["diff"].isna().tolist() == [True, False]
    a, b = (table.assign(n_history=3, served=True) for table in (a, b))
    results = [Evaluation(table, ("ndcg@10",), {}, (10,), 0) for table in (a, b)]
    assert compare_models(results[0], results[1], metrics="ndcg@10")["group"].tolist() == [SERVED]


@pytest.mark.parametrize("name", [*DESCRIBED, "coverage", "gini"])
def test_what_every_evaluation_has_is_not_chosen_by_name(name: str) -> None:
    log = random_log()
    cut = split_log(log)
    model = MostUsed().fit(cut.train)
    assert f"{name}@5" in evaluate(model, cut, cutoffs=5, metrics=["ndcg"]).summary
    with pytest.raises(ConfigError, match=f"{name}@10, so it is not chosen; leave it out"):
        evaluate(model, cut, metrics=[name])
