"""The user whom the demonstration shows has tastes that differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.data.vocabulary import UNKNOWN
from recsys.experiments.configuration import check_experiment
from recsys.experiments.examples import user_of_many_tastes
from recsys.experiments.run_log import DataSettings
from recsys.experiments.runs import load_model, run_log, train_run
from recsys.models import WithPersonas

_EASE = {"class_path": "recsys.models.EASE", "init_args": {"regularization": 50.0}}
_SEATED = {"class_path": "recsys.models.WithPersonas", "init_args": {"model": _EASE}}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, data = tmp_path_factory.mktemp("runs"), DataSettings("simulated", "last_one")
    for name, model in (("ease", _EASE), ("seated", _SEATED)):
        train_run(check_experiment({"model": model, "validation": {"users": 50}}), data, folder / name)
    return {name: folder / name for name in ("ease", "seated")}


def test_the_tastes_of_the_user_share_the_list(runs: dict[str, Path]) -> None:
    user = user_of_many_tastes(runs["seated"])
    assert user is not None
    assert user == user_of_many_tastes(runs["seated"])
    model = load_model(runs["seated"])
    assert isinstance(model, WithPersonas)
    queries = model.fitted_on.queries(run_log(runs["seated"], model))
    row = [str(model.fitted_on.users.id_of(int(one))) for one in queries.users].index(user)
    owners = model.recommend(queries, 10).owners
    assert owners is not None
    several = np.asarray([len(set(each.tolist()) - {UNKNOWN}) for each in owners])
    assert several[row] >= np.quantile(several, 0.9) > 1
    assert len(queries.take(np.array([row])).history.items) >= min(50, queries.history.lengths.max())


def test_a_model_without_found_personas_shows_nobody(runs: dict[str, Path]) -> None:
    assert user_of_many_tastes(runs["ease"]) is None
