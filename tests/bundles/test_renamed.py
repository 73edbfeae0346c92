"""Bundles and experiment files that name a model as an earlier version did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from recsys.bundles import manifest
from recsys.bundles.bundle import load, read_manifest, save
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.decay import GlobalHalfLife, TemporalDecay, VisitWeights
from recsys.experiments.configuration import check_experiment
from recsys.models import EASE, Decayed, PersonaEASE, Recommender
from recsys.worlds.simulation import simulated_log

OLD, NEW = "recsys.models.LinearAMPCF", "recsys.models.PersonaEASE"


@pytest.fixture(scope="module")
def log() -> Interactions:
    return simulated_log(3, n_users=30, n_items=40, events_per_user=12)


def _as_version_0_2(path: Path) -> None:
    """Write the manifest of a bundle as the library did when the model had its former name."""
    content: dict[str, Any] = json.loads((path / "manifest.json").read_text().replace(NEW, OLD))
    content.pop("manifest_sha256")
    (path / "manifest.json").write_bytes(manifest.canonical(content))


@pytest.mark.parametrize("decayed", [False, True])
def test_bundles_of_linear_ampcf_load_as_persona_ease_and_score_equally(
    decayed: bool, log: Interactions, tmp_path: Path
) -> None:
    inner = PersonaEASE(2, factors=4)
    model: Recommender = Decayed(inner, GlobalHalfLife(3.0)) if decayed else inner
    path = save(model.fit(log), tmp_path / "model")
    _as_version_0_2(path)
    assert OLD in (path / "manifest.json").read_text()
    assert OLD not in str(read_manifest(path))
    loaded, queries = load(path), Queries.from_interactions(log)
    assert type(loaded) is type(model)
    assert torch.equal(loaded.score(queries), model.score(queries))


_NO_VISITS = {"share": 0.0, "last": 1.0, "absence_days": 0.0}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({}, _NO_VISITS),
        ({"visit_share": 0.5}, _NO_VISITS | {"share": 0.5}),
        (
            {"visit_share": 0.5, "last_visit_share": 0.3, "absence_days": 9.0},
            {"share": 0.5, "last": 0.3, "absence_days": 9.0},
        ),
    ],
    ids=["none", "a share of the visit alone", "all three"],
)
def test_bundles_read_visits_as_they_did(
    written: dict[str, float], read: dict[str, float], log: Interactions, tmp_path: Path
) -> None:
    """Those of the first have no setting of visits, those of the second one; both mean that nothing else is done."""
    model = Decayed(EASE(5.0), TemporalDecay(visits=VisitWeights(**read)))
    path = save(model.fit(log), tmp_path / "model")
    content: dict[str, Any] = json.loads((path / "manifest.json").read_text())
    content.pop("manifest_sha256")
    settings = content["parameters"]["rule"]["init_args"]
    assert settings.pop("visits") == read
    settings |= written
    (path / "manifest.json").write_bytes(manifest.canonical(content))
    loaded, queries = load(path), Queries.from_interactions(log)
    assert repr(loaded) == repr(model)
    assert torch.equal(loaded.score(queries), model.score(queries))


def test_settings_of_visits_in_files_keep_their_defaults() -> None:
    rule = {"class_path": "recsys.decay.TemporalDecay", "init_args": {"last_visit_share": 1.0}}
    arguments = {"model": {"class_path": "recsys.models.EASE"}, "rule": rule}
    built = check_experiment({"model": {"class_path": "recsys.models.Decayed", "init_args": arguments}}).build()
    assert "visits=VisitWeights(share=0.8, last=1.0, absence_days=90.0)" in repr(built)


def test_experiments_of_linear_ampcf_are_those_of_persona_ease() -> None:
    alone = {"class_path": OLD, "init_args": {"personas": 2}}
    assert isinstance(check_experiment({"model": alone}).build(), PersonaEASE)
    within = check_experiment({"model": {"class_path": "recsys.models.Decayed", "init_args": {"model": alone}}})
    assert repr(within.build()).startswith("Decayed(model=PersonaEASE(")
    assert OLD not in str(within.to_dict())
