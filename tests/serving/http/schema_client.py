"""A client that is made of an OpenAPI document: a function for each operation, which sends nothing the schema forbids.

It knows nothing of the service but its document, as a generated client does, and refuses answers that the document does
not describe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final
from urllib.parse import quote, urlencode

import httpx
import jsonschema_rs

Ask = Callable[..., httpx.Response]


@final
@dataclass(frozen=True)
class Operation:
    """One operation of a document: its method, the template of its path, and what the document says of it."""

    method: str
    path: str
    said: Mapping[str, Any]

    def parameter(self, name: str) -> Mapping[str, Any]:
        """Return what the document says of a parameter."""
        found: Mapping[str, Any] = next(one for one in self.said.get("parameters", ()) if one["name"] == name)
        return found


@final
class SchemaClient:
    """Calls operations by their id.

    Args:
        document: OpenAPI 3.1.
        ask: sends a request: method, path, `json`.

    Attributes:
        operations: by id.
        called: ids of the operations that were answered with a success.
    """

    def __init__(self, document: Mapping[str, Any], ask: Ask) -> None:
        self._document = document
        self._ask = ask
        self.called: set[str] = set()
        self.operations = {
            said["operationId"]: Operation(method.upper(), path, said)
            for path, methods in document["paths"].items()
            for method, said in methods.items()
        }

    def call(self, name: str, parameters: Mapping[str, Any] | None = None, body: object = None) -> Any:
        """Call an operation and return its answer, None where it has no content.

        Raises:
            AssertionError: the schema forbids a parameter or the body, or does not describe the answer.
        """
        operation = self.operations[name]
        given = dict(parameters or {})
        path, query = operation.path, []
        for key, value in given.items():
            said = operation.parameter(key)
            self._check(said["schema"], value, f"{name}: {key}")
            if said["in"] == "path":
                path = path.replace(f"{{{key}}}", quote(str(value), safe=""))
            else:
                query += [(key, _text(one)) for one in (value if isinstance(value, list) else [value])]
        assert "{" not in path, f"{name}: a parameter of {path} is missing"
        options: dict[str, Any] = {}
        if body is not None:
            self._check(operation.said["requestBody"]["content"]["application/json"]["schema"], body, f"{name}: body")
            options["json"] = body
        answer = self._ask(operation.method, path + (f"?{urlencode(query)}" if query else ""), **options)
        described = operation.said["responses"].get(str(answer.status_code))
        assert described is not None, f"{name}: {answer.status_code} is not described: {answer.text}"
        assert answer.is_success, f"{name}: {answer.status_code} {answer.text}"
        self.called.add(name)
        content = described.get("content", {}).get("application/json")
        if content is None:
            return answer.text or None
        told = answer.json()
        self._check(content["schema"], told, f"{name}: answer")
        return told

    def _check(self, schema: Mapping[str, Any], value: object, where: str) -> None:
        whole = {"components": self._document["components"], "allOf": [schema]}
        errors = [error.message for error in jsonschema_rs.Draft202012Validator(whole).iter_errors(value)]
        assert not errors, f"{where}: {errors[:3]}"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
