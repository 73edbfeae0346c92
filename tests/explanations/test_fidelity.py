from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import CapabilityError, ConfigError, DataError
from recsys.explanations import METRICS, ORIENTATION, fidelity, model_evidence, standard_methods
from recsys.explanations.fidelity import _scores_and_ranks, evidence_places
from tests.explanations.explanation_models import CountPopularity, LinearItems, TastesFromHistory, movie_log

N_ITEMS = 40


def dense_log(seed: int = 0) -> Interactions:
    """Return 60 users with 8 of 40 items each, all items used."""
    rng = np.random.default_rng(seed)
    rows = [rng.choice(N_ITEMS, 8, replace=False) for _ in range(60)]
    rows[:5] = np.arange(N_ITEMS).reshape(5, 8)
    return Interactions.from_columns(np.repeat(np.arange(60), 8), np.concatenate(rows), times=np.arange(480))


def random_linear(log: Interactions, seed: int = 1) -> LinearItems:
    matrix = np.random.default_rng(seed).gamma(0.3, size=(N_ITEMS, N_ITEMS)).astype(np.float32)
    return LinearItems(matrix).fit(log)


def test_contributions_of_a_linear_model_are_the_best_evidence_for_every_user() -> None:
    log = dense_log()
    report = fidelity(random_linear(log), Queries.from_interactions(log), log)
    table = report.per_user.set_index(["query", "m", "method"])
    for name in ("random", "popularity", "cosine"):
        for metric, sign in (("del", 1), ("ins", -1)):
            gap = sign * (table[metric].xs(name, level="method") - table[metric].xs("model", level="method"))
            assert gap.min() >= -1e-6
            assert gap.mean() > 0.02
    assert report.users == report.eligible == 60
    for metric in METRICS:
        others = [report.mean(metric, name) for name in ("random", "popularity", "cosine")]
        best = report.mean(metric, "model")
        assert best < min(others) if ORIENTATION[metric] == "lower" else best > max(others)


def test_metrics_equal_a_plain_loop_over_users() -> None:
    log = dense_log(2)
    model = random_linear(log, 3)
    queries = Queries.from_interactions(log)
    report = fidelity(model, queries, log, m=(1, 3), k=3)
    table = report.per_user.set_index(["method", "m", "query"])
    evidence = {name: method for name, method in standard_methods(model, log).items() if name != "random"}
    rows: list[tuple[str, int, int, float, float, float, float]] = []
    scale: list[float] = []
    for user in range(log.n_users):
        history = log.item_num[log.history_slice(user)]
        candidates = [item for item in range(N_ITEMS) if item not in set(history.tolist())]
        explained = max(candidates, key=lambda item: model.matrix[history, item].sum())
        scale.append(float(model.matrix[history, explained].sum()))
        one = queries.take(np.array([user]))
        for name, method in evidence.items():
            strength = method(one, np.array([explained], np.int32))
            ranked = history[sorted(range(8), key=lambda event: (-strength[event], -event))]
            for m in (1, 3):
                left = ranked[m:]
                score = {item: float(model.matrix[left, item].sum()) for item in candidates}
                rank = 1 + sum(value > score[explained] for value in score.values())
                kept = float(model.matrix[ranked[:m], explained].sum())
                rows.append((name, m, user, float(rank <= 3), 1 / np.log2(1 + rank), score[explained], kept))
    unit = float(np.mean(scale))
    for name, m, user, pos, cdcg, deletion, insertion in rows:
        found = table.loc[(name, m, user), list(METRICS)].to_numpy(dtype=np.float64)
        np.testing.assert_allclose(found, [pos, cdcg, deletion / unit, insertion / unit], atol=1e-5)


def test_one_decisive_item() -> None:
    # Item j is followed by j + 20 and by nothing else: without its cause an item falls to a score of 0.
    log = dense_log()
    matrix = np.zeros((N_ITEMS, N_ITEMS), np.float32)
    matrix[np.arange(20), np.arange(20, 40)] = 1.0
    queries = Queries.from_history([[0, 30, 31, 32, 33, 34, 35]], users=[0])
    report = fidelity(LinearItems(matrix).fit(log), queries, log, k=5)
    assert report.by_m[["pos", "del", "ins"]].loc[[("model", 1)]].to_numpy().tolist() == [[0.0, 0.0, 1.0]]
    assert report.per_user["item"].unique().tolist() == [20]


def test_removed_items_do_not_become_candidates() -> None:
    # Every item points to the removed ones far more than to anything new; they must stay out of the ranking.
    log = dense_log()
    matrix = np.full((N_ITEMS, N_ITEMS), 0.01, np.float32)
    matrix[:, :7] = 100.0
    matrix[:, 20] = 1.0
    queries = Queries.from_history([list(range(7))], users=[0])
    report = fidelity(LinearItems(matrix).fit(log), queries, log, k=1)
    assert report.per_user["pos"].eq(1.0).all()
    assert report.per_user["cdcg"].eq(1.0).all()


def test_an_empty_history_keeps_the_exclusions() -> None:
    log = dense_log()
    queries = Queries.from_interactions(log)
    bare = queries.keep(np.zeros(len(queries.history.items), np.bool_))
    assert not random_linear(log).score(bare).any()
    assert np.array_equal(bare.excluded.items, queries.history.items)
    everything = queries.keep(np.ones(len(queries.history.items), np.bool_))
    assert np.array_equal(everything.history.indptr, queries.history.indptr)


def test_a_bias_does_not_change_deletion_and_insertion() -> None:
    log = dense_log()
    plain = random_linear(log)
    shifted = LinearItems(plain.matrix, bias=100.0).fit(log)
    queries = Queries.from_interactions(log)
    first, second = (fidelity(model, queries, log).per_user for model in (plain, shifted))
    np.testing.assert_allclose(first[["del", "ins"]], second[["del", "ins"]], atol=1e-4)


def test_attentive_model_is_explained_better_than_at_random() -> None:
    log = movie_log()
    model = TastesFromHistory().fit(log)
    report = fidelity(model, Queries.from_interactions(log), log, m=(1, 2), k=1)
    ours, theirs = report.paired("del", "model", "random")
    assert len(ours) == report.users == 6
    assert ours.mean() > theirs.mean()


def test_paired_values_are_larger_where_better() -> None:
    log = dense_log()
    report = fidelity(random_linear(log), Queries.from_interactions(log), log, users=20, seed=4)
    assert (report.users, report.eligible) == (20, 60)
    for metric in METRICS:
        ours, theirs = report.paired(metric, "model", "random")
        assert ours.shape == theirs.shape == (20,)
        assert ours.mean() > theirs.mean()
        sign = 1 if ORIENTATION[metric] == "higher" else -1
        assert sign * ours.mean() == pytest.approx(report.mean(metric, "model"))
        assert report.summary.at["model", metric] == pytest.approx(report.mean(metric, "model"))


def test_the_seed_decides_the_draw() -> None:
    log = dense_log()
    model, queries = random_linear(log), Queries.from_interactions(log)
    first, again, other = (fidelity(model, queries, log, users=10, seed=seed).per_user for seed in (1, 1, 2))
    assert first.equals(again)
    assert set(first["query"]) != set(other["query"])


def test_custom_methods_can_be_compared() -> None:
    log = dense_log()
    model = random_linear(log)
    best = model_evidence(model)

    def worst(queries: Queries, items: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        return -best(queries, items)

    report = fidelity(model, Queries.from_interactions(log), log, methods={"best": best, "worst": worst})
    assert report.summary.index.tolist() == ["best", "worst"]
    assert report.mean("del", "best") < report.mean("del", "worst")


def test_invalid_arguments_raise() -> None:
    log = dense_log()
    model, queries = random_linear(log), Queries.from_interactions(log)
    with pytest.raises(CapabilityError, match="cannot fold in"):
        fidelity(CountPopularity().fit(log), queries, log)
    with pytest.raises(DataError, match="more than 9 known history items"):
        fidelity(model, queries, log, m=(9,))
    with pytest.raises(ConfigError, match="at least 1"):
        fidelity(model, queries, log, m=(0, 1))
    report = fidelity(model, queries, log, users=5)
    with pytest.raises(ConfigError, match="did you mean 'cdcg'"):
        report.paired("cdgc", "model", "random")
    with pytest.raises(ConfigError, match="did you mean 'random'"):
        report.paired("del", "model", "randon")


def test_queries_that_exclude_everything_are_refused() -> None:
    log = dense_log()
    queries = Queries.from_history([list(range(N_ITEMS))], users=[0])
    with pytest.raises(DataError, match="no user has a recommendable item"):
        fidelity(random_linear(log), queries, log)


@given(st.lists(st.lists(st.integers(-1, 4), max_size=7), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_places_rank_distinct_items(rows: list[list[int]], seed: int) -> None:
    queries = Queries.from_history(rows)
    strengths = np.random.default_rng(seed).integers(0, 3, len(queries.history.items)).astype(np.float64)
    places = evidence_places(queries, strengths)
    for row, items in enumerate(rows):
        span = slice(int(queries.history.indptr[row]), int(queries.history.indptr[row + 1]))
        total = {item: strengths[span][np.array(items) == item].sum() for item in set(items)}
        key = {item: (item == -1, -total[item], -items.index(item)) for item in total}
        expected = {item: place for place, item in enumerate(sorted(total, key=key.__getitem__))}
        assert places[span].tolist() == [expected[item] for item in items]


def test_equal_scores_are_ranked_as_recommend_ranks_them() -> None:
    """Items 20, 21 and 22 always score the same; the most popular of them, 22, comes first, not the first number."""
    counts = np.ones(N_ITEMS, int)
    counts[[20, 21, 22]] = 2, 3, 9
    items = np.repeat(np.arange(N_ITEMS), counts)
    log = Interactions.from_columns(np.arange(len(items)), items)
    number = {str(item): position for position, item in enumerate(log.items.ids)}
    tied = [number["20"], number["21"], number["22"]]
    history = [number[str(item)] for item in range(7)]
    matrix = np.zeros((N_ITEMS, N_ITEMS), np.float32)
    matrix[np.ix_(history, tied)] = 1.0
    model = LinearItems(matrix).fit(log)
    queries = Queries.from_history([history], users=[0])
    assert model.recommend(queries, 3).items.tolist() == [tied[::-1]]
    report = fidelity(model, queries, log, m=(1,))
    assert report.per_user["cdcg"].tolist() == [1.0] * 4
    everything = np.ones(len(history), np.bool_)
    for place, item in enumerate(tied[::-1], 1):
        assert _scores_and_ranks(model, queries, everything, np.array([item], np.int32))[1].tolist() == [place]
