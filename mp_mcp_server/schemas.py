"""JSON schemas in fewer bytes: a client's context pays for each, and what is left out here says nothing."""

from collections.abc import Mapping
from typing import Any


def short_input(schema: Mapping[str, Any]) -> dict[str, Any]:
    """An input schema without defaults of null: what may be left out is not in `required`."""
    properties = {
        name: {key: value for key, value in entry.items() if key != "default" or value is not None}
        for name, entry in schema["properties"].items()
    }
    return {**schema, "properties": properties}


def short_output(schema: Any) -> Any:
    """An output schema with one list of types in place of alternatives that are types and nothing else, and without
    saying that an object may have more than it must, which is so anyway."""
    if isinstance(schema, list):
        return [short_output(entry) for entry in schema]
    if not isinstance(schema, Mapping):
        return schema
    short = {
        key: short_output(value)
        for key, value in schema.items()
        if not (key == "additionalProperties" and value is True and schema.get("type") == "object")
    }
    choices = short.get("anyOf")
    if isinstance(choices, list) and all(isinstance(one, dict) and _is_a_type(one) for one in choices):
        del short["anyOf"]
        short["type"] = [one["type"] for one in choices]
    return short


def _is_a_type(schema: Mapping[str, Any]) -> bool:
    return set(schema) == {"type"} and isinstance(schema["type"], str)
