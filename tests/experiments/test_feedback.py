"""How ratings count is chosen on validation, recorded, and refused where a model cannot read them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.splits.standard import split
from recsys.errors import ConfigError
from recsys.experiments.configuration import check_experiment, read_experiment
from recsys.experiments.feedback import Candidate, chosen, resolved


def disliking_log() -> Interactions:
    """Users of two blocks rate 6 films of their own block 5 and 6 of the other 1: only ratings tell the blocks."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(80), 12)
    items = np.concatenate([np.r_[rng.permutation(10)[:6], 10 + rng.permutation(10)[:6]] for _ in range(80)])
    ratings = np.where((items < 10) == (users % 2 == 0), 5.0, 1.0)
    return Interactions.from_columns(users, items, ratings)


def test_the_best_liked_ndcg_is_chosen_of_those_that_keep_the_plain_one() -> None:
    alike = Candidate("events", 0.300, 0.20, 0.2, 1.0)
    costly, kept = Candidate("liked", 0.2969, 0.26, 0.1, 1.0), Candidate("weighted", 0.2971, 0.23, 0.1, 1.0)
    assert chosen([alike, costly, kept]).feedback == "weighted"
    assert chosen([alike, costly]).feedback == "events"
    unsure = replace(costly, error=0.0002)  # a loss of 1.03% that may be one of 1%
    assert chosen([alike, unsure]).feedback == "liked"
    regretted = replace(kept, feedback="signed", liked_ndcg=0.235, regret=0.19)
    assert chosen([alike, kept, regretted]).feedback == "weighted"
    assert chosen([replace(alike, regret=0.0), kept, regretted]).feedback == "signed"
    unknown = float("nan")
    assert chosen([Candidate("events", 0.3, unknown, 0.2, 1.0)]).feedback == "events"
    by_plain = chosen(
        [Candidate("events", 0.3, unknown, unknown, 1.0), Candidate("weighted", 0.31, unknown, unknown, 1.0)]
    )
    assert by_plain.feedback == "weighted"
    assert "liked" in by_plain.reason


def test_of_kinds_without_ratings_no_liking_is_told() -> None:
    """Of a log of views and clicks every answer is a mere use, so that liked NDCG would be NDCG, and regret 0."""
    users, items = np.divmod(np.arange(600), 12)
    kinds = np.where(items % 3 == 0, "click", "view")
    cut = split(Interactions.from_columns(users, (users * 7 + items) % 40, kinds=kinds.tolist()), "random")
    assert {*cut.test.untold} == {"liked", "regretted"}
    lines: list[str] = []
    _, choice = resolved(read_experiment("ease", [("feedback", "auto")]), cut, say=lines.append)
    assert choice is not None
    assert "no answer there is liked more than another" in choice.reason
    assert not any(" liked 0" in line or "nan" in line for line in lines)


def test_validation_chooses_where_only_ratings_tell_and_the_choice_is_written_down() -> None:
    lines: list[str] = []
    model = {"class_path": "recsys.models.EASE", "init_args": {"regularization": 5.0}}
    wrapped = {"class_path": "recsys.models.Decayed", "init_args": {"model": model, "calibration": 0.0}}
    for section in (model, wrapped):
        experiment = check_experiment({"model": section, "feedback": "auto"})
        decided, choice = resolved(experiment, split(disliking_log(), "random"), say=lines.append)
        assert choice is not None
        assert choice.feedback != "events"
        assert [candidate.feedback for candidate in choice.candidates] == ["events", "liked", "weighted", "signed"]
        assert decided.to_dict()["feedback"] == choice.feedback
        assert f"'feedback': '{choice.feedback}'" in str(decided.to_dict()["model"])
        assert choice.feedback in repr(decided.build())
        assert resolved(decided, disliking_log()) == (decided, None)
    assert sum(line.startswith("feedback weighted: validation NDCG@10") for line in lines) == 2


def test_what_tells_nothing_is_events_and_what_a_model_cannot_read_is_refused() -> None:
    plain = Interactions.from_columns(*np.divmod(np.arange(200), 10))
    for name, log in (("ease", plain), ("ease", disliking_log()), ("popularity", disliking_log())):
        experiment = read_experiment(name, [("feedback", "auto")] if name == "ease" else [])
        decided, choice = resolved(experiment, log)
        if log is plain:
            assert choice is not None
            assert (choice.feedback, choice.candidates) == ("events", ())
            assert "neither ratings" in choice.reason
        assert decided.feedback != "auto"
    bpr = {"model": {"class_path": "recsys.models.BPR"}}
    with pytest.raises(ConfigError, match="BPR does not take: it counts all events alike"):
        check_experiment(bpr | {"feedback": "liked"})
    with pytest.raises(ConfigError, match="PersonaEASE does not take: it takes events, liked, weighted"):
        check_experiment({"model": {"class_path": "recsys.models.PersonaEASE"}, "feedback": "signed"})
    with pytest.raises(ConfigError, match="feedback"):
        check_experiment(bpr | {"feedback": "loud"})
