"""Lines of the ledger: what stands in one, and whether the same question gets the same list again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from recsys.policy.acts import acts
from recsys.policy.binding import BoundPolicy
from recsys.policy.catalogue import PolicyCatalogue
from recsys.policy.schema import Context
from recsys.serving.answers import Answers
from recsys.serving.filters import Filters
from recsys.serving.norms.circumstances import Circumstances
from recsys.serving.norms.ruled import Ruled


def line_of(
    bound: BoundPolicy,
    ruled: Ruled,
    catalogue: PolicyCatalogue,
    *,
    context: Context,
    request: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what is recorded of a decision; `Norms.record` adds whose it is."""
    return {
        "context": {
            "age": context.age,
            "region": context.region,
            "consents": sorted(context.consents),
            "role": context.role,
        },
        **request,
        "items": [catalogue.ids[item] for item in ruled.items],
        "acts": [one.to_dict(catalogue.ids) for one in acts(bound, ruled.plain, ruled.items)],
        "relaxed": list(ruled.relaxed),
        "gap": ruled.gap,
    }


def request_of(n: int, exclude: Collection[str], filters: Filters, *, profiling: bool) -> dict[str, Any]:
    """Return what a line holds of the request."""
    wanted = {
        "genre": list(filters.genres),
        "from_year": filters.from_year,
        "to_year": filters.to_year,
        "persona": filters.persona,
        **({} if filters.candidates is None else {"candidates": list(filters.candidates)}),
    }
    return {"n": n, "exclude": list(exclude), "profiling": profiling, "filters": wanted}


def replay(answers: Answers, user_id: str, line: Mapping[str, Any]) -> list[str]:
    """Return the list that the question of a line gets from the model, policy and history of today."""
    context, filters = line["context"], line["filters"]
    said = Circumstances(
        context["age"],
        context["region"],
        frozenset(context["consents"]),
        context["role"],
        profiling=line["profiling"],
        moment=line["time"],
        of_text=line.get("text") is not None,
    )
    candidates = filters.get("candidates")
    wanted = Filters(
        tuple(filters["genre"]),
        filters["from_year"],
        filters["to_year"],
        filters["persona"],
        None if candidates is None else tuple(candidates),
    )
    listed = answers.recommend(
        user_id, line["n"], line["moment"], line["exclude"], details=False, filters=wanted, said=said
    )
    return [str(one.item_id) for one in listed.items]
