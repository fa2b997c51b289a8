"""Whether nginx really follows: new workers took over, and a request through its door is answered."""

import http.client
import ipaddress
import json
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

from harness import clock
from harness.nginx import binary, find
from harness.nginx.binary import Master
from harness.nginx.find import Address, Spot
from harness.nginx.lex import Statement
from harness.nginx.tree import Placed, Tree
from harness.stack.identity import Identity

PATIENCE_S = 15.0
ANSWER_S = 3.0
ASK_S = 5.0
POLL_S = 0.02
BAD_GATEWAY = (502, 503, 504)
MISDIRECTED = 421
EVERYWHERE = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "::1", "localhost": "127.0.0.1"}  # noqa: S104  # read


@dataclass(frozen=True, slots=True)
class Door:
    """Where to ask nginx so that the request goes to a certain place.

    host, port: where nginx listens; tls: whether it speaks TLS there
    name: for the Host header; path: what to ask for
    """

    host: str
    port: int
    tls: bool
    name: str
    path: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer: its status, or None with the reason why there was none; the name a program gave itself."""

    status: int | None
    said: str
    program: str | None = None

    @property
    def passed_on(self) -> bool:
        """Whether somebody behind nginx took the request, and did not refuse the name that nginx sent."""
        return self.status is not None and self.status not in (*BAD_GATEWAY, MISDIRECTED)


def doors(tree: Tree, spots: Iterable[Spot]) -> list[Door]:
    """A door for each server that leads to one of these places, as far as one can be asked by HTTP over TCP."""
    found: dict[tuple[str, int, str], Door] = {}
    for spot in spots:
        for passing in find.led_from(tree, spot):
            server = passing.inside("server")
            if server is None or any(block.name == "stream" for block in passing.around):
                continue
            door = _door(server, _path(passing))
            if door is not None:
                found.setdefault((door.host, door.port, door.name), door)
    return list(found.values())


def ask(door: Door, timeout_s: float = ASK_S) -> Heard:
    """Send one GET through a door."""
    connection: http.client.HTTPConnection
    if door.tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(door.host, door.port, timeout=timeout_s, context=context)
    else:
        connection = http.client.HTTPConnection(door.host, door.port, timeout=timeout_s)
    try:
        connection.request("GET", door.path, headers={"Host": door.name, "Accept": "application/json, */*;q=0.1"})
        response = connection.getresponse()
        body = b"" if response.status != 200 else response.read(65536)
    except (OSError, http.client.HTTPException) as error:
        return Heard(None, f"no answer from {door}: {error}")
    finally:
        connection.close()
    return Heard(response.status, f"HTTP {response.status} from {door}", _program(body))


def listens(address: Address, timeout_s: float = ASK_S) -> bool:
    """Whether anything takes connections there."""
    import socket

    try:
        socket.create_connection((address.host.strip("[]"), address.port), timeout_s).close()
    except OSError:
        return False
    return True


def followed(master: Master, before: Iterable[Identity], doors: Iterable[Door], to: Address) -> list[Heard]:
    """Wait until the workers of before have handed over and each door is answered by what is at `to`.

    Returns:
        the answers, one a door; one without `passed_on`, or none at all, says that it failed
    """
    deadline, old = clock.Deadline(PATIENCE_S), set(before)
    handed_over = False
    heard: list[Heard] = []
    wanted = _direct(to)
    while True:
        if not handed_over:
            now = binary.workers(master)
            fresh = [who for who, leaving in now.items() if who not in old and not leaving]
            handed_over = bool(fresh) and all(leaving for who, leaving in now.items() if who in old)
            # What answers is there already; only a moment of its own is to be forgiven.
            deadline = clock.Deadline(ANSWER_S) if handed_over else deadline
        if handed_over:
            heard = [ask(door) for door in doors]
            if all(_is_it(each, wanted) for each in heard):
                return heard or [Heard(200, "new workers run; their doors cannot be asked by HTTP")]
        if deadline.passed():
            late = Heard(None, f"nginx did not start new workers within {PATIENCE_S:g} s of its reload")
            return [_doubted(each, wanted) for each in heard] if handed_over else [late]
        clock.sleep(POLL_S)


def _is_it(heard: Heard, wanted: str | None) -> bool:
    return heard.passed_on and (wanted is None or heard.program in (None, wanted))


def _doubted(heard: Heard, wanted: str | None) -> Heard:
    if heard.passed_on and not _is_it(heard, wanted):
        return Heard(None, f"{heard.said}, but {heard.program} answers there and not {wanted}")
    return heard


def _direct(to: Address) -> str | None:
    """How the program at an address of this machine calls itself, where it does."""
    return ask(Door(to.host.strip("[]"), to.port, False, str(to), "/health")).program if to.is_local else None


def _program(body: bytes) -> str | None:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    name = answer.get("name") if isinstance(answer, dict) else None
    return name if isinstance(name, str) else None


def _path(passing: Placed) -> str:
    """A path that the statement's location takes; `health` behind it where the location is a folder."""
    location = passing.inside("location")
    words = [word.text for word in location.arguments] if location else ["/"]
    if words[0] in ("=", "^~"):
        words = words[1:]
    path = words[0] if words and words[0].startswith("/") else "/"
    exact = location is not None and location.arguments[0].text == "="
    return path + "health" if path.endswith("/") and not exact else path


def _door(server: Statement, path: str) -> Door | None:
    inside = server.block or ()
    listening = [[word.text for word in each.arguments] for each in inside if each.name == "listen" and each.arguments]
    names = [word.text for each in inside if each.name == "server_name" for word in each.arguments]
    name = next((each for each in names if each not in ("", "_") and not set(each) & set("*~$^")), "localhost")
    usable = [each for each in listening or [["80"]] if not {"udp", "quic", "proxy_protocol"} & set(each[1:])]
    for words in sorted(usable, key=lambda each: "ssl" in each):
        place = _place(words[0])
        if place is not None:
            return Door(*place, "ssl" in words, name, path)
    return None


def _place(listen: str) -> tuple[str, int] | None:
    """`8080`, `127.0.0.1`, `127.0.0.1:8080`, `*:80` or `[::]:80` as host and port; None for a Unix socket."""
    if listen.startswith("unix:"):
        return None
    if listen.isdecimal():
        return "127.0.0.1", int(listen)
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal():
        host, port = listen, "80"
    host = EVERYWHERE.get(host, host.strip("[]"))
    try:
        return str(ipaddress.ip_address(host)), int(port)
    except ValueError:
        return host, int(port)
