"""A model is asked only what it cannot have learned: other logs, and answers in the training log, are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import recsys
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.splits.holdout import Holdout
from recsys.data.splits.standard import split
from recsys.data.vocabulary import Vocabulary
from recsys.errors import ConfigError, DataError
from recsys.evaluation.comparison import compare_models
from recsys.evaluation.holdout import evaluate
from tests.evaluation.evaluation_models import MostUsed, random_log


def _renamed(log: Interactions, ids: list[int]) -> Interactions:
    """Return the log with other ids of its users, in the order of their numbers."""
    return replace(log, users=Vocabulary(np.asarray(ids)))


def test_model_of_the_whole_log_is_not_asked_about_a_part_of_it() -> None:
    log = random_log()
    cut = split(log)
    model = MostUsed().fit(log)
    with pytest.raises(DataError, match=log.fingerprint[:12]) as refused:
        evaluate(model, cut)
    assert cut.train.fingerprint[:12] in str(refused.value)
    assert "train(split, ...)" in str(refused.value)
    with pytest.raises(DataError, match="may have learned from the answers"):
        recsys.evaluate(recsys.train(log, "ease"), cut)
    with pytest.raises(DataError, match="another training log"):
        evaluate(model, cut.test, log)  # its training log, but the questions of another one
    with pytest.raises(DataError, match="may have learned"):
        compare_models(MostUsed().fit(cut.train), model, cut)
    assert evaluate(MostUsed().fit(cut.train), cut).users == len(cut.test)


def test_answers_in_the_training_log_are_found_also_in_questions_of_unknown_origin() -> None:
    log = random_log()
    cut = split(log, "random")
    nameless = replace(cut.test, fingerprint=None)
    model = MostUsed().fit(cut.train)
    assert evaluate(model, nameless, cut.train).users == len(nameless)
    query = int(np.flatnonzero(nameless.relevant.lengths > 0)[0])
    user = int(nameless.queries.users[query])
    answers = nameless.relevant.items.copy()
    answers[nameless.relevant.indptr[query]] = cut.train.item_num[cut.train.history_slice(user)][0]
    leaking = replace(nameless, relevant=replace(nameless.relevant, items=answers))
    with pytest.raises(DataError, match=r"^1 of .* relevant items are events of the same users"):
        evaluate(model, leaking, cut.train)


def _about_the_past(log: Interactions) -> Holdout:
    """Return questions made by hand, without numbers of the users: what each of them used last in the log itself."""
    rows = [log.item_num[log.history_slice(user)] for user in range(log.n_users)]
    queries = Queries.from_history([row[:-1] for row in rows])
    none = Ragged.of([[]] * len(rows))
    answers = Ragged.of([row[-1:] for row in rows])
    return Holdout(replace(queries, exclude=none), answers, log.users.ids.astype(object))


def test_answers_are_found_where_only_ids_name_the_users() -> None:
    log = random_log()
    with pytest.raises(DataError, match=r"^40 of 40 relevant items .*Holdout\(\.\.\., repeats=True\)"):
        evaluate(MostUsed().fit(log), _about_the_past(log), log)


def test_repeated_use_is_a_task_where_the_questions_say_so() -> None:
    log = random_log()
    questions = replace(_about_the_past(log), repeats=True)
    assert evaluate(MostUsed().fit(log), questions, log).summary["hr@20"] > 0
    assert questions.take(np.array([3, 1])).repeats


@pytest.mark.parametrize("ids", [[1, 0, *range(2, 40)], [100, *range(1, 40)]], ids=["swapped", "renamed"])
def test_users_who_are_others_are_noticed(ids: list[int]) -> None:
    log = random_log()
    cut = split(_renamed(log, ids))
    model = MostUsed().fit(split(log).train)
    with pytest.raises(DataError, match="may have learned"):
        evaluate(model, cut)


def test_anything_but_a_model_is_refused_with_the_cure() -> None:
    cut = split(random_log())
    with pytest.raises(ConfigError, match="evaluate needs a fitted model, not 'ease'"):
        recsys.evaluate("ease", cut)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="evaluate needs a fitted model, not None"):
        recsys.compare(None, None, cut)  # type: ignore[arg-type]
