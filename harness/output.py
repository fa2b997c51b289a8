"""What commands print: for a program one JSON value, for a person a few lines."""

import json as codec
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

from harness.errors import HarnessError
from harness.stack.state import as_json
from harness.terminal import harmless

LAST_LINES = "its last lines:"
PLAIN = str.maketrans({"✓": "+", "✗": "x", "–": "-", "…": "...", "→": "->", "·": "|"})
"""What the marks are where only a few letters can be shown."""


def write(text: str, *, json: bool = False) -> None:
    """One text on standard output, at once.

    Args:
        json: the text is JSON, and stays it where its letters have to be spelled otherwise

    Raises:
        HarnessError: NOT_WRITTEN
        BrokenPipeError: whoever read has gone
    """
    try:
        _put(sys.stdout, text, json=json)
    except BrokenPipeError:
        raise
    except OSError as error:
        # At the interpreter's end it would be tried once more.
        sys.stdout = None
        raise HarnessError(
            "NOT_WRITTEN",
            f"standard output cannot be written to: {error.strerror}",
            fix="make room there, or send it elsewhere",
        ) from None


def show(value: Any, text: str, *, json: bool) -> None:
    """The value for a program, or the text for a person."""
    write(as_json(value) if json else text, json=json)


def show_error(error: HarnessError, *, json: bool) -> None:
    """The error's envelope on standard error, as JSON or readable."""
    if json:
        text = as_json(error.to_dict())
    else:
        log = "".join(f"\n    {line}" for line in error.log)
        text = f"error: {error.cause} [{error.code}]\n  fix: {error.fix}" + (f"\n  {LAST_LINES}{log}" if log else "")
    try:
        _put(sys.stderr, text, json=json)
    except OSError:
        # Nobody can be told, here or at the interpreter's end; the exit code still says it.
        sys.stderr = None


def _put(stream: TextIO, text: str, *, json: bool) -> None:
    text = harmless(text)
    try:
        stream.write(text + "\n")
    except UnicodeEncodeError:
        stream.write(spelled(text, stream.encoding, json=json) + "\n")
    stream.flush()


def spelled(text: str, encoding: str, *, json: bool) -> str:
    """The same with the letters that an encoding has, all others by their numbers."""
    if json:
        return codec.dumps(codec.loads(text))
    return text.translate(PLAIN).encode(encoding, "backslashreplace").decode(encoding)


def up_text(result: Mapping[str, Any], stack: str | None = None) -> str:
    """Where everything is after `up`, and what to do next.

    Args:
        stack: its name, which every later command must say; None for the nameless one
    """
    of = f" --stack {stack}" if stack else ""
    lines = []
    for service in result["services"]:
        if service["pid"] is None:
            lines.append(f"{service['name']:<10}{service['url']:<34}runs elsewhere")
            continue
        deed = "already up" if service["deed"] == "keep" else f"ready in {service['ready_s']:.2f} s"
        lines.append(f"{service['name']:<10}{service['url']:<34}{deed}, pid {service['pid']}")
    about = result["facts"].get("emulator")
    if about:
        project = about["project"]
        lines.append(
            f"{'project':<10}{project['id']} {project['name']}, {project['timezone']}, region {project['region']}"
        )
        lines.append(f"{'data':<10}{about['first_day']} to {about['last_day']}, {about['event_count']:,} events")
        if about.get("now"):
            lines.append(f"{'clock':<10}stands at {about['now']}")
    lines.append(f"{'state':<10}{result['state_dir']}")
    lines.append("")
    urls = {service["name"]: service["url"] for service in result["services"]}
    page = urls.get("nginx") or urls.get("copilot")
    if page:
        lines.append(f"open       {page}")
    if "mcp" in urls:
        lines.append(f"try        harness call{of} list_events")
    lines.append(f"then       harness verify{of} · harness status{of} · harness logs{of} -f · harness down{of}")
    return "\n".join(lines)


def status_text(result: Mapping[str, Any]) -> str:
    """One line a service."""
    lines = []
    for service in result["services"]:
        line = f"{service['name']:<10}{service['state']:<10}"
        if service["state"] == "elsewhere":
            line += f"somebody else runs it, at {service['url']}"
        elif service["state"] == "died":
            line += f"{service['how']} (pid was {service['pid']}, port {service['port']})"
        elif service["state"] == "halted":
            line += f"{service['how']}, and answers nobody on port {service['port']}"
        elif service["pid"] is not None:
            since = datetime.fromisoformat(service["since"])
            line += (
                f"pid {service['pid']}, port {service['port']}, since {since:%Y-%m-%d %H:%M:%S} UTC"
                f" ({duration(service['uptime_s'])}), {service['url']}"
            )
        lines.append(line.rstrip())
    if result["strays"]:
        pids = ", ".join(str(pid) for pid in result["strays"])
        lines.append(f"{'unknown':<10}pid {pids}: of this stack by their environment; harness up or down ends them")
    if any(service["state"] == "died" for service in result["services"]):
        lines.append("bring back what died: harness up; see why: harness logs")
    elif any(service["state"] == "halted" for service in result["services"]):
        lines.append("have what is halted go on: harness up")
    elif all(service["state"] == "stopped" for service in result["services"]) and not result["strays"]:
        lines.append("nothing is running; start it: harness up")
    return "\n".join(lines)


def down_text(result: Mapping[str, Any]) -> str:
    """What was taken down."""
    ended = ", ".join(result["ended"]) or "nothing that was written down"
    strays = f", and {result['strays']} process(es) left behind by an earlier run" if result["strays"] else ""
    ports = f"; free again: port {', '.join(str(port) for port in result['ports'])}" if result["ports"] else ""
    restored = f"; as before its switch: {', '.join(result['restored'])}" if result["restored"] else ""
    return f"ended {ended}{strays}{ports}{restored}"


def verify_text(result: Mapping[str, Any]) -> str:
    """The ladder, rung by rung."""
    lines = []
    for service in result["services"]:
        lines.append(f"{service['name']} on port {service['port']}")
        for rung in service["rungs"]:
            broken = rung["broken"]
            mark, said = ("✗", broken["cause"]) if broken else ("✓", rung["found"])
            lines.append(f"  {mark} {rung['name']:<12}{rung['ms']:>8.1f} ms  {said}")
            if broken:
                lines.append(f"      fix: {broken['fix']}")
    if result["runbook"]:
        runbook = result["runbook"]
        mark = "✓" if runbook["alive"] else "✗"
        status = runbook["status"] or "no answer"
        lines.append(f"  {mark} {'curl':<12}{runbook['ms']:>8.1f} ms  {status}: {runbook['meaning']}")
    return "\n".join(lines)


def log_text(service: str, line: str, services: Sequence[str]) -> str:
    """A line of a log, with its service's name where several are shown."""
    return line if len(services) == 1 else f"{service:<10}| {line}"


def duration(seconds: float) -> str:
    """`8 s`, `5 min`, `3 h 20 min`, `2 d 4 h`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
