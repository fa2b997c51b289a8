"""Schemas in fewer bytes say the same."""

from typing import Any

import pytest
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from mp_mcp_server.schemas import short_input, short_output


class Inner(TypedDict):
    name: str | None


class Outer(TypedDict):
    inner: Inner | None
    rest: dict[str, Any]
    counts: dict[str, int]
    either: list[int | str]


def test_an_output_schema_loses_no_word_that_says_something() -> None:
    short = short_output(TypeAdapter(Outer).json_schema())
    properties = short["properties"]
    assert properties["rest"] == {"title": "Rest", "type": "object"}
    assert properties["counts"]["additionalProperties"] == {"type": "integer"}
    assert properties["either"]["items"] == {"type": ["integer", "string"]}
    assert properties["inner"]["anyOf"] == [{"$ref": "#/$defs/Inner"}, {"type": "null"}]
    assert short["$defs"]["Inner"]["properties"]["name"]["type"] == ["string", "null"]
    assert short["required"] == ["inner", "rest", "counts", "either"]


@pytest.mark.parametrize("default", [False, 0, "", "day", 1])
def test_an_input_schema_keeps_the_defaults_that_are_values(default: object) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "default": default}, "b": {"default": None}}}
    assert short_input(schema) == {
        "type": "object",
        "properties": {"a": {"type": "string", "default": default}, "b": {}},
    }
