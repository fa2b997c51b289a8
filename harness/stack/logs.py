"""What the services of a stack wrote: the last lines, the lines as they come, and the error in them."""

import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from harness import clock
from harness.stack.state import StateDirectory

FOLLOW_EVERY_S = 0.1
TAIL_BYTES = 1 << 20
LAST_WORDS = 15
REFUSAL = re.compile(
    r"^(?:[\w.-]+: )?(?P<code>[A-Z][A-Z0-9_]{2,}): (?P<cause>.+?)(?:[;,]? \(?fix: (?P<fix>.+?)\)?)?$", re.MULTILINE
)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log, oldest first; none when there is no log. Reads at most its last MiB."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    with os.fdopen(descriptor, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        found = file.read().decode(errors="replace").splitlines()
    return found[-lines:] if lines > 0 else []


def last_words(state: StateDirectory, service: str) -> tuple[str, ...]:
    """The last lines of a service that has died."""
    return tuple(tail(state.log(service), LAST_WORDS))


def refusal(lines: tuple[str, ...]) -> dict[str, str] | None:
    """The error that a service ended with: a line of JSON `{code, cause, fix}`, or `CODE: cause; fix: fix`."""
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and {"code", "cause", "fix"} <= found.keys():
            return {key: str(found[key]) for key in ("code", "cause", "fix")}
    joined = re.sub(r"\n\s*fix:", "; fix:", "\n".join(lines))
    said = [match for match in REFUSAL.finditer(joined) if match["fix"]]
    return {key: said[-1][key] for key in ("code", "cause", "fix")} if said else None


def last(state: StateDirectory, services: list[str], lines: int) -> list[tuple[str, str]]:
    """The last lines of each service, as (service, line)."""
    return [(service, line) for service in services for line in tail(state.log(service), lines)]


def follow(
    state: StateDirectory, services: list[str], *, ends: Callable[[], bool] = lambda: False
) -> Iterator[tuple[str, str]]:
    """The lines that are written from now on, as (service, line), whole lines only, through restarts and cuts.

    Args:
        ends: asked between two looks whether to stop; what was written until then is still handed out
    """
    paths = {service: state.log(service) for service in services}
    at = {service: _place(path) for service, path in paths.items()}
    rest: dict[str, bytes] = dict.fromkeys(services, b"")
    while True:
        ending = ends()
        for service, path in paths.items():
            yield from ((service, line) for line in _new_lines(service, path, at, rest))
        if ending:
            return
        clock.sleep(FOLLOW_EVERY_S)


def _new_lines(service: str, path: Path, at: dict[str, tuple[int, int]], rest: dict[str, bytes]) -> deque[str]:
    number, size = _place(path)
    known, read_to = at[service]
    if number != known or size < read_to:
        # Another file or a cut one: all of it is new.
        read_to, rest[service] = 0, b""
    lines: deque[str] = deque()
    if size > read_to:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            file.seek(read_to)
            *whole, rest[service] = (rest[service] + file.read(size - read_to)).split(b"\n")
        lines.extend(line.decode(errors="replace") for line in whole)
    at[service] = (number, size)
    return lines


def _place(path: Path) -> tuple[int, int]:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return (0, 0)
    return (found.st_ino, found.st_size)
