"""PairwisePreference: which of two items a user likes better, from ratings: one order for all, or personal ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import choice, positive, seed_of_draws, whole
from recsys.data.interactions import Interactions
from recsys.data.pairs.pairs import rated
from recsys.data.queries import Queries
from recsys.errors import CapabilityError
from recsys.models.base import Validate
from recsys.models.capabilities import PersonaRecommender
from recsys.models.preference.network import Kind, PreferenceNetwork, PreferenceTask
from recsys.training.session import Session
from recsys.training.trainable import Optimization
from recsys.types import Items


@final
class PairwisePreference(PersonaRecommender):
    """Learn scores whose differences say which of two items a user prefers (Bradley and Terry, 1952).

        minimise  sum_(u, i > j) w_u softplus(-(s_ui - s_uj)) + lambda (|U_u|^2 / K + |v_i|^2 + b_i^2)

    The kinds of s_ui stand in `PreferenceNetwork`. "pooled" is one reward for all, and aggregates what users disagree
    on as Borda count does (Siththaranjan, Laidlaw, Hadfield-Menell, ICLR 2024); "mixture" is that of LoRe (Bose et al.,
    arXiv 2504.14439) with free item scores for features; "persona" lets the persona speak that has most to say of the
    item, as AMP-CF's attention does. Users are learned vectors: the history of a query is ignored, and, but for
    "pooled", unknown users raise.

    Pairs are of ratings at most `window` of the user's own events apart, and drawn anew in every epoch.

    Args:
        kind: "pooled", "vector", "mixture" or "persona".
        embedding_size: dimensions of the vectors; number of prototypes of "mixture".
        personas: K, read by "persona".
        sharpness: tau, read by "persona".
        regularization: lambda, per pair that is read.
        window: largest distance of the two ratings of a pair.
        partners: pairs tried per event and epoch.
        user_cap: the ratings from which on a user's pairs count less, so that users, not ratings, are learned from.
        optimization: epochs, batches, step size, early stopping.
        seed: fixes initial values, batches and pairs.

    Raises:
        ConfigError: a setting is out of range.
        DataError: the log has no two different ratings (when fitting).
    """

    def __init__(
        self,
        kind: Kind = "persona",
        embedding_size: int = 16,
        personas: int = 2,
        sharpness: float = 1.0,
        regularization: float = 0.01,
        window: int = 20,
        partners: int = 4,
        user_cap: int = 500,
        optimization: Optimization = Optimization(epochs=30, batch_size=4096, learning_rate=0.01),
        seed: int = 0,
    ) -> None:
        choice("kind", kind, Kind)
        for name, value in (("embedding_size", embedding_size), ("personas", personas), ("window", window)):
            whole(name, value)
        whole("partners", partners)
        whole("user_cap", user_cap)
        positive("sharpness", sharpness)
        positive("regularization", regularization, zero=True)
        seed_of_draws(seed)
        self.kind: Kind = kind
        self.embedding_size = embedding_size
        self._personas = personas
        self.sharpness = sharpness
        self.regularization = regularization
        self.window = window
        self.partners = partners
        self.user_cap = user_cap
        self.optimization = optimization
        self.seed = seed
        self._network: PreferenceNetwork

    @property
    def has_personas(self) -> bool:
        return self.kind != "pooled"

    @property
    def needs_known_users(self) -> bool:
        return self.kind != "pooled"

    @torch.inference_mode()
    def personas(self, queries: Queries) -> Float[Tensor, "queries personas dim"]:
        self.check_queries(queries)
        if self.kind == "pooled":
            raise CapabilityError("PairwisePreference(kind='pooled') has one order for all, and no personas")
        return self._network.personas_of(_tensor(queries.users))

    @torch.inference_mode()
    def item_vectors(self) -> Float[Tensor, "items dim"]:
        _ = self.fitted_on
        if self.kind == "pooled":
            raise CapabilityError("PairwisePreference(kind='pooled') has one order for all, and no vectors")
        return self._network.item.detach()

    @torch.inference_mode()
    def attention(self, queries: Queries, items: Items) -> Float[Tensor, "queries personas n"]:
        each = self.personas(queries) @ self.item_vectors()[_tensor(items)].transpose(1, 2)
        return self._network.attention(each)

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> tuple[int, int]:
        log = train.select(rated(train))
        self._build(train.n_users, train.n_items)
        settings = self.window, self.partners, self.user_cap, self.regularization
        task = PreferenceTask(self._network, log, *settings, self.optimization.batch_size, self.seed)
        from recsys.training.lightning import train as run_training  # noqa: PLC0415 (two seconds to import)

        epochs = run_training(
            task,
            self.optimization,
            session,
            identity=json.dumps([self.parameters_of_constructor(), train.fingerprint], sort_keys=True),
            validate=None if validate is None else lambda: validate(self),
        )
        return epochs, epochs * task.examples_per_epoch

    @torch.inference_mode()
    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        scores: Tensor = self._network(_tensor(queries.users))
        return scores.clone(memory_format=torch.contiguous_format)  # of "pooled" they are the parameters themselves

    def _build(self, users: int, items: int) -> None:
        source = torch.Generator().manual_seed(self.seed)
        size = self.embedding_size, self._personas, self.sharpness
        self._network = PreferenceNetwork(self.kind, users, items, *size, source)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {name: value.detach().cpu().numpy() for name, value in self._network.state_dict().items()}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._build(len(self.fitted_on.users), len(self.fitted_on.items))
        self._network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in arrays.items()})
        self._network.eval()


def _tensor(numbers: Items) -> Tensor:
    return torch.from_numpy(numbers.astype(np.int64))
