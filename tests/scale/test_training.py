"""A partitioned log trains the model of the whole log, in one process and on workers, also when one is killed."""

from __future__ import annotations

import json
import os
import signal
import weakref
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from recsys import load as read_log
from recsys.data.partitions.writing import write_partitions
from recsys.errors import CapabilityError, ConfigError
from recsys.evaluation.result import Evaluation
from recsys.experiments.configuration import Experiment, read_experiment
from recsys.experiments.run_log import DataSettings
from recsys.experiments.runs import load_model, train_run
from recsys.models import EASE, LinearNextItem, WithPersonas
from recsys.models.capabilities import Statistic, Sums, WholeLog
from recsys.scale import users
from recsys.scale.engine import InProcess
from recsys.scale.engines import EngineName, engine_of
from recsys.scale.training import evaluate_partitioned, train_partitioned
from recsys.scale.users import of_part, summed

CONFIGS = {
    "ease": [("regularization", "20")],
    "linear_next_item": [("half_lives", "[1, 5]"), ("regularization", "5")],
    "persona_ease": [("regularization", "20"), ("factors", "8")],
    "ease_personas": [("regularization", "20")],
    "ease_personas_attentive": [("regularization", "20"), ("sharpness", "null"), ("validation.users", "30")],
}
ENGINES: tuple[EngineName, ...] = ("local", "ray")
COUNTS = ("ease", "ease_personas", "ease_personas_attentive")
"""What learns from counts of users, which are whole numbers."""
METRICS = ("ndcg@10", "recall@20", "coverage@10", "gini@10", "novelty@10")


def _experiment(name: str) -> Experiment:
    return read_experiment(name.removesuffix("_attentive"), CONFIGS[name])


def _weights(run: Path) -> npt.NDArray[np.float32]:
    model = load_model(run)
    return (model.base if isinstance(model, WithPersonas) else model).arrays()["weights"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, log_file: Path) -> Path:
    """Runs on the whole log, by configuration."""
    folder = tmp_path_factory.mktemp("whole")
    for name in CONFIGS:
        train_run(_experiment(name), DataSettings(str(log_file)), folder / name)
    return folder


@pytest.fixture(scope="module")
def runs_in_parts(cluster: None, partitioned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same runs on the log in parts, by engine and configuration."""
    folder = tmp_path_factory.mktemp("parts")
    for engine in ENGINES:
        for name in CONFIGS:
            with engine_of(engine, None) as chosen:
                train_partitioned(_experiment(name), DataSettings(str(partitioned)), folder / engine / name, chosen)
    return folder


@pytest.fixture(params=[f"{engine}/{name}" for engine in ENGINES for name in CONFIGS])
def pair(request: pytest.FixtureRequest, whole: Path, runs_in_parts: Path) -> tuple[str, Path, Path]:
    """The name of a configuration, its run on the whole log, and one on the log in parts."""
    name = request.param.partition("/")[2]
    return name, whole / name, runs_in_parts / request.param


def test_weights_are_those_of_the_whole_log(pair: tuple[str, Path, Path]) -> None:
    config, one, other = pair
    if config in COUNTS:
        np.testing.assert_array_equal(_weights(other), _weights(one))
    else:
        np.testing.assert_allclose(_weights(other), _weights(one), atol=1e-6)


@pytest.mark.parametrize("questions", ["valid", "test"])
def test_metrics_are_those_of_the_whole_log(pair: tuple[str, Path, Path], questions: str) -> None:
    one, other = (Evaluation.load(run / f"{questions}.parquet") for run in pair[1:])
    for metric in METRICS:
        assert other.summary[metric] == pytest.approx(one.summary[metric], abs=1e-6)
    assert one.counts == other.counts
    tables = [table.per_user.set_index("user_id").sort_index() for table in (one, other)]
    expected, found = (table["ndcg@10"].to_numpy() for table in tables)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert tables[0]["user_kind"].equals(tables[1]["user_kind"])


def test_a_second_evaluation_repeats_the_first(pair: tuple[str, Path, Path], partitioned: Path) -> None:
    engine: EngineName = "ray" if pair[2].parent.name == "ray" else "local"
    with engine_of(engine, None) as chosen:
        again = evaluate_partitioned(pair[2], str(partitioned), chosen)
    assert again.summary["ndcg@10"] == Evaluation.load(pair[2] / "test.parquet").summary["ndcg@10"]


def test_a_run_says_what_was_repeated_and_that_time_does_not_leak(pair: tuple[str, Path, Path]) -> None:
    recorded = json.loads((pair[2] / "metrics.json").read_text(encoding="utf-8"))
    assert recorded["partitions"]["repeated"] == []
    assert recorded["leaks_time"] is False


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("config", ["ease_personas", "ease_personas_attentive"])
def test_personas_are_those_of_the_whole_log(
    whole: Path, runs_in_parts: Path, log_file: Path, engine: str, config: str
) -> None:
    """Tastes, names, what validation chose, each user's personas, and who owns which item of the lists."""
    one, other = (load_model(run) for run in (whole / config, runs_in_parts / engine / config))
    assert isinstance(one, WithPersonas)
    assert isinstance(other, WithPersonas)
    for name, array in one.dictionary.arrays().items():
        np.testing.assert_array_equal(other.dictionary.arrays()[name], array)
    assert other.names.names == one.names.names
    assert other.chosen_slate == one.chosen_slate
    assert other.chosen_sharpness == one.chosen_sharpness
    assert (one.chosen_sharpness > 0) == config.endswith("attentive")
    log = read_log(str(log_file))
    lists = [model.recommend(model.fitted_on.queries(log), 10) for model in (one, other)]
    np.testing.assert_array_equal(lists[1].items, lists[0].items)
    np.testing.assert_array_equal(lists[1].owners, lists[0].owners)
    numbers = [model.found(model.fitted_on.queries(log)).numbers for model in (one, other)]
    np.testing.assert_array_equal(numbers[1], numbers[0])


def test_personas_go_on_from_an_earlier_run(runs_in_parts: Path, partitioned: Path, tmp_path: Path) -> None:
    former = runs_in_parts / "local" / "ease_personas"
    experiment, data = _experiment("ease_personas"), DataSettings(str(partitioned))
    train_partitioned(experiment, data, tmp_path / "run", InProcess(), former=former)
    before, after = (load_model(run) for run in (former, tmp_path / "run"))
    assert isinstance(before, WithPersonas)
    assert isinstance(after, WithPersonas)
    np.testing.assert_array_equal(after.dictionary.merges, before.dictionary.merges)
    assert after.names.names == before.names.names


def _killed_once(statistic: Statistic, mark: Path, split: object, reads_kinds: bool, number: int) -> Sums:
    if number == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return of_part(split, statistic, reads_kinds, number)  # type: ignore[arg-type]


@pytest.mark.usefixtures("cluster")
def test_a_worker_that_is_killed_changes_nothing_and_is_told(
    whole: Path, partitioned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, told = tmp_path / "mark", list[str]()

    def dying(split: object, statistic: Statistic, reads_kinds: bool) -> object:
        return partial(_killed_once, statistic, mark, split, reads_kinds)

    monkeypatch.setattr(users, "partial", lambda _, *arguments: dying(*arguments))
    with engine_of("ray", 2, told.append) as engine:
        experiment = read_experiment("ease", CONFIGS["ease"])
        metrics = train_partitioned(experiment, DataSettings(str(partitioned)), tmp_path / "run", engine)
    assert mark.exists()
    np.testing.assert_array_equal(_weights(tmp_path / "run"), _weights(whole / "ease"))
    assert metrics["partitions"]["repeated"] == told
    assert told == ["part 2 lost its worker (WorkerCrashedError) and is repeated"]


def test_sums_are_added_in_the_order_of_the_parts() -> None:
    pieces = [np.array([number], np.float32) for number in (1e8, -1e8, 1.0)]
    assert summed(InProcess(), lambda number: {"x": pieces[number]}, 3)["x"].tolist() == [1.0]


def test_what_needs_the_whole_log_is_refused_before_anything_is_read(partitioned: Path, tmp_path: Path) -> None:
    data = DataSettings(str(partitioned))

    def refused(config: str, settings: list[tuple[str, str]], data: DataSettings = data) -> None:
        train_partitioned(read_experiment(config, settings), data, tmp_path / "run", InProcess())

    with pytest.raises(
        CapabilityError, match=r"IALS does not learn from sums.*AMPCF, EASE, LinearNextItem, MF, PersonaEASE"
    ):
        refused("ials", [])
    with pytest.raises(CapabilityError, match=r"Decayed does not learn from sums"):
        refused("ease_personas_decay", [])
    with pytest.raises(CapabilityError, match="feedback 'liked' reads each rating against those of everybody"):
        refused("ease", [("feedback", "liked")])
    with pytest.raises(ConfigError, match="filters count the events of all users"):
        refused("ease", [("filters.min_item_events", "5")])
    with pytest.raises(ConfigError, match="split by global_time"):
        refused("ease", [], DataSettings(str(partitioned), "random"))
    assert not (tmp_path / "run").exists()


def test_a_model_fitted_to_sums_is_that_of_fit(partitioned: Path) -> None:
    """`fit` of these models goes the same way."""
    from recsys.data.partitions.log import PartitionedLog

    log = PartitionedLog.open(partitioned).whole()
    for model in (EASE(20.0), LinearNextItem(regularization=5.0)):
        first = model.fit(log)
        again = model.unfitted().fit_sums(first.fitted_on, WholeLog(log))
        np.testing.assert_array_equal(first.arrays()["weights"], again.arrays()["weights"])


def test_ratings_and_dislikes_change_nothing_of_that(log_file: Path, tmp_path: Path) -> None:
    """A part is read without its ratings, and with what is no use."""
    rng = np.random.default_rng(0)
    head, *rows = log_file.read_text(encoding="utf-8").splitlines()
    kinds = rng.choice(["use", "use", "use", "dislike", "skip"], len(rows))
    told = [
        f"{row},{rating},{kind}" for row, rating, kind in zip(rows, rng.integers(1, 6, len(rows)), kinds, strict=True)
    ]
    file = tmp_path / "told.csv"
    file.write_text("\n".join([f"{head},rating,kind", *told]) + "\n", encoding="utf-8")
    write_partitions(str(file), tmp_path / "parts", 3)
    experiment = _experiment("ease_personas").reading("events")
    train_run(experiment, DataSettings(str(file)), tmp_path / "one")
    train_partitioned(experiment, DataSettings(str(tmp_path / "parts")), tmp_path / "other", InProcess())
    np.testing.assert_array_equal(_weights(tmp_path / "other"), _weights(tmp_path / "one"))
    log = read_log(str(file))
    models = [load_model(tmp_path / name) for name in ("one", "other")]
    lists = [model.recommend(model.fitted_on.queries(log), 10) for model in models]
    np.testing.assert_array_equal(lists[1].items, lists[0].items)
    np.testing.assert_array_equal(lists[1].owners, lists[0].owners)


def test_no_more_than_a_part_and_the_sum_are_in_memory() -> None:
    """The sums of 27,000 items are three gigabytes each."""
    alive: list[weakref.ref[npt.NDArray[np.float32]]] = []
    most = 0

    def statistic(number: int) -> Sums:
        nonlocal most
        array = np.ones(4, np.float32)
        alive.append(weakref.ref(array))
        most = max(most, sum(each() is not None for each in alive))
        return {"x": array}

    assert summed(InProcess(), statistic, 5)["x"].tolist() == [5.0] * 4
    assert most == 2
