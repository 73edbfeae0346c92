"""The models that forgetting is wrapped around in a benchmark, named by their experiment files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from recsys.data.interactions import Interactions
from recsys.data.splits.filters import minimum_events
from recsys.errors import CapabilityError, ConfigError
from recsys.experiments.configuration import Experiment, read_experiment
from recsys.experiments.shipped import experiment_file
from recsys.models import Decayed
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in


@final
@dataclass(frozen=True)
class Base:
    """A model to be fitted as often as a benchmark needs it.

    Attributes:
        name: what it is called in reports.
        experiment: model and filters; early stopping is not used, there is nothing to stop on.
        seed: of the model.
    """

    name: str
    experiment: Experiment
    seed: int

    def fit(self, log: Interactions) -> Recommender:
        """Return a new model, fitted on the users and items of a log that pass the experiment's filters."""
        filters = self.experiment.filters
        return self.experiment.build(self.seed).fit(
            minimum_events(log, filters.min_user_events, filters.min_item_events)
        )


def read_bases(names: Sequence[str], seed: int) -> list[Base]:
    """Read the experiment files of bases.

    Args:
        names: names of the shipped experiments ("ease"), or paths of experiment files.
        seed: of the models.

    Raises:
        ConfigError: there is no such experiment, no name, or a name twice.
        CapabilityError: a model cannot fold in a history, or forgets already.
    """
    paths = [experiment_file(name) for name in names]
    stems = [path.stem for path in paths]
    if not stems or len(set(stems)) < len(stems):
        raise ConfigError(f"the bases are {', '.join(stems) or 'none'}; give at least one, and each once")
    bases = [Base(path.stem, read_experiment(path), seed) for path in paths]
    for base in bases:
        if base.experiment.model_class is Decayed:
            raise CapabilityError(f"{base.name} forgets already (Decayed); give the model that it wraps as the base")
        as_fold_in(base.experiment.build(seed), "the benchmark of drift")
    return bases
