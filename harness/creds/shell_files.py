"""What a shell's start files export, found by reading them: nothing of them is ever executed, no value ever shown."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.creds.shell_words import Command, commands
from harness.stack.services import CREDENTIALS

FILES = (".profile", ".bash_profile", ".zshenv", ".zshrc", ".bashrc")
"""Looked through in this order; what the last of them says counts."""
LONGEST_BYTES = 1 << 20

_EXPORTING = ("export", "declare", "typeset")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Export:
    """One variable in one start file.

    exported: whether programs see it, and not only the shell
    always: whether the shell comes by here whatever happens
    value: None where only running the file would tell; kept out of every repr
    """

    variable: str
    file: Path
    line: int
    exported: bool
    always: bool
    value: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unloaded:
    """A variable that a start file sets and the current shell does not have so.

    how: `not loaded`, `another value`, or `not exported` where the file only sets it
    """

    variable: str
    file: Path
    line: int
    how: str

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}"
        if self.how == "not exported":
            return f"{where} sets {self.variable} without export, so that no program sees it"
        if self.how == "another value":
            return f"{where} exports {self.variable}, and this shell has another value"
        return f"{where} exports {self.variable}, and this shell has not loaded it"


def unloaded(home: Path, environment: Mapping[str, str]) -> tuple[Unloaded, ...]:
    """The credentials that the start files of a home directory set and this environment does not have so."""
    last: dict[str, Export] = {}
    for name in FILES:
        last |= {found.variable: found for found in exports(home / name)}
    found = ((last[name], _how(last[name], environment)) for name in CREDENTIALS if name in last)
    return tuple(Unloaded(each.variable, each.file, each.line, how) for each, how in found if how)


def exports(path: Path, names: Sequence[str] = CREDENTIALS) -> tuple[Export, ...]:
    """Every line of a start file that sets one of these variables; none of a file that cannot be read."""
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_BYTES).decode(errors="replace")
    except OSError:
        return ()
    found: list[Export] = []
    marked: set[str] = set()
    for command in commands(text):
        exporting = _makes_exported(command.words)
        for name, raw in _assignments(command):
            if exporting:
                marked.add(name)
            if name in names and raw is not None:
                found.append(Export(name, path, command.line, exporting, command.always, _value(raw)))
    return tuple(replace(each, exported=each.exported or each.variable in marked) for each in found)


def _assignments(command: Command) -> Iterator[tuple[str, str | None]]:
    """(name, value as it is written) of a command that sets or exports variables; nothing of another command."""
    words = command.words
    if words[0] in _EXPORTING:
        words = tuple(word for word in words[1:] if not word.startswith("-"))
    elif not all(_ASSIGNMENT.fullmatch(word) for word in words):
        # An assignment in front of a command is that command's alone.
        return
    for word in words:
        if assignment := _ASSIGNMENT.fullmatch(word):
            yield assignment[1], assignment[2]
        elif _NAME.fullmatch(word):
            yield word, None


def _makes_exported(words: Sequence[str]) -> bool:
    flags = "".join(word for word in words[1:] if word.startswith("-"))
    if words[0] == "export":
        return "n" not in flags
    return words[0] in _EXPORTING and "x" in flags


def _value(raw: str) -> str | None:
    """The value of an assignment as it is written, None where the shell would compute it."""
    outside = re.sub(r"'[^']*'", "", raw)
    if re.search(r"(?<!\\)[$`]", outside) or outside.startswith(("~", "(")):
        return None
    try:
        parts = shlex.split(raw)
    except ValueError:
        return None
    return parts[0] if parts else ""


def _how(found: Export, environment: Mapping[str, str]) -> str | None:
    has = environment.get(found.variable, "").strip()
    if not has:
        return "not loaded" if found.exported else "not exported"
    if not found.exported or not found.always or found.value is None or found.value.strip() == has:
        return None
    return "another value"
