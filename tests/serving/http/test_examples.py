"""The OpenAPI document shows an example of every request and answer, and each is what its schema allows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from recsys.events.addresses import open_store
from recsys.serving.access import CODES
from recsys.serving.http.examples import of_error
from tests.serving.client import client_of, service_of, token


@pytest.fixture(scope="module")
def document(run: Path) -> dict[str, Any]:
    with open_store("memory:") as store:
        shown: dict[str, Any] = client_of(service_of(run, store), token(store)).get("/openapi.json").json()
    return shown


def _shown(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield the name of each parameter, body and answer, with its schema and what holds its example."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for parameter in operation.get("parameters", ()):
                yield f"{method} {path} {parameter['name']}", parameter["schema"], parameter
            bodies = {"body": operation.get("requestBody", {})} | operation["responses"]
            for name, body in bodies.items():
                for content in body.get("content", {}).values():
                    yield f"{method} {path} {name}", content["schema"], content


def _refused(document: dict[str, Any], schema: dict[str, Any], example: object) -> bool:
    whole = {"components": document["components"], "allOf": [schema]}
    return not jsonschema_rs.Draft202012Validator(whole).is_valid(example)


def test_every_request_and_answer_has_an_example_that_its_schema_allows(document: dict[str, Any]) -> None:
    shown = list(_shown(document))
    assert len(shown) > 100
    assert [name for name, _, holder in shown if "example" not in holder] == []
    assert [name for name, schema, holder in shown if _refused(document, schema, holder["example"])] == []


def test_an_example_that_the_schema_does_not_allow_is_seen(document: dict[str, Any]) -> None:
    for name, schema, holder in _shown(document):
        if name.endswith((" 200", " body")):
            assert _refused(document, schema, [holder["example"]]), name


def test_operations_with_an_answer_in_json_show_it(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path not in ("/metrics",) and "204" not in operation["responses"]:
                assert operation["responses"]["200"]["content"]["application/json"]["example"], f"{method} {path}"
            assert ("requestBody" in operation) == (method in ("patch", "post", "put") and not path.endswith("/reload"))


def test_every_error_has_an_example() -> None:
    assert [of_error(status)["error"]["code"] for status in CODES] == [codes[0] for codes in CODES.values()]
