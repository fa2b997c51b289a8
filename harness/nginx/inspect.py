"""What there is to know of an nginx in front of the stack, as plain facts; whoever asks decides what is good."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import clock, wire
from harness.nginx import binary
from harness.nginx.binary import Nginx, Tested
from harness.nginx.find import Spot, led_from, spots
from harness.nginx.lex import Statement
from harness.nginx.private import FILE, OLDEST
from harness.nginx.tree import Placed, Tree, read_tree
from harness.rpc import PROTOCOL, TYPES
from harness.sse import EventStream
from harness.wire import Fault, WireError

__all__ = [
    "OLDEST",
    "Arrivals",
    "Passing",
    "arrivals",
    "front_door",
    "passings",
    "present",
    "streams_through",
    "syntax",
]

ENOUGH_S = 600.0
"""What a proxy must wait for a silent program: the ten minutes that a tool may take."""

AT_ONCE_S = 0.1
"""Events that come within this time may have been kept back and let go together."""

UNITS_S = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "M": 2592000.0}
DEFAULTS = {"proxy_buffering": "on", "proxy_read_timeout": "60s", "proxy_http_version": "1.0"}


@dataclass(frozen=True, slots=True)
class Passing:
    """One place that sends requests on, with the settings that rule there.

    line: in `file`; location: its path or pattern, "" outside of one
    to: what proxy_pass says; addresses: where that leads, upstreams and variables followed
    buffering: whether nginx keeps an answer back until it fills a buffer, for which a stream does not live
    read_timeout_s: how long the program behind may be silent
    """

    file: Path
    line: int
    location: str
    to: str
    addresses: tuple[str, ...]
    buffering: bool
    read_timeout_s: float
    http_version: str

    @property
    def streams(self) -> bool:
        """Whether events get through one by one, and a tool may take its ten minutes."""
        return not self.buffering and self.read_timeout_s >= ENOUGH_S


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When the events of one streamed answer arrived, in seconds from the request; the last one is the answer."""

    at_s: tuple[float, ...]

    @property
    def gap_s(self) -> float | None:
        """Between the first two events; None where there were not two."""
        return self.at_s[1] - self.at_s[0] if len(self.at_s) > 1 else None

    @property
    def spread_s(self) -> float:
        """Between the first and the last: nearly nothing where somebody in between collected them."""
        return self.at_s[-1] - self.at_s[0] if self.at_s else 0.0


def present(named: Path | None = None) -> Nginx | None:
    """The nginx of this machine, None when there is none; a named one that is none is an error all the same."""
    return binary.look(named) if named is not None or binary.find() is not None else None


def syntax(nginx: Nginx, main: Path, prefix: Path | None = None) -> Tested:
    """What `nginx -t` says of a configuration. Without root it may say no because of a key or a log of root's."""
    return binary.test(nginx, main, prefix)


def front_door(directory: Path) -> Tree:
    """The configuration of a stack's private front door.

    Raises:
        HarnessError: SITE_MISSING where none was rendered
    """
    return read_tree(directory / FILE, directory)


def passings(tree: Tree, site: Path | None = None) -> tuple[Passing, ...]:
    """Every place of a configuration, or of one site file in it, that sends requests on."""
    mine = None if site is None else tree.below(site.resolve())
    return tuple(
        _passing(tree, placed)
        for placed in tree.of("proxy_pass")
        if placed.statement.arguments and (mine is None or placed.file in mine)
    )


def arrivals(port: int, path: str, tool: str, arguments: Mapping[str, Any], timeout_s: float) -> Arrivals:
    """Call a tool that tells its progress, and note when each event of the answer comes.

    Args:
        port, path: of the server itself, or of a front door to it
        tool: one that asks Mixpanel several questions, such as diagnose_metric_drop
        arguments: other ones each time: an answer from the server's cache has no progress to tell

    Raises:
        WireError
    """
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": tool, "arguments": dict(arguments), "_meta": {"progressToken": "harness"}},
    }
    headers = {**TYPES, "mcp-protocol-version": PROTOCOL}
    began = clock.monotonic()
    body = json.dumps(call).encode()
    with wire.opened(port, "POST", path, timeout_s=timeout_s, headers=headers, body=body) as (status, seen, pieces):
        if status != 200:
            raise WireError(Fault.STATUS, f"HTTP {status}: {b''.join(pieces)[:200].decode(errors='replace')}")
        if not seen.get("content-type", "").startswith("text/event-stream"):
            raise WireError(Fault.OTHER_PROGRAM, f"no stream of events, but {seen.get('content-type', 'nothing')}")
        return Arrivals(tuple(clock.monotonic() - began for _ in _events(pieces)))


def streams_through(through: Arrivals, direct: Arrivals) -> bool:
    """Whether a proxy passed events on as they came: they are spread, and not all there at once."""
    return len(through.at_s) > 1 and through.spread_s >= min(direct.spread_s / 2, AT_ONCE_S)


def seconds(text: str) -> float:
    """nginx's way to write a time: `90`, `10m`, `1h 30m`, `500ms`."""
    return sum(float(number) * UNITS_S[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwM]?)", text))


def _events(pieces: Iterator[bytes]) -> Iterator[str]:
    stream = EventStream()
    for piece in pieces:
        yield from stream.feed(piece)
    yield from stream.end()


def _passing(tree: Tree, placed: Placed) -> Passing:
    location = placed.inside("location")
    rules = {name: _rule(tree, placed, name) for name in DEFAULTS}
    return Passing(
        file=placed.file,
        line=placed.statement.line,
        location=location.arguments[-1].text if location and location.arguments else "",
        to=placed.statement.arguments[0].text,
        addresses=tuple(dict.fromkeys(spot.written for spot in spots(tree) if _leads(tree, placed, spot))),
        buffering=rules["proxy_buffering"].lower() != "off",
        read_timeout_s=seconds(rules["proxy_read_timeout"]),
        http_version=rules["proxy_http_version"],
    )


def _leads(tree: Tree, placed: Placed, spot: Spot) -> bool:
    return any(each is placed for each in led_from(tree, spot))


def _rule(tree: Tree, placed: Placed, name: str) -> str:
    """What a directive says at a place: nginx takes it from the innermost block that has it."""
    ruling = [each for each in tree.of(name) if each.statement.arguments and _is_around(each.around, placed.around)]
    if not ruling:
        return DEFAULTS[name]
    nearest = max(ruling, key=lambda each: len(each.around))
    return " ".join(word.text for word in nearest.statement.arguments)


def _is_around(outer: tuple[Statement, ...], inner: tuple[Statement, ...]) -> bool:
    # Two blocks may look the same word by word, so it is asked whether they are one.
    return len(outer) <= len(inner) and all(one is other for one, other in zip(outer, inner, strict=False))
