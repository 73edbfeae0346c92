"""PersonaEASE: EASE with an expert per group of items, in closed form; no attention in the score."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import positive, seed_of_draws
from recsys.data.clusters import pure_svd, pure_svd_of_gram, spherical_kmeans, unit_rows
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.models.base import FittedOn, Validate
from recsys.models.capabilities import (
    AdditiveEvents,
    AdditivePersonas,
    FoldIn,
    IncrementalPersonas,
    LinearRows,
    PersonaRecommender,
    RoutesItems,
    SampledContributions,
    SummedFit,
    TrainingUsers,
    WeightedFit,
)
from recsys.models.feedback import FeedbackReader, Weighting, check_weighting
from recsys.models.linear.ease import Cooccurrence
from recsys.models.linear.exact_sums import ExactSummation, ExactSums
from recsys.models.linear.operations import (
    CachedColumns,
    check_memory,
    event_weights,
    pair_weights,
    sum_of_rows,
    table_rows,
    weighted_sum,
)
from recsys.models.linear.persona_ridge import PersonaRidge
from recsys.models.linear.persona_sums import solve_sums
from recsys.training.progress import FitProgress
from recsys.training.session import Session
from recsys.types import Doubles, Floats, Ints, Items


@final
class PersonaEASE(
    PersonaRecommender,
    SummedFit,
    FoldIn,
    SampledContributions,
    RoutesItems,
    AdditivePersonas,
    LinearRows,
    IncrementalPersonas,
    AdditiveEvents,
    WeightedFit,
):
    """Personas split the items, each has a linear expert, and the experts of a candidate's personas are mixed.

        r_jk  = softmax_k( tau_r cos(q_j, c_k) )               routing of item j to persona k
        B_ji  = sum_k r_ik B^(k)_ji                            mixture of the experts of candidate i
        U_uk  = (sum_j w_j)^-b sum_j w_j r_jk B_j              persona k, in the space of items
        s_ui  = sum_k U_uk . v_i,   v_i = e_i;    a_uik = softmax_k( tau U_uk . v_i )

    q_j are PureSVD item vectors less their mean over events (otherwise the clusters mirror popularity, and one of them
    holds half of all items), c_k the centres of their k-means clusters. The experts B^(k) are ridge regressions
    (`PersonaRidge`): expert k trusts items of persona k more than others (`cohesion`) and learns most from users in
    whom persona k is strong (`locality`). The score is the sum over personas, linear in the history; the attention
    a_uik attributes it and has no influence on it. One persona is EASE with weighted users and has exactly as many
    parameters as several: the mixture is one matrix.

    Where ratings or kinds of events count (`FeedbackReader`; there is one feature for each event), the feature of
    event j takes the place of the factor w_j, and the targets of the regression that of the events; the sum of weights
    is that of the events which have a feature.

    Args:
        personas: K.
        regularization: lambda of the regression.
        cohesion: gamma; how much less weights between items of one persona are shrunk than others. 0: equally.
        locality: power of a persona's share by which its expert weights users. 0: equally.
        user_power: a; a user with n events counts n ** (-2 a).
        history_power: b; histories are scaled by the number of their events to this power (negative).
        item_power: p; weights of popular items are shrunk more, by popularity ** (2 p).
        routing_sharpness: tau_r.
        temperature: tau of the attention; does not influence scores.
        factors: dimensions of the PureSVD item vectors.
        memory_limit_gb: refuse to fit when the estimate (10^9 bytes) exceeds this.
        seed: of PureSVD and k-means.
        feedback: how ratings and kinds of events count.

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
        feedback: Weighting = "events",
    ) -> None:
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
        seed_of_draws(seed)
        self.seed = seed
        check_weighting(feedback, "PersonaEASE")
        self.feedback = feedback
        self._reader = FeedbackReader(feedback)
        self._training_weights: Floats | None = None
        positive("personas", personas)
        for name in ("regularization", "temperature", "factors", "memory_limit_gb"):
            positive(name, getattr(self, name))
        for name in ("cohesion", "locality", "user_power", "history_power", "item_power", "routing_sharpness"):
            positive(name, getattr(self, name), zero=True)
        self._weights: Tensor
        self._sample_columns = CachedColumns()
        self._routing: Floats
        self._exact: ExactSummation | None = None

    @property
    def folds_in(self) -> bool:
        return True

    def weighing(self, weights: Floats) -> Self:
        fresh = self.unfitted()
        fresh._training_weights = weights
        return fresh

    def personas(self, queries: Queries) -> Float[Tensor, "queries personas dim"]:
        _ = self.fitted_on
        routed = self._event_weights(queries)[:, None] * self._routing[np.maximum(queries.history.items, 0)]
        return torch.stack([self._weighted_sum(queries, routed[:, k]) for k in range(self._personas)], 1)

    def item_vectors(self) -> Float[Tensor, "items dim"]:
        return torch.eye(self.n_items)

    def attention(self, queries: Queries, items: Items) -> Float[Tensor, "queries personas n"]:
        return self.attention_of(queries, self.contributions(queries, items))

    def attention_of(
        self, queries: Queries, contributions: Float[Tensor, "events n"]
    ) -> Float[Tensor, "queries personas n"]:
        return self._attention(self._by_persona(queries, contributions))

    def attention_and_persona_scores(
        self, queries: Queries, items: Items
    ) -> tuple[Float[Tensor, "queries personas n"], Float[Tensor, "queries personas n"]]:
        scores = self._by_persona(queries, self.contributions(queries, items))
        return self._attention(scores), scores

    def contributions(self, queries: Queries, items: Items) -> Float[Tensor, "events n"]:
        """Return (sum_j w_j)^-b w_j B_ji, the exact contribution of each event."""
        _ = self.fitted_on
        return torch.from_numpy(self._event_weights(queries)[:, None] * pair_weights(self._weights, queries, items))

    def contributions_to_sample(
        self, queries: Queries, item_sample: Items, items: Items
    ) -> tuple[Float[Tensor, "events item_sample"], Float[Tensor, "events n"]]:
        """Return f_j B_ji, f_j = w_j where all events count alike: without (sum_j w_j)^-b, which a query shares."""
        _ = self.fitted_on
        sample = self._sample_columns.rows(self._weights, item_sample, queries.history.items)
        own = pair_weights(self._weights, queries, items)
        features = self._reader.features(queries)
        return weighted_sum(features, [sample]), weighted_sum(features, [own])

    def routing(self) -> Floats:
        _ = self.fitted_on
        return self._routing

    def counts_alike(self, queries: Queries) -> bool:
        return self._reader.is_plain(queries)

    def exact_sums(self, items: Items, former: ExactSums | None = None) -> ExactSums:
        return self._summation().of(items, former)

    def attention_and_scores_of(
        self, sums: ExactSums
    ) -> tuple[Float[Tensor, "personas items"], Float[Tensor, "personas items"]]:
        scale = self._summation().unit * max(len(sums.items), 1) ** -self.history_power
        scores = torch.from_numpy((sums.sums * scale).astype(np.float32))
        return self._attention(scores[None])[0], scores

    def rows(self) -> Float[Tensor, "items items"]:
        _ = self.fitted_on
        return self._weights

    def event_rows(self, queries: Queries, events: Ints, items: Items | None = None) -> Floats:
        rows = table_rows(self._weights, queries.history.items[events], items)
        return np.asarray(self.row_weights(queries)[events, None] * rows, np.float32)

    def row_weights(self, queries: Queries) -> Floats:
        return self._event_weights(queries)

    def _summation(self) -> ExactSummation:
        _ = self.fitted_on
        if self._exact is None:
            self._exact = ExactSummation(self._weights, self._routing)
        return self._exact

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None:
        fit = f"PersonaEASE on {train.n_users} users and {train.n_items} items"
        needed = PersonaRidge.memory_gb(train.n_users, train.n_items)
        check_memory(fit, needed, self.memory_limit_gb, "use AMPCF (configs/ampcf_latent.yaml), IALS or ItemKNN")
        self._routing = np.ones((train.n_items, 1), np.float32)
        if self._personas > 1:
            vectors = pure_svd(train.matrix(), self.factors, self.seed)
            self._routing = self._route(vectors, vectors[train.uses.item_num].mean(0))
        self._reader = FeedbackReader.of(self.feedback, train, "PersonaEASE")
        (features,), targets = self._reader.matrices(train, self._training_weights)
        routing = self._of_experts()
        work = PersonaRidge.work(train.n_users, train.n_items, routing.shape[1])
        progress = FitProgress(fit, work, session, needed)
        self._weights, self._exact = self._ridge().solve(features, routing, progress, targets), None

    def _prepare(self, train: FittedOn) -> None:
        self._reader = FeedbackReader.of_each(self.feedback, train.clock, "PersonaEASE")

    def _learn(self, users: TrainingUsers, session: Session) -> None:
        n_items, n_users = self.n_items, len(self.fitted_on.users)
        fit, needed = f"PersonaEASE on {n_items} items", PersonaRidge.memory_gb(n_items, n_items)
        check_memory(fit, needed, self.memory_limit_gb, "use AMPCF (configs/ampcf_latent.yaml)")
        self._routing = np.ones((n_items, 1), np.float32)
        if self._personas > 1:
            gram = users.total(Cooccurrence(self._reader))["gram"]
            vectors = pure_svd_of_gram(gram, n_users, self.factors, self.seed)
            del gram
            self._routing = self._route(vectors, np.average(vectors, 0, self.fitted_on.item_counts))
        routing, one = self._of_experts(), PersonaRidge.work(n_items, n_items, 1)
        progress = FitProgress(fit, one * routing.shape[1], session, needed)
        advance = partial(progress.advance, one)
        self._weights, self._exact = solve_sums(self._ridge(), users, self._reader, routing, advance), None

    def _ridge(self) -> PersonaRidge:
        powers = self.user_power, self.history_power, self.item_power
        return PersonaRidge(self.regularization, *powers, self.cohesion, self.locality)

    def _of_experts(self) -> Floats:
        """Return the routing to experts: equal experts are one."""
        equal = self.cohesion == self.locality == 0
        return np.ones((self.n_items, 1), np.float32) if equal else self._routing

    def _route(self, vectors: Doubles, mean: Doubles) -> Floats:
        """Return the routing, given PureSVD item vectors and their mean over events."""
        vectors = unit_rows(vectors - mean)
        label = spherical_kmeans(vectors, self._personas, self.seed)
        centre = unit_rows(np.stack([vectors[label == k].sum(0) for k in range(self._personas)]))
        logits = self.routing_sharpness * (vectors @ centre.T)
        weight = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(weight / weight.sum(1, keepdims=True), dtype=np.float32)

    def _event_weights(self, queries: Queries) -> Floats:
        """Return f_j (sum_j w_j)^-b, "events"; 0 for events that are not counted."""
        (feature,) = self._reader.features(queries)
        weights = feature
        if not self._reader.is_plain(queries):
            weights = np.where(feature > 0, event_weights(queries), np.abs(feature))
        total = queries.history.sum(weights)
        scale = np.where(total > 0, total, 1.0) ** -self.history_power
        return np.asarray(feature * scale[queries.history.rows], dtype=np.float32)

    def _attention(self, scores: Float[Tensor, "queries personas n"]) -> Float[Tensor, "queries personas n"]:
        return torch.softmax(self.temperature * scores, 1)

    def _by_persona(
        self, queries: Queries, contributions: Float[Tensor, "events n"]
    ) -> Float[Tensor, "queries personas n"]:
        """Sum contributions over each query's events, split by persona.

        In double precision and rounded once, so that the last bits do not depend on the other items of the query.
        """
        # Unknown items read item 0; their contributions are 0.
        routing = torch.from_numpy(self._routing.take(queries.history.items, 0, mode="clip")).double()
        contributions = contributions.double()
        if len(queries) == 1:
            return (routing.T @ contributions)[None].float()
        count, starts = len(routing), torch.from_numpy(queries.history.indptr[:-1])
        sums = torch.nn.functional.embedding_bag(
            torch.arange(count).repeat(self._personas),
            contributions,
            torch.cat([starts + count * persona for persona in range(self._personas)]),
            mode="sum",
            per_sample_weights=routing.T.reshape(-1),
        )
        return sums.view(self._personas, len(queries), -1).transpose(0, 1).float()

    def _weighted_sum(self, queries: Queries, weights: Floats) -> Float[Tensor, "queries items"]:
        return sum_of_rows(self._weights, queries.history.items, queries.history.indptr, weights)

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return self._weighted_sum(queries, self._event_weights(queries))

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"weights": self._weights.numpy(), "routing": self._routing} | self._reader.arrays()

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._weights = torch.from_numpy(arrays["weights"].copy())
        self._routing = arrays["routing"].copy()
        self._reader = FeedbackReader.restored(arrays)
        self._exact = None
