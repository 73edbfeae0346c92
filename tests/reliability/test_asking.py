"""Asking again: what is expected of a second answer is what it tells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recsys.reliability.asking import told_by_asking_again
from recsys.reliability.posterior import Judged
from recsys.types import Doubles
from recsys.worlds.responses import answer_world
from tests.reliability.answers import fitted, responses, world


def _bits(gamma: Doubles) -> Doubles:
    return np.asarray(-(gamma * np.log2(np.maximum(gamma, 1e-300))).sum(1))


def test_the_entropy_of_classes_falls_as_expected() -> None:
    truth, (mixture, _) = world(), fitted()
    before = Judged.of(mixture, responses(truth))
    bits = told_by_asking_again(mixture, before)
    assert (bits >= 0).all()
    assert (bits <= _bits(before.gamma) + 1e-9).all()
    once = before.responses.counts == 1
    assert bits[once].mean() > bits[before.responses.counts == 3].mean()
    most = np.argsort(-bits)[:600]
    more = truth.asked_again(before.responses.first[most], seed=1)
    after = Judged.of(mixture, responses(more))
    fall = _bits(before.gamma) - _bits(after.gamma)
    np.testing.assert_allclose(fall[most].mean(), bits[most].mean(), rtol=0.25)


def test_nothing_is_expected_where_nothing_is_told_apart() -> None:
    mixture, _ = fitted()
    nobody = Judged.of(mixture, responses(world()).take(np.zeros(0, np.int64)))
    assert told_by_asking_again(mixture, nobody).tolist() == []
    some = Judged.of(mixture, responses(world()).take(np.arange(5)))
    assert told_by_asking_again(replace(mixture, identified=False), some).tolist() == [0.0] * some.responses.n_pairs


def test_a_world_that_is_asked_again_has_answers_of_the_same_classes() -> None:
    truth = answer_world(0.0, users=20, items=30, pairs=10)
    asked = np.arange(0, len(truth.user), 2)
    more = truth.asked_again(asked, seed=3)
    assert len(more.user) == len(truth.user) + len(asked)
    np.testing.assert_array_equal(more.kind[len(truth.user) :], truth.kind[asked])
    np.testing.assert_array_equal(more.value[: len(truth.user)], truth.value)
    assert set(more.value.tolist()) <= {1.0, 2.0, 3.0, 4.0, 5.0}
