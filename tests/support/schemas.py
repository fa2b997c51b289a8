"""The schema of what a command prints with `--json`: harness/schemas/COMMAND.json, its words joined by hyphens."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema_rs

DIRECTORY = Path(__file__).parents[2] / "harness" / "schemas"
ERROR = "error"


@functools.cache
def validator(name: str) -> jsonschema_rs.Draft202012Validator:
    """Of one schema file."""
    schema: dict[str, Any] = json.loads((DIRECTORY / f"{name}.json").read_text(encoding="utf-8"))
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def name_of(words: Sequence[str]) -> str | None:
    """The schema of a command line: that of its longest beginning that has one."""
    plain = [word for word in words if not word.startswith("-")]
    names = ["-".join(plain[:length]) for length in range(len(plain), 0, -1)]
    return next((name for name in names if (DIRECTORY / f"{name}.json").is_file()), None)


def hold(words: Sequence[str], out: str, err: str) -> None:
    """Red when a command that ran with `--json` printed anything that its schema does not know."""
    name = name_of(words)
    if "--json" not in words or name is None:
        # That every command has one is a test of its own.
        return
    # Not splitlines: a text in an answer may hold what else ends a line.
    for line in filter(None, out.split("\n")):
        # `up --attach` goes on with lines of logs.
        value = json.loads(line)
        streamed = name == "up" and "--attach" in words and "line" in value
        _hold("logs" if streamed else name, value)
    if err.startswith("{"):
        _hold(ERROR, json.loads(err))


def _hold(name: str, value: Any) -> None:
    wrong = list(validator(name).iter_errors(value))
    assert not wrong, f"harness/schemas/{name}.json: " + "; ".join(
        f"{'/'.join(map(str, error.instance_path)) or 'the whole'}: {error.message}" for error in wrong[:3]
    )
