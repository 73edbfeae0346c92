"""`import recsys`: what it costs, and what one can do with it in external ids."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import recsys
from recsys.data.interactions import Interactions
from recsys.decay import GlobalHalfLife
from recsys.errors import ConfigError, DataError
from recsys.evaluation.holdout import evaluate
from recsys.evaluation.ranking import validator
from recsys.explanations import explain_items
from recsys.models import BPR, EASE, Decayed, PersonaEASE, Popularity, WithPersonas
from recsys.training.session import Session
from recsys.training.trainable import Optimization


@pytest.fixture(scope="module")
def log() -> recsys.Interactions:
    """A log with text ids."""
    rng = np.random.default_rng(0)
    taste = rng.integers(2, size=40)
    rows = [
        (f"u{user}", f"i{item}", int(time))
        for user in range(40)
        for item, time in zip(rng.permutation(15)[:9] + 15 * taste[user], rng.integers(1_000_000, size=9), strict=True)
    ]
    return recsys.from_pandas(pd.DataFrame(rows, columns=["user", "item", "time"]))


@pytest.fixture(scope="module")
def split(log: recsys.Interactions) -> recsys.Split:
    return recsys.split(log, "last_one")


@pytest.fixture(scope="module")
def model(split: recsys.Split) -> recsys.Recommender:
    return recsys.train(split, "persona_ease", personas=2)


def test_importing_recsys_imports_no_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import recsys; after = set(sys.modules); "
        "import json; print(json.dumps([sorted(after - before), dir(recsys)]))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    modules, names = json.loads(out)
    assert {module.partition(".")[0] for module in modules} <= {"recsys", *sys.stdlib_module_names}
    assert set(recsys.__all__) <= set(names)


def test_unknown_attributes_are_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'recomend'"):
        _ = recsys.recomend  # type: ignore[attr-defined]


def test_files_are_read_with_named_columns(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("buyer,sku,bought_at\n7,a,2020-01-01\n8,b,2020-01-02\n", encoding="utf-8")
    log = recsys.read(path, user="buyer", item="sku", time="bought_at")
    assert log.users.ids.tolist() == [7, 8]
    assert log.items.ids.tolist() == ["a", "b"]
    assert log.clock == "seconds"


def test_training_by_name_class_and_model_is_the_same(split: recsys.Split, tmp_path: Path) -> None:
    expected = EASE(regularization=50.0).fit(split.train).score(split.test.queries)
    file = tmp_path / "mine.yaml"
    file.write_text("model: {class_path: recsys.models.EASE, init_args: {regularization: 50.0}}\n", encoding="utf-8")
    for trained in (
        recsys.train(split, "ease", regularization=50.0),
        recsys.train(split, "EASE", regularization=50.0),
        recsys.train(split, "recsys.models.EASE", regularization=50.0),
        recsys.train(split, EASE, regularization=50.0),
        recsys.train(split, EASE(regularization=50.0)),
        recsys.train(split, file),
        recsys.train(split.train, str(file)),
    ):
        assert (trained.score(split.test.queries) == expected).all()


def test_a_split_stops_early_on_its_validation_part(split: recsys.Split) -> None:
    optimization = Optimization(epochs=3, patience=1, learning_rate=0.1)
    trained = recsys.train(split, "mf", embedding_size=4, optimization=optimization)
    by_hand = trained.unfitted().fit(split.train, validator(split.valid))
    assert by_hand.parameters_of_constructor()["optimization"]["epochs"] == 3
    assert (trained.score(split.valid.queries) == by_hand.score(split.valid.queries)).all()


def test_misuse_of_train_is_explained(split: recsys.Split) -> None:
    for model, settings, message in (
        ("eas", dict[str, Any](), "did you mean 'ease'"),
        ("ease", {"regularisation": 1.0}, "unknown option regularisation; did you mean regularization"),
        (EASE, {"regularisation": 1.0}, "did you mean 'regularization'"),
        (EASE(), {"regularization": 1.0}, "give its settings to its constructor"),
        ("ease", {"personas": 3}, "unknown option personas; there are regularization, "),
        ("ease", {"regularization": object()}, "a setting is no number, text, list"),
        (5, {}, "train needs a model, not 5: a name such as 'ease'"),
        (None, {}, "train needs a model, not None"),
        (dict, {}, "train needs a model"),
        ("no_such_package.Model", {}, "cannot be found"),
        ("missing.yaml", {}, "no such experiment file"),
    ):
        with pytest.raises(recsys.ConfigError, match=message):
            recsys.train(split, model, **settings)  # type: ignore[arg-type]
    with pytest.raises(recsys.ConfigError, match="read the log with load or read"):
        recsys.train("ml-100k")  # type: ignore[arg-type]


def test_evaluate_and_compare_take_the_split(split: recsys.Split, model: recsys.Recommender) -> None:
    baseline = recsys.train(split, "popularity")
    table = recsys.compare(baseline, model, split, metrics=["ndcg@10", "tdd_excess@10"])
    ours = evaluate(model, split.test, split.train)
    warm = ours.per_user[ours.per_user["n_history"] > 0]
    headline = table[table["group"] == "served by all"]
    assert headline["mean_b"].tolist() == pytest.approx([warm["ndcg@10"].mean(), warm["tdd_excess@10"].mean()])
    assert recsys.evaluate(model, split).summary["ndcg@10"] == ours.summary["ndcg@10"]
    with pytest.raises(recsys.ConfigError, match=r"split\(log\)"):
        recsys.evaluate(model, split.train)  # type: ignore[arg-type]


def test_recommendations_are_those_of_the_model_in_external_ids(split: recsys.Split, model: recsys.Recommender) -> None:
    log = split.train
    frame = recsys.recommend(model, users=["u7", "u3"], log=log, n=4)
    queries = model.fitted_on.queries(log, log.users.numbers(["u7", "u3"]))
    expected = model.recommend(queries, 4)
    assert frame.columns.tolist() == ["user_id", "rank", "item_id", "title", "score", "owner_name", "reason"]
    assert frame["user_id"].tolist() == ["u7"] * 4 + ["u3"] * 4
    assert frame["rank"].tolist() == [1, 2, 3, 4] * 2
    assert frame["item_id"].tolist() == log.items.ids[expected.items.ravel()].tolist()
    assert frame["score"].tolist() == expected.scores.ravel().tolist()
    explanations = [one for row in explain_items(model, queries, expected) for one in row]
    assert frame["owner_name"].tolist() == [one.personas[0].name for one in explanations]
    assert frame["reason"].str.len().gt(0).all()
    bare = recsys.recommend(model, "u7", log=log, n=4, reasons=False)
    pd.testing.assert_frame_equal(bare, frame.iloc[:4, :5])
    everybody = recsys.recommend(model, log=log, n=1)
    assert everybody["user_id"].tolist() == log.users.ids.tolist()


def test_recommendations_reflect_the_log_that_is_given(log: recsys.Interactions, model: recsys.Recommender) -> None:
    """The log may be longer than the one that was trained on, and is cut at the moment of the question."""
    used = log.items.ids[log.item_num[log.history_slice(0)]]
    full = recsys.recommend(model, log.users.ids[0], log=log, n=30)
    assert not set(full["item_id"]) & set(used)
    first = int(log.time[log.history_slice(0)][0])
    blank = recsys.recommend(model, log.users.ids[0], log=log, n=30, at=first)
    assert len(blank) > len(full)


def test_somebody_with_a_history_is_served_without_a_log(model: recsys.Recommender) -> None:
    frame = recsys.recommend(model, history=["i1", "i2"], n=3)
    assert frame["user_id"].isna().all()
    assert not set(frame["item_id"]) & {"i1", "i2"}
    with pytest.warns(UserWarning, match="does not know 1 of the 3 items of the history, which do not count: nine"):
        same = recsys.recommend(model, history=["i1", "nine", "i2"], n=3)
    pd.testing.assert_frame_equal(same, frame)
    popular = recsys.recommend(model, history=[], n=2)
    assert len(popular) == 2


def test_misuse_of_recommend_is_explained(split: recsys.Split, model: recsys.Recommender) -> None:
    with pytest.raises(recsys.ConfigError, match="give the log that holds them"):
        recsys.recommend(model, users=["u1"])
    with pytest.raises(recsys.ConfigError, match="not both"):
        recsys.recommend(model, users=["u1"], history=["i1"])
    with pytest.raises(recsys.DataError, match=r"has no users nobody, 7 \(2 of 3\); its users are such as u0, u1"):
        recsys.recommend(model, users=["u1", "nobody", 7], log=split.train)
    with pytest.raises(recsys.DataError, match="knows none of the 2 items of the history, x, y"):
        recsys.recommend(model, history=["x", "y"])
    with pytest.raises(recsys.ConfigError, match="n is 0"):
        recsys.recommend(model, history=["i1"], n=0)
    with pytest.raises(recsys.NotFittedError):
        recsys.recommend(EASE(), history=["i1"])
    learned = BPR(embedding_size=4, epochs=1).fit(split.train.select(split.train.user_num > 1).compact())
    with pytest.raises(recsys.CapabilityError, match=r"BPR cannot serve users .*: u0, u1 \(2 of 40\); leave them out"):
        recsys.recommend(learned, log=split.train)
    with pytest.raises(recsys.CapabilityError, match="fold-in model"):
        recsys.recommend(learned, history=["i1"])
    assert len(recsys.recommend(learned, users=["u5"], log=split.train, n=2)) == 2


@pytest.mark.parametrize("reasons", [False, True])
def test_recommend_all_writes_what_recommend_returns(
    split: recsys.Split, model: recsys.Recommender, tmp_path: Path, reasons: bool
) -> None:
    calls: list[tuple[int, int]] = []
    path = recsys.recommend_all(
        model,
        split.train,
        tmp_path / "deep" / "all.parquet",
        n=3,
        reasons=reasons,
        batch_size=16,
        progress=lambda done, total: calls.append((done, total)),
    )
    expected = recsys.recommend(model, log=split.train, n=3, reasons=reasons)
    pd.testing.assert_frame_equal(pd.read_parquet(path), expected, check_dtype=False, rtol=1e-5)
    assert pq.ParquetFile(path).num_row_groups == 3
    assert calls == [(16, 40), (32, 40), (40, 40)]


def test_recommend_all_leaves_no_part_of_a_file(split: recsys.Split, model: recsys.Recommender, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "all.parquet"
    with pytest.raises(KeyboardInterrupt):
        recsys.recommend_all(model, split.train, path, progress=interrupt, batch_size=5)
    assert list(tmp_path.iterdir()) == []
    recsys.recommend_all(model, split.train, path, users=[])
    assert pd.read_parquet(path).empty


def test_explanations_are_those_of_the_model(split: recsys.Split, model: recsys.Recommender) -> None:
    log = split.train
    best = recsys.explain(model, "u3", log=log, n=2, evidence=2)
    assert len(best) == 2
    assert best[0].score >= best[1].score
    assert all(len(one.evidence) <= 2 for one in best)
    frame = recsys.recommend(model, "u3", log=log, n=2)
    chosen = recsys.explain(model, "u3", log=log, items=frame["item_id"][::-1], evidence=2, n=2)
    assert [one.score for one in chosen] == pytest.approx([one.score for one in best[::-1]])
    assert [one.evidence for one in chosen] == [one.evidence for one in best[::-1]]
    assert len(recsys.explain(model, history=["i1"], items="i2")) == 1
    ranked = recsys.recommend(model, "u3", log=log, n=30)["item_id"].tolist()
    beyond = recsys.explain(model, "u3", log=log, items=ranked[2:], n=2)
    assert not any(one.without for one in beyond), "what is not in the list cannot leave it"
    assert any(one.without for one in best)
    with pytest.raises(recsys.DataError, match="the model has no item 'never'"):
        recsys.explain(model, "u3", log=log, items=["never"])


def test_personas_are_described_largest_first(split: recsys.Split, model: recsys.Recommender) -> None:
    frame = recsys.personas(model, users=["u3", "u4"], log=split.train, top=2)
    assert frame["user_id"].tolist() == ["u3", "u3", "u4", "u4"]
    shares = frame["share"].to_numpy().reshape(2, 2)
    assert (shares[:, 0] >= shares[:, 1]).all()
    np.testing.assert_allclose(shares.sum(1), 1.0)
    assert frame["items"].map(len).max() <= 2
    assert recsys.personas(model, users=[], log=split.train).empty
    with pytest.raises(recsys.CapabilityError, match="no personas"):
        recsys.personas(Popularity().fit(split.train), history=["i1"])


def test_similar_items_come_from_fold_in_or_from_vectors(split: recsys.Split, model: recsys.Recommender) -> None:
    frame = recsys.similar_items(model, ["i1", "i16"], n=3)
    assert frame["item_id"].tolist() == ["i1"] * 3 + ["i16"] * 3
    expected = recsys.recommend(model, history=["i1"], n=3)
    assert frame["similar_item_id"].tolist()[:3] == expected["item_id"].tolist()
    learned = recsys.train(split, "mf", embedding_size=4, users="embedding", epochs=1)
    cosine = recsys.similar_items(learned, "i1", n=200)
    assert len(cosine) == learned.n_items - 1
    assert cosine["score"].is_monotonic_decreasing
    with pytest.raises(recsys.CapabilityError, match="no similarity between items"):
        recsys.similar_items(Popularity().fit(split.train), "i1")
    with pytest.raises(recsys.DataError, match="the model has no item 'x'"):
        recsys.similar_items(model, "x")


def test_a_model_comes_back_from_a_bundle_and_from_a_run(
    split: recsys.Split, model: recsys.Recommender, tmp_path: Path
) -> None:
    recsys.save(model, tmp_path / "bundle")
    loaded = recsys.load_model(str(tmp_path / "bundle"))
    assert isinstance(loaded, PersonaEASE)
    assert (loaded.score(split.test.queries) == model.score(split.test.queries)).all()
    with pytest.raises(recsys.DataError, match="holds no finished run"):
        recsys.load_model(tmp_path)
    recsys.save(model, tmp_path / "bundle")
    assert recsys.load_model(tmp_path / "bundle", allow="recsys.models.EASE").n_items == model.n_items
    (tmp_path / "file").touch()
    for name, message in (("nowhere", "is no directory.*no bundle; give the directory"), ("file", "is a file")):
        with pytest.raises(recsys.DataError, match=message):
            recsys.load_model(tmp_path / name)
    with pytest.raises(recsys.ConfigError, match="save needs a fitted model, not Split"):
        recsys.save(split, tmp_path / "split")  # type: ignore[arg-type]


def test_rules_and_numpy_numbers_are_settings(split: recsys.Split) -> None:
    rule = GlobalHalfLife(5 * 86400.0)
    by_name = recsys.train(split, "ease_decay", rule=rule)
    plain = {"class_path": "recsys.decay.GlobalHalfLife", "init_args": {"half_life": rule.half_life}}
    same = recsys.train(split, "ease_decay", rule=plain)
    assert (
        recsys.train(split, "ease", regularization=np.float64(50)).parameters_of_constructor()["regularization"] == 50
    )
    assert (by_name.score(split.test.queries) == same.score(split.test.queries)).all()
    assert recsys.train(split.train, Decayed(EASE())).n_items == by_name.n_items


@pytest.mark.parametrize("day", ["2024-01-20", "2024-01-20T01:00+01:00", date(2024, 1, 20), pd.Timestamp("2024-01-20")])
def test_moments_are_dates_or_numbers(day: Any) -> None:
    frame = pd.DataFrame({"user": [1, 1, 2], "item": [1, 2, 3], "time": ["2024-01-10", "2024-01-30", "2024-01-05"]})
    log = recsys.from_pandas(frame)
    model = recsys.train(log, "ease")
    expected = recsys.recommend(model, 1, log=log, at=1705708800)
    assert expected["item_id"].tolist() == [3, 2] or set(expected["item_id"]) == {2, 3}
    pd.testing.assert_frame_equal(recsys.recommend(model, 1, log=log, at=day), expected)
    assert recsys.explain(model, 1, log=log, at=day) == recsys.explain(model, 1, log=log, at=1705708799.5)
    with pytest.raises(recsys.DataError, match="time 'soon' is neither Unix seconds nor"):
        recsys.recommend(model, 1, log=log, at="soon")
    with pytest.raises(recsys.DataError, match="this log has no wall-clock time"):
        recsys.recommend(model, 1, log=recsys.from_pandas(frame[["user", "item"]]), at=day)


def test_a_table_in_place_of_a_log_is_refused(split: recsys.Split, model: recsys.Recommender, tmp_path: Path) -> None:
    table: Any = pd.DataFrame({"user": ["u1"], "item": ["i1"]})
    for call in (
        lambda: recsys.split(table),
        lambda: recsys.train(table),
        lambda: recsys.recommend(model, log=table),
        lambda: recsys.recommend_all(model, table, tmp_path / "all.parquet"),
        lambda: recsys.evaluate(model, table),
        lambda: recsys.evaluate(model, split.test, table),
    ):
        with pytest.raises(recsys.ConfigError, match=r"recsys\.from_pandas"):
            call()
    with pytest.raises(recsys.ConfigError, match="history is a DataFrame; give a list of ids of items"):
        recsys.recommend(model, history=table)
    with pytest.raises(recsys.ConfigError, match=r"fractions are 0.3; give three"):
        recsys.split(split.train, fractions=0.3)  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [0, 1.5, "3", -1, True])
def test_lengths_are_whole_numbers(split: recsys.Split, model: recsys.Recommender, tmp_path: Path, n: Any) -> None:
    for call in (
        lambda: recsys.recommend(model, history="i1", n=n),
        lambda: recsys.recommend_all(model, split.train, tmp_path / "all.parquet", n=n),
        lambda: recsys.explain(model, history="i1", n=n),
        lambda: recsys.similar_items(model, "i1", n=n),
    ):
        with pytest.raises(recsys.ConfigError, match=r"^n is .*; it must be a whole number, at least 1"):
            call()


def test_misuse_of_explain_and_recommend_all_is_explained(
    split: recsys.Split, model: recsys.Recommender, tmp_path: Path
) -> None:
    log = split.train
    with pytest.raises(recsys.ConfigError, match="evidence is -1; it must be a whole number, at least 0"):
        recsys.explain(model, "u1", log=log, evidence=-1)
    for users in (["u1", "u2"], None):
        with pytest.raises(recsys.ConfigError, match="explain is for one user"):
            recsys.explain(model, users, log=log)  # type: ignore[arg-type]
    (tmp_path / "file").touch()
    (tmp_path / "folder.parquet").mkdir()
    for name, message in (
        ("all.csv", r"no \.parquet file"),
        ("folder.parquet", "a directory"),
        ("file/deep/all.parquet", "file is a file; choose another folder"),
    ):
        with pytest.raises(recsys.ConfigError, match=message):
            recsys.recommend_all(model, log, tmp_path / name)


def test_one_text_counts_as_one(split: recsys.Split, model: recsys.Recommender) -> None:
    one = recsys.recommend(model, history="i1", n=2)
    pd.testing.assert_frame_equal(one, recsys.recommend(model, history=["i1"], n=2))
    evaluation = recsys.evaluate(model, split, metrics="mrr")
    assert "mrr@10" in evaluation.summary
    assert "ndcg@10" not in evaluation.summary
    table = recsys.compare(evaluation, evaluation, metrics="mrr@10")
    assert table["metric"].tolist() == ["mrr@10"]
    with pytest.raises(recsys.ConfigError, match=r"'foo@10' is not in the table; it has: mrr@5"):
        recsys.compare(evaluation, evaluation, metrics="foo@10")
    assert recsys.evaluate(model, split, cutoffs=10).cutoffs == (10,)
    with pytest.raises(recsys.ConfigError, match=r"cutoffs=\[10\]"):
        recsys.evaluate(model, split, metrics="ndcg@10")


def test_a_split_prints_its_sizes_and_an_empty_table_has_its_types(
    split: recsys.Split, model: recsys.Recommender
) -> None:
    assert repr(split).startswith("Split(last_one: train Interactions(")
    assert repr(split.test) == "Holdout(40 queries, 40 relevant items)"
    empty = recsys.recommend(model, users=[], log=split.train)
    assert {str(empty[name].dtype) for name in ("title", "owner_name", "reason")} == {"object"}


def test_log_of_other_items_is_refused() -> None:
    model = recsys.train(recsys.split(recsys.load("simulated")), "ease")
    foreign = Interactions.from_columns(["a", "b"], ["x", "y"], times=[1, 2])
    questions: list[Callable[..., object]] = [recsys.recommend, recsys.personas, partial(recsys.explain, user="a")]
    for ask in questions:
        with pytest.raises(DataError, match="knows none of the 2 items of 'log', x, y"):
            ask(model, log=foreign)
    with pytest.raises(DataError, match="knows none of the 2 items"):
        recsys.recommend_all(model, foreign, "unwritten.parquet")


def test_arguments_that_do_not_fit_are_refused_with_the_nearest_right_one() -> None:
    log = recsys.load("simulated")
    cut = recsys.split(log)
    model = recsys.train(cut, "ease")
    questions = model.fitted_on.queries(cut.train)
    calls: dict[str, Callable[[], object]] = {
        "split has no option 'test'": lambda: recsys.split(log, test=0.3),  # type: ignore[call-arg]
        "split has no option 'fraction'; did you mean 'fractions'": lambda: recsys.split(log, fraction=0.3),  # type: ignore[call-arg]
        "seed is -1": lambda: recsys.split(log, "random", seed=-1),
        "threshold is 'x'": lambda: recsys.split(log, "paper", threshold="x"),  # type: ignore[arg-type]
        "load_model needs the path .* not 5": lambda: recsys.load_model(5),  # type: ignore[arg-type]
        "load needs the path": lambda: recsys.load(5),  # type: ignore[arg-type]
        "save needs the path": lambda: recsys.save(model, 5),  # type: ignore[arg-type]
        "evaluate has no option 'k'": lambda: recsys.evaluate(model, cut, k=3),  # type: ignore[call-arg]
        "evaluate: missing a required argument": lambda: recsys.evaluate(model),  # type: ignore[call-arg]
        "evaluate needs a fitted model": lambda: recsys.evaluate("ease", cut),  # type: ignore[arg-type]
        "a fitted model is needed, not 'ease'": lambda: recsys.recommend("ease", log=log),  # type: ignore[arg-type]
        "metrics is 5": lambda: recsys.compare(model, model, cut, metrics=5),  # type: ignore[arg-type]
        "accelerator is 'cuda'": lambda: Session(accelerator="cuda"),
        "n is 0": lambda: model.recommend(questions, 0),
    }
    for text, call in calls.items():
        with pytest.raises(ConfigError, match=text):
            call()


def test_the_model_by_default_is_ease_with_personas(split: recsys.Split) -> None:
    """It is the better one by the reports: personas own the places of a list, and cost no accuracy."""
    model = recsys.train(split)
    assert isinstance(model, WithPersonas)
    assert isinstance(model.base, EASE)
    assert model.chosen_sharpness == 0
    frame = recsys.recommend(model, "u3", log=split.train, n=3)
    explanations = recsys.explain(model, "u3", log=split.train, n=3)
    assert frame["owner_name"].tolist() == [one.owner_name for one in explanations]
