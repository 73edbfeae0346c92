"""AMP-CF: formulas, settings, and interrupted training."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import CapabilityError, ConfigError
from recsys.models.ampcf.mf import MF
from recsys.models.ampcf.model import AMPCF
from recsys.models.ampcf.network import EmbeddedPersonas, PersonaScorer
from recsys.models.ampcf.settings import Attention, HistoryPooling, Objective
from recsys.models.ampcf.training import EmbeddingTask
from recsys.models.base import Recommender
from recsys.models.feedback import FeedbackReader
from recsys.training.session import Session
from recsys.training.trainable import Optimization

QUICK = Optimization(epochs=3, batch_size=32, learning_rate=0.02)
SAMPLED = Objective(loss="sampled_softmax")
AUTHORS = Objective(loss="sampled_softmax", positives="drawn", redraw=False)


def blocks(users: int = 60, items: int = 45, blocks: int = 3, seed: int = 0) -> Interactions:
    """Every user likes only the items of one block (two blocks for every third user)."""
    source = np.random.default_rng(seed)
    pairs = set()
    for user in range(users):
        liked = {user % blocks, (user + 1) % blocks} if user % 3 == 0 else {user % blocks}
        pool = [i for i in range(items) if i % blocks in liked]
        pairs |= {(user, int(i)) for i in source.choice(pool, 7, replace=False)}
    table = np.array(sorted(pairs))
    return Interactions.from_columns(table[:, 0], table[:, 1], times=np.arange(len(table)))


def test_attentive_score_is_the_papers_formula() -> None:
    source = torch.Generator().manual_seed(0)
    scorer = PersonaScorer(5, 3, Attention(temperature=2.0, item_bias=True), source)
    with torch.no_grad():
        assert scorer.bias is not None
        scorer.bias.normal_(generator=source)
        personas = torch.randn(2, 4, 3, generator=source)
        got = scorer(personas)
        for u, i in itertools.product(range(2), range(5)):
            v = scorer.item[i]
            logits = torch.stack([2.0 * personas[u, k] @ v for k in range(4)])
            a = torch.softmax(logits, 0)
            x = torch.stack([a[k] * personas[u, k] for k in range(4)]).sum(0)
            torch.testing.assert_close(got.score[u, i], x @ v + scorer.bias[i])
            torch.testing.assert_close(got.attention[u, :, i], a)


def test_cosine_attention_compares_projections() -> None:
    source = torch.Generator().manual_seed(0)
    scorer = PersonaScorer(5, 3, Attention(similarity="cosine", temperature=4.0), source)
    personas = torch.randn(1, 2, 3, generator=source)
    with torch.no_grad():
        assert scorer.project_item is not None
        assert scorer.project_persona is not None
        left, right = personas[0] @ scorer.project_persona, scorer.item @ scorer.project_item
        cosine = torch.cosine_similarity(left[:, None], right[None], dim=-1)
        torch.testing.assert_close(scorer(personas).attention[0], torch.softmax(4.0 * cosine, 0))


def test_log_sum_exp_is_monotone_where_attentive_is_not() -> None:
    """Raising a weak persona's score lowers the attentive (Boltzmann) score; log-sum-exp can only rise."""
    source = torch.Generator().manual_seed(0)
    weak, less_weak = torch.tensor([[[2.0], [-2.0]]]), torch.tensor([[[2.0], [-0.5]]])
    results = {}
    for readout in ("attentive", "log_sum_exp", "max"):
        scorer = PersonaScorer(1, 1, Attention(readout=readout), source)
        with torch.no_grad():
            scorer.item.fill_(1.0)
            results[readout] = (scorer(less_weak).score - scorer(weak).score).item()
    assert results["attentive"] < 0
    assert results["log_sum_exp"] > 0
    assert results["max"] == 0


@pytest.mark.parametrize("users", ["history", "embedding"])
@pytest.mark.parametrize("loss", ["full_softmax", "sampled_softmax", "bpr"])
@pytest.mark.parametrize("readout", ["attentive", "log_sum_exp", "max"])
def test_every_setting_learns_blocks(users: str, loss: str, readout: str) -> None:
    log = blocks()
    model = AMPCF(
        8,
        personas=2,
        users=users,  # type: ignore[arg-type]
        attention=Attention(readout=readout),  # type: ignore[arg-type]
        history=HistoryPooling(dropout=0.3),
        objective=Objective(loss=loss, negatives=8),  # type: ignore[arg-type]
        optimization=Optimization(epochs=12, batch_size=30, learning_rate=0.05),
    ).fit(log)
    assert _block_share(model, log) > 0.7  # a third by chance


@pytest.mark.parametrize(
    "objective",
    [
        Objective(loss="sampled_softmax", sampler="popularity", log_q=True, shared_negatives=True, negatives=16),
        Objective(loss="sampled_softmax", sampler="in_batch", log_q=True),
        Objective(loss="sampled_softmax", sampler="in_batch", exclude_observed=False),
        Objective(loss="sampled_softmax", entropy_positive=0.01, entropy_negative=0.01, entropy_reduction="sum"),
        Objective(loss="full_softmax", balance=0.1, entropy_positive=0.1),
    ],
)
@pytest.mark.parametrize("users", ["history", "embedding"])
def test_samplers_and_entropies_reduce_the_loss(users: str, objective: Objective) -> None:
    log = blocks()
    history = HistoryPooling(target="held_out")
    scores = []
    for epochs in (1, 12):
        optimization = Optimization(epochs=epochs, batch_size=30, learning_rate=0.05)
        model = AMPCF(8, 3, users, history=history, objective=objective, optimization=optimization).fit(log)  # type: ignore[arg-type]
        scores.append(_block_share(model, log))
    assert scores[1] > scores[0]
    assert scores[1] > 0.75


def _block_share(model: Recommender, log: Interactions) -> float:
    one_block = np.flatnonzero(np.arange(60) % 3 != 0).astype(np.int32)
    top = model.recommend(Queries.from_interactions(log, one_block), 3).items
    return float(((top % 3) == (one_block[:, None] % 3)).mean())


@pytest.mark.parametrize("readout", ["attentive", "max"])
@pytest.mark.parametrize("bias", [True, False])
def test_contributions_sum_to_the_score_less_the_bias(readout: str, bias: bool) -> None:
    log = blocks()
    attention = Attention(readout=readout, item_bias=bias, temperature=3.0)  # type: ignore[arg-type]
    model = AMPCF(8, 3, attention=attention, optimization=QUICK).fit(log)
    queries = Queries.from_interactions(log)
    weights = np.random.default_rng(0).uniform(0.1, 1, len(queries.history.items)).astype(np.float32)
    queries = queries.with_weights(weights)
    items = np.tile(np.arange(5, dtype=np.int32), (len(queries), 1))
    parts = model.contributions(queries, items).numpy()
    total = np.add.reduceat(parts, queries.history.indptr[:-1], axis=0)
    expected = model.score(queries).detach().numpy()[:, :5]
    if bias:
        expected = expected - model.arrays()["items.bias"][:5]
    np.testing.assert_allclose(total, expected, atol=1e-5)


def test_repeated_and_unknown_events_contribute_nothing_twice() -> None:
    log = blocks()
    model = AMPCF(8, 2, optimization=QUICK).fit(log)
    plain, odd = Queries.from_history([[4, 7]]), Queries.from_history([[4, -1, 4, 7]])
    torch.testing.assert_close(model.score(plain), model.score(odd))
    parts = model.contributions(odd, np.array([[1]], np.int32))
    assert (parts[[0, 1], 0] == 0).all()


def test_one_persona_is_mf() -> None:
    log = blocks()
    twin = AMPCF(8, 1, "embedding", attention=Attention(item_bias=True), optimization=QUICK).fit(log)
    mf = MF(8, optimization=QUICK).fit(log)
    queries = Queries.from_interactions(log)
    assert torch.equal(twin.score(queries), mf.score(queries))
    assert torch.equal(mf.attention(queries, np.zeros((60, 1), np.int32)), torch.ones(60, 1, 1))


def test_biases_start_with_the_standard_deviation_asked_for() -> None:
    def scorer(initial_bias: float) -> dict[str, torch.Tensor]:
        attention = Attention(similarity="cosine", item_bias=True, initial_bias=initial_bias)
        return PersonaScorer(4000, 3, attention, torch.Generator().manual_seed(0)).state_dict()

    none, some = scorer(0.0), scorer(0.5)
    assert torch.equal(none.pop("bias"), torch.zeros(4000))
    bias = some.pop("bias")
    assert abs(bias.std().item() - 0.5) < 0.03
    assert abs(bias.mean().item()) < 0.03
    # Nothing else starts elsewhere.
    assert all(torch.equal(value, some[name]) for name, value in none.items())


def test_mf_passes_its_initial_bias_on() -> None:
    model = MF(8, initial_bias=2.0, optimization=Optimization(epochs=0)).fit(blocks())
    assert 1 < model.arrays()["items.bias"].std() < 3


def embedding_task(objective: Objective) -> EmbeddingTask:
    """A task on `blocks()` with two personas that are not trained."""
    source = torch.Generator().manual_seed(0)
    users, scorer = EmbeddedPersonas(60, 2, 8, source), PersonaScorer(45, 8, Attention(), source)
    return EmbeddingTask(users, scorer, objective, blocks(), FeedbackReader("events"), 64, 3)


def epoch_losses(task: EmbeddingTask, epoch: int) -> list[float]:
    return [task.loss(epoch, step)[0].item() for step in range(task.steps_per_epoch)]


@pytest.mark.parametrize("positives", ["events", "drawn"])
@pytest.mark.parametrize("loss", ["full_softmax", "sampled_softmax"])
def test_without_redraw_the_second_epoch_is_repeated(loss: str, positives: str) -> None:
    def task(redraw: bool) -> EmbeddingTask:
        return embedding_task(Objective(loss=loss, positives=positives, redraw=redraw))  # type: ignore[arg-type]

    fresh = [epoch_losses(task(True), epoch) for epoch in range(4)]
    frozen = [epoch_losses(task(False), epoch) for epoch in range(4)]
    assert frozen == [fresh[0], fresh[1], fresh[1], fresh[1]]
    assert len({tuple(losses) for losses in fresh}) == 4


def seen(task: EmbeddingTask, epoch: int) -> list[tuple[tuple[int, int], tuple[int, ...]]]:
    """What an epoch trains on, in order: ((user, positive), negatives)."""
    batches: list[tuple[tuple[int, int], tuple[int, ...]]] = []
    batch: list[torch.Tensor] = []
    hooks = [
        task.users.register_forward_pre_hook(lambda _, given: batch.append(given[0])),
        task.scorer.register_forward_pre_hook(lambda _, given: batch.append(given[1])),
    ]
    for step in range(task.steps_per_epoch):
        batch.clear()
        task.loss(epoch, step)
        users, items = batch
        batches += [((u, row[0]), tuple(row[1:])) for u, row in zip(users.tolist(), items.tolist(), strict=True)]
    for hook in hooks:
        hook.remove()
    return batches


def test_drawn_positives_are_the_users_own_and_cover_them() -> None:
    log = blocks()
    pairs = list(zip(log.user_num.tolist(), log.item_num.tolist(), strict=True))
    events, drawn = embedding_task(SAMPLED), embedding_task(Objective(loss="sampled_softmax", positives="drawn"))
    assert sorted(pair for pair, _ in seen(events, 0)) == sorted(pairs)
    times = Counter(pair for epoch in range(40) for pair, _ in seen(drawn, epoch))
    assert set(times) == set(pairs)
    # 40 each are expected, with a standard deviation of 6.
    assert 15 < min(times.values()) < max(times.values()) < 75
    # The rows are the same as ever: a user occurs as often as there are events.
    assert [pair[0] for pair, _ in seen(drawn, 0)] == [pair[0] for pair, _ in seen(events, 0)]


def test_the_authors_sample_is_frozen_from_the_second_epoch_on() -> None:
    task = embedding_task(AUTHORS)
    first, second, third, tenth = (seen(task, epoch) for epoch in (0, 1, 2, 9))
    assert first != second == third == tenth
    own = set(zip(blocks().user_num.tolist(), blocks().item_num.tolist(), strict=True))
    assert not {(user, item) for (user, _), negatives in second for item in negatives} & own


def test_embedding_users_refuse_unknown_users_and_contributions() -> None:
    log = blocks()
    model = AMPCF(4, 2, "embedding", optimization=QUICK).fit(log)
    with pytest.raises(CapabilityError, match="users='history'"):
        model.score(Queries.from_history([[1, 2]]))
    with pytest.raises(CapabilityError, match="evidence"):
        model.contributions(Queries.from_interactions(log), np.zeros((60, 1), np.int32))


class _Interrupt:
    """A validation that presses Ctrl-C at a given epoch."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.calls = 0
        self.scores = [0.1, 0.3, 0.2, 0.25, 0.1, 0.1, 0.1]

    def __call__(self, model: Recommender) -> float:
        self.calls += 1
        if self.at == self.calls:
            raise KeyboardInterrupt
        return self.scores[self.calls - 1]


@pytest.mark.parametrize(("users", "objective"), [("history", SAMPLED), ("embedding", SAMPLED), ("embedding", AUTHORS)])
def test_interrupted_and_resumed_is_bit_identical(users: str, objective: Objective, tmp_path: Path) -> None:
    log = blocks()
    optimization = Optimization(epochs=6, batch_size=16, learning_rate=0.02, patience=10)

    def model() -> AMPCF:
        return AMPCF(8, 2, users, objective=objective, optimization=optimization)  # type: ignore[arg-type]

    whole = model().fit(log, _Interrupt(None))
    first = _Interrupt(4)
    with pytest.raises(KeyboardInterrupt):
        model().fit(log, first, Session(tmp_path))
    rest = _Interrupt(None)
    rest.calls = 3  # epochs 1 to 3 are done; the fourth is repeated
    resumed = model().fit(log, rest, Session(tmp_path, resume=True))
    assert rest.calls == 6
    assert resumed.effort is not None
    assert resumed.effort.epochs == 6
    for name, value in whole.arrays().items():
        np.testing.assert_array_equal(value, resumed.arrays()[name], err_msg=name)
    # What is finished is loaded, not trained again.
    finished = _Interrupt(1)
    again = model().fit(log, finished, Session(tmp_path, resume=True))
    assert finished.calls == 0
    for name, value in whole.arrays().items():
        np.testing.assert_array_equal(value, again.arrays()[name], err_msg=name)


def test_resuming_another_configuration_is_refused(tmp_path: Path) -> None:
    log = blocks()
    AMPCF(4, 2, optimization=QUICK).fit(log, None, Session(tmp_path))
    with pytest.raises(ConfigError, match="another configuration"):
        AMPCF(8, 2, optimization=QUICK).fit(log, None, Session(tmp_path, resume=True))


def test_early_stopping_keeps_the_best_epoch() -> None:
    log = blocks()
    optimization = Optimization(epochs=7, batch_size=16, learning_rate=0.02, patience=2)
    stopped = AMPCF(8, 2, optimization=optimization).fit(log, _Interrupt(None))
    assert stopped.effort is not None
    assert stopped.effort.epochs == 4  # best is the second epoch, then two without a better one
    two = AMPCF(8, 2, optimization=Optimization(epochs=2, batch_size=16, learning_rate=0.02)).fit(log)
    for name, value in stopped.arrays().items():
        np.testing.assert_array_equal(value, two.arrays()[name], err_msg=name)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: AMPCF(personas=0), "personas is 0"),
        (lambda: AMPCF(users="histroy"), "did you mean 'history'"),  # type: ignore[arg-type]
        (lambda: Attention(similarity="cosin"), "did you mean 'cosine'"),  # type: ignore[arg-type]
        (lambda: Attention(similarity="cosine", readout="max"), "needs similarity 'dot'"),
        (lambda: Objective(ce_weight=2), "at most 1"),
        (lambda: HistoryPooling(dropout=1.0), "below 1"),
        (lambda: HistoryPooling(dropout=0.0, target="held_out"), "nothing would be held out"),
        (lambda: AMPCF(objective=Objective(log_q=True)), "samples nothing"),
        (lambda: Objective(positives="drwan"), "did you mean 'drawn'"),  # type: ignore[arg-type]
        (lambda: AMPCF(objective=Objective(positives="drawn")), "users='embedding' only"),
        (lambda: AMPCF(objective=Objective(redraw=False)), "users='embedding' only"),
        (lambda: MF(users="history", objective=AUTHORS), "users='embedding' only"),
        (lambda: Attention(item_bias=True, initial_bias=-1), "at least 0"),
        (lambda: Attention(initial_bias=1.0), "no bias to start"),
        (lambda: MF(item_bias=False, initial_bias=1.0), "no bias to start"),
    ],
)
def test_contradictory_settings_are_refused(make: object, text: str) -> None:
    assert callable(make)
    with pytest.raises(ConfigError, match=text):
        make()
