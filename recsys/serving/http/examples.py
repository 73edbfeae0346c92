"""An example of every request and answer, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter

from recsys.explanations.records import (
    Evidence,
    Explanation,
    GenreShare,
    HalfLife,
    HalfLifeInterval,
    PersonaItem,
    PersonaShare,
)
from recsys.serving.access import CODES, Code
from recsys.serving.records import (
    Changed,
    ListedItem,
    LoggedEvent,
    Persona,
    Personas,
    PersonsReliability,
    Probabilities,
    QuestionAgain,
    QuestionsAgain,
    RecommendationList,
    SeatChange,
    ShareOfPreferences,
    Shelf,
    SimilarItem,
    SimilarItems,
    TitleMatch,
    TitleMatches,
    UserSummaries,
    UserSummary,
    WeighedEvent,
)

_MODEL, _NOW = "3f2a9c17", 1_735_689_600
_ALIEN, _THING = "Alien (1979)", "Thing, The (1982)"
_NAME = "Horror & Sci-Fi"

_MESSAGES: Final[dict[Code, str]] = {
    "invalid_request": "n is 0; ask for at least 1",
    "token_missing": "this needs a token; send the header Authorization: Bearer TOKEN",
    "scope_missing": "this needs the scope write; the token has read",
    "not_found": "there is no item 'x1'; GET /v1/items finds items by title",
    "method_not_allowed": "there is no PATCH here; use GET",
    "event_conflict": "event_id 'e1' was sent before with other content; give each event an id of its own",
    "body_too_large": "the body has more than 1,000,000 bytes; send less at once",
    "wrong_content_type": "send JSON, with the header Content-Type: application/json",
    "too_many_requests": "too many requests; wait as long as the header Retry-After says",
    "head_too_large": "the head of the request is too large; send parameters in a body",
    "internal": "something went wrong here; the log of the service has it under this request_id",
    "store_unavailable": "the event store cannot be reached; try again in a moment",
    "ledger_unavailable": "decisions cannot be recorded, so no list is given; try again later",
}

_CHANGED = Changed(
    (ListedItem("1200", "Aliens (1986)", 64),),
    (ListedItem("1247", "Graduate, The (1967)", 79),),
    (SeatChange(64, _NAME, 4, 3), SeatChange(79, "like Annie Hall and Manhattan", 6, 7)),
)

_LIST = RecommendationList(
    model=_MODEL,
    recommendation_id=f"0123456789abcdef-main-{_MODEL}",
    now=_NOW,
    known_events=41,
    unknown_items=(),
    items=(
        Explanation(
            item_id="1200",
            title="Aliens (1986)",
            score=0.83,
            personas=(PersonaShare(64, _NAME, 0.78), PersonaShare(79, "like Annie Hall and Manhattan", 0.22)),
            evidence=(
                Evidence("1214", _ALIEN, 0.31, 0.42, rating=5.0, age=86_400, recent=True),
                Evidence("2288", _THING, 0.14, 0.19, rating=4.5, age=2_592_000, recent=False),
            ),
            evidence_kind="contribution",
            certainty=0.61,
            reason="Above all because you rated Alien and The Thing above your average (horror & sci-fi): "
            "without them it would not be here.",
            recent=0.42,
            reason_kind="because",
            without=("1214", "2288"),
            owner=64,
            owner_name=_NAME,
            owner_share=0.78,
            certainty_word="strong",
            year=1986,
            genres=("Action", "Horror", "Sci-Fi"),
        ),
    ),
    shelves=(
        Shelf(64, _NAME, 0.56, 1, often=("thriller",)),
        Shelf(79, "like Annie Hall and Manhattan", 0.44, 0, often=("comedy",)),
    ),
)

_PERSONAS = Personas(
    model=_MODEL,
    now=_NOW,
    times=(_NOW - 31_536_000, _NOW),
    half_life=HalfLife("own", (HalfLifeInterval("days", 240.0, 120.0, None, 0.7),), 0.3, 41),
    personas=(
        Persona(
            persona=64,
            name=_NAME,
            renamed=False,
            weight=1.0,
            muted=False,
            share_now=0.56,
            share_long_term=0.48,
            items=(PersonaItem("1214", _ALIEN, 0.91), PersonaItem("2288", _THING, 0.88)),
            genres=(GenreShare("Horror", 0.9, 6.1), GenreShare("Sci-Fi", 0.6, 3.2)),
            activity=(0.4, 0.56),
            seats=4,
            often=("thriller",),
        ),
    ),
)

_DOUBTED = Probabilities(genuine=0.21, non_attitude=0.79, constructed=None)
_REASON = "no condition of an answer is known, so constructed answers cannot be told from preferences"
_RELIABILITY = PersonsReliability(
    _MODEL,
    41,
    ShareOfPreferences(share=0.83, low=0.7, high=0.92),
    identified=True,
    reason=_REASON,
    events=(
        WeighedEvent(
            "1214",
            _ALIEN,
            value=1.0,
            time=_NOW,
            weight=0.21,
            probabilities=_DOUBTED,
            expected=3.9,
            meant=False,
            why="unlike your other ratings, which foretell about 3.9",
        ),
    ),
)
_AGAIN = QuestionsAgain(
    _MODEL,
    _REASON,
    (1.0, 2.0, 3.0, 4.0, 5.0),
    (QuestionAgain("1214", _ALIEN, value=1.0, bits=0.31, changed=2, probabilities=_DOUBTED),),
)

_EVENT: dict[str, Any] = {
    "event_id": "0b9f5e1c-1",
    "user_id": "42",
    "item_id": "1214",
    "value": 5.0,
    "time": _NOW,
    "kind": "rating",
    "condition": "phone",
}
_CORRECTION: dict[str, Any] = {"model": _MODEL, "persona": 64, "weight": 0.0, "muted": True, "name": "Late nights"}
_STATE: dict[str, Any] = {"model": _MODEL}
_IMPRESSION: dict[str, Any] = {"recommendation_id": f"0123456789abcdef-main-{_MODEL}"}

_DATA: dict[str, Any] = {
    "user_id": "42",
    "events": [{**{name: _EVENT[name] for name in _EVENT if name != "user_id"}, "title": _ALIEN}],
    "impressions": [
        {**_IMPRESSION, "user_id": "42", "item_id": "1200", "position": 1, "shown": _NOW, "clicked": None},
    ],
    "logged": [TypeAdapter(LoggedEvent).dump_python(LoggedEvent("2288", 4.5, _NOW - 86_400), mode="json")],
    "corrections": [_CORRECTION],
    "settings": {"policy": '[{"id": "no-horror", "deny": {"genre": "Horror"}}]'},
    "belief": {"model": _MODEL, "sequence": 7, "events": 41, "state": "00ff"},
    "tokens": [{"label": "phone", "scopes": ["read"], "created": _NOW, "expires": None, "revoked": None}],
}


def _json(kind: Any, record: object) -> Any:  # noqa: ANN401 - JSON
    return TypeAdapter(kind).dump_python(record, mode="json")


PARAMETERS: Final[Mapping[str, Any]] = {
    "user_id": "42",
    "event_id": "0b9f5e1c-1",
    "item_id": "1214",
    "persona": 64,
    "n": 5,
    "at": "2024-12-31",
    "exclude": ["260"],
    "genre": ["Drama"],
    "from_year": 1990,
    "to_year": 1999,
    "details": "ready",
    "query": "alien",
    "changed": True,
    "shelf": "now",
    "age": 30,
    "region": "eu",
    "consent": ["history"],
    "role": "assistant",
    "profiling": "none",
    "decisions": "true",
    "audit_id": "0-17",
    "available": True,
    "fields": ["title", "metadata"],
    "cursor": "*",
}
"""Of each parameter in a path or a query, by its name."""

_QUESTION: dict[str, Any] = {
    "history": [{"item_id": "1214"}, {"item_id": "2288", "value": 4.5, "kind": "rating"}],
    "n": 5,
    "to_year": 1999,
}

_RULE: dict[str, Any] = {
    "id": "no-horror",
    "rule": "deny genre Horror",
    "why": "Not before bed.",
    "when": "",
    "unless": "",
}
_OWN_RULE: dict[str, Any] = {"id": "no-horror", "deny": {"genre": "Horror"}, "why": "Not before bed."}
_VERSION = "e369ad419d1d8e32e4aa7ce7477b5d2d372a75a2cbdb3ffc1f7091f5df8b96ba"
_LINE: dict[str, Any] = {
    "id": 17,
    "previous": "e0705598d6333cf7e765185f33f8d7d3ac137a33f37ccbca99a32572418a434a",
    "policy": _VERSION,
    "model": _MODEL,
    "items": ["1214"],
}

_ITEM: dict[str, Any] = {
    "title": _ALIEN,
    "genres": ["Horror", "Sci-Fi"],
    "metadata": {"brand": "Fox", "price": 3.5, "dubbed": ["de", "fr"]},
    "available": True,
    "added_at": _NOW,
}

_TEXT = "Mostly horror like Alien (1979) and The Thing (1982); often like Annie Hall (1977); avoids musicals."

BODIES: Final[Mapping[str, Any]] = {
    "InterviewIn": {
        "answers": [{"item_id": "1214", "answer": "like"}, {"item_id": "260", "answer": "dont_know"}],
        "skipped": ["589"],
        "screen": 4,
        "n": 5,
    },
    "InterviewScreen": {
        **_STATE,
        "questions": [{"item_id": "2288", "title": _THING, "year": 1982, "genres": ["Horror", "Sci-Fi"]}],
        "items": [{"item_id": "1200", "title": "Aliens (1986)", "year": 1986, "genres": ["Action", "Horror"]}],
        "known": 0.08,
        "leanings": [{"genre": "Horror", "lift": 1.4}],
        "notes": [],
    },
    "PolicyOut": {
        "name": "shop-eu",
        "version": _VERSION,
        "valid_from": None,
        "valid_until": None,
        "parameters": ["the rules of the organisation that runs the service"],
        "layers": [{"layer": "organisation", "rules": [_RULE]}],
        "options": [{"option": "profiling=none", "says": "ask for a list without your history"}],
    },
    "OwnPolicyIn": {"rules": [_OWN_RULE], "consents": ["history"]},
    "OwnPolicyOut": {"layer": [_RULE], "rules": [_OWN_RULE], "consents": ["history"], "age": 30, "region": "eu"},
    "CircumstancesIn": {"age": 30, "region": "eu"},
    "SummaryIn": {"text": _TEXT},
    "SummaryOut": {"text": _TEXT, "written": "person", "time": _NOW, "events_since": 3},
    "PersonsReliability": _json(PersonsReliability, _RELIABILITY),
    "QuestionsAgain": _json(QuestionsAgain, _AGAIN),
    "MeantIn": {"item_id": "1214", "meant": True},
    "MeantOut": {"item_id": "1214", "meant": True},
    "RankedItems": {
        **_STATE,
        "as_of": _NOW,
        "items": [{"item_id": "1214", "title": _ALIEN, "score": 31.5, "year": 1979, "genres": ["Horror", "Sci-Fi"]}],
        "next_cursor": None,
    },
    "ImpressionsIn": {**_IMPRESSION, "user_id": "42", "items": [{"item_id": "1200", "position": 1}]},
    "ImpressionsOut": {"recorded": 1, "repeated": 0},
    "ClickIn": {**_IMPRESSION, "user_id": "42", "item_id": "1200"},
    "ClickOut": {"recorded": True},
    "ItemIn": _ITEM,
    "ItemsIn": {"items": [{"item_id": "1214", **_ITEM}]},
    "ItemChangesIn": {"available": False, "metadata": {"price": None}},
    "ItemsPutOut": {"added": 1, "changed": 0, "same": 0},
    "CatalogueItem": {**_ITEM, "item_id": "1214", "year": 1979, "known": True, "changed_at": _NOW},
    "UsersIn": {"user_ids": ["42", "43"], "n": 1, "fields": ["title", "score"]},
    "ListsOut": {
        **_STATE,
        "lists": [
            {"user_id": "42", "recommendations": {**_json(RecommendationList, _LIST)}, "error": None},
            {
                "user_id": "43",
                "recommendations": None,
                "error": {"code": "not_supported", "message": "EASE does not know this user"},
            },
        ],
    },
    "AuditOut": {"line": _LINE, "intact": True, "is_users": True, "replayed": True, "note": ""},
    "EventsIn": {"events": [_EVENT]},
    "ListIn": {"n": 5, "exclude": ["260"], "genre": ["Drama"], "from_year": 1990},
    "QuestionIn": _QUESTION,
    "CorrectionIn": {"weight": 0.0, "name": "Late nights"},
    "RecommendationList": _json(RecommendationList, _LIST),
    "Personas": _json(Personas, _PERSONAS),
    "SimilarItems": _json(
        SimilarItems, SimilarItems(_MODEL, "1214", _ALIEN, (SimilarItem("1200", "Aliens (1986)", 0.62),))
    ),
    "TitleMatches": _json(
        TitleMatches, TitleMatches(_MODEL, (TitleMatch("1214", _ALIEN, 1979, ("Horror", "Sci-Fi")),))
    ),
    "UserSummaries": _json(UserSummaries, UserSummaries(_MODEL, (UserSummary("42", 41),))),
    "TakenOut": {"accepted": 1, "repeated": 0, "changed": _json(Changed, _CHANGED)},
    "CorrectedOut": {**_CORRECTION, "changed": _json(Changed, _CHANGED)},
    "OwnTokenOut": {"user_id": "42", "scopes": ["read", "write"]},
    "GenresOut": {**_STATE, "genres": ["Comedy", "Drama"]},
    "DataOut": _DATA,
    "ErasedOut": {"erased": True},
    "StateOut": {**_STATE, "status": "alive"},
    "ReadyOut": {**_STATE, "status": "ready", "scrubbing": 0},
}
"""Of each body of a request or an answer, by the name of its schema."""


def of_error(status: int) -> dict[str, Any]:
    """Return an example of an answer with an error."""
    code = CODES[status][0]
    return {"error": {"code": code, "message": _MESSAGES[code], "request_id": "c0ffee12"}}


def with_examples(document: dict[str, Any]) -> dict[str, Any]:
    """Add an example to every parameter, body and answer of an OpenAPI document; return it."""
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in PARAMETERS:
                    parameter.setdefault("example", PARAMETERS[parameter["name"]])
            bodies = {"0": operation.get("requestBody", {})} | operation["responses"]
            for status, body in bodies.items():
                for content in body.get("content", {}).values():
                    schema = content.get("schema", {})
                    schema = schema.get("anyOf", [schema])[0]  # of several forms the first is shown
                    name = schema.get("$ref", "").rsplit("/", 1)[-1]
                    if name == "ErrorOut":
                        content["example"] = of_error(int(status))
                    elif name in BODIES:
                        content["example"] = BODIES[name]
    return document
