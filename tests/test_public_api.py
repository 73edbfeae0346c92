"""What the package offers. A change here is a change for users: it belongs into the changelog."""

from __future__ import annotations

import inspect

import recsys
import recsys.explanations
import recsys.models

SIGNATURES = {
    "Columns": None,
    "Evaluation": None,
    "Interactions": None,
    "Recommender": None,
    "Split": None,
    "compare": "(a, b, questions, train, *, metrics, bootstrap, seed)",
    "evaluate": "(model, questions, train, *, metrics, cutoffs, tastes, batch_size, progress)",
    "explain": "(model, user, *, items, history, log, n, at, evidence)",
    "from_pandas": "(frame, *, user, item, value, time, rating, timestamp, kind, feedback, columns, name)",
    "load": "(name_or_file, *, root, columns, on_error, rejects, seed, items, duplicates, re_ratings)",
    "load_model": "(path, allow)",
    "models": None,
    "personas": "(model, users, *, history, log, at, top)",
    "read": (
        "(path, columns, *, user, item, value, time, rating, timestamp, kind, feedback, on_error, rejects, name, "
        "reader, items)"
    ),
    "recommend": "(model, users, *, history, log, n, at, reasons)",
    "recommend_all": "(model, log, path, *, users, n, reasons, batch_size, progress)",
    "save": "(model, path, *, extra)",
    "similar_items": "(model, items, *, n)",
    "split": (
        "(log, name, *, seed, min_user_events, min_item_events, fractions, n, history, threshold, ask, pause, among)"
    ),
    "train": "(data, model, *, session, former, **settings)",
}
"""The functions of the package with their parameters, and its other names but for errors."""


def _parameters(function: object) -> str:
    """Return the names and kinds of parameters as they are written in a signature."""
    assert callable(function)
    parameters = inspect.signature(function).parameters.values()
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty, default=inspect.Parameter.empty)
        for parameter in parameters
    ]
    return str(inspect.Signature(bare, __validate_parameters__=False))


def test_the_package() -> None:
    errors = {"BundleError", "CapabilityError", "ConfigError", "DataError", "NotFittedError", "RecsysError"}
    assert set(recsys.__all__) == errors | set(SIGNATURES)
    assert all(issubclass(getattr(recsys, error), recsys.RecsysError) for error in errors)
    shown = {name: _parameters(getattr(recsys, name)) for name, signature in SIGNATURES.items() if signature}
    assert shown == {name: signature for name, signature in SIGNATURES.items() if signature}


def test_type_checkers_see_the_same_names() -> None:
    """Completion reads the imports under TYPE_CHECKING, Python the table of homes: both name the same."""
    source = inspect.getsource(recsys)
    typed, _, _ = source.partition("_HOMES")
    for name, home in recsys._HOMES.items():
        module, _, attribute = home.partition(":")
        if name == "from_pandas":
            assert "from_pandas = Interactions.from_pandas" in typed
        else:
            package, _, last = module.rpartition(".")
            line = f"from {module} import {attribute}" if attribute else f"from {package} import {last}"
            assert f"{line} as {name}\n" in typed


def test_models() -> None:
    assert sorted(recsys.models.__all__) == [
        "AMPCF",
        "BPR",
        "Decayed",
        "EASE",
        "FoldIn",
        "IALS",
        "ItemFeatures",
        "ItemKNN",
        "LinearNextItem",
        "MF",
        "PairwisePreference",
        "PersonaEASE",
        "PersonaPrior",
        "PersonaRecommender",
        "Popularity",
        "RecentPopularity",
        "Recommendations",
        "Recommender",
        "Reliable",
        "Remembering",
        "SequentialAMPCF",
        "SignedLinear",
        "Slated",
        "TimeSVD",
        "WithColdItems",
        "WithPersonas",
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
    assert recsys.__version__ == "0.2.0"
