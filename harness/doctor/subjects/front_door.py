"""nginx in front of the stack: the stack's own, and the system's site where the settings name one."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from harness import wire
from harness.calls import answer
from harness.doctor import fixes
from harness.doctor.check import Finding, Fix, Manual, bad, good, unused
from harness.doctor.sight import Sight
from harness.nginx import find, inspect, private, sites
from harness.nginx.inspect import Passing
from harness.nginx.journal import Journal
from harness.nginx.tree import Tree
from harness.rpc import Session
from harness.stack.service import absent

PROBE_S, CALL_S = 8.0, 60.0
TOOL = "diagnose_metric_drop"
TRIES = 3
HELD_BACK = 0.05
"""Events that come together come within microseconds; this share of the time without nginx is already apart."""


@dataclass(frozen=True)
class _Door:
    """One configuration to look at.

    own: whether it is the stack's, which may be written anew at any time
    main, prefix: as `nginx -t` wants them
    """

    own: bool
    name: str
    main: Path
    prefix: Path | None
    tree: Tree
    site: Path | None

    def passings(self) -> tuple[Passing, ...]:
        return inspect.passings(self.tree, self.site)


def version(sight: Sight) -> Finding:
    """The nginx that the settings would run, or that reads the site."""
    values = sight.settings.values.nginx
    why = absent(sight.catalogue, sight.settings).get("nginx")
    if values.site is None and values.binary is None and (why is not None or sight.service("nginx") is None):
        return unused(why or "these settings have no nginx")
    found = inspect.present(values.binary)
    if found is None:
        return bad(
            "MISSING",
            f"nginx.site is {values.site}, and there is no nginx",
            "install it (Debian: apt install nginx-light)",
        )
    if found.version < inspect.OLDEST:
        oldest = ".".join(map(str, inspect.OLDEST))
        return bad(
            "TOO_OLD",
            f"nginx {found.shown_version} is older than {oldest}",
            "install a newer nginx, or name one: nginx.binary",
        )
    return good(f"nginx {found.shown_version} at {found.binary}", version=found.shown_version)


def health(sight: Sight) -> Finding:
    """GET of the stack's own front door's health route."""
    if (why := sight.absent("nginx")) is not None:
        return unused(why)
    found = wire.get(sight.place("nginx"), private.HEALTH, PROBE_S).json_object()
    if found.get("name") != private.PROGRAM:
        what = f"the program on the front door's port calls itself {found.get('name')}"
        return bad("OTHER_PROGRAM", what, fixes.restart(sight, "nginx"))
    return good(f"nginx {found.get('version')} answers")


def syntax(sight: Sight) -> Finding:
    """`nginx -t`."""
    nginx = inspect.present(sight.settings.values.nginx.binary)
    told = []
    for door in _doors(sight) if nginx else ():
        found = inspect.syntax(nginx, door.main, door.prefix) if nginx else None
        if found is not None and not found.good:
            words = next((line for line in found.words if "[emerg]" in line), found.words[-1] if found.words else "")
            return bad(
                "SYNTAX",
                f"nginx -t refuses {door.name}: {words}",
                _anew(sight, door, "correct that line, then: nginx -t"),
            )
        told.append(door.name)
    return good(f"nginx -t takes {' and '.join(told)}") if told else unused(_why_none(sight))


def upstream(sight: Sight) -> Finding:
    """Where requests are sent, against where the stack is."""
    ports = {sight.port(name): name for name in ("copilot", "mcp") if sight.service(name) is not None}
    told = []
    for door in _doors(sight):
        leads = {address: find.Address.parse(address) for each in door.passings() for address in each.addresses}
        ours = [text for text, address in leads.items() if address.is_local and address.port in ports]
        wrong = sorted(set(leads) - set(ours))
        if not ours or (door.own and wrong):
            minikube = find.Address.parse(find.MINIKUBE)
            where = "minikube, " if any(address.same(minikube) for address in leads.values()) else ""
            stack = " and ".join(map(str, ports))
            what = f"{door.name} leads to {where}{', '.join(wrong) or 'nowhere'}, and the stack is on port {stack}"
            return bad("LEADS_ELSEWHERE", what, _anew(sight, door, f"harness nginx switch --site {door.site}"))
        told.append(f"{door.name} leads to {', '.join(f'{ports[leads[text].port or 0]} ({text})' for text in ours)}")
    return good("; ".join(told)) if told else unused(_why_none(sight))


def buffering(sight: Sight) -> Finding:
    """`proxy_buffering` wherever requests are sent to the stack."""
    told = []
    for door in _doors(sight):
        if held := [each for each in _to_the_stack(sight, door) if each.buffering]:
            what = f"proxy_buffering is on for {_places(held)}: events of a stream are kept back"
            return bad("BUFFERS", what, _anew(sight, door, "set proxy_buffering off; there, then: nginx -s reload"))
        told.append(door.name)
    return good(f"proxy_buffering is off in {' and '.join(told)}") if told else unused(_why_none(sight))


def read_timeout(sight: Sight) -> Finding:
    """`proxy_read_timeout` wherever requests are sent to the stack."""
    told = []
    for door in _doors(sight):
        if short := [each for each in _to_the_stack(sight, door) if each.read_timeout_s < inspect.ENOUGH_S]:
            what = (
                f"proxy_read_timeout is {short[0].read_timeout_s:g} s for {_places(short)}; a tool may take ten minutes"
            )
            return bad(
                "TOO_SHORT", what, _anew(sight, door, "set proxy_read_timeout 600s; there, then: nginx -s reload")
            )
        told += [f"{each.read_timeout_s:g} s" for each in door.passings()]
    return good(f"proxy_read_timeout is {', '.join(dict.fromkeys(told))}") if told else unused(_why_none(sight))


def streaming(sight: Sight) -> Finding:
    """One streamed answer directly and through the front door: when its events arrive."""
    if (why := sight.absent("nginx") or sight.absent("mcp") or sight.absent("emulator")) is not None:
        return unused(f"nginx.buffering says what can be said: {why}")
    server, door = sight.place("mcp"), sight.port("nginx")
    if not isinstance(server, int):
        return unused("somebody else runs the server")
    asked = _asked(sight)
    if asked is None:
        return unused("the project has no event that could be asked about")
    direct = inspect.arrivals(server, sight.path("mcp"), TOOL, asked, CALL_S)
    if len(direct.at_s) < 2:
        return unused(f"{TOOL} told nothing on its way, so there is nothing to measure")
    for _ in range(TRIES):
        through = inspect.arrivals(door, sight.path("mcp"), TOOL, asked, CALL_S)
        if len(through.at_s) > 1 and through.spread_s > direct.spread_s * HELD_BACK:
            gap = round((through.gap_s or 0.0) * 1000, 1)
            return good(f"{len(through.at_s)} events, {gap} ms between the first two", gap_ms=gap)
    what = f"{len(through.at_s)} event(s) within {through.spread_s * 1000:.1f} ms, and without nginx {len(direct.at_s)}"
    fix = "something between keeps them: see what else changes answers there"
    return bad("HELD_BACK", f"{what} within {direct.spread_s * 1000:.0f} ms", fix)


def _asked(sight: Sight) -> dict[str, Any] | None:
    """Arguments for a question that takes two queries and tells its progress between them."""
    session = Session(sight.place("mcp"), sight.path("mcp"), CALL_S)
    session.initialize()
    events = answer(session.call("list_events", {}))["result"]
    found = answer(session.call("list_properties", {"event": events[0]}))["result"] if events else []
    session.close()
    if not found:
        return None
    names = sorted(each if isinstance(each, str) else each["name"] for each in found)
    day = date.fromisoformat(sight.facts("mixpanel.reachable")["last_day"]) - timedelta(days=7)
    return {"event": events[0], "date": day.isoformat(), "dimensions": names[:1]}


def switch(sight: Sight) -> Finding:
    """The journal of `harness nginx switch`."""
    entry = Journal(sight.state.path).read_if_there()
    if entry is None:
        return good("no site is switched")
    if not entry.done:
        return bad(
            "CUT_SHORT", f"a switch to {entry.to} of {entry.at} was cut short", "put it back: harness nginx restore"
        )
    return good(f"switched to {entry.to} at {entry.at}; harness nginx restore, or harness down, puts it back")


def _doors(sight: Sight) -> Iterator[_Door]:
    member = sight.member("nginx")
    directory = private.prefix_of(member.process.command) if member is not None else None
    if directory is not None:
        main = directory / private.FILE
        yield _Door(True, "the stack's front door", main, directory, inspect.front_door(directory), None)
    site = sight.settings.values.nginx.site
    if site is not None:
        found = sites.look(site, sight.settings.values.nginx.binary)
        yield _Door(False, str(site), found.main, found.prefix, found.tree, site)


def _why_none(sight: Sight) -> str:
    return f"{sight.absent('nginx') or 'the front door is not the one that we started'}, and nginx.site names no other"


def _to_the_stack(sight: Sight, door: _Door) -> list[Passing]:
    ports = {sight.port(name) for name in ("copilot", "mcp") if sight.service(name) is not None}
    addresses = {each: [find.Address.parse(text) for text in each.addresses] for each in door.passings()}
    return [each for each, found in addresses.items() if any(one.is_local and one.port in ports for one in found)]


def _places(passings: list[Passing]) -> str:
    return ", ".join(f"{each.location or '/'} ({each.file.name}, line {each.line})" for each in passings)


def _anew(sight: Sight, door: _Door, words: str) -> Fix:
    return fixes.restart(sight, "nginx") if door.own else Manual(words)
