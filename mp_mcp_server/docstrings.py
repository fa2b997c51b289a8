"""A tool's docstring taken apart, so that a model reads each sentence once: as description or at its parameter."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_HEADING = re.compile(r"(Args|Returns|Raises|Source):\s*(.*)")
_ARGUMENT = re.compile(r"(\w+): (.*)")


@dataclass(frozen=True, slots=True)
class Docstring:
    """opening: all before the first heading; arguments: name → text; returns: one paragraph, empty if there is none."""

    opening: str
    arguments: dict[str, str] = field(default_factory=dict)
    returns: str = ""


def take_apart(function: Callable[..., Any]) -> Docstring:
    """Read the headings Args, Returns, Raises and Source; the last two are for readers of the code.

    fastmcp would do it with a parser that costs 0.2 s of start-up, and would drop Returns, where the units stand.
    """
    opening: list[str] = []
    sections: dict[str, list[str]] = {}
    current = opening
    for line in (inspect.getdoc(function) or "").splitlines():
        heading = _HEADING.fullmatch(line)
        if heading:
            current = sections.setdefault(heading[1], [])
            line = heading[2]  # noqa: PLW2901 - the rest of the heading's line belongs to its section
        current.append(line)
    return Docstring(
        opening="\n\n".join(" ".join(lines.split()) for lines in "\n".join(opening).strip().split("\n\n")),
        arguments=_arguments(sections.get("Args", [])),
        returns=" ".join(" ".join(sections.get("Returns", [])).split()),
    )


def _arguments(lines: list[str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    name = ""
    for line in lines:
        starts = _ARGUMENT.fullmatch(line.removeprefix("    "))
        if starts:
            name = starts[1]
            texts[name] = starts[2]
        elif name and line.strip():
            texts[name] += " " + line.strip()
    return texts
