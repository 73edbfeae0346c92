"""Explanations of recommendations: personas, evidence and a sentence, and the fidelity of evidence to the model."""

from recsys.explanations.explain import UserFacts, explain, explain_items, explain_read
from recsys.explanations.fidelity import METRICS, ORIENTATION, FidelityReport, fidelity
from recsys.explanations.methods import (
    EvidenceMethod,
    cosine_evidence,
    model_evidence,
    popularity_evidence,
    random_evidence,
    standard_methods,
)
from recsys.explanations.personas import describe_personas, user_persona_health
from recsys.explanations.records import (
    Evidence,
    Explanation,
    GenreShare,
    HalfLife,
    HalfLifeInterval,
    PersonaDescription,
    PersonaItem,
    PersonaShare,
)

__all__ = [
    "METRICS",
    "ORIENTATION",
    "Evidence",
    "EvidenceMethod",
    "Explanation",
    "FidelityReport",
    "GenreShare",
    "HalfLife",
    "HalfLifeInterval",
    "PersonaDescription",
    "PersonaItem",
    "PersonaShare",
    "UserFacts",
    "cosine_evidence",
    "describe_personas",
    "explain",
    "explain_items",
    "explain_read",
    "fidelity",
    "model_evidence",
    "popularity_evidence",
    "random_evidence",
    "standard_methods",
    "user_persona_health",
]
