"""Who is compared where: the configurations, what differs by log, the peer, and numbers that others published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, final

from benchmarks.tools.search import with_settings
from recsys.data.catalogue import datasets
from recsys.data.splits.holdout import Holdout, Split
from recsys.data.splits.standard import split
from recsys.decay import GlobalHalfLife
from recsys.experiments.configuration import Experiment, check_experiment, read_experiment
from recsys.types import DAY

OWN: Final = "ampcf_sequential"
PERSONAS, TWIN, NO_EXPERT = f"{OWN}_personas", f"{OWN}_twin", f"{OWN}_no_expert"
PERSONAS_16, TWIN_16 = f"{PERSONAS}_16", f"{TWIN}_16"
PERSONAS_ALONE, TWIN_ALONE = f"{PERSONAS_16}_no_expert", f"{TWIN_16}_no_expert"
COMPONENTS, COMPONENTS_TWIN = f"{OWN}_components", f"{OWN}_components_twin"
POPULARITY, LINEAR = "popularity", "linear_next_item"
PEER, PEER_LONG = "sasrec", "sasrec_long"

VARIANTS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    PERSONAS_16: (PERSONAS, {"embedding_size": 16}),
    TWIN_16: (TWIN, {"embedding_size": 16, "reading.hidden": 200}),
    PERSONAS_ALONE: (PERSONAS, {"embedding_size": 16, "expert": None}),
    TWIN_ALONE: (TWIN, {"embedding_size": 16, "reading.hidden": 200, "expert": None}),
    COMPONENTS: (PERSONAS, {"reading.item_components": 2}),
    COMPONENTS_TWIN: (TWIN, {"embedding_size": 96, "reading.hidden": 94}),
}
"""Contenders that differ from a configuration in a few settings: smaller vectors, also without the expert, two vectors
for each item, and twins of one persona and one vector with as many parameters."""

CONTENDERS: Final = (POPULARITY, LINEAR, PEER, PEER_LONG, OWN, PERSONAS, TWIN, NO_EXPERT, *VARIANTS)

SMALL: Final = ((PERSONAS_16, TWIN_16), (PERSONAS_ALONE, TWIN_ALONE))
"""Those with item vectors of 16 dimensions."""

MATCHED: Final = ((PERSONAS, TWIN), *SMALL, (COMPONENTS, COMPONENTS_TWIN))
"""Several personas, and the twin with as many parameters."""

PAIRS: Final = ((OWN, LINEAR), (OWN, PEER), *MATCHED, (OWN, NO_EXPERT))
"""Pairs that are compared on users: the first minus the second."""

Asked = Literal["last_one", "session"]

_LARGE: Final[Mapping[str, Any]] = {"half_lives": [3.0], "regularization": 100.0, "later": 0.0}
"""The linear model on catalogues of more than 10,000 items, as its configuration advises."""

_BACKWARD: Final = {**_LARGE, "backward": 0.2}
"""The linear model on amazon-beauty, chosen on its validation questions (5,000 users): with a half-life of 60 days."""

_DAYS: Final = 60.0

_SPARSE: Final[Mapping[str, Any]] = {
    "start": 0.3,
    "expert_weight": None,
    "objective.loss": "sampled_softmax",
    "objective.negatives": 1024,
    "objective.dropout": 0.5,
    "optimization.epochs": 3,
    "optimization.batch_size": 64,
    "optimization.learning_rate": 1e-3,
    "optimization.weight_decay": 0.1,
    "optimization.validate_every": 3,
}
"""The sequential models on short histories, chosen on the validation questions of amazon-beauty: with the settings of
their files they fit its few events by heart and are worse than the linear model alone."""

_PAIR: Final[Mapping[str, Any]] = {
    "objective.loss": "sampled_softmax",
    "objective.negatives": 256,
    "objective.window": 64,
    "optimization.epochs": 3,
    "optimization.validate_every": 3,
}
"""A smaller budget for four personas and their twins where histories are long: with four personas the full softmax
takes four times as long."""

_SHORT: Final[Mapping[str, Any]] = {
    **_SPARSE,
    "objective.loss": "full_softmax",
    "optimization.batch_size": 32,
    "optimization.learning_rate": 3e-3,
}
"""The sequential models on movietweetings, chosen on its validation questions."""

_FEWER: Final[Mapping[str, Any]] = {"objective.loss": "sampled_softmax", "objective.negatives": 256}
"""The objective of pairs on sparse logs."""

_FEW_USERS: Final[Mapping[str, Any]] = {
    "optimization.epochs": 4,
    "optimization.validate_every": 4,
    "objective.dropout": 0.3,
    "optimization.batch_size": 16,
    "optimization.learning_rate": 3e-3,
}
"""The sequential models on ml-latest-small, chosen on its validation questions."""


@final
@dataclass(frozen=True)
class Plan:
    """A table: a log, when its users are asked, and who is compared.

    Attributes:
        log: name of the data set.
        asked: the last event of each user, given all others (leaks time); or the first session after a cut in time.
        models: contenders.
        settings: of the sequential models.
        matched: of those of `MATCHED`, beside `settings`.
        expert: of the linear model, alone and as the expert.
        min_item_events: items with fewer training events are left out.
        days: half-life with which the linear model and those beside it read a history (`Decayed`, `GlobalHalfLife`);
            None: all events weigh 1.
    """

    log: str
    asked: Asked
    models: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    matched: Mapping[str, Any] = field(default_factory=dict)
    expert: Mapping[str, Any] = field(default_factory=dict)
    min_item_events: int = 1
    days: float | None = None

    @property
    def name(self) -> str:
        """The log, and the question where it is not the default of the published tables."""
        return self.log if self.asked == "last_one" else f"{self.log}, by session"

    def cut(self) -> Split:
        """Return the split of the log."""
        log = datasets.load(self.log)
        if self.asked == "last_one":
            return split(log, "last_one", min_item_events=self.min_item_events)
        return split(log, "global_time", ask="session", min_item_events=self.min_item_events)

    def asked_of(self, name: str, cut: Split) -> Split:
        """Return the split with the questions as a contender reads them."""
        if self.days is None or not name.startswith((LINEAR, OWN)):
            return cut
        rule = GlobalHalfLife(self.days * DAY, "time")

        def read(asked: Holdout) -> Holdout:
            return replace(asked, queries=asked.queries.with_weights(rule.weights(asked.queries)))

        name = f"{cut.name}, half-life {self.days:g} days"
        return replace(cut, valid=read(cut.valid), test=read(cut.test), name=name)

    def contender(self, name: str, quick: bool = False) -> Experiment:
        """Return the experiment of a contender."""
        if name in (PEER, PEER_LONG):
            experiment = check_experiment({"model": {"class_path": "benchmarks.sequential.sasrec.SASRec"}})
            if name == PEER_LONG:
                experiment = with_settings(experiment, {"optimization.epochs": _LONG})
        else:
            file, changes = VARIANTS.get(name, (name, {}))
            experiment = with_settings(read_experiment(file), {**changes, **self._settings(name)})
        if name == LINEAR:  # as the expert of the others: all uses count alike
            experiment = check_experiment({"model": experiment.to_dict()["model"]})
        if quick and "optimization" in experiment.arguments:
            experiment = with_settings(experiment, {"optimization.epochs": _QUICK})
        return experiment

    def _settings(self, name: str) -> dict[str, Any]:
        if name == LINEAR:
            return dict(self.expert)
        if not name.startswith(OWN):
            return {}
        settings = {**self.settings, **(self.matched if any(name in pair for pair in MATCHED) else {})}
        if not name.endswith("_no_expert"):
            settings |= {f"expert.init_args.{key}": value for key, value in self.expert.items()}
        return settings


_QUICK: Final = 2
"""Epochs of a trial of the benchmark itself."""

_LONG: Final = 64
"""Epochs of the peer without a limit of time: 24,000 steps on ml-1m-ordered."""

_ALL: Final = (POPULARITY, LINEAR, PEER, OWN, PERSONAS, TWIN)
_SMALL: Final = tuple(name for pair in SMALL for name in pair)
_COMPONENTS: Final = (COMPONENTS, COMPONENTS_TWIN)

PLANS: Final = (
    Plan("ml-1m-ordered", "last_one", (*_ALL, *_SMALL, PEER_LONG), {}, _PAIR),
    Plan("amazon-beauty", "last_one", (*_ALL,), _SPARSE, _FEWER, _BACKWARD, days=_DAYS),
    Plan("movietweetings", "last_one", (*_ALL, *_SMALL, *_COMPONENTS), _SHORT, _FEWER, _LARGE, min_item_events=5),
    Plan("ml-latest-small", "last_one", (*_ALL, *_SMALL), _FEW_USERS, _PAIR, _LARGE, min_item_events=5),
    Plan("amazon-beauty", "session", (POPULARITY, LINEAR, PEER, OWN), _SPARSE, _FEWER, _BACKWARD, days=_DAYS),
    Plan("movietweetings", "session", (*_ALL,), _SHORT, _FEWER, _LARGE, min_item_events=5),
    Plan("ml-latest-small", "session", (*_ALL,), _FEW_USERS, _PAIR, _LARGE, min_item_events=5),
)

TRIAL: Final = Plan("simulated", "last_one", CONTENDERS)
"""The table of a trial of the benchmark itself."""

BARS: Final = {"ml-1m-ordered": 0.190, "amazon-beauty": 0.055}
"""Test NDCG@10 that the own model should reach, by the name of the table."""

PUBLISHED: Final = {
    "ml-1m-ordered": {
        "SASRec, one negative (Kang and McAuley 2018; as in Petrov and Macdonald 2023)": 0.1341,
        "SASRec, sampled softmax (as in Zhai et al. 2024)": 0.1603,
        "gSASRec (Petrov and Macdonald 2023)": 0.1726,
        "SASRec, full softmax (as in Klenitskiy and Vasilev 2023)": 0.1821,
        "HSTU-large (Zhai et al. 2024)": 0.1893,
        "HSTU-large, mixture of logits (Ding and Zhai 2024)": 0.1979,
    },
    "amazon-beauty": {
        "GRU4Rec (as in Zhou et al. 2020)": 0.0137,
        "SASRec (as in Zhou et al. 2020)": 0.0318,
        "S3-Rec, with attributes (Zhou et al. 2020)": 0.0327,
    },
}
"""NDCG@10 of last_one as published: other code, other filters, not run here."""
