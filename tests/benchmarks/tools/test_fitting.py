from __future__ import annotations

from benchmarks.tools.fitting import count_parameters, fit_within, one_persona_twin, parameters_of
from benchmarks.tools.search import shipped_experiment, with_settings
from recsys.data.splits.holdout import Split
from recsys.data.splits.standard import split
from recsys.evaluation.holdout import validator
from recsys.experiments.configuration import Experiment
from recsys.models.base import Recommender
from recsys.worlds.simulation import simulated_log


def _split() -> Split:
    return split(simulated_log(n_users=60, n_items=50, events_per_user=12), "random")


def _small(name: str, **changes: object) -> Experiment:
    experiment = shipped_experiment(name)
    return with_settings(experiment, {"embedding_size": 8, "optimization.epochs": 3, **changes})


def test_the_twin_has_one_persona_and_just_as_many_parameters() -> None:
    train = _split().train
    for name in ("ampcf_latent", "ampcf_paper_dot", "ampcf_paper_cosine"):
        experiment = _small(name)
        twin = one_persona_twin(experiment, train)
        target, own = parameters_of(experiment, train), parameters_of(twin, train)
        assert twin.arguments["personas"] == 1
        assert own >= target
        smaller = with_settings(twin, {"embedding_size": twin.arguments["embedding_size"] - 1})
        assert twin.arguments["embedding_size"] == 8 or parameters_of(smaller, train) < target


def test_twin_of_a_model_without_embedding_differs_in_its_personas_alone() -> None:
    experiment = shipped_experiment("persona_ease")
    twin = one_persona_twin(experiment, _split().train)
    assert dict(twin.arguments) == {**experiment.arguments, "personas": 1}


def test_a_fit_within_its_budget_is_the_usual_fit() -> None:
    cut, experiment = _split(), _small("ampcf_latent")
    validate = validator(cut.valid)
    fitted = fit_within(experiment, 1, cut.train, validate, 1000)
    usual = experiment.build(1).fit(cut.train, validate)
    assert not fitted.capped
    assert fitted.epochs == 3
    assert fitted.valid == validate(usual) == validate(fitted.model)
    assert count_parameters(fitted.model) == parameters_of(experiment, cut.train)


def test_a_fit_beyond_its_budget_ends_with_its_best_epoch() -> None:
    cut, experiment = _split(), _small("mf", **{"optimization.epochs": 50})
    values: list[float] = []

    def falling(model: Recommender) -> float:
        values.append(validator(cut.valid)(model))
        return -float(len(values))

    fitted = fit_within(experiment, 0, cut.train, falling, 0.0)
    assert fitted.capped
    assert fitted.epochs == len(values) == 1
    assert fitted.curve == (-1.0,)
    one = with_settings(experiment, {"optimization.epochs": 1}).build(0).fit(cut.train)
    assert validator(cut.valid)(fitted.model) == validator(cut.valid)(one) == values[0]


def test_models_that_do_not_validate_run_to_their_end() -> None:
    cut = _split()
    experiment = shipped_experiment("ease")
    fitted = fit_within(experiment, 0, cut.train, validator(cut.valid), 0.0)
    assert not fitted.capped
    assert fitted.valid == validator(cut.valid)(experiment.build().fit(cut.train))
