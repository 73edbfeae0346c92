"""Persona activity: the share of each persona in a user's state over the course of the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.explanations.found import memberships_of_found
from recsys.explanations.personas import as_personas
from recsys.models.base import Recommender
from recsys.models.capabilities import PersonaRecommender, RoutesItems
from recsys.models.decayed.persona_activity import memberships, persona_shares
from recsys.models.personas.model import WithPersonas
from recsys.types import Doubles, Ints

_MOMENTS = 100
"""The most moments of a history at which activity is computed: a picture shows no more."""


@final
@dataclass(frozen=True, eq=False)
class PersonaActivity:
    """One user's personas over time.

        activity_uk(t) = sum_j w_j(t) r_jk / sum_j w_j(t)        over the events j until t

    w_j(t) is the weight that event j had at the moment t under today's belief in the user's half-life (1 without decay:
    then activity is the share of the history so far), r_jk how much of event j belongs to persona k: whether it is one
    of its events, for personas found in the history; else the routing of the model, or the attention on the item where
    it routes none.

    Attributes:
        times: "moments", int64, ascending: moments of events, and the moment of the query.
        values: "moments personas"; rows sum to 1.
        long_term: "personas", the share of each persona in the whole history without decay; sums to 1.
    """

    times: Ints
    values: Doubles
    long_term: Doubles

    @property
    def now(self) -> Doubles:
        """ "personas": the share of each persona at the moment of the query."""
        return np.asarray(self.values[-1])


def persona_activity(model: Recommender, queries: Queries) -> list[PersonaActivity]:
    """Return the activity of each user's personas over time, in the order in which `describe_personas` lists them.

    Raises:
        CapabilityError: the model has no personas.
    """
    users = [queries.take(np.asarray([row])) for row in range(len(queries))]
    if isinstance(model, WithPersonas):
        return [activity_of(model, user, memberships_of_found(model, user, model.found(user))) for user in users]
    personas = as_personas(model)
    return [activity_of(personas, user, _memberships(personas, user)) for user in users]


def activity_of(model: Recommender, query: Queries, membership: Doubles) -> PersonaActivity:
    """Return the activity of one user's personas over time.

    Args:
        model: gives the weights of events.
        query: the user.
        membership: "events personas", r_jk.
    """
    long_term = persona_shares(membership, query, np.ones(len(membership)))
    times = _moments(query)
    then, position = _as_of(query, times)
    weights = model.read(then).queries.weights
    values = persona_shares(membership[position], then, np.ones(len(position)) if weights is None else weights)
    return PersonaActivity(times, values, long_term[0])


@torch.inference_mode()
def _memberships(model: PersonaRecommender, query: Queries) -> Doubles:
    """Return r_jk, "events personas"; 0 for unknown items."""
    within = model.scoring_model
    if isinstance(within, RoutesItems) and within.folds_in:
        return memberships(within.routing(), query)
    known = query.history.items != UNKNOWN
    # Decayed events belong to their persona all the same, so the attention is that of the undecayed model.
    attention = as_personas(within).attention(query, np.maximum(query.history.items, 0)[None, :])[0].T
    return np.asarray(np.where(known[:, None], attention.double().cpu().numpy(), 0.0))


def _moments(query: Queries) -> Ints:
    """Return times of events, evenly spread over a long history, and the moment of the query."""
    times = np.unique(query.times)
    chosen = np.unique(np.linspace(0, max(len(times) - 1, 0), min(len(times), _MOMENTS)).astype(np.int64))
    return np.unique(np.append(times[chosen], query.now))


def _as_of(query: Queries, times: Ints) -> tuple[Queries, Ints]:
    """Return the user's query as of just after each moment, and the positions of its events in `query`."""
    visible = (query.times <= times[:, None]).ravel()
    then = query.take(np.zeros(len(times), np.int64)).at(times).keep(visible)
    return then, np.tile(np.arange(len(query.times)), len(times))[visible]
