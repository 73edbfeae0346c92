"""What ratings are worth to the lists, by one procedure that chooses on validation. `python -m benchmarks.feedback`.

The last 20% of each user's events (a random 20% where a log is split at random) are the test; the eighth of the rest
that is last (or random) is validation. `feedback: auto` chooses how EASE reads ratings on validation alone, fitted on
what is left; then the chosen model and one that reads events alike, with the same regularisation, are fitted on all
but the test and compared on it, user by user. Relevant are all test items; liked NDCG counts those rated four stars or
more, regret is the share of a user's hits that were rated half a star or more below the user's own mean.

On films, a hundred people are made up who rated five science fiction films 5 and six romances half a star, drawn from
the forty most used films of the one genre without the other: what is left of romance in their lists, and what it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd

from benchmarks.feedback.disliked import HATED, PEOPLE, Shown, has_both, shown, usual
from benchmarks.tools.command import parser, plans_named, program
from benchmarks.tools.differences import COLUMNS, Difference, corrected
from benchmarks.tools.environment import environment
from benchmarks.tools.report import (
    bar,
    bars_table,
    facts,
    method,
    number,
    percent,
    report_folder,
    table,
    write_report,
    write_result,
)
from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.splits.assembly import Marks, after_last, questions_of, shuffled_positions
from recsys.data.splits.holdout import Holdout, Split
from recsys.evaluation.holdout import evaluate
from recsys.evaluation.result import Evaluation
from recsys.experiments.configuration import Experiment, check_experiment
from recsys.experiments.feedback import FeedbackChoice, resolved
from recsys.models.feedback import Feedback
from recsys.types import Ints, Mask
from recsys.worlds.simulation import simulated_log

METRICS = ("ndcg@10", "liked_ndcg@10", "regret@10")
ALIKE: Feedback = "events"
TEST, VALIDATION = 0.2, 0.125
SEED = 0
HITS = "precision@10"


@final
@dataclass(frozen=True)
class Plan:
    """A log, how it is cut, EASE's regularisation, and the bars."""

    log: str
    ordered: bool  # each user's last events are held out; else random ones
    seeds: int  # of random cuts
    regularization: float = 500.0
    liked: float = 0.0  # least relative gain in liked NDCG
    regret: float = 1.0  # largest share of the regret of events alike
    plain: float = -0.01  # least relative gain in NDCG

    def load(self) -> Interactions:
        """Return the log."""
        if self.log != "simulated":
            return datasets.load(self.log)
        log = simulated_log(n_users=200, n_items=150)
        rating = np.random.default_rng(0).integers(1, 6, len(log)).astype(np.float64)
        return Interactions.from_columns(log.user_num, log.item_num, rating, log.time, name="simulated")


PLANS = {
    plan.log: plan
    for plan in (
        Plan("ml-1m-ordered", True, 1, liked=0.15, regret=0.66),
        Plan("ml-latest-small", False, 3, liked=0.06, regret=0.80),
    )
}
QUICK = Plan("simulated", False, 1, 50.0, liked=-1.0, regret=10.0, plain=-1.0)


@final
@dataclass(frozen=True, eq=False)
class Result:
    """A log: the choice and the evaluations of every cut."""

    plan: Plan
    choices: list[FeedbackChoice]
    evaluations: Mapping[str, list[Evaluation]]  # of events alike, and of the chosen reading, "auto"
    hated: Mapping[str, Shown]  # by reading; of a log without genres none
    usual: float  # share of the events that are of the hated genre


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the path of the report."""
    command = parser("feedback", __doc__, quick="a small simulated log", threads=True)
    command.add_argument("--logs", nargs="+", metavar="LOG", help=f"some of {', '.join(PLANS)}")
    options = command.parse_args(arguments)
    plans = (QUICK,) if options.quick else plans_named(options.logs, PLANS)
    results = [measured(plan) for plan in plans]
    out = report_folder("feedback", options.out, options.quick)
    write_result(out, {result.plan.log: _figures(result) for result in results})
    return write_report(out, report(results))


def measured(plan: Plan) -> Result:
    """Choose, fit and evaluate on every cut of a log."""
    log = plan.load()
    choices: list[FeedbackChoice] = []
    evaluations: dict[str, list[Evaluation]] = {name: [] for name in ("auto", ALIKE)}
    for seed in range(plan.seeds):
        cut, train, test = cuts(log, plan, seed)
        experiment, choice = resolved(_experiment(plan), cut, say=lambda line: print(f"{plan.log}: {line}", flush=True))
        assert choice is not None
        choices.append(choice)
        for reading in dict.fromkeys((ALIKE, choice.feedback)):
            model = experiment.reading(reading).build().fit(train)
            names = [name.split("@")[0] for name in (*METRICS, HITS)]
            evaluation = evaluate(model, test, train, metrics=names, cutoffs=10)
            for name, own in ((ALIKE, ALIKE), ("auto", choice.feedback)):
                if own == reading:
                    evaluations[name].append(evaluation)
            means = ", ".join(f"{name} {evaluation.summary[name]:.4f}" for name in METRICS)
            print(f"{plan.log}, test, {reading}: {means}", flush=True)
    readings: set[Feedback] = {ALIKE, *(choice.feedback for choice in choices)} if has_both(log) else set()
    hated: dict[str, Shown] = {each: shown(log, plan.regularization, each, SEED) for each in sorted(readings)}
    return Result(plan, choices, evaluations, hated, usual(log))


def _experiment(plan: Plan) -> Experiment:
    model = {"class_path": "recsys.models.EASE", "init_args": {"regularization": plan.regularization}}
    return check_experiment({"model": model, "feedback": "auto"}, source="benchmark")


def cuts(log: Interactions, plan: Plan, seed: int) -> tuple[Split, Interactions, Holdout]:
    """Return the split that the choice is made on, the log without the test, and the test questions."""
    position = log.positions if plan.ordered else shuffled_positions(log, np.random.default_rng(seed))
    test = _last(log, position, np.ones(len(log), np.bool_), TEST)
    valid = _last(log, position, ~test, VALIDATION)
    earlier, fitted = log.select(~(test | valid)).compact(), log.select(~test).compact()
    questions = questions_of(log, earlier, Marks(valid, ~(test | valid), after_last(log, ~(test | valid))))
    answers = questions_of(log, fitted, Marks(test, ~test, after_last(log, ~test)))
    return Split(earlier, questions, questions, "share", leaks_time=True, seed=seed), fitted, answers


def _last(log: Interactions, position: Ints, among: Mask, share: float) -> Mask:
    """Return the last share of each user's events among some, by a position in the history."""
    count = np.bincount(log.user_num[among], minlength=log.n_users)
    order = np.lexsort((position, ~among, log.user_num))
    rank = np.empty(len(log), np.int64)
    rank[order] = np.arange(len(log)) - log.indptr[log.user_num[order]]
    return np.asarray(among & (rank >= np.floor(count * (1 - share))[log.user_num]))


def _figures(result: Result) -> dict[str, Any]:
    return {
        "choices": [choice.to_dict() for choice in result.choices],
        "test": {
            name: {metric: _mean(runs, metric) for metric in METRICS} | {"regret of hits": _regret_of_hits(runs)}
            for name, runs in result.evaluations.items()
        },
        "hated": {reading: asdict(figures) for reading, figures in result.hated.items()},
        "differences": [asdict(pair) for pair in _differences(result)],
    }


def _mean(runs: Sequence[Evaluation], metric: str) -> float:
    return float(np.mean([run.summary[metric] for run in runs]))


def _regret_of_hits(runs: Sequence[Evaluation]) -> float:
    """Return the share of all hits that were regretted, where the metric is the mean of the users' shares."""
    hits = np.concatenate([run.per_user[HITS].to_numpy(np.float64) for run in runs])
    regret = np.concatenate([run.per_user["regret@10"].to_numpy(np.float64) for run in runs])
    defined = np.isfinite(regret)
    return float(regret[defined] @ hits[defined] / hits[defined].sum())


def _differences(result: Result) -> list[Difference]:
    """Return the chosen reading against events alike, paired over users, averaged over cuts."""
    tables: dict[str, list[pd.DataFrame]] = {
        name: [run.per_user for run in result.evaluations[name]] for name in ("auto", ALIKE)
    }
    contenders = ("feedback auto", tables["auto"]), ("events alike", tables[ALIKE])
    return corrected(Difference.over_seeds(result.plan.log, *contenders, METRICS))


def report(results: Sequence[Result]) -> list[str]:
    """Return the paragraphs of the report."""
    parts = ["# Ratings in the lists", method(__doc__), facts(environment())]
    for result in results:
        plan = result.plan
        rows = [
            [name, *(number(_mean(runs, metric)) for metric in METRICS), number(_regret_of_hits(runs))]
            for name, runs in result.evaluations.items()
        ]
        trials = [
            [f"{cut + 1}: {one.feedback}", *map(number, (one.ndcg, one.liked_ndcg, one.regret)), number(one.seconds, 1)]
            for cut, choice in enumerate(result.choices)
            for one in choice.candidates
        ]
        headings = ["NDCG@10", "liked NDCG@10", "regret@10"]
        parts += [
            f"## {plan.log}",
            f"Chosen on validation: {', '.join(choice.feedback for choice in result.choices)}.",
            bars_table(_bars(result)),
            "On the test (means over cuts):",
            table(["reading", *headings, "regret over all hits"], rows),
            "On validation, by cut:",
            table(["cut: reading", *headings, "seconds"], trials),
            "The chosen reading less events alike, paired over the users with the metric in both:",
            table(["metric", *COLUMNS], [[pair.metric, *pair.columns()] for pair in _differences(result)]),
            *_disliked(result),
        ]
    return parts


def _disliked(result: Result) -> list[str]:
    """Return what is left of the genre that made-up people hated; nothing on a log without genres."""
    if not result.hated:
        return []
    header = ["reading", f"{HATED} among ten", "lists without", "genres of what is left", "of no other genre"]
    rows = [
        [name, number(own.listed, 2), number(own.without, 2), number(own.genres, 1), number(own.wholly, 2)]
        for name, own in result.hated.items()
    ]
    text = (
        f"What {PEOPLE} people who hated {HATED} are shown of it; {100 * result.usual:.0f}% of all events are of it. "
        "The last column counts, of what is left, the items of no other genre but comedy and drama:"
    )
    return [text, table(header, rows)]


def _bars(result: Result) -> list[list[str]]:
    plan = result.plan
    own, alike = ({m: _mean(result.evaluations[name], m) for m in METRICS} for name in ("auto", ALIKE))
    gain = {metric: own[metric] / alike[metric] - 1 for metric in METRICS}
    share = own["regret@10"] / alike["regret@10"]
    of_hits, of_hits_alike = (_regret_of_hits(result.evaluations[name]) for name in ("auto", ALIKE))
    return [
        bar(
            "liked NDCG@10 against events alike",
            f"at least {percent(plan.liked)}",
            f"{percent(gain['liked_ndcg@10'])} ({number(alike['liked_ndcg@10'])} to {number(own['liked_ndcg@10'])})",
            gain["liked_ndcg@10"] >= plan.liked,
        ),
        bar(
            "regret over all hits, share of that of events alike",
            f"at most {number(plan.regret, 2)}",
            f"{number(of_hits / of_hits_alike, 3)} ({number(of_hits_alike, 3)} to {number(of_hits, 3)})",
            of_hits / of_hits_alike <= plan.regret,
        ),
        bar(
            "regret@10, mean over users, likewise",
            f"at most {number(plan.regret, 2)}",
            f"{number(share, 3)} ({number(alike['regret@10'], 3)} to {number(own['regret@10'], 3)})",
            share <= plan.regret,
        ),
        bar(
            "NDCG@10 against events alike",
            f"at least {percent(plan.plain)}",
            f"{percent(gain['ndcg@10'])} ({number(alike['ndcg@10'])} to {number(own['ndcg@10'])})",
            gain["ndcg@10"] >= plan.plain,
        ),
    ]
