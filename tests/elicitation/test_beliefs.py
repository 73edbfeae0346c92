"""Beliefs against brute force: numerical integration, a dense solve, simulated truth, and placebos."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from recsys.data.interactions import Interactions
from recsys.elicitation import Answer, Crowd, RankingBases, RankingBelief, TasteBases, TasteBelief, pair_bases
from recsys.elicitation.ranking import variance_told
from recsys.errors import CapabilityError, ConfigError, DataError
from recsys.types import Doubles
from tests.elicitation.crowds import crowd, two_camps

ITEMS = 5


def _bases(seed: int, dim: int = 2) -> TasteBases:
    draw = np.random.default_rng(seed)
    none = np.zeros((ITEMS, dim))
    return TasteBases(
        draw.normal(3, 0.5, ITEMS),
        draw.normal(0, 0.8, (ITEMS, dim)),
        0.7,
        draw.uniform(0.2, 0.8, ITEMS),
        draw.normal(0, 0.1, (ITEMS, dim)),
        0.3,
        np.eye(dim),
        none,
    )


def _moments(bases: TasteBases, answer: Answer, liked_at: float) -> tuple[Doubles, Doubles]:
    """Mean and covariance of a taste in two dimensions after one answer, by summing over a grid."""
    side = np.linspace(-7, 7, 501)
    grid = np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2)
    density = norm.pdf(grid).prod(1)
    known = bases.known[answer.item]
    for item in (answer.item,) if answer.other is None else (answer.item, answer.other):
        if answer.kind != "dont_know" or answer.other is None:
            known = bases.known[item]
            flag = float(answer.kind != "dont_know")
            spread = np.sqrt(known * (1 - known) / bases.temper)
            density = density * norm.pdf(flag, known + grid @ bases.known_vectors[item], spread)
    expected = bases.offsets[answer.item] + grid @ bases.vectors[answer.item]
    if answer.kind == "rating":
        density = density * norm.pdf(float(answer.value or 0), expected, bases.noise)
    elif answer.kind in ("like", "dislike"):
        sign = 1 if answer.kind == "like" else -1
        density = density * norm.cdf(sign * (expected - liked_at) / bases.noise)
    elif answer.other is not None and answer.kind != "dont_know":
        gap = expected - bases.offsets[answer.other] - grid @ bases.vectors[answer.other]
        spread = bases.noise * 2**0.5
        density = density * (norm.cdf(gap / spread) if answer.kind == "prefer" else norm.pdf(0, gap, spread))
    density = density / density.sum()
    mean = density @ grid
    return mean, (density[:, None] * grid).T @ grid - np.outer(mean, mean)


@pytest.mark.parametrize("kind", ["rating", "like", "dislike", "dont_know", "prefer", "same"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_update_has_the_moments_of_the_posterior(kind: str, seed: int) -> None:
    bases = _bases(seed)
    value, other = (4.0 if kind == "rating" else None), (2 if kind in ("prefer", "same") else None)
    answer = Answer(1, kind, value, other)  # type: ignore[arg-type]
    belief = TasteBelief.of(bases, [answer], 3.5)
    mean, covariance = _moments(bases, answer, 3.5)
    assert belief.mean == pytest.approx(mean, abs=2e-4)
    assert belief.covariance == pytest.approx(covariance, abs=2e-4)


@given(seed=st.integers(0, 1_000), order=st.permutations(range(ITEMS)))
@settings(max_examples=40, deadline=None)
def test_the_order_of_ratings_does_not_matter(seed: int, order: list[int]) -> None:
    bases, draw = _bases(seed), np.random.default_rng(seed)
    answers = [Answer(i, "rating", float(draw.integers(1, 6))) for i in range(ITEMS - 1)]
    answers.append(Answer(ITEMS - 1, "dont_know"))
    one, other = TasteBelief.of(bases, answers), TasteBelief.of(bases, [answers[place] for place in order])
    assert one.mean == pytest.approx(other.mean, abs=1e-9)
    assert one.covariance == pytest.approx(other.covariance, abs=1e-9)
    assert np.linalg.eigvalsh(one.covariance).min() > 0
    assert 0 < one.known < 1


def test_the_order_of_choices_hardly_matters() -> None:
    bases = _bases(3)
    answers = [Answer(i, "prefer", other=j) for i, j in ((0, 1), (2, 3), (4, 0))]
    one, other = TasteBelief.of(bases, answers), TasteBelief.of(bases, answers[::-1])
    assert one.mean == pytest.approx(other.mean, abs=0.06)
    assert one.covariance == pytest.approx(other.covariance, abs=0.06)


def test_bases_are_found_again_and_intervals_cover() -> None:
    draw = np.random.default_rng(0)
    people, items = 400, 40
    taste, vectors = draw.normal(size=(people, 2)), draw.normal(0, 0.8, (items, 2))
    offsets = draw.normal(3, 0.4, items)
    value = offsets + taste @ vectors.T + draw.normal(0, 0.5, (people, items))
    seen = draw.random((people, items)) < 0.6
    rows, columns = np.nonzero(seen)
    from recsys.data.interactions import Interactions

    bases = TasteBases.of(Crowd.of(Interactions.from_columns(rows, columns, value[rows, columns])), 2)
    assert bases.noise == pytest.approx(0.5, abs=0.05)
    assert bases.offsets == pytest.approx(offsets, abs=0.25)
    assert bases.vectors @ bases.vectors.T == pytest.approx(vectors @ vectors.T, abs=0.45)
    new = draw.normal(size=(60, 2))
    inside = []
    for one in new:
        said = offsets + vectors @ one + draw.normal(0, 0.5, items)
        belief = TasteBelief.of(bases, [Answer(i, "rating", float(said[i])) for i in range(6)])
        inside.append(np.abs(said - belief.expected)[6:] <= 1.2816 * belief.sd[6:])
    assert 0.76 < float(np.mean(inside)) < 0.84


def test_an_answer_about_no_item_is_refused() -> None:
    """-1, what a vocabulary returns for an unknown id, would be the last item."""
    for numbers in ((-1, None), (0, -1), (1.5, None)):
        with pytest.raises(ConfigError, match="the item of an answer"):
            Answer(numbers[0], "dont_know", other=numbers[1])  # type: ignore[arg-type]


def test_pairs_need_two_people_and_two_items() -> None:
    for users, items in ((["a"] * 5, range(5)), (list("abcde"), [1] * 5)):
        people = Crowd.of(Interactions.from_columns(users, list(items), [1, 2, 3, 4, 5]))
        with pytest.raises(CapabilityError, match="make no pairs"):
            pair_bases(people, 2)


def test_before_any_answer_a_rating_is_expected_as_the_mean_of_those_who_know_the_item() -> None:
    people = crowd()
    bases = TasteBases.of(people, 2)
    mean = np.asarray(people.ratings.sum(0)).ravel() / np.diff(people.ratings.tocsc().indptr)
    assert TasteBelief.of(bases).expected == pytest.approx(mean, abs=0.2)


def test_given_bases_span_the_vectors_and_name_the_coordinates() -> None:
    people = crowd()
    half = (np.arange(people.n_items) < people.n_items // 2).astype(float)
    bases = TasteBases.of(people, bases=np.stack([half, 1 - half], 1))
    assert bases.vectors == pytest.approx(np.stack([half, 1 - half], 1) @ bases.mixing)
    first, second = TasteBelief.of(bases, [Answer(0, "rating", 5.0), Answer(20, "rating", 1.0)]).coordinates
    assert first > 0 > second
    with pytest.raises(DataError, match="one row"):
        TasteBases.of(people, bases=np.ones((3, 2)))


def test_without_ratings_there_is_no_belief_in_taste() -> None:
    from recsys.data.interactions import Interactions

    with pytest.raises(CapabilityError, match="RankingBases"):
        TasteBases.of(Crowd.of(Interactions.from_columns([1, 2], [7, 8])))


def _dense(people: Crowd, asked: list[int], flags: list[float]) -> Doubles:
    """The ranking belief by the textbook: the regression of centred liked flags on centred features."""
    known, liked = people.known.toarray(), people.liked.toarray()
    features = np.hstack([known[:, asked], liked[:, asked]])
    centred = features - features.mean(0)
    inverse = np.linalg.inv(centred.T @ centred + 30 * np.eye(len(flags)))
    weights = (np.array(flags) - features.mean(0)) @ inverse @ centred.T
    return np.asarray(liked.mean(0) + weights @ (liked - liked.mean(0)))


def test_the_ranking_belief_is_the_ridge_regression() -> None:
    people = crowd()
    bases = RankingBases.of(people)
    answers = [Answer(3, "rating", 5.0), Answer(20, "dislike"), Answer(7, "dont_know")]
    found = RankingBelief(bases, answers, people.liked_at)
    assert found.expected == pytest.approx(_dense(people, [3, 20, 7], [1, 1, 0, 1, 0, 0]), abs=1e-5)
    again = RankingBelief(bases, [answers[2], answers[0], answers[1]], people.liked_at)
    assert again.expected == pytest.approx(found.expected, abs=1e-6)
    assert found.expected[:12].mean() > people.liked_shares[:12].mean() + 0.1
    assert RankingBelief(bases).expected == pytest.approx(people.liked_shares)


def test_what_answers_tell_is_the_fall_of_the_variance_and_grows_to_all() -> None:
    people = crowd()
    bases = RankingBases.of(people)
    rows = np.array([4, 4 + len(bases)])
    liked = people.liked.toarray() - people.liked_shares
    item = int(bases.candidates[4])
    features = np.hstack([people.known.toarray(), people.liked.toarray()])[:, [item, item + 24]]
    centred = features - features.mean(0)
    cross = centred.T @ liked
    fall = np.diag(cross.T @ np.linalg.inv(centred.T @ centred + 30 * np.eye(2)) @ cross)
    assert variance_told(bases, rows) == pytest.approx((people.liked_shares**2 * fall).sum(), rel=1e-4)
    known = [
        RankingBelief(bases, [Answer(int(i), "dont_know") for i in bases.candidates[:count]]).known
        for count in (0, 1, 4, 24)
    ]
    assert known[0] == 0
    assert known == sorted(known)
    assert known[-1] == pytest.approx(1)


def test_of_a_crowd_without_camps_an_answer_says_nothing() -> None:
    log = two_camps()
    draw = np.random.default_rng(1)
    shuffled = Crowd.of(type(log).from_columns(log.user_num, log.item_num, draw.permutation(log.value)))
    answers = [Answer(i, "like" if i < 12 else "dislike") for i in (0, 1, 2, 13, 14, 15)]
    for people, least, most in ((crowd(), 0.15, 1.0), (shuffled, -0.1, 0.1)):
        moved = RankingBelief(RankingBases.of(people), answers).expected - people.liked_shares
        left = [i for i in range(24) if i not in (0, 1, 2, 13, 14, 15)]
        gap = moved[[i for i in left if i < 12]].mean() - moved[[i for i in left if i >= 12]].mean()
        assert least < gap < most
