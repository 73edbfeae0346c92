"""Bodies of the routes of the catalogue, and of lists for several users."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, WithJsonSchema

from recsys.events.items.records import LONGEST_FACT, LONGEST_GENRE, LONGEST_TITLE, MOST_GENRES, StoredItem
from recsys.serving.access import Code, Limits
from recsys.serving.http import schemas
from recsys.serving.http.schemas import TEXT, TIME, Body, Id, Whole, text_schema
from recsys.serving.records import RecommendationList

_PLAIN = {"type": ["string", "number", "boolean"], "pattern": "^[^\\u0000]*$", "maxLength": LONGEST_FACT}
_FACT = {"anyOf": [_PLAIN, {"type": "array", "items": _PLAIN}]}


def _facts(value: dict[str, Any]) -> dict[str, Any]:
    names = {"maxLength": LONGEST_GENRE, "not": {"enum": sorted(field.name for field in fields(StoredItem))}}
    facts = {"type": "object", "propertyNames": names | {"pattern": TEXT, "minLength": 1}}
    return {"anyOf": [facts | {"additionalProperties": value}, {"type": "null"}]}


_Metadata = Annotated[dict[str, Any] | None, WithJsonSchema(_facts(_FACT))]
_Changes = Annotated[dict[str, Any] | None, WithJsonSchema(_facts({"anyOf": [*_FACT["anyOf"], {"type": "null"}]}))]


MOST_USERS: Final = 100


class UsersIn(Body):
    """Several users, and what each list shall be."""

    user_ids: list[Id] = Field(
        min_length=1, json_schema_extra={"maxItems": MOST_USERS, "uniqueItems": True}, description="each once"
    )
    n: schemas.Length = 10
    at: schemas.AskedMoment = None
    exclude: schemas.Exclude = Field(default_factory=list)
    genre: schemas.Genre = Field(default_factory=list)
    from_year: schemas.Year = Field(None, description=schemas.FROM_YEAR)
    to_year: schemas.Year = Field(None, description=schemas.TO_YEAR)
    candidates: schemas.Candidates = None
    fields: schemas.Fields = None
    details: bool = Field(False, description="true: search for the events without which an item would leave, for each")


class ItemIn(Body):
    """What the catalogue shall say of an item. What is null is as the model has it, where it knows the item."""

    title: Annotated[str, WithJsonSchema(text_schema(LONGEST_TITLE))] | None = None
    year: schemas.Year = Field(None, description="null: the year at the end of the title")
    genres: list[Annotated[str, WithJsonSchema(text_schema(LONGEST_GENRE))]] | None = Field(
        None, json_schema_extra={"maxItems": MOST_GENRES}, description="categories, by which lists are filtered"
    )
    metadata: _Metadata = Field(None, description="other facts by name")
    available: bool = Field(True, description="false: on no list, from the next answer on")
    added_at: Whole | None = Field(
        None, description="Unix seconds; null: the moment at which it is first put", json_schema_extra=TIME
    )


class NamedItemIn(ItemIn):
    """An item of a batch."""

    item_id: Id


class ItemsIn(Body):
    """Items of the catalogue; all are taken, or none."""

    items: list[NamedItemIn] = Field(min_length=1, json_schema_extra={"maxItems": Limits.batch})


class ItemChangesIn(Body):
    """What shall be another of an item; what is not named stays. Null is as the model has it."""

    title: Annotated[str, WithJsonSchema(text_schema(LONGEST_TITLE))] | None = None
    year: schemas.Year = None
    genres: list[Annotated[str, WithJsonSchema(text_schema(LONGEST_GENRE))]] | None = Field(
        None, json_schema_extra={"maxItems": MOST_GENRES}
    )
    metadata: _Changes = Field(None, description="single facts: null removes one, others stay")
    available: bool = True
    added_at: Whole | None = Field(None, json_schema_extra=TIME)


class ItemsPutOut(BaseModel):
    """How many items are new, how many are others than before, and how many were the same already."""

    added: int
    changed: int
    same: int


class UserError(BaseModel):
    """Why a user of a batch has no list."""

    code: Code
    message: str


class UserList(BaseModel):
    """The list of a user of a batch, or why there is none."""

    user_id: str
    recommendations: RecommendationList | schemas.PickedList | None
    error: UserError | None


class ListsOut(BaseModel):
    """The lists of several users, in the order of the request."""

    model: str
    lists: list[UserList]
