"""Mixpanel's own OpenAPI files, which lie beside the checkout and are never copied into it, and a reading of them."""

import copy
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import jsonschema_rs
import pytest
import yaml

from tests.support.repository import ROOT

FOLDER = ROOT.parent / "shared" / "reference" / "openapi"
FILES = ("query", "export", "annotations", "lexicon-schemas", "identity", "ingestion")
METHODS = ("get", "post", "put", "patch", "delete")


def require() -> None:
    """Skip the test where the files are not; fail it where they have to be, which is wherever CI=true."""
    if all((FOLDER / f"{name}.openapi.yaml").is_file() for name in FILES):
        return
    reason = "the official OpenAPI files are not at ../shared/reference/openapi, seen from the checkout"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass(frozen=True)
class Correction:
    """A place where an official file is wrong, or says less than the reference.

    at: the keys that lead there; the last one may be new
    value: what stands there instead
    reason: why, with the section of reference/mixpanel-api.md
    """

    file: str
    at: tuple[str, ...]
    value: object
    reason: str

    def apply(self, document: dict[str, Any]) -> None:
        """Change a document in place."""
        parent = document
        for key in self.at[:-1]:
            parent = parent[key]
        parent[self.at[-1]] = self.value


@cache
def _file(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.openapi.yaml").read_text("utf-8"))
    return loaded


def document(name: str, corrections: tuple[Correction, ...] = ()) -> dict[str, Any]:
    """A file, parsed anew, with those of the corrections that are about it."""
    made = copy.deepcopy(_file(name))
    for correction in corrections:
        if correction.file == name:
            correction.apply(made)
    return made


def operations(name: str) -> Iterator[str]:
    """Each operation of a file, as `GET /funnels`."""
    for path, item in _file(name)["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}"


@dataclass(frozen=True)
class Response:
    """What a file says of one answer.

    document: the whole file, in which references are looked up
    media_type: of the answer
    schema: of its body
    examples: the examples beside it, under their names
    """

    document: dict[str, Any]
    media_type: str
    schema: dict[str, Any]
    examples: dict[str, Any]

    def problems(self, body: object) -> list[str]:
        """Where a body does not fit, none if it does."""
        # OpenAPI 3.0's schemas are those of JSON Schema's fourth draft, but for `nullable`.
        whole = {**self.document, "allOf": [self.schema]}
        validator = jsonschema_rs.Draft4Validator(_draft4(whole))
        return [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(body)]

    def key_paths(self, body: object) -> set[str]:
        """The keys of a body and the kinds of its values, with `*` for keys that are data and `[]` for items."""
        return set(self._key_paths(body, self.schema, ""))

    def _key_paths(self, value: object, schema: dict[str, Any], at: str) -> Iterator[str]:
        schema = resolved(self.document, schema)
        if isinstance(value, dict):
            named = schema.get("properties")
            for key, item in value.items():
                inner = schema.get("additionalProperties", {}) if named is None else named.get(key, {})
                yield from self._key_paths(
                    item, inner if isinstance(inner, dict) else {}, f"{at}.{'*' if named is None else key}"
                )
        elif isinstance(value, list):
            for item in value:
                yield from self._key_paths(item, schema.get("items", {}), f"{at}[]")
        else:
            yield f"{at}: {_kind(value)}"


def response(document: dict[str, Any], operation: str, status: int, media_type: str | None = None) -> Response | None:
    """What a file says of an answer, None where it says nothing.

    Args:
        document: the file
        operation: method and path, as `GET /funnels`
        status: of the answer
        media_type: of the answer; without one, the first of the file
    """
    method, path = operation.split(" ", 1)
    by_status = document["paths"][path][method.lower()]["responses"]
    contents = resolved(document, by_status[str(status)])["content"] if str(status) in by_status else {}
    media_type = next(iter(contents), None) if media_type is None else media_type
    if media_type is None or media_type not in contents:
        return None
    content, schema = contents[media_type], contents[media_type]["schema"]
    examples = {name: example["value"] for name, example in content.get("examples", {}).items()}
    # A media type's example may stand beside its schema or inside; these files have both habits.
    if "example" in schema:
        examples["example"] = schema["example"]
    return Response(document, media_type, schema, examples)


def statuses(document: dict[str, Any], operation: str) -> list[int]:
    """The statuses of which a file says something."""
    method, path = operation.split(" ", 1)
    return [int(status) for status in document["paths"][path][method.lower()]["responses"]]


def examples(document: dict[str, Any], operation: str, status: int) -> list[str]:
    """The names of the examples of an answer."""
    said = response(document, operation, status)
    return [] if said is None else list(said.examples)


def misfits(document: dict[str, Any], operation: str, status: int, media_type: str, body: object) -> list[str]:
    """What of an answer a file does not allow."""
    said = response(document, operation, status, media_type)
    return [f"{status} {media_type} is not documented"] if said is None else said.problems(body)


def resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """A node, or what it refers to."""
    while "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        node = found
    return node


def _draft4(node: Any) -> Any:
    if isinstance(node, list):
        return [_draft4(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: _draft4(value) for key, value in node.items()}
    # A property may be called so, too.
    if isinstance(made.get("nullable"), bool) and made.pop("nullable"):
        made["type"] = [made["type"], "null"]
    return made


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "string"
