"""Persona corrections: how a user's weights and names of personas change queries and explanations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import final

import numpy as np
import torch

from recsys.data.queries import Queries
from recsys.errors import CapabilityError
from recsys.events.store import Correction
from recsys.explanations import Explanation, PersonaDescription, PersonaShare
from recsys.explanations.explain import certainty_of, evidence_sentence, is_low, persona_phrases
from recsys.models.base import Recommender
from recsys.models.capabilities import PersonaRecommender, RoutesItems
from recsys.serving.answers import UnknownError


@final
class PersonaCorrections:
    """The corrections of one model's personas.

    A correction multiplies what a persona contributes. Where the model routes items to personas, event j counts
    w_j sum_k c_k r_jk: with linear experts that is sum_k c_k U_uk . v_i, exactly, and the evidence still adds up.

    Args:
        model: a fitted model.
        fingerprint: of the model; corrections of other models are ignored.
    """

    def __init__(self, model: Recommender, fingerprint: str) -> None:
        self._model = model
        self._fingerprint = fingerprint
        scoring = model.scoring_model
        self._routing = scoring.routing() if isinstance(scoring, RoutesItems) and scoring.folds_in else None
        self._n_personas = _count_personas(model)

    @property
    def fingerprint(self) -> str:
        """Of the model."""
        return self._fingerprint

    def check(self, persona: int, correction: Correction) -> None:
        """Raise unless the model has this persona and can honour the correction; see `Answers.check_correction`."""
        if not 0 <= persona < self._n_personas:
            some = f"0 to {self._n_personas - 1}" if self._n_personas else "none"
            raise UnknownError(f"there is no persona {persona}; this model has {some}")
        if correction.weight != 1 and self._routing is None:
            name = type(self._model).__name__
            raise CapabilityError(
                f"{name} does not route items to personas, so none can be muted or boosted; leave weight at 1"
            )

    def of_model(self, corrections: Mapping[int, Correction]) -> dict[int, Correction]:
        """Return the corrections of this model's personas that change anything."""
        return {
            persona: correction
            for persona, correction in corrections.items()
            if correction.model in ("", self._fingerprint)
            and persona < self._n_personas
            and (correction.weight != 1 or correction.name is not None)
        }

    def weigh(self, queries: Queries, corrections: Mapping[int, Correction]) -> Queries:
        """Return a user's query with each event weighted by the factors of its personas.

        The history is empty where all personas are muted.
        """
        if not corrections:
            return queries
        factors = np.ones(self._n_personas, np.float32)
        for persona, correction in corrections.items():
            factors[persona] = correction.weight
        if self._routing is None or bool((factors == 1).all()):
            return queries
        if not factors.any():
            empty = Queries.from_history([[]], users=queries.users, now=queries.now)
            return replace(empty, exclude=queries.excluded)
        # Scaled to at most 1, as weights are; the order of the items stays.
        routed = self._routing[np.maximum(queries.history.items, 0)] @ (factors / factors.max())
        return queries.with_weights(np.minimum(routed, 1.0).astype(np.float32))

    def explain(
        self,
        explanations: Sequence[Explanation],
        personas: Sequence[PersonaDescription],
        corrections: Mapping[int, Correction],
    ) -> list[Explanation]:
        """Return explanations with the user's own names and weights of the personas.

        a'_uik = c_k a_uik / sum_l c_l a_uil
        """
        names = {persona: correction.name for persona, correction in corrections.items()}
        named = [
            one if (name := names.get(one.persona)) is None else replace(one, name=name, named_by="user")
            for one in personas
        ]
        phrases = persona_phrases(named)
        return [_corrected(one, named, phrases, corrections) for one in explanations]


def _corrected(
    explanation: Explanation,
    named: Sequence[PersonaDescription],
    phrases: Sequence[str | None],
    corrections: Mapping[int, Correction],
) -> Explanation:
    factors = [corrections.get(one.persona, Correction()).weight for one in explanation.personas]
    weights = [one.weight * factor for one, factor in zip(explanation.personas, factors, strict=True)]
    total = sum(weights)
    shares = sorted(
        (
            PersonaShare(one.persona, named[one.persona].name, weight / total if total > 0 else one.weight)
            for one, weight in zip(explanation.personas, weights, strict=True)
        ),
        key=lambda share: -share.weight,
    )
    if not (explanation.evidence and shares):
        return replace(explanation, personas=tuple(shares))
    kind, evidence, phrase = explanation.evidence_kind, explanation.evidence, phrases[shares[0].persona]
    certainty = certainty_of(evidence, shares[0].weight) if kind == "contribution" else None
    reason = evidence_sentence(kind, evidence, phrase)
    return replace(
        explanation, personas=tuple(shares), reason=reason, certainty=certainty, low_certainty=is_low(certainty)
    )


def _count_personas(model: Recommender) -> int:
    if not (isinstance(model, PersonaRecommender) and model.has_personas):
        return 0
    with torch.inference_mode():
        anybody = Queries.from_history([[]], users=[0])
        return int(model.attention(anybody, np.zeros((1, 1), np.int32)).shape[1])
