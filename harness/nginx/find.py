"""Which words of a configuration send requests on to an address: what stands there, and where exactly.

Our own reader says where the bytes stand. crossplane reads the same bytes on its own, and a file of which the two
readings differ is not changed.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import Exit, HarnessError
from harness.nginx.lex import Word
from harness.nginx.splice import Edit
from harness.nginx.tree import Placed, Tree

MINIKUBE = "192.168.49.2:30082"
LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "0.0.0.0")  # noqa: S104  # an address read, and never listened on
HOST = r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
ADDRESS = re.compile(rf"(?P<host>{HOST}):(?P<port>[0-9]{{1,5}})")
PASSED = re.compile(rb"(?:[hH][tT][tT][pP][sS]?://)?(?P<address>" + ADDRESS.pattern.encode() + rb")(?=[/?$#]|\Z)")
NAMED = re.compile(rf"(?:https?://)?(?P<name>{HOST})(?=[/?$#]|\Z)", re.IGNORECASE)
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
READ_TWICE = ("upstream", "server", "proxy_pass", "set", "include", "listen")


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port; the names of this machine are one host."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read `host:port`.

        Raises:
            HarnessError: BAD_ADDRESS (exit 2)
        """
        found = ADDRESS.fullmatch(text)
        if found is None or not 0 < int(found["port"]) < 65536:
            raise HarnessError(
                "BAD_ADDRESS",
                f"{text!r} is no address",
                fix="write host:port, such as 127.0.0.1:8082",
                exit_code=Exit.USAGE,
            )
        return cls(found["host"].lower(), int(found["port"]))

    @property
    def is_local(self) -> bool:
        """Whether it is this machine."""
        return self.host in LOOPBACK or self.host.startswith("127.")

    def same(self, other: "Address") -> bool:
        """Whether both lead to the same place."""
        hosts_agree = self.host == other.host or (self.is_local and other.is_local)
        return hosts_agree and self.port == other.port

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Spot:
    """One place where an address stands that requests are sent on to.

    file: the real file; start: offset of the address's first byte; line: of its directive
    directive: proxy_pass, server (of an upstream), set or map
    placed: the directive, with what is around it
    """

    file: Path
    line: int
    start: int
    written: str
    directive: str
    placed: Placed

    @property
    def address(self) -> Address:
        """What stands there."""
        return Address.parse(self.written)

    def edit(self, to: str) -> Edit:
        """The change that puts another address there."""
        return Edit(self.start, self.written.encode(), to.encode())


def spots(tree: Tree, site: Path | None = None) -> list[Spot]:
    """Every place with an address that requests are sent on to, in the order in which nginx reads them.

    Args:
        site: only what this file sends on, in whichever file the address stands; all when None
    """
    mine = None if site is None else _files_below(tree, site.resolve())
    passes = [each for each in tree.of("proxy_pass") if mine is None or each.file in mine]
    texts = [each.statement.arguments[0].text for each in passes if each.statement.arguments]
    variables = set(_variables(tree, texts))
    texts += [word.text for _, word, _ in _assignments(tree, variables)]
    upstreams = _named(texts)
    served = [
        *(
            _spot(placed, placed.statement.arguments[0], "proxy_pass")
            for placed in passes
            if placed.statement.arguments
        ),
        *(_spot(placed, word, directive) for placed, word, directive in _assignments(tree, variables)),
        *(
            _spot(placed, placed.statement.arguments[0], "server")
            for placed in tree.of("server")
            if placed.statement.block is None and placed.statement.arguments and _serves(placed, upstreams, mine)
        ),
    ]
    order = {file: number for number, file in enumerate(tree.sources)}
    # A snippet that is included twice has its bytes once.
    places = {(order[each.file], each.start): each for each in reversed(served) if each is not None}
    return [places[place] for place in sorted(places)]


def led_from(tree: Tree, spot: Spot) -> list[Placed]:
    """The proxy_pass statements that lead to a place."""
    if spot.directive == "proxy_pass":
        first = spot.placed.statement.arguments[0].start
        own = (placed for placed in tree.of("proxy_pass") if placed.file == spot.file)
        return [placed for placed in own if [word.start for word in placed.statement.arguments[:1]] == [first]]
    found = []
    for placed in tree.of("proxy_pass"):
        texts = [word.text for word in placed.statement.arguments[:1]]
        variables = _variables(tree, texts)
        if spot.directive == "server":
            texts += [word.text for _, word, _ in _assignments(tree, variables)]
            leads = _upstream(spot.placed) in _named(texts)
        else:
            leads = _assigned(spot.placed) in variables
        if leads:
            found.append(placed)
    return found


def sources_for(to: Address, local_port: int) -> tuple[Address, ...]:
    """The addresses that a switch to `to` takes away: minikube's and the local stack's, whichever it is not."""
    local = [Address("127.0.0.1", port) for port in dict.fromkeys((local_port, 8082))]
    minikube = Address.parse(MINIKUBE)
    return tuple(each for each in ([minikube, *local] if to.is_local else local) if not each.same(to))


def edits(found: Sequence[Spot], sources: Collection[Address], to: Address) -> dict[Path, tuple[Edit, ...]]:
    """The changes that lead requests from the sources to `to`, by real file."""
    chosen: dict[Path, tuple[Edit, ...]] = {}
    for spot in found:
        if any(spot.address.same(source) for source in sources):
            chosen[spot.file] = (*chosen.get(spot.file, ()), spot.edit(str(to)))
    return chosen


def confirm(tree: Tree, file: Path) -> None:
    """Let crossplane read a file too, and go on only if both readings agree.

    Raises:
        HarnessError: READINGS_DIFFER (exit 5)
    """
    import crossplane  # type: ignore[import-untyped]  # it brings no types

    # The bytes that were read, and not those that may stand in the file by now.
    handle = os.memfd_create("site", os.MFD_CLOEXEC)
    try:
        with os.fdopen(handle, "wb", closefd=False) as memory:
            memory.write(tree.sources[file])
        other = crossplane.parse(
            f"/proc/self/fd/{handle}", single=True, check_ctx=False, check_args=False, comments=False
        )
    finally:
        os.close(handle)
    config = other["config"][0]
    theirs = None if config["errors"] else list(_their_statements(config["parsed"]))
    own = (placed.statement for placed in tree.placed if placed.file == file and not placed.again)
    ours = list(_telling((each.name, [word.raw.decode(errors="replace") for word in each.arguments]) for each in own))
    if theirs != ours:
        raise HarnessError(
            "READINGS_DIFFER",
            f"{tree.names[file]} is read in two ways by two parsers, so it is not changed",
            fix="change the address by hand, or write the file plainer: quotes around words with braces, no odd blanks",
            exit_code=Exit.CONFLICT,
        )


def _their_statements(parsed: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    for statement in parsed:
        yield from _telling([(statement["directive"], statement["args"])])
        yield from _their_statements(statement.get("block", ()))


def _telling(statements: Iterable[tuple[str, Sequence[str]]]) -> Iterator[tuple[str, list[str]]]:
    """Those that say where requests go: by their name, or because an address stands in them."""
    for name, arguments in statements:
        # crossplane takes the brackets of a condition away and keeps the text of a Lua block.
        if name == "if" or name.endswith("_by_lua_block"):
            continue
        if name in READ_TWICE or any(ADDRESS.search(each) for each in arguments):
            yield name, [_plain(each) for each in arguments]


def _plain(text: str) -> str:
    # crossplane takes only some backslashes away, turns CRLF into LF, and keeps a blank behind "${name}".
    return text.replace("\\", "").replace("\r\n", "\n").strip()


def _spot(placed: Placed, word: Word, directive: str) -> Spot | None:
    found = PASSED.match(word.raw)
    if found is None or not 0 < int(found["port"]) < 65536:
        return None
    start = word.start + found.start("address")
    return Spot(placed.file, placed.statement.line, start, found["address"].decode(), directive, placed)


def _files_below(tree: Tree, site: Path) -> set[Path]:
    if site not in tree.sources:
        raise HarnessError(
            "SITE_NOT_READ",
            f"nginx does not read {site}: nothing in its configuration includes it",
            fix="enable the site (a link in sites-enabled), or name another file with --site",
            exit_code=Exit.USAGE,
        )
    return tree.below(site)


def _variables(tree: Tree, texts: Collection[str]) -> set[str]:
    """Names of the variables that these words are made of, and of those that those are made of."""
    names: set[str] = set()
    fresh = {first or second for text in texts for first, second in VARIABLE.findall(text)}
    while fresh - names:
        names |= fresh
        fresh = {
            first or second for _, word, _ in _assignments(tree, names) for first, second in VARIABLE.findall(word.text)
        }
    return names


def _assignments(tree: Tree, variables: Collection[str]) -> Iterator[tuple[Placed, Word, str]]:
    """The words that these variables may be given, by `set` or `map`."""
    for placed in tree.placed:
        if _assigned(placed) in variables:
            yield placed, placed.statement.arguments[-1], "set" if placed.statement.name == "set" else "map"


def _assigned(placed: Placed) -> str | None:
    """The variable that a `set`, or a line of a `map`, gives a value."""
    words, around = placed.statement.arguments, placed.around[-1] if placed.around else None
    if placed.statement.name == "set" and len(words) == 2:
        return words[0].text.lstrip("$")
    if around is not None and around.name == "map" and len(around.arguments) == 2 and len(words) == 1:
        return around.arguments[1].text.lstrip("$")
    return None


def _named(texts: Collection[str]) -> set[str]:
    """The upstreams, or hosts, that these words lead to by name."""
    return {found["name"].lower() for text in texts if (found := NAMED.match(text))}


def _upstream(placed: Placed) -> str | None:
    """The upstream in whose block a statement stands."""
    around = placed.inside("upstream")
    return around.arguments[0].text.lower() if around is not None and around.arguments else None


def _serves(placed: Placed, upstreams: Collection[str], mine: Collection[Path] | None) -> bool:
    upstream = _upstream(placed)
    return upstream is not None and (mine is None or placed.file in mine or upstream in upstreams)
