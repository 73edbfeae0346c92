"""What the package offers. A change here is a change for users: it belongs into the changelog."""

from __future__ import annotations

import recsys
import recsys.explanations
import recsys.models


def test_models() -> None:
    assert sorted(recsys.models.__all__) == [
        "AMPCF",
        "BPR",
        "Decayed",
        "EASE",
        "FoldIn",
        "IALS",
        "ItemKNN",
        "LinearAMPCF",
        "LinearNextItem",
        "MF",
        "PerUserDecay",
        "PersonaPrior",
        "PersonaRecommender",
        "Popularity",
        "RecentPopularity",
        "Recommendations",
        "Recommender",
        "TimeSVD",
    ]


def test_explanations() -> None:
    assert sorted(recsys.explanations.__all__) == [
        "Evidence",
        "EvidenceMethod",
        "Explanation",
        "FidelityReport",
        "GenreShare",
        "HalfLife",
        "HalfLifeInterval",
        "METRICS",
        "ORIENTATION",
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


def test_version_is_the_changelogs() -> None:
    assert recsys.__version__ == "0.1.0"
