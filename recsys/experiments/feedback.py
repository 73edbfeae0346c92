"""Which reading of ratings and kinds a model is trained with: the one that validation prefers.

Candidates are the readings that the model takes (`recsys.models.feedback`). Each is fitted on the training log and
asked the validation questions. Of those that keep the plain NDCG@10 of events alike, all but 1% of it as far as chance
lets validation tell, the one is chosen with the largest

    liked NDCG@10 / that of events alike  -  regret@10 / that of events alike

So the choice does not buy what people like with what they use. A model within another (`Decayed`, `WithPersonas`) is
measured by itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.splits.holdout import Holdout, Split
from recsys.data.splits.standard import split
from recsys.errors import RecsysError
from recsys.evaluation.metrics import ranking_metrics
from recsys.evaluation.ranking import rank
from recsys.experiments.configuration import Experiment
from recsys.models.feedback import Feedback, tells
from recsys.training.session import Session
from recsys.types import Doubles

_LOG = logging.getLogger(__name__)

CUTOFF: Final = 10
TOLERATED: Final = 0.99
"""Share of the NDCG of events alike that a candidate must reach."""

_ERRORS = 1.645
"""Standard errors by which a candidate must miss it: a loss is held against it where it is significant (5%, one side).

Six hundred users tell a difference of NDCG to 2%, and would otherwise turn down by chance what costs nothing.
"""

_QUESTIONS = 5_000
"""Validation questions that are asked, at most."""


@final
@dataclass(frozen=True)
class Candidate:
    """A reading on validation: means over the users for whom a metric is defined, NaN where for none.

    Attributes:
        error: standard error of `ndcg` less that of events alike, paired by user.
    """

    feedback: Feedback
    ndcg: float
    liked_ndcg: float
    regret: float
    seconds: float
    error: float = 0.0


@final
@dataclass(frozen=True)
class FeedbackChoice:
    """The reading of a run.

    Attributes:
        feedback: what was chosen.
        reason: why, in words.
        candidates: what was measured, in the order of trial; none where there was nothing to choose.
    """

    feedback: Feedback
    reason: str
    candidates: tuple[Candidate, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"candidates": [asdict(candidate) for candidate in self.candidates]}


def resolved(
    experiment: Experiment,
    data: Split | Interactions,
    *,
    seed: int | None = None,
    session: Session | None = None,
    say: Callable[[str], object] = _LOG.info,
) -> tuple[Experiment, FeedbackChoice | None]:
    """Return an experiment whose `feedback` is not "auto", and how it was chosen; None where the file says it.

    Args:
        experiment: any.
        data: a split, whose validation questions decide; of a log a random tenth is held out to decide.
        seed: of the model.
        session: the device.
        say: called with a line about each candidate.
    """
    if experiment.feedback != "auto":
        return experiment, None
    choice = _choose(experiment, data, seed, session or Session(), say)
    say(f"feedback {choice.feedback!r}: {choice.reason}")
    return experiment.reading(choice.feedback), choice


def _choose(
    experiment: Experiment,
    data: Split | Interactions,
    seed: int | None,
    session: Session,
    say: Callable[[str], object],
) -> FeedbackChoice:
    train = data.train if isinstance(data, Split) else data
    name, readings = experiment.model_class.__name__, experiment.readings
    if not readings:
        return FeedbackChoice("events", f"{name} counts all events alike")
    if not tells(train):
        return FeedbackChoice("events", f"{train.name} has neither ratings that differ nor kinds")
    try:
        cut = data if isinstance(data, Split) else split(data, "random")
    except RecsysError as error:
        return FeedbackChoice("events", f"nothing can be held out to choose on ({error})")
    rows = np.flatnonzero(cut.valid.relevant.lengths > 0)
    if len(rows) == 0:
        return FeedbackChoice("events", "no validation question has a relevant item to choose by")
    if len(rows) > _QUESTIONS:
        rows = np.sort(np.random.default_rng(0).choice(rows, _QUESTIONS, replace=False))
    questions = cut.valid.take(rows)
    within = experiment.innermost()
    quiet = replace(session, directory=None, progress=False)
    candidates: list[Candidate] = []
    alike: Doubles | None = None
    for reading in readings:
        candidate, ndcg = _measured(within.reading(reading), reading, cut.train, questions, seed, quiet)
        alike = ndcg if alike is None else alike
        candidates.append(replace(candidate, error=float((ndcg - alike).std() / len(ndcg) ** 0.5)))
        say(_line(candidates[-1]))
    return chosen(candidates)


def chosen(candidates: list[Candidate]) -> FeedbackChoice:
    """Return the best of those that keep the plain NDCG; the first candidate is events alike.

    Where nobody's liking is known the best plain NDCG decides.

    >>> alike = Candidate("events", 0.30, 0.20, 0.2, 1.0)
    >>> chosen([alike, Candidate("liked", 0.29, 0.26, 0.1, 1.0), Candidate("weighted", 0.30, 0.23, 0.1, 1.0)]).feedback
    'weighted'
    """
    alike = candidates[0]
    least = TOLERATED * alike.ndcg
    eligible = [
        candidate
        for candidate in candidates
        if candidate.ndcg + _ERRORS * candidate.error >= least and np.isfinite(candidate.liked_ndcg)
    ]
    if not eligible:
        best = max(candidates, key=lambda candidate: candidate.ndcg)
        reason = f"the best NDCG@{CUTOFF} on validation, {best.ndcg:.4f}; no answer there is liked more than another"
        return FeedbackChoice(best.feedback, reason, tuple(candidates))
    best = max(eligible, key=lambda candidate: _worth(candidate, alike))
    reason = (
        f"the best liked NDCG@{CUTOFF}, {best.liked_ndcg:.4f}, and regret, {best.regret:.3f}, on validation of those "
        f"whose NDCG@{CUTOFF} is at least {TOLERATED:.0%} of that of events alike, but for chance"
    )
    return FeedbackChoice(best.feedback, reason, tuple(candidates))


def _worth(candidate: Candidate, alike: Candidate) -> float:
    """Return liked NDCG less regret, in parts of those of events alike; a metric that these lack does not count."""
    pairs = ((candidate.liked_ndcg, alike.liked_ndcg), (-candidate.regret, alike.regret))
    return sum(own / base for own, base in pairs if np.isfinite(own) and base > 0)


def _measured(
    experiment: Experiment,
    reading: Feedback,
    train: Interactions,
    questions: Holdout,
    seed: int | None,
    session: Session,
) -> tuple[Candidate, Doubles]:
    """Return the means, and the NDCG of each question."""
    started = time.perf_counter()
    model = experiment.build(seed).fit(train, None, session)
    top, _ = rank(model, questions, CUTOFF)
    names = ("ndcg", "liked_ndcg", "regret")
    columns = list(ranking_metrics(top, questions.relevant, [CUTOFF], names, questions.verdicts).values())
    defined = [column[np.isfinite(column)] for column in columns]
    ndcg, liked, regret = (float(column.mean()) if len(column) else float("nan") for column in defined)
    return Candidate(reading, ndcg, liked, regret, round(time.perf_counter() - started, 2)), columns[0]


def _line(candidate: Candidate) -> str:
    verdicts = {"liked": f"{candidate.liked_ndcg:.4f}", "regret": f"{candidate.regret:.3f}"}
    known = "".join(f", {name} {value}" for name, value in verdicts.items() if value != "nan")
    plain = f"feedback {candidate.feedback}: validation NDCG@{CUTOFF} {candidate.ndcg:.4f}"
    return f"{plain}{known} ({candidate.seconds:.1f} s)"
