from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.bundles import bundle
from recsys.cli.main import main
from recsys.data.items import ItemMetadata
from recsys.data.splits.standard import split
from recsys.errors import CapabilityError, ConfigError
from recsys.evaluation.holdout import evaluate
from recsys.experiments.configuration import check_experiment, read_experiment
from recsys.experiments.distortion import curves, run_distortion
from recsys.experiments.distortion.frontier import Candidates, Figures, families, winners
from recsys.explanations import explain
from recsys.models import EASE, Decayed, PersonaEASE, Recommender, Reliable, Remembering, Slated, WithPersonas
from recsys.pictures import draw_lines
from recsys.slates import Calibrated, Exact, Greedy, Seats
from recsys.worlds.simulation import simulated_log

SEATS = Seats(0.4, 0.1, 50, "tastes", popularity=0.05)


def test_a_slate_in_an_experiment_file() -> None:
    """It is the argument of a model that has one, and else wraps the model; overrides set it and its settings."""
    slate = {"class_path": "recsys.slates.Calibrated", "init_args": {"weight": 0.2}}
    plain = {"model": {"class_path": "recsys.models.EASE"}, "slate": slate, "feedback": "auto"}
    built = check_experiment(plain).build()
    assert isinstance(built, Slated)
    assert built.slate == Calibrated(0.2)
    again = check_experiment(check_experiment(plain).to_dict()).build()  # as it is saved
    assert repr(again) == repr(built)
    found = read_experiment("ease_personas", [("slate", "Seats"), ("slate.floor", "0.1")]).build()
    assert isinstance(found, WithPersonas)
    assert found.slate == Seats(floor=0.1)
    over = read_experiment("ease", [("slate", "Seats"), ("slate.over", "tastes")], dashes="--").build()
    assert isinstance(over, Slated)
    assert over.slate == Seats(over="tastes")
    with pytest.raises(ConfigError, match=r"did you mean 'recsys\.slates\.Calibrated'"):
        read_experiment("ease", [("slate", "Calibratd")])
    with pytest.raises(ConfigError, match="weight"):
        read_experiment("ease", [("slate", "Calibrated"), ("slate.wieght", "1")])


def test_a_slated_model_is_saved_and_serves_its_slate(tmp_path: Path) -> None:
    cut = split(simulated_log(n_users=60, n_items=80, events_per_user=20), "random", seed=0)
    model = Slated(EASE(20.0), SEATS).fit(cut.train)
    own, plain = model.recommend(cut.test.queries, 10), model.base.recommend(cut.test.queries, 10)
    assert (own.items != plain.items).any()
    np.testing.assert_array_equal(model.recommend(cut.test.queries, 10, slate=Greedy()).items, plain.items)
    bundle.save(model, tmp_path / "bundle")
    np.testing.assert_array_equal(bundle.load(tmp_path / "bundle").recommend(cut.test.queries, 10).items, own.items)
    evaluation = evaluate(model, cut, cutoffs=10)
    assert evaluation.summary["ckl@10"] < evaluate(model.base, cut, cutoffs=10).summary["ckl@10"]
    assert own.owners is not None
    explained = explain(model, cut.test.queries.take(np.arange(3)), 5, searched=0)
    for row, items in enumerate(explained):
        assert [one.seat for one in items] == [model.labels[owner] for owner in own.owners[row, :5].tolist()]
        assert all(one.seat in one.genres for one in items)


def test_items_without_genres_have_seats_of_clusters() -> None:
    log = simulated_log(n_users=60, n_items=80, events_per_user=20)
    model = Slated(EASE(20.0), SEATS).fit(replace(log, metadata=ItemMetadata.untitled(log.items)))
    used = np.bincount(log.item_num, minlength=log.n_items) > 0
    np.testing.assert_array_equal(model.parts.sum(1), used)
    assert model.labels[0] == "taste 0"


def test_seats_of_the_personas_of_a_model_that_routes_items() -> None:
    cut = split(simulated_log(n_users=60, n_items=80, events_per_user=20), "random", seed=0)
    model = Slated(PersonaEASE(3, 20.0), Seats(1.0, 0.0)).fit(cut.train)
    listed = model.recommend(cut.test.queries, 10)
    assert listed.owners is not None
    known = listed.items >= 0
    np.testing.assert_array_equal(listed.owners[known], model.routing().argmax(1)[listed.items[known]])
    assert set(model.seat_names) == {"persona 1", "persona 2", "persona 3"}


def test_what_cannot_be_slated() -> None:
    with pytest.raises(CapabilityError, match="over='tastes'"):
        Slated(EASE(), Seats())
    with pytest.raises(CapabilityError, match="set its own"):
        Slated(WithPersonas(EASE()), Greedy())
    with pytest.raises(CapabilityError, match="only one slate"):
        Slated(Slated(EASE(), Greedy()), Greedy())
    with pytest.raises(CapabilityError, match="no personas"):
        Slated(EASE(), Exact(("personas",)))


@pytest.mark.parametrize("within", [Slated(EASE(), Calibrated()), WithPersonas(EASE())], ids=["Slated", "WithPersonas"])
@pytest.mark.parametrize("wrapper", [Decayed, Reliable, Remembering, WithPersonas])
def test_no_model_around_another_loses_its_slate(
    wrapper: Callable[[Recommender], Recommender], within: Recommender
) -> None:
    with pytest.raises(CapabilityError, match=f"cannot wrap {type(within).__name__}"):
        wrapper(within)


@pytest.mark.parametrize("slated", [False, True])
def test_slates_of_tastes_act_on_logs_without_genres(slated: bool) -> None:
    """There tastes are clusters, for the slates as for the measures."""
    log = simulated_log(n_users=60, n_items=80, events_per_user=20)
    cut = split(replace(log, metadata=ItemMetadata.untitled(log.items)), "random", seed=0)
    base = EASE(20.0)
    model = (Slated(base, SEATS) if slated else base).fit(cut.train)
    candidates = Candidates.of(model, cut.test, cut.train, ("tastes",))
    plain, seated = (candidates.figures(slate) for slate in (Greedy(), Seats(0.5, 0.1, 100, "tastes")))
    assert seated.systematic["tastes"] < 0.5 * plain.systematic["tastes"]
    assert seated.excess["tastes"] < plain.excess["tastes"] - 0.05


def test_distortion_of_nobody_is_not_defined() -> None:
    figures = Figures(Greedy(), np.zeros(2), {"tastes": np.full(2, np.nan)}, {"tastes": np.nan})
    assert np.isnan(figures.excess["tastes"])
    assert figures.left(figures) == 1


def test_the_frontier_is_chosen_on_validation() -> None:
    """The cheapest bound is kept there; figures are those of an evaluation; the best scores cost and leave all."""
    cut = split(simulated_log(n_users=200, n_items=120, events_per_user=25), "random", seed=0)
    model = EASE(20.0).fit(cut.train)
    valid, test = (
        Candidates.of(model, holdout, cut.train, ("tastes", "popularity")) for holdout in (cut.valid, cut.test)
    )
    plain = valid.figures(Greedy())
    assert plain.cost(plain) == 0
    assert plain.left(plain) == 1
    kinds = {name: slates[:4] for name, slates in families(personas=False).items() if "exact" not in name}
    found = winners([valid], kinds, (0.01, 0.05))
    for one in found:
        assert one.slate == Greedy() or one.valid.cost(plain, 1.0) <= one.budget
    left = {budget: min(one.valid.left(plain) for one in found if one.budget == budget) for budget in (0.01, 0.05)}
    assert left[0.05] <= left[0.01] <= 1
    figures, full = test.figures(SEATS), test.distortion(SEATS)
    assert figures.excess["popularity"] == pytest.approx(full.axes["popularity"].distance_excess)
    assert figures.ndcg.mean() == pytest.approx(full.means["ndcg@10"])
    pooled = Figures.pooled([figures, figures])
    twice = Figures.pooled([test.figures(Greedy())] * 2)
    assert pooled.cost(twice) == pytest.approx(figures.cost(test.figures(Greedy())))
    with pytest.raises(ConfigError, match="nothing can be measured"):
        Candidates.of(model, cut.test.take(np.arange(0)), cut.train, ("tastes",))
    with pytest.raises(ConfigError, match="at least as many"):
        Candidates.of(model, cut.test, cut.train, ("tastes",), size=5)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, picture = tmp_path / "run", tmp_path / "frontier.png"
    source = ["--data", "simulated", "--split", "random"]
    trained = ["train", "--config", "ease", "--slate", "Seats", "--slate.over", "tastes", "--feedback", "events"]
    assert main([*trained, *source, "--regularization", "50", "--out", str(run)]) == 0
    capsys.readouterr()
    assert main(["distortion", "--run", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["lists"]) == {"this run", "best scores", "most popular"}
    assert found["slate"] == "Seats(over='tastes')"
    assert set(found["lift"]) == {"utility", "distortion"}
    assert main(["distortion", "--run", str(run)]) == 0
    assert "pulled the same way" in capsys.readouterr().out
    assert main(["distortion", "--run", str(run), "--picture", str(picture)]) == 2
    assert "add --frontier" in capsys.readouterr().err
    assert main(["distortion", "--run", str(run), "--axes", "taste"]) == 2
    assert "did you mean 'tastes'" in capsys.readouterr().err
    with pytest.raises(CapabilityError, match="ease_personas"):
        run_distortion(run, axes=("personas",))
    with pytest.raises(ConfigError, match="tastes and popularity; add one"):
        run_distortion(run, axes=("personas",), frontier=True)


def test_lines_of_the_picture(tmp_path: Path) -> None:
    plain = {"family": "best scores", "cost": 0.0, "systematic": {"tastes": 0.2}, "excess": {"tastes": 0.1}}
    row = {"family": "seats", "cost": 0.01, "systematic": {"tastes": 0.1}, "excess": {"tastes": 0.05}}
    lines = curves([plain, row, row])
    assert lines["systematic, tastes"] == {"seats": [(0.0, 0.2), (-1.0, 0.1)]}
    assert draw_lines(tmp_path / "lines.png", lines, "change").stat().st_size > 1000
