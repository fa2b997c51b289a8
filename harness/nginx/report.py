"""What `harness nginx` shows: for a program one value, for a person a few lines."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from harness.nginx import journal, replace, sites
from harness.nginx.find import MINIKUBE, Address, Spot
from harness.nginx.journal import Change, Entry, Journal
from harness.nginx.transaction import Done
from harness.settings import Values

DEEDS = {
    "switched": "the site leads to {to} now",
    "kept": "the site leads to {to} already",
    "restored": "all is as it was before the switch",
    "nothing": "nothing is switched, so there is nothing to put back",
    "forgotten": "the switch is forgotten",
}


def local_ports(values: Values) -> tuple[int, ...]:
    """The ports of this machine that are the stack's own."""
    return values.copilot.port, values.mcp.port


def status(state_dir: Path, site: Path | None, program: Path | None, ports: Collection[int]) -> dict[str, Any]:
    """Where a site leads, and the switch that is open."""
    found = sites.look(site, program)
    entry = Journal(state_dir).read_if_there()
    return {
        "nginx": {
            "binary": str(found.nginx.binary),
            "version": found.nginx.shown_version,
            "pid": found.master.who.pid if found.master else None,
        },
        "main": str(found.main),
        "site": str(site) if site else None,
        "leads_to": [_spot(spot, found.tree.names[spot.file], ports) for spot in found.spots],
        "switch": _entry(entry) if entry else None,
        "notes": found.tree.notes,
    }


def status_text(found: Mapping[str, Any]) -> str:
    """The same for a person."""
    nginx = found["nginx"]
    runs = f"runs as pid {nginx['pid']}" if nginx["pid"] else "does not run with this configuration"
    lines = [f"{'nginx':<10}{nginx['version']} ({nginx['binary']}), {runs}", f"{'reads':<10}{found['main']}"]
    lines += [
        f"{spot['place']:<10}{spot['address']}, {spot['directive']} in {spot['file']} line {spot['line']}"
        for spot in found["leads_to"]
    ]
    if not found["leads_to"]:
        lines.append("it sends no request to any address")
    switch = found["switch"]
    if switch:
        lines.append(f"{'switched':<10}to {switch['to']} at {switch['at']}" + ("" if switch["done"] else ", cut short"))
        lines += [f"{'':<10}{each['file']}: {each['state']}" for each in switch["files"]]
        lines.append("put it back: harness nginx restore")
    return "\n".join([*lines, *found["notes"]])


def done(of: Done) -> dict[str, Any]:
    """What was done."""
    return {
        "deed": of.deed,
        "to": of.to,
        "files": [str(file) for file in of.files],
        "reloaded": of.reloaded,
        "heard": list(of.heard),
        "notes": list(of.notes),
    }


def done_text(found: Mapping[str, Any]) -> str:
    """The same for a person."""
    lines = [DEEDS[found["deed"]].format(to=found["to"])]
    lines += [f"  {file}" for file in found["files"]]
    if found["deed"] in ("switched", "restored"):
        lines.append("nginx follows" if found["reloaded"] else "nginx does not run with this file: start it yourself")
    lines += [*found["heard"], *found["notes"]]
    if found["deed"] == "switched":
        lines.append("put it back: harness nginx restore, or harness down")
    return "\n".join(lines)


def _spot(spot: Spot, named: Path, ports: Collection[int]) -> dict[str, Any]:
    address = spot.address
    place = "elsewhere"
    if address.same(Address.parse(MINIKUBE)):
        place = "minikube"
    elif address.is_local and address.port in ports:
        place = "stack"
    return {
        "place": place,
        "address": spot.written,
        "directive": spot.directive,
        "file": str(named),
        "line": spot.line,
    }


def _entry(entry: Entry) -> dict[str, Any]:
    files = [{"file": str(change.path), "state": _state(change)} for change in entry.changes]
    return {"to": entry.to, "at": entry.at, "done": entry.done, "files": files}


def _state(change: Change) -> str:
    found = replace.look(change.path)
    if found is None:
        return "gone"
    states = {change.before: "as it was", change.after: "switched"}
    return states.get(journal.digest(found.content), "changed by somebody else")
