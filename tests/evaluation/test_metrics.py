"""Ranking metrics against independent implementations: trec_eval (through ir-measures) and plain Python."""

from __future__ import annotations

import math
import warnings
from importlib.metadata import EntryPoint

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recsys.data.queries import Ragged, membership
from recsys.data.splits.verdicts import Verdicts
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.evaluation.metrics import RANKING_METRICS, PerQuery, RankedHits, parse_metric, ranking_metrics
from recsys.models.top_n import top_n

CUTOFFS = (1, 3, 5, 10)


def random_case(queries: int = 120, seed: int = 0) -> tuple[npt.NDArray[np.int32], Ragged]:
    """Lists of 10 with padding, and rows of 0 to 14 relevant items, some of them unknown."""
    rng = np.random.default_rng(seed)
    lists, rows = [], []
    for _ in range(queries):
        items = rng.permutation(30)[: rng.integers(0, 11)]
        lists.append(np.pad(items, (0, 10 - len(items)), constant_values=UNKNOWN))
        answers = rng.permutation(30)[: rng.integers(0, 15)]
        rows.append(np.append(answers, UNKNOWN) if rng.random() < 0.3 else answers)
    return np.array(lists, np.int32), Ragged.of(rows)


def test_every_metric_equals_trec_eval() -> None:
    """The oracle knows an unknown answer as a document that no list holds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ir_measures
        from ir_measures import AP, RR, P, R, Success, nDCG
    top, relevant = random_case()
    oracle = {"ndcg": nDCG, "recall": R, "precision": P, "hr": Success, "mrr": RR, "map": AP}
    assert {*oracle, "liked_ndcg", "regret"} == set(RANKING_METRICS)
    qrels = [
        ir_measures.Qrel(str(query), str(item) if item != UNKNOWN else "never", 1)
        for query in range(len(top))
        for item in relevant.row(query)
    ]
    ours = ranking_metrics(top, relevant, CUTOFFS)
    checked = 0
    for k in CUTOFFS:
        run = [
            ir_measures.ScoredDoc(str(query), str(item), 100.0 - position)
            for query in range(len(top))
            for position, item in enumerate(top[query, :k])  # cut here: trec_eval has no cutoff for RR
            if item != UNKNOWN
        ]
        for name, measure in oracle.items():
            asked = measure if name == "mrr" else measure @ k
            theirs = {int(row.query_id): row.value for row in ir_measures.pytrec_eval.iter_calc([asked], qrels, run)}
            for query, length in enumerate(relevant.lengths):
                if length == 0:
                    assert math.isnan(ours[f"{name}@{k}"][query])
                    continue
                expected = theirs.get(query, 0.0)  # trec_eval omits a query whose list is empty
                if name == "map":
                    expected *= length / min(k, length)  # trec_eval divides by |R|
                assert ours[f"{name}@{k}"][query] == pytest.approx(expected, abs=1e-6), (name, k, query)
                checked += 1
    assert checked > 2000


def test_liked_ndcg_equals_trec_eval_and_regret_counts_by_hand() -> None:
    """Only liked answers are documents of the oracle; regretted hits are counted in plain Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ir_measures
        from ir_measures import nDCG
    top, relevant = random_case(seed=3)
    rng = np.random.default_rng(4)
    liked = rng.random(len(relevant.items)) < 0.5
    regretted = ~liked & (rng.random(len(liked)) < 0.6)
    ours = ranking_metrics(top, relevant, CUTOFFS, ["liked_ndcg", "regret"], Verdicts(liked, regretted))
    qrels = [
        ir_measures.Qrel(str(query), str(item) if item != UNKNOWN else "never", 1)
        for query in range(len(top))
        for item in relevant.select(liked).row(query)
    ]
    seen = 0
    for k in CUTOFFS:
        run = [
            ir_measures.ScoredDoc(str(query), str(item), 100.0 - position)
            for query in range(len(top))
            for position, item in enumerate(top[query, :k])
            if item != UNKNOWN
        ]
        theirs = {int(row.query_id): row.value for row in ir_measures.pytrec_eval.iter_calc([nDCG @ k], qrels, run)}
        for query in range(len(top)):
            begin, end = relevant.indptr[query : query + 2]
            answers, good, bad = relevant.items[begin:end], liked[begin:end], regretted[begin:end]
            value = ours[f"liked_ndcg@{k}"][query]
            assert value == pytest.approx(theirs.get(query, 0.0), abs=1e-6) if good.any() else math.isnan(value)
            hits = [bool(bad[answers == item][0]) for item in top[query, :k] if item != UNKNOWN and item in answers]
            regret = ours[f"regret@{k}"][query]
            assert regret == pytest.approx(sum(hits) / len(hits)) if hits else math.isnan(regret)
            seen += len(hits)
    assert seen > 200


def test_without_verdicts_nobody_is_said_to_like_or_to_regret() -> None:
    top, relevant = random_case()
    for verdicts in (None, Verdicts(None, None)):
        values = ranking_metrics(top, relevant, [5], ["ndcg", "liked_ndcg", "regret"], verdicts)
        assert np.isnan(values["regret@5"]).all()
        assert np.isnan(values["liked_ndcg@5"]).all()
        assert np.isfinite(values["ndcg@5"]).any()


@pytest.mark.parametrize("k", [1, 4, 10])
def test_ndcg_equals_scikit_learn(k: int) -> None:
    from sklearn.metrics import ndcg_score

    rng = np.random.default_rng(1)
    scores = rng.permuted(np.tile(np.arange(25.0), (20, 1)), axis=1).astype(np.float32)
    truth = rng.random((20, 25)) < 0.2
    truth[:, 0] = True
    top, _ = top_n(torch.from_numpy(scores), 10)
    relevant = Ragged.of([np.flatnonzero(row) for row in truth])
    expected = [ndcg_score(truth[[row]], scores[[row]], k=k) for row in range(20)]
    np.testing.assert_allclose(ranking_metrics(top, relevant, [k], ["ndcg"])[f"ndcg@{k}"], expected)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.sampled_from([0, 1, 2, -np.inf])
    ),
    st.integers(1, 9),
)
def test_equal_scores_are_ordered_by_item_number(scores: npt.NDArray[np.float32], n: int) -> None:
    top, values = top_n(torch.from_numpy(scores.copy()), n)
    for row, line in enumerate(scores):
        ranked = sorted((item for item in range(len(line)) if line[item] > -np.inf), key=lambda i: (-line[i], i))[:n]
        assert top[row].tolist() == ranked + [UNKNOWN] * (n - len(ranked))
        assert values[row][: len(ranked)].tolist() == [line[item] for item in ranked]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_membership_is_membership(data: st.DataObject) -> None:
    numbers = st.integers(UNKNOWN, 6)
    queries = data.draw(st.integers(0, 5))
    width = data.draw(st.integers(1, 4))
    top = data.draw(hnp.arrays(np.int32, (queries, width), elements=numbers))
    rows = [data.draw(st.lists(numbers, max_size=5)) for _ in range(queries)]
    expected = [
        [item != UNKNOWN and item in row for item in line] for line, row in zip(top.tolist(), rows, strict=True)
    ]
    assert membership(top, Ragged.of(rows)).tolist() == expected


def test_a_perfect_list_scores_one_where_the_metric_allows_it() -> None:
    top = np.arange(10, dtype=np.int32)[None, :]
    verdicts = Verdicts(np.ones(20, np.bool_), np.zeros(20, np.bool_))
    values = ranking_metrics(top, Ragged.of([np.arange(20)]), [10], verdicts=verdicts)
    assert values.pop("regret@10").item() == 0.0
    assert values.pop("recall@10").item() == 0.5
    assert {name: value.item() for name, value in values.items()} == dict.fromkeys(values, pytest.approx(1.0))


def test_unknown_answers_lower_the_score_and_are_never_hit_by_padding() -> None:
    top = np.array([[3, UNKNOWN]], np.int32)
    with_unknown = ranking_metrics(top, Ragged.of([[3, UNKNOWN]]), [2])
    assert with_unknown["recall@2"].item() == 0.5
    assert with_unknown["ndcg@2"].item() == pytest.approx(1 / (1 + 1 / math.log2(3)))
    assert ranking_metrics(top, Ragged.of([[UNKNOWN]]), [2])["hr@2"].item() == 0.0


def test_lists_shorter_than_the_cutoff_and_wrong_shapes_are_refused() -> None:
    ranked = RankedHits.of(np.array([[1, 2]], np.int32), Ragged.of([[1]]))
    for k in (0, 3):
        with pytest.raises(ValueError, match=r"outside 1\.\.2"):
            ranked.at(k)
    with pytest.raises(ValueError, match="1 lists for 2 rows"):
        membership(np.array([[1]], np.int32), Ragged.of([[1], [2]]))


@pytest.mark.parametrize(
    ("metric", "message"), [("ndgc@10", "did you mean 'ndcg'"), ("ndcg", "cutoff"), ("hr@0", "cutoff")]
)
def test_a_misspelt_metric_is_named(metric: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_metric(metric)


def first_is_relevant(ranked: RankedHits, k: int) -> PerQuery:
    """A metric of one's own; the cutoff does not matter."""
    assert k >= 1
    return ranked.per_relevant(ranked.at(1)[:, 0], np.ones(len(ranked.hits)))


class SmallestItem:
    """A metric of the listed items themselves."""

    name = "smallest"

    def __call__(self, ranked: RankedHits, k: int) -> PerQuery:
        return np.asarray(ranked.top[:, :k].min(1), dtype=np.float64)


def test_own_metrics_are_functions_objects_or_paths() -> None:
    top, relevant = np.array([[4, 2], [7, 5]], np.int32), Ragged.of([[4], [5]])
    path = "tests.evaluation.test_metrics.first_is_relevant"
    values = ranking_metrics(top, relevant, [2], ["hr", first_is_relevant, SmallestItem()])
    assert {name: value.tolist() for name, value in values.items()} == {
        "hr@2": [1.0, 1.0],
        "first_is_relevant@2": [1.0, 0.0],
        "smallest@2": [2.0, 5.0],
    }
    assert parse_metric(f"{path}@10") == (path, 10)
    assert list(ranking_metrics(top, relevant, [1], [path])) == ["first_is_relevant@1"]
    assert list(ranking_metrics(top, relevant, [1], ["tests.evaluation.test_metrics.SmallestItem"])) == ["smallest@1"]


def test_the_metric_of_an_entry_point_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("first-hit", "tests.evaluation.test_metrics:first_is_relevant", "recsys.metrics")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])
    top, relevant = np.array([[4, 2]], np.int32), Ragged.of([[4]])
    assert list(ranking_metrics(top, relevant, [1], "first-hit")) == ["first-hit@1"]
    assert parse_metric("first-hit@1") == ("first-hit", 1)


def test_misuse_of_own_metrics_is_explained() -> None:
    top, relevant = np.array([[4, 2]], np.int32), Ragged.of([[4]])

    def two_values(ranked: RankedHits, k: int) -> PerQuery:
        return np.zeros(2)

    with pytest.raises(ConfigError, match=r"shape \(2,\); give one value for each of the 1 queries"):
        ranking_metrics(top, relevant, [1], [two_values])
    with pytest.raises(ConfigError, match=r"lambda, which has no name.*define it with def"):
        ranking_metrics(top, relevant, [1], [lambda ranked, k: np.zeros(1)])
    two_values.__name__ = "ndcg"
    with pytest.raises(ConfigError, match="two metrics have the name 'ndcg'; rename"):
        ranking_metrics(top, relevant, [1], two_values)
    with pytest.raises(
        ConfigError,
        match=r"'foo' cannot be found.*the metrics of this library are ndcg, [a-z, ]*map, liked_ndcg, regret$",
    ):
        ranking_metrics(top, relevant, [1], "foo")
    with pytest.raises(ConfigError, match="cannot be found"):
        ranking_metrics(top, relevant, [1], ["no_such_package.metric"])
    with pytest.raises(ConfigError, match="not a function"):
        ranking_metrics(top, relevant, [1], ["tests.evaluation.test_metrics.CUTOFFS"])
    with pytest.raises(ConfigError, match=r"cutoffs=\[10\]"):
        ranking_metrics(top, relevant, [1], ["ndcg@10"])
