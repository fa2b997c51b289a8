"""Numbers that are known from the data set, counted by brute force: what cases expect of an answer.

`fixtures/cassettes/facts.json` holds them; a test counts them anew from the raw events. No tool is asked for one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import Exit, HarnessError, nearest

FILE = "facts.json"
HOME = Path(__file__).parents[2] / "fixtures" / "cassettes"


@dataclass(frozen=True, slots=True)
class Fact:
    """A number or a list of the data set by its name, such as `segmentation/total`."""

    name: str


@cache
def load(cassettes: Path = HOME) -> Mapping[str, Any]:
    """All facts by name.

    Raises:
        HarnessError: NO_FACTS (exit 4)
    """
    try:
        found: dict[str, Any] = json.loads((cassettes / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HarnessError(
            "NO_FACTS",
            f"what is known of the data set cannot be read: {error}",
            fix="run it in a checkout; fixtures/cassettes/facts.json is part of it",
            exit_code=Exit.COULD_NOT_CHECK,
        ) from None
    return found


def settled(value: Any, facts: Mapping[str, Any]) -> Any:
    """The value with each Fact in it replaced by what it stands for.

    Raises:
        HarnessError: UNKNOWN_FACT (exit 4)
    """
    if isinstance(value, Fact):
        if value.name not in facts:
            raise HarnessError(
                "UNKNOWN_FACT",
                f"nothing is known by the name {value.name}",
                fix=nearest(value.name, list(facts)),
                exit_code=Exit.COULD_NOT_CHECK,
            )
        return facts[value.name]
    if isinstance(value, Mapping):
        return {key: settled(inner, facts) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [settled(inner, facts) for inner in value]
    return value
