"""AMP-CF: attentive multi-persona collaborative filtering."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.checks import choice, positive, seed_of_draws
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import CapabilityError, ConfigError
from recsys.models.ampcf.network import EmbeddedPersonas, HistoryPersonas, PersonaScorer, Scores
from recsys.models.ampcf.padded import HistoryScores, UserScores
from recsys.models.ampcf.settings import Attention, HistoryPooling, Objective, Users
from recsys.models.ampcf.training import EmbeddingTask, HistoryTask, log_share
from recsys.models.base import FittedOn, Validate
from recsys.models.capabilities import (
    FoldIn,
    PersonaPoints,
    PersonaRecommender,
    Retrievable,
    RoutesItems,
    ScoringNetwork,
    SummedFit,
    TrainingUsers,
)
from recsys.models.feedback import FeedbackReader, Weighting, check_weighting
from recsys.models.health import PersonaHealth
from recsys.models.retrieval.points import with_coordinate
from recsys.models.wrapping import part_of
from recsys.training.bags import Bags
from recsys.training.parts import Parts, added, seed_of_part
from recsys.training.session import Session
from recsys.training.trainable import Optimization, Trainable
from recsys.types import Floats, Items, Mask

_HEALTH_USERS = 200
"""Users on whom the health of the personas is logged after each epoch."""

_State = tuple[Float[Tensor, "queries personas dim"], Float[Tensor, "queries personas"] | None]
"""The personas of queries and the logarithm of their prior."""


@final
class AMPCF(PersonaRecommender, SummedFit, FoldIn, RoutesItems, Retrievable, ScoringNetwork):
    """Represent each user by several personas, weighted by their attention to the candidate item.

        a_uik = softmax_k( tau * sim(U_uk, v_i) + log pi_uk ),   s_ui = sum_k a_uik U_uk . v_i + b_i

    Source: Barkan, Fuchs, Caciularu, Koenigstein, *Explainable Recommendations via Attentive Multi-Persona
    Collaborative Filtering*, RecSys 2020 (arXiv 2010.07042). With `users="embedding"` U_uk is a parameter of the user,
    as in the paper; with `users="history"` it is computed from the visible history, so that new users, new events,
    event weights and exact contributions need no retraining (ours; see `HistoryPersonas`). With one persona it is its
    own single-vector twin.

    Args:
        embedding_size: dimensions d of personas and items.
        personas: K, personas per user.
        users: where personas come from.
        attention: similarity, temperature, read-out and bias.
        history: how histories become personas; used with `users="history"`.
        objective: loss, negatives, entropy and balance terms.
        optimization: epochs, batches, step size, early stopping.
        seed: fixes initial values, batches and negatives.
        feedback: how ratings and kinds of events count (`recsys.models.feedback`): "liked" learns from liked events
            alone, and with `users="history"` reads them alone; "weighted" weighs each event by its preference, in the
            loss and in histories. Dislikes and skips are not read, and "signed" is not offered: personas are weighted
            means of one vector for each event.

    Raises:
        ConfigError: a setting is out of range, or settings contradict each other.
    """

    def __init__(
        self,
        embedding_size: int = 64,
        personas: int = 4,
        users: Users = "history",
        attention: Attention = Attention(),
        history: HistoryPooling = HistoryPooling(),
        objective: Objective = Objective(),
        optimization: Optimization = Optimization(),
        seed: int = 0,
        feedback: Weighting = "events",
    ) -> None:
        positive("embedding_size", embedding_size)
        positive("personas", personas)
        choice("users", users, Users)
        if objective.loss == "full_softmax" and objective.log_q:
            raise ConfigError(
                "objective.log_q corrects sampled scores, and the full softmax samples nothing; remove it"
            )
        if users == "history" and (objective.positives == "drawn" or not objective.redraw):
            raise ConfigError(
                "objective.positives 'drawn' and objective.redraw false reproduce the authors' code, for "
                "users='embedding' only; remove them, or use users='embedding'"
            )
        self.embedding_size = embedding_size
        self._personas = personas
        self.users = users
        self._attention = attention
        self.history = history
        self.objective = objective
        self.optimization = optimization
        seed_of_draws(seed)
        self.seed = seed
        check_weighting(feedback, "AMPCF")
        self.feedback = feedback
        self._feedback = FeedbackReader(feedback)
        self._scorer: PersonaScorer
        self._reader: HistoryPersonas | EmbeddedPersonas

    @property
    def shares_batches(self) -> bool:
        return True

    @property
    def learns_from_sums(self) -> bool:
        return self.users == "history"  # else every user has parameters

    @property
    def folds_in(self) -> bool:
        return self.users == "history"

    @torch.inference_mode()
    def personas(self, queries: Queries) -> Float[Tensor, "queries personas dim"]:
        return self._state(queries)[0]

    def item_vectors(self) -> Float[Tensor, "items dim"]:
        _ = self.fitted_on
        return self._scorer.item.detach()

    @torch.inference_mode()
    def attention(self, queries: Queries, items: Items) -> Float[Tensor, "queries personas n"]:
        return self._scores(self._state(queries), items).attention

    @torch.inference_mode()
    def contributions(self, queries: Queries, items: Items) -> Float[Tensor, "events n"]:
        """Return what each event adds to each score, the attention held fixed.

            c_jui = sum_k a_uik w_j r_jk (e_j . v_i) / norm_uk

        Sums over a user's events to the score less the item bias; with the log-sum-exp read-out, less the entropy of
        the attention and the prior too.

        Raises:
            CapabilityError: personas are learned per user (`users="embedding"`), no event carries them.
        """
        if not isinstance(self._reader, HistoryPersonas):
            raise CapabilityError("AMPCF with users='embedding' has no evidence in the history; use users='history'")
        bags, weights, counted = self._bags(queries)
        personas, mass = self._reader(bags)
        candidates = self._numbers(items)
        attention = self._scorer(personas, candidates, log_share(mass)).attention
        share = self._reader.routing(bags.items) * weights[:, None]
        rows = bags.rows
        gate = torch.einsum("ek,ekn->en", share / self._reader.norm(mass)[rows], attention[rows])
        product = torch.einsum("ed,end->en", self._reader.input[bags.items], self._scorer.item[candidates[rows]])
        result = torch.zeros(len(counted), candidates.shape[1], device=product.device)
        result[torch.from_numpy(np.flatnonzero(counted)).to(product.device)] = gate * product
        return result

    def item_points(self) -> Float[Tensor, "items point"]:
        vectors, bias = self.item_vectors(), self._scorer.bias
        return vectors if bias is None else with_coordinate(vectors, bias.detach())

    @torch.inference_mode()
    def persona_points(self, queries: Queries) -> PersonaPoints:
        state = self._state(queries)
        points = state[0]
        if self._scorer.bias is not None:
            points = with_coordinate(points, torch.ones_like(points[..., 0]))
        return PersonaPoints(points, torch.inference_mode()(lambda items: self._scores(state, items).score))

    @torch.inference_mode()
    def routing(self) -> Floats:
        if not isinstance(self._reader, HistoryPersonas):
            raise CapabilityError("AMPCF with users='embedding' does not route items to personas; use users='history'")
        return self._reader.routing().cpu().numpy()

    def scoring_network(self) -> nn.Module:
        _ = self.fitted_on
        if isinstance(self._reader, HistoryPersonas):
            return HistoryScores(self._reader, self._scorer)
        return UserScores(self._reader, self._scorer)

    def network_weights(self, queries: Queries) -> Floats:
        return np.asarray(self._feedback.features(queries)[0] * queries.counted, np.float32)

    def _build(self, n_users: int, n_items: int) -> None:
        source = torch.Generator().manual_seed(self.seed)
        if self.users == "history":
            self._reader = HistoryPersonas(n_items, self._personas, self.embedding_size, self.history, source)
        else:
            self._reader = EmbeddedPersonas(n_users, self._personas, self.embedding_size, source)
        self._scorer = PersonaScorer(n_items, self.embedding_size, self._attention, source)

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> tuple[int, int]:
        train = train.uses
        self._feedback = FeedbackReader.of(self.feedback, train, "AMPCF")
        self._build(train.n_users, train.n_items)
        kind = HistoryTask if self.users == "history" else EmbeddingTask
        sizes = self.optimization.batch_size, self.seed
        task = kind(self._reader, self._scorer, self.objective, train, self._feedback, *sizes)
        sample = Queries.from_interactions(train, _health_users(train.n_users))
        return self._train(task, sample, train.fingerprint, validate, session)

    def _prepare(self, train: FittedOn) -> None:
        if not self.learns_from_sums:
            raise CapabilityError(
                "AMPCF and MF with users='embedding' learn parameters of every user, which needs the whole log; use "
                "users='history'"
            )
        self._feedback = FeedbackReader.of_each(self.feedback, train.clock, "AMPCF")

    def _learn(self, users: TrainingUsers, session: Session) -> tuple[int, int]:
        train, size = self.fitted_on, self.optimization.batch_size
        self._build(len(train.users), len(train.items))
        assert isinstance(self._reader, HistoryPersonas)
        network = self._reader, self._scorer
        tasks = {
            number: HistoryTask(
                *network, self.objective, log.uses, self._feedback, size, seed_of_part(self.seed, number)
            )
            for number, log in users.here().items()
        }
        counts = added(torch.stack([task.counts for task in tasks.values()]).sum(0))
        for task in tasks.values():
            task.draw_by(counts)
        parts = Parts(tasks, users.count, network, size)
        sample = users.some(_health_users(len(train.users)))
        return self._train(parts, sample, train.fingerprint, users.validate, session)

    def _train(
        self, task: Trainable, sample: Queries, fingerprint: str, validate: Validate | None, session: Session
    ) -> tuple[int, int]:
        identity = json.dumps([self.parameters_of_constructor(), fingerprint], sort_keys=True)
        from recsys.training.lightning import train as run_training  # noqa: PLC0415 (two seconds to import)

        epochs = run_training(
            task,
            self.optimization,
            session,
            identity=identity,
            validate=None if validate is None else lambda: validate(self),
            health=None if self._personas == 1 else lambda: self._health(sample),
        )
        return epochs, epochs * task.examples_per_epoch

    def _health(self, sample: Queries) -> dict[str, float]:
        """Return the health of the personas on the items they would be recommended, for the training log."""
        state = self._state(sample)
        scores = self._scores(state)
        best = scores.score.topk(min(20, scores.score.shape[1]), 1).indices
        attention = scores.attention.gather(2, best[:, None, :].expand(-1, scores.attention.shape[1], -1))
        health = PersonaHealth.of(attention, state[0])
        return {"effective": health.effective, "mean_cosine": health.mean_cosine, "dead": health.dead}

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return self._scores(self._state(queries)).score

    def _scores(self, state: _State, items: Items | None = None) -> Scores:
        scores: Scores = self._scorer(state[0], None if items is None else self._numbers(items), state[1])
        return scores

    def _state(self, queries: Queries) -> _State:
        _ = self.fitted_on
        if isinstance(self._reader, HistoryPersonas):
            personas, mass = self._reader(self._bags(queries)[0])
            return personas, log_share(mass)
        return self._reader(self._numbers(queries.users)), None

    def _numbers(self, numbers: Items) -> Tensor:
        return torch.from_numpy(numbers.astype(np.int64)).to(self._scorer.item.device)

    def _bags(self, queries: Queries) -> tuple[Bags, Float[Tensor, " entries"], Mask]:
        """Return the counted events of the histories, their weights, and which events these are."""
        counted = queries.counted
        history = queries.history.select(counted)
        bags = Bags.of(history, self._feedback.features(queries)[0][counted]).to(self._scorer.item.device)
        assert bags.weights is not None
        return bags, bags.weights, counted

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        state = {f"users.{name}": value for name, value in self._reader.state_dict().items()}
        state |= {f"items.{name}": value for name, value in self._scorer.state_dict().items()}
        return {name: value.detach().cpu().numpy() for name, value in state.items()} | self._feedback.arrays()

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._feedback = FeedbackReader.restored(arrays)
        self._build(len(self.fitted_on.users), len(self.fitted_on.items))
        for prefix, module in (("users.", self._reader), ("items.", self._scorer)):
            learned = part_of(arrays, prefix)
            module.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in learned.items()})
            module.eval()


def _health_users(n_users: int) -> Items:
    """Return the users on whom health is logged, spread over all."""
    return np.linspace(0, n_users - 1, min(n_users, _HEALTH_USERS)).astype(np.int32)
