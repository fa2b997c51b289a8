"""What the services of a stack wrote: the last lines, the lines as they come, and the error in them."""

import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from harness import clock
from harness.stack.state import StateDirectory, older

FOLLOW_EVERY_S = 0.1
TAIL_BYTES = 1 << 20
SCAN_BYTES = 16 << 20
PIECE_BYTES = 1 << 20
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


def last(
    state: StateDirectory, services: Sequence[str], lines: int, elsewhere: Mapping[str, Path] | None = None
) -> list[tuple[str, str]]:
    """The last lines of each service, as (service, line).

    Args:
        elsewhere: service → its log, of services that somebody else started
    """
    known = elsewhere or {}
    return [(service, line) for service in services for line in tail(known.get(service, state.log(service)), lines)]


def of_this_run(
    state: StateDirectory, services: Sequence[str], elsewhere: Mapping[str, Path]
) -> dict[str, tuple[Path, ...]]:
    """The files that hold what each service wrote in this run, oldest first; a service that wrote nothing is left out.

    The older log of a service that was started again, or that wrote a lot, counts where it was written to since the
    stack came up; a log that somebody else writes counts where it was.
    """
    stack = state.read()
    began = datetime.fromisoformat(stack.started_at).timestamp() if stack else None
    found: dict[str, tuple[Path, ...]] = {}
    for service in services:
        if service in elsewhere:
            paths = [elsewhere[service]] if _written_since(elsewhere[service], began or 0.0) else []
        else:
            own = state.log(service)
            paths = [older(own)] if began is not None and _written_since(older(own), began) else []
            paths += [own] if own.exists() else []
        if paths:
            found[service] = tuple(paths)
    return found


def pieces(paths: Sequence[Path], most_bytes: int = SCAN_BYTES) -> Iterator[bytes]:
    """What stands in some files, in pieces: of each at most the last bytes, from the beginning of a line on."""
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            # It was there a moment ago; a service that starts anew puts its log aside.
            continue
        with os.fdopen(descriptor, "rb") as file:
            size = os.fstat(descriptor).st_size
            if size > most_bytes:
                file.seek(size - most_bytes)
                # Half a line could hide half a secret from whoever looks for whole ones.
                while (rest := file.readline(PIECE_BYTES)) and not rest.endswith(b"\n"):
                    pass
            yield from iter(lambda: file.read(PIECE_BYTES), b"")


def follow(
    state: StateDirectory,
    services: Sequence[str],
    *,
    ends: Callable[[], bool] = lambda: False,
    elsewhere: Mapping[str, Path] | None = None,
) -> Iterator[tuple[str, str]]:
    """The lines that are written from now on, as (service, line), whole lines only, through restarts and cuts.

    Args:
        ends: asked between two looks whether to stop; what was written until then is still handed out
        elsewhere: service → its log, of services that somebody else started
    """
    known = elsewhere or {}
    paths = {service: known.get(service, state.log(service)) for service in services}
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
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            # It was there a moment ago; a service that starts anew puts its log aside.
            return lines
        with os.fdopen(descriptor, "rb") as file:
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


def _written_since(path: Path, began: float) -> bool:
    try:
        return path.stat().st_mtime >= began
    except OSError:
        return False
