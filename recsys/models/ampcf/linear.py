"""AMP-CF with linear experts: personas are groups of a user's items, and candidates attend to their experts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import positive
from recsys.data.clusters import pure_svd, spherical_kmeans, unit_rows
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import CapabilityError
from recsys.models.ampcf.ridge import PersonaRidge
from recsys.models.base import AdditivePersonas, FoldIn, PersonaRecommender, Validate
from recsys.models.linear.bounded_top_n import LinearRows
from recsys.models.linear.exact_sums import ExactSummation, ExactSums, IncrementalPersonas
from recsys.models.linear.operations import KeptColumns, event_weights, pair_weights, table_weights, weighted
from recsys.training.session import Session

_LOG = logging.getLogger(__name__)

_EVENTS = 64
"""Events of a history that are read at a time where it is asked about many items."""


@final
class LinearAMPCF(PersonaRecommender, FoldIn, AdditivePersonas, LinearRows, IncrementalPersonas):
    """Personas split the history, and each has a linear expert, to which the candidate items attend. In closed form.

        r_jk  = softmax_k( tau_r cos(q_j, c_k) )               routing of item j to persona k
        B_ji  = sum_k r_ik B^(k)_ji                            candidate i attends to the experts of its personas
        U_uk  = (sum_j w_j)^-b sum_j w_j r_jk B_j              persona k, in the space of items
        s_ui  = sum_k U_uk . v_i,   v_i = e_i;    a_uik = softmax_k( tau U_uk . v_i )

    q_j are PureSVD item vectors less their mean over events (without that the clusters mirror popularity, and one of
    them holds half of everything), c_k the centres of their k-means clusters. The experts B^(k) are ridge regressions
    (`PersonaRidge`): expert k trusts items of persona k more than others (`cohesion`) and learns most from users in
    whom persona k is strong (`locality`). The score is the sum over personas; the attention a_uik says which of them
    carries an item, and has no influence on the score. One persona is EASE with weighted users, and has exactly as many
    parameters as several: the mixture is one matrix.

    Args:
        personas: K.
        regularization: lambda of the regression.
        cohesion: gamma; how much more freely weights between items of one persona move than others. 0: alike.
        locality: power of a persona's share by which its expert weights users. 0: all alike.
        user_power: a; a user with n events counts n ** (-2 a).
        history_power: b; histories are scaled by the number of their events to this power (negative).
        item_power: p; weights of popular items are shrunk more, by popularity ** (2 p).
        routing_sharpness: tau_r.
        temperature: tau of the attention; it has no influence on scores.
        factors: dimensions of the PureSVD item vectors.
        memory_limit_gb: refuse to fit when the estimate (10^9 bytes) exceeds this.
        seed: of PureSVD and k-means.

    Raises:
        ConfigError: an argument is out of range, or lambda is too small for single precision (when fitting).
        CapabilityError: the log needs more memory than `memory_limit_gb` (when fitting).
    """

    def __init__(
        self,
        personas: int = 4,
        regularization: float = 5.0,
        cohesion: float = 1.5,
        locality: float = 0.2,
        user_power: float = 0.1,
        history_power: float = 0.4,
        item_power: float = 0.1,
        routing_sharpness: float = 3.0,
        temperature: float = 20.0,
        factors: int = 32,
        memory_limit_gb: float = 12.0,
        seed: int = 0,
    ) -> None:
        above_zero = {
            "personas": personas,
            "regularization": regularization,
            "temperature": temperature,
            "factors": factors,
            "memory_limit_gb": memory_limit_gb,
        }
        at_least_zero = {
            "cohesion": cohesion,
            "locality": locality,
            "user_power": user_power,
            "history_power": history_power,
            "item_power": item_power,
            "routing_sharpness": routing_sharpness,
        }
        for name, value in (above_zero | at_least_zero).items():
            positive(name, value, zero=name in at_least_zero)
        self._personas = personas
        self.regularization = regularization
        self.cohesion = cohesion
        self.locality = locality
        self.user_power = user_power
        self.history_power = history_power
        self.item_power = item_power
        self.routing_sharpness = routing_sharpness
        self.temperature = temperature
        self.factors = factors
        self.memory_limit_gb = memory_limit_gb
        self.seed = seed
        self._weights: Tensor
        self._item_sample = KeptColumns()
        self._routing: npt.NDArray[np.float32]
        self._exact: ExactSummation | None = None

    @property
    def folds_in(self) -> bool:
        return True

    def personas(self, queries: Queries) -> Float[Tensor, "queries personas dim"]:
        _ = self.fitted_on
        routed = self._event_weights(queries)[:, None] * self._routing[np.maximum(queries.history.items, 0)]
        return torch.stack([self._weighted_sum(queries, routed[:, k]) for k in range(self._personas)], 1)

    def item_vectors(self) -> Float[Tensor, "items dim"]:
        return torch.eye(self.n_items)

    def attention(self, queries: Queries, items: npt.NDArray[np.int32]) -> Float[Tensor, "queries personas n"]:
        return self._attention(self.persona_scores(queries, items))

    def persona_scores(self, queries: Queries, items: npt.NDArray[np.int32]) -> Float[Tensor, "queries personas n"]:
        """Return sum_j w_j r_jk B_ji of the items asked for; v_i = e_i need not be laid out for that."""
        if len(queries) > 1:
            return self._by_persona(queries, self.contributions(queries, items))
        # A history is asked about itself, and the square of a long one does not fit where it can be read fast.
        value = torch.zeros(self._personas, items.shape[1], dtype=torch.float64)
        weights, history = self._event_weights(queries), queries.history.items
        for start in range(0, len(history), _EVENTS):
            part = slice(start, start + _EVENTS)
            pairs = weights[part, None] * table_weights(self._weights, history[part], items[0])
            value += self._routed(history[part]).T @ torch.from_numpy(pairs).double()
        return value[None].float()

    def opinions(
        self, queries: Queries, items: npt.NDArray[np.int32]
    ) -> tuple[Float[Tensor, "queries personas n"], Float[Tensor, "queries personas n"]]:
        scores = self.persona_scores(queries, items)
        return self._attention(scores), scores

    def attention_of(
        self, queries: Queries, contributions: Float[Tensor, "events n"]
    ) -> Float[Tensor, "queries personas n"]:
        return self._attention(self._by_persona(queries, contributions))

    def contributions(self, queries: Queries, items: npt.NDArray[np.int32]) -> Float[Tensor, "events n"]:
        """Return (sum_j w_j)^-b w_j B_ji: what each event adds to each score, exactly."""
        _ = self.fitted_on
        return torch.from_numpy(self._event_weights(queries)[:, None] * pair_weights(self._weights, queries, items))

    def scaled_contributions(
        self, queries: Queries, item_sample: npt.NDArray[np.int32], items: npt.NDArray[np.int32]
    ) -> tuple[Float[Tensor, "events item_sample"], Float[Tensor, "events 1"]]:
        _ = self.fitted_on
        # Less (sum_j w_j)^-b, which is the same for all.
        others = self._item_sample.rows(self._weights, item_sample, queries.history.items)
        own = pair_weights(self._weights, queries, items[:, None])
        return weighted(queries, others), weighted(queries, own)

    def routing(self) -> npt.NDArray[np.float32]:
        """Return how much of each item belongs to each persona, "items personas"."""
        _ = self.fitted_on
        return self._routing

    def exact_sums(self, items: npt.NDArray[np.int32], former: ExactSums | None = None) -> ExactSums:
        return self._sums().of(items, former)

    def opinions_of(self, sums: ExactSums) -> tuple[Float[Tensor, "personas items"], Float[Tensor, "personas items"]]:
        scale = self._sums().unit * max(len(sums.items), 1) ** -self.history_power
        scores = torch.from_numpy((sums.sums * scale).astype(np.float32))
        return self._attention(scores[None])[0], scores

    def rows(self) -> Float[Tensor, "items items"]:
        _ = self.fitted_on
        return self._weights

    def row_weights(self, queries: Queries) -> npt.NDArray[np.float32]:
        return self._event_weights(queries)

    def _sums(self) -> ExactSummation:
        _ = self.fitted_on
        if self._exact is None:
            self._exact = ExactSummation(self._weights, self._routing)
        return self._exact

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None:
        needed = PersonaRidge.memory_gb(train.n_users, train.n_items)
        _LOG.info("LinearAMPCF on %d users and %d items needs about %.2f GB", train.n_users, train.n_items, needed)
        if needed > self.memory_limit_gb:
            raise CapabilityError(
                f"LinearAMPCF on {train.n_users} users and {train.n_items} items needs about {needed:.1f} GB, more "
                f"than memory_limit_gb={self.memory_limit_gb:g}; use AMPCF (configs/ampcf_latent.yaml), IALS or "
                "ItemKNN, keep fewer items with the filter of minimum events per item, or raise memory_limit_gb"
            )
        self._routing = self._route(train)
        ridge = PersonaRidge(
            self.regularization, self.user_power, self.history_power, self.item_power, self.cohesion, self.locality
        )
        # Without a difference between the experts there is no need to solve for each.
        alike = self.cohesion == self.locality == 0
        routing = np.ones((train.n_items, 1), np.float32) if alike else self._routing
        self._weights, self._exact = ridge.solve(train.matrix(), routing), None

    def _route(self, train: Interactions) -> npt.NDArray[np.float32]:
        if self._personas == 1:
            return np.ones((train.n_items, 1), np.float32)
        vectors = pure_svd(train.matrix(), self.factors, self.seed)
        vectors = unit_rows(vectors - vectors[train.item_num].mean(0))
        label = spherical_kmeans(vectors, self._personas, self.seed)
        centre = unit_rows(np.stack([vectors[label == k].sum(0) for k in range(self._personas)]))
        logits = self.routing_sharpness * (vectors @ centre.T)
        weight = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(weight / weight.sum(1, keepdims=True), dtype=np.float32)

    def _event_weights(self, queries: Queries) -> npt.NDArray[np.float32]:
        """Return w_j (sum_j w_j)^-b, "events"; 0 for events that do not count."""
        weights = event_weights(queries)
        if len(queries) == 1:  # as it comes while serving; added up in the same order, as the last bit shows
            total = np.cumsum(weights, dtype=np.float64)[-1:]
            return np.asarray(weights * self._scale_of(total), dtype=np.float32)
        rows = queries.history.rows
        scale = self._scale_of(np.bincount(rows, weights, minlength=len(queries)))
        return np.asarray(weights * scale[rows], dtype=np.float32)

    def _scale_of(self, total: npt.NDArray[np.floating | np.integer]) -> npt.NDArray[np.float64]:
        """Return (sum_j w_j)^-b, "queries", given the sums."""
        return np.asarray(np.where(total > 0, total, 1.0) ** -self.history_power)

    def _attention(self, scores: Float[Tensor, "queries personas n"]) -> Float[Tensor, "queries personas n"]:
        return torch.softmax(self.temperature * scores, 1)

    def _by_persona(
        self, queries: Queries, contributions: Float[Tensor, "events n"]
    ) -> Float[Tensor, "queries personas n"]:
        """Add what events contribute up by the personas that they belong to.

        In double precision and rounded once: else the last bits would depend on which other items are asked for.
        """
        routing, given = self._routed(queries.history.items), contributions.double()
        if len(queries) == 1:
            return (routing.T @ given)[None].float()
        # On a CPU embedding_bag is the fastest sparse product.
        count, starts = len(routing), torch.from_numpy(queries.history.indptr[:-1])
        added = torch.nn.functional.embedding_bag(
            torch.arange(count).repeat(self._personas),
            given,
            torch.cat([starts + count * persona for persona in range(self._personas)]),
            mode="sum",
            per_sample_weights=routing.T.reshape(-1),
        )
        return added.view(self._personas, len(queries), -1).transpose(0, 1).float()

    def _routed(self, items: npt.NDArray[np.int32]) -> Float[Tensor, "events personas"]:
        """Return how much of each event belongs to each persona, in double precision."""
        return torch.from_numpy(self._routing.take(items, 0, mode="clip")).double()  # what is unknown reads item 0

    def _weighted_sum(self, queries: Queries, weight: npt.NDArray[np.float32]) -> Float[Tensor, "queries items"]:
        """Return sum_j weight_j B_j for each query; on a CPU embedding_bag is the fastest sparse product."""
        return torch.nn.functional.embedding_bag(
            torch.from_numpy(np.maximum(queries.history.items, 0).astype(np.int64)),
            self._weights,
            torch.from_numpy(queries.history.indptr),
            mode="sum",
            per_sample_weights=torch.from_numpy(weight),
            include_last_offset=True,
        )

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return self._weighted_sum(queries, self._event_weights(queries))

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"weights": self._weights.numpy(), "routing": self._routing}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._weights = torch.from_numpy(arrays["weights"].copy())
        self._routing = arrays["routing"].copy()
        self._exact = None
