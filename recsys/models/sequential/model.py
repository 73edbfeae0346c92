"""SequentialAMPCF: personas read from memories of several half-lives, beside a linear expert."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.checks import positive, seed_of_draws, whole
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import ConfigError
from recsys.models.base import Validate
from recsys.models.capabilities import FoldIn, PersonaRecommender, ScoringNetwork
from recsys.models.linear.next_item import LinearNextItem
from recsys.models.linear.operations import event_weights
from recsys.models.sequential.expert import SequenceExpert, cross_fitted, factorised, fitted_expert
from recsys.models.sequential.memories import event_decay
from recsys.models.sequential.network import PairScores, SequentialNetwork, UserState
from recsys.models.sequential.padded import SequenceScores
from recsys.models.sequential.settings import PersonaReading, SequenceObjective, check_half_lives
from recsys.models.sequential.states import SequenceStates
from recsys.models.sequential.training import SequenceTask
from recsys.models.wrapping import part_of, prefixed
from recsys.training.bags import Bags
from recsys.training.session import Session
from recsys.training.trainable import Optimization
from recsys.types import Floats, Items

_EXPERT, _NETWORK = "expert.", "network."
"""Prefixes of the arrays of the expert and of the network."""

_RANKING: Final = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0, 50.0)
"""Factors on the expert's weight of which validation chooses one."""

_MOST_SCORES: Final = 64_000_000
"""Scores of the network, and as many of the expert, that are kept at most while the factor is chosen."""

_DEFAULT_RANKING: Final = 2.0
"""The factor without validation, and while training."""

_DEFAULT_EXPERT = LinearNextItem((1.0, 3.0, 20.0), 400.0, 0.5)
_DEFAULT_OPTIMIZATION = Optimization(8, 8, 6e-3, 1e-2, warm_up=100, schedule="linear", clip=5.0)


@final
class SequentialAMPCF(PersonaRecommender, FoldIn, ScoringNetwork):
    """Predict a user's next item from personas that are read from memories of several half-lives.

        m_h  = c_h sum_j w_j 2^(-age_j / h) E_j                     memories of the history (`event_decay`)
        z    = x + MLP(x),  x = sum_h W_h m_h,   U_k = H_k z        state and personas (`SequentialNetwork`)
        s_i  = rho alpha lin_i + b_i + r_i                          r_i: attention over U_k . V_ic (`PersonaReading`)

    lin is `LinearNextItem`, whose weight alpha is learned, so that the network learns what it leaves over. In training
    a user's lin comes from an expert that was fitted without the user (`cross_fitted`). Cross-entropy wants a softer
    scale than ranking: rho is chosen on validation. The recipe, and the half-lives instead of attention over the
    events, are ours; attention over personas given the candidate is that of AMP-CF (Barkan et al., RecSys 2020).

    Somebody without a history has score 0 for every item, and so gets the popular ones: b_i is what the network adds
    beside the expert, not how often an item is used.

    The past decays inside: the memories belong to the model. Weights of a query (`Decayed`, per-user decay) multiply
    and make the later events count less in the ages, as in `LinearNextItem`.

    Args:
        embedding_size: d.
        half_lives: h, in the user's own events, ascending.
        lasting: whether there is one memory more, which never fades.
        reading: personas, item components, read-out.
        expert: the linear expert; None: the network alone, also for catalogues too large for a matrix of items.
        folds: parts of the users for the cross-fitted expert.
        start: the untrained network scores like a factorisation of the expert, times this.
        expert_weight: alpha at the start; None: the power of 2 with the least loss of the untrained network. A small
            one lets the network learn more of its own, a large one leaves what the expert knows to it.
        objective: loss, negatives, window, dropout.
        optimization: epochs, batches (users per step), step size, early stopping.
        seed: fixes initial values, batches and negatives.

    Raises:
        ConfigError: a setting is out of range; the log has no order (when fitting).
        CapabilityError: the expert needs more memory than it may take (when fitting).
    """

    def __init__(
        self,
        embedding_size: int = 64,
        half_lives: tuple[float, ...] = (1.0, 3.0, 20.0),
        lasting: bool = True,
        reading: PersonaReading = PersonaReading(),
        expert: LinearNextItem | None = _DEFAULT_EXPERT,
        folds: int = 2,
        start: float = 5.0,
        expert_weight: float | None = 10.0,
        objective: SequenceObjective = SequenceObjective(),
        optimization: Optimization = _DEFAULT_OPTIMIZATION,
        seed: int = 0,
    ) -> None:
        positive("embedding_size", embedding_size)
        check_half_lives(tuple(half_lives))
        whole("folds", folds, least=2)
        positive("start", start, zero=True)
        if expert_weight is not None:
            positive("expert_weight", expert_weight)
        seed_of_draws(seed)
        if expert is not None and not isinstance(expert, LinearNextItem):
            raise ConfigError(f"expert is {expert!r}; it must be a LinearNextItem, or null")
        if expert is not None and expert.feedback != "events":
            raise ConfigError(
                f"expert.feedback is {expert.feedback!r}: the network counts all uses alike, so the expert must, too; "
                "leave it out"
            )
        self.embedding_size = embedding_size
        self.half_lives = tuple(half_lives)
        self.lasting = lasting
        self._memories = (*self.half_lives, math.inf) if lasting else self.half_lives
        self.reading = reading
        self.expert = expert
        self.folds = folds
        self.start = start
        self.expert_weight = expert_weight
        self.objective = objective
        self.optimization = optimization
        self.seed = seed
        self._network: SequentialNetwork
        self._linear: LinearNextItem | None = None
        self._ranking = _DEFAULT_RANKING
        self._parts: dict[bytes, tuple[Tensor, Tensor | None]] | None = None

    @property
    def shares_batches(self) -> bool:
        return True

    @property
    def folds_in(self) -> bool:
        return True

    @property
    def ranking_factor(self) -> float:
        """rho, the factor on the learned weight of the expert."""
        _ = self.fitted_on
        return self._ranking

    @torch.inference_mode()
    def personas(self, queries: Queries) -> Float[Tensor, "queries personas dim"]:
        """Return U_k; with C item components a persona for each pair (k, c), U_k in the c-th of C blocks, else 0."""
        personas = self._network_of().personas(self._state(queries).vector)
        count = self.reading.item_components
        if count == 1:
            return personas
        blocks: Tensor = torch.einsum("qkd,ce->qkced", personas, torch.eye(count))
        return torch.reshape(blocks, (len(queries), personas.shape[1] * count, -1))

    def item_vectors(self) -> Float[Tensor, "items dim"]:
        """Return V_i, the components of an item one after the other."""
        return torch.reshape(self._network_of().item.detach(), (self.n_items, -1))

    @torch.inference_mode()
    def attention(self, queries: Queries, items: Items) -> Float[Tensor, "queries personas n"]:
        scores: PairScores = self._network_of()(self._state(queries).vector, _numbers(items))
        return scores.attention

    @torch.inference_mode()
    def contributions(self, queries: Queries, items: Items) -> Float[Tensor, "events n"]:
        """Return what each event adds to each score: that of the expert, and that of the personas.

        The part of the expert is exact. That of the personas is exact given the attention, the active units of the
        hidden layer and the length of the state, which also depend on the history and are held fixed: with the
        read-outs "mixture" and "attentive" the parts sum to the score less b_i and what the constants of the hidden
        layer add; with "log_sum_exp" less the entropy of the attention and the prior too.
        """
        network, state = self._network_of(), self._state(queries)
        candidates = _numbers(items)
        sensitivity = network.sensitivity(state, candidates, network(state.vector, candidates).attention)
        known = torch.from_numpy(np.maximum(queries.history.items, 0).astype(np.int64))
        decay = torch.from_numpy(event_decay(queries, self._memories))
        mixed = torch.einsum("eh,ed,hfd->ef", decay, network.input[known], network.mix)
        rows = torch.from_numpy(queries.history.rows)
        total = torch.einsum("ed,end->en", mixed, sensitivity[rows])
        if self._linear is not None:
            total += self._expert_weight() * self._linear.contributions(queries, items)
        return total

    def scoring_network(self) -> nn.Module:
        linear = None
        if self._linear is not None:
            linear = torch.from_numpy(self._linear.arrays()["weights"]), self._linear.half_lives
        return SequenceScores(self._network_of(), self._memories, linear, self._expert_weight())

    def network_weights(self, queries: Queries) -> Floats:
        return event_weights(queries)

    def states(self, queries: Queries) -> SequenceStates:
        """Return the users' states: after further events, `advanced`, they are scored without their histories."""
        return SequenceStates.of(queries, self._past_vectors())

    def advanced(self, states: SequenceStates, items: Items) -> SequenceStates:
        """Return the states after one more event of each user; `items`, "users", are known or `UNKNOWN`."""
        return states.after(items, self._past_vectors())

    @torch.inference_mode()
    def score_states(self, states: SequenceStates) -> Float[Tensor, "users items"]:
        """Return the scores of all items, up to rounding those of the whole histories (see `SequenceStates`)."""
        queries, network = states.queries(), self._network_of()
        memories = self._memories_of(queries)
        if self.lasting:
            length = np.sqrt(np.maximum(states.events, 1e-9)).astype(np.float32)
            memories[:, -1] = torch.from_numpy(states.lasting / length[:, None])
        linear = None if self._linear is None else self._linear.score(queries)
        scores = network(network.state(memories).vector).score
        scores[torch.from_numpy(states.events == 0)] = 0
        return self._sum(scores, linear)

    def _past_vectors(self) -> Floats:
        return self._network_of().input.detach().numpy()

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> tuple[int, int]:
        train = train.uses
        if train.clock == "none":
            raise ConfigError(f"{train.name} has no order (clock 'none'): nothing comes next in it; use AMPCF")
        self._build(train.n_items)
        self._linear, self._ranking = None, _DEFAULT_RANKING
        trained_with = None
        if self.expert is not None:
            self._linear = fitted_expert(self.expert, train, session)
            self._start(self._linear)
            weights, fold = cross_fitted(self.expert, train, self.folds, session)
            trained_with = SequenceExpert(weights, self.expert.half_lives), fold
        task = SequenceTask(
            self._network,
            self.objective,
            self._memories,
            train,
            trained_with,
            self.optimization.batch_size,
            self.seed,
        )
        if self.expert_weight is None:
            task.start_expert_weight()
        identity = json.dumps([self.parameters_of_constructor(), train.fingerprint], sort_keys=True)
        from recsys.training.lightning import train as run_training  # noqa: PLC0415 (two seconds to import)

        epochs = run_training(
            task,
            self.optimization,
            session,
            identity=identity,
            validate=None if validate is None else lambda: validate(self),
        )
        self._network.to("cpu")
        if validate is not None and self._linear is not None:
            self._choose_ranking(validate)
        return epochs, epochs * task.examples_per_epoch

    def _choose_ranking(self, validate: Validate) -> None:
        """Climb from the default to the best factor: the metric rises to one top, and each value takes a validation."""
        values: dict[int, float] = {}

        def value(place: int) -> float:
            if place not in values:
                self._ranking = _RANKING[place]
                values[place] = validate(self)
            return values[place]

        best, self._parts = _RANKING.index(_DEFAULT_RANKING), {}
        for step in (1, -1):
            while 0 <= best + step < len(_RANKING) and value(best + step) > value(best):
                best += step
        self._ranking, self._parts = _RANKING[best], None

    def _build(self, n_items: int) -> None:
        source = torch.Generator().manual_seed(self.seed)
        shape = n_items, self.embedding_size, len(self._memories)
        weight = None if self.expert is None else self.expert_weight or 1.0
        self._network = SequentialNetwork(*shape, self.reading, weight, source)

    def _start(self, linear: LinearNextItem) -> None:
        """Start from a factorisation of the expert: its memories and items are already meaningful."""
        source = torch.Generator().manual_seed(self.seed)
        weights = torch.from_numpy(linear.arrays()["weights"])
        past, cores, items = factorised(weights, self.embedding_size, source)
        network, count = self._network, self.reading.item_components
        with torch.no_grad():
            network.input.copy_(past)
            noise = torch.randn(len(items) * count, self.embedding_size, generator=source) * (0.1 if count > 1 else 0)
            network.item.copy_(items.repeat_interleave(count, 0) + noise / self.embedding_size**0.5)
            network.mix.zero_()
            for half_life, core in zip(linear.half_lives, cores, strict=True):
                if half_life in self.half_lives:
                    memory = self.half_lives.index(half_life)
                    network.mix[memory] = self.start * core.T

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        parts = self._parts
        if parts is None:
            return self._sum(*self._both(queries))
        # While rho is chosen the same questions come several times, and only the factor between the parts changes.
        key = queries.digest()
        if key not in parts and sum(network.numel() for network, _ in parts.values()) > _MOST_SCORES:
            return self._sum(*self._both(queries))
        parts[key] = parts.get(key) or self._both(queries)
        return self._sum(*parts[key])

    def _both(self, queries: Queries) -> tuple[Tensor, Tensor | None]:
        """Return the scores of the network and those of the expert."""
        with torch.inference_mode():
            network = self._network_of()(self._state(queries).vector).score.cpu()
            # Without a history b_i would decide, and it says nothing of popularity.
            network[torch.from_numpy(queries.history.sum(event_weights(queries)) == 0)] = 0
        return network, None if self._linear is None else self._linear.score(queries)

    def _sum(self, network: Float[Tensor, "queries items"], linear: Tensor | None) -> Float[Tensor, "queries items"]:
        return network if linear is None else network.add(linear, alpha=self._expert_weight())

    def _expert_weight(self) -> float:
        weight = self._network.log_weight
        return 0.0 if weight is None else self._ranking * float(weight.detach().exp())

    def _network_of(self) -> SequentialNetwork:
        _ = self.fitted_on
        return self._network

    def _state(self, queries: Queries) -> UserState:
        return self._network_of().state(self._memories_of(queries))

    def _memories_of(self, queries: Queries) -> Float[Tensor, "queries memories dim"]:
        table = self._network_of().input
        return _sums(Bags.of(queries.history).to(table.device), event_decay(queries, self._memories), table)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays = {_NETWORK + name: value.detach().cpu().numpy() for name, value in self._network.state_dict().items()}
        if self._linear is not None:
            arrays |= prefixed(_EXPERT, self._linear.arrays())
        return arrays | {"ranking": np.asarray([self._ranking], np.float64)}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._build(self.n_items)
        learned = part_of(arrays, _NETWORK)
        self._network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in learned.items()})
        self._network.eval()
        self._ranking = float(arrays["ranking"][0])
        if self.expert is not None:
            self._linear = self.expert.unfitted().restore(self.fitted_on, part_of(arrays, _EXPERT))


def _numbers(items: Items) -> Tensor:
    return torch.from_numpy(items.astype(np.int64))


def _sums(bags: Bags, decay: Floats, table: Float[Tensor, "items dim"]) -> Float[Tensor, "queries memories dim"]:
    """Return the weighted sums of the events' vectors, one for each column of `decay`; unknown items weigh nothing."""
    items, weights = bags.items.clamp(min=0), torch.from_numpy(decay).to(table.device)
    columns = [Bags(items, bags.offsets, weights[:, memory].contiguous()) for memory in range(weights.shape[1])]
    return torch.stack([column.sum(table) for column in columns], 1)
