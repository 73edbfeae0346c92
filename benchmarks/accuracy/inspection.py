"""Personas and explanations of our fitted model, beside placebos that must look worse.

Identical personas share every item equally; shuffled ones have the routing of another item, so that each persona is a
random part of a history. Both keep the regression and so the scores.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.accuracy.comparison import OWN
from benchmarks.accuracy.fidelity import measure_fidelity
from benchmarks.tools.cells import CellContent, Cells, identity
from benchmarks.tools.grid import Arena, Outcome, health
from recsys.models import PersonaEASE
from recsys.types import Floats

IDENTICAL, SHUFFLED = "identical personas", "items shuffled among the personas"
"""Names of the placebos."""


def inspect(arena: Arena, outcome: Outcome, cells: Cells, *, fidelity: bool) -> dict[str, Any] | None:
    """Return `health`, `placebos` (the health of each) and where asked `fidelity` of our model with its first seed.

    None where the model was not run or is another one.
    """
    experiment, train = outcome.experiment, arena.split.train
    if experiment is None or not outcome.runs or not isinstance(experiment.build(), PersonaEASE):
        return None
    seed = int(outcome.runs[0]["seed"])

    def measured() -> CellContent:
        model = experiment.build(seed).fit(train)
        assert isinstance(model, PersonaEASE)
        routing = model.routing()
        placebos = {
            IDENTICAL: np.full_like(routing, 1.0 / routing.shape[1]),
            SHUFFLED: np.random.default_rng(seed).permutation(routing),
        }
        values: dict[str, Any] = {"health": health(model, arena.split.test)}
        values["placebos"] = {name: health(with_routing(model, r), arena.split.test) for name, r in placebos.items()}
        return CellContent({**values, **(measure_fidelity(model, arena) if fidelity else {})})

    key = identity(experiment.to_dict(), seed, train.fingerprint, arena.name, fidelity)
    return cells.make(f"{arena.name}/{OWN}/inspection", key, measured)[0]


def with_routing(model: PersonaEASE, routing: Floats) -> PersonaEASE:
    """Return a fitted model with other shares of its items in its personas."""
    other = PersonaEASE(**model.parameters_of_constructor())
    other.restore(model.fitted_on, {**model.arrays(), "routing": routing})
    return other
