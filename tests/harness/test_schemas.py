"""Every command with `--json` has a schema in the repository, which knows every key that it prints."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from typer.main import get_command

from harness.cli import app
from tests.support import schemas


def commands(group: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command that takes `--json`, by its words joined by a hyphen."""
    for name, command in group.commands.items():
        words = (*before, name)
        if any("--json" in parameter.opts for parameter in command.params):
            yield "-".join(words), command
        if hasattr(command, "commands"):
            yield from commands(command, words)


COMMANDS = dict(commands(get_command(app)))
FILES = sorted(path.stem for path in schemas.DIRECTORY.glob("*.json"))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_a_schema(name: str) -> None:
    assert name in FILES


@pytest.mark.parametrize("name", FILES)
def test_every_schema_is_one_and_is_of_a_command(name: str) -> None:
    assert name == schemas.ERROR or name in COMMANDS
    schema = json.loads((schemas.DIRECTORY / f"{name}.json").read_text())
    jsonschema_rs.meta.validate(schema)
    for part in objects(schema):
        assert "additionalProperties" in part or "properties" not in part, f"says nothing of other keys: {part}"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_takes_a_stacks_name(name: str) -> None:
    assert any("--stack" in parameter.opts for parameter in COMMANDS[name].params)


def test_a_key_that_a_schema_does_not_know_is_found() -> None:
    good = {"ended": [], "strays": 0, "ports": [], "restored": []}
    schemas.hold(["down", "--json"], json.dumps(good), "")
    with pytest.raises(AssertionError, match=r"down\.json.*more"):
        schemas.hold(["down", "--json"], json.dumps(good | {"more": 1}), "")
    with pytest.raises(AssertionError, match=r"error\.json"):
        schemas.hold(["down", "--json"], "", '{"code": "X", "cause": "no fix"}')


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every part of a schema that describes an object."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from objects(part)
