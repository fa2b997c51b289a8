"""The programs that a stack is made with: Python and its packages, uv, Node, npm's packages, nginx."""

import importlib.metadata
import re
import sys
from pathlib import Path

from harness import programs
from harness.doctor.check import Finding, Manual, bad, good, unused
from harness.doctor.sight import Sight
from harness.settings import DISTRIBUTION
from harness.stack import copilot

PYTHON, UV = (3, 11), (0, 5)
TYPESCRIPT = ("--input-type=module-typescript", "--eval", "const one: number = 1; console.log(process.version, one)")
TIMEOUT_S = 10.0
_VERSION = re.compile(r"(\d+(?:\.\d+)+)")


def python_version(_: Sight) -> Finding:
    """The Python that runs this, which is the one that the services get."""
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < PYTHON:
        return bad(
            "TOO_OLD", f"Python {found} runs here", f"make it anew with Python {_dotted(PYTHON)} or newer: make setup"
        )
    return good(f"Python {found}", version=found)


def packages(_: Sight) -> Finding:
    """Every requirement of the distribution against what is installed."""
    from packaging.requirements import Requirement

    wrong = []
    for text in importlib.metadata.requires(DISTRIBUTION) or ():
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{wanted.name} is missing")
            continue
        if not wanted.specifier.contains(version, prereleases=True):
            wrong.append(f"{wanted.name} {version} is not {wanted.specifier}")
    if wrong:
        return bad("PACKAGES", "; ".join(wrong), "install what the lock file says: make setup", wrong=wrong)
    return good("every package is there in a version that fits")


def uv_version(sight: Sight) -> Finding:
    """uv, where a script of the copilot's checkout calls it."""
    checkout = sight.settings.values.copilot.dir
    if checkout is None:
        return unused("nothing that these settings start calls uv")
    scripts = [name for name in ("package.json", "generate-env.sh") if re.search(r"\buvx?\s", _text(checkout / name))]
    if not scripts:
        return unused(f"no script of {checkout} calls uv")
    return _program(
        sight, "uv", UV, f"{' and '.join(scripts)} of the copilot call it", "install uv, or leave it out of the scripts"
    )


def node_version(sight: Sight) -> Finding:
    """The Node that the copilot is started with, by having it run a line of TypeScript as it is."""
    if sight.service("copilot") is None:
        return unused(sight.why_not("copilot"))
    found = copilot.node(sight.settings.environment).binary
    fix = "install what the lock file says, which brings a Node: make setup; or put one of 22.18 or newer into PATH"
    try:
        said = programs.run((str(found), *TYPESCRIPT), sight.settings.environment, TIMEOUT_S)
    except OSError as error:
        return bad("MISSING", f"{found} cannot be started: {error.strerror}", fix)
    version = re.fullmatch(r"v(\S+) 1", said.out.strip())
    if said.status != 0 or version is None:
        last = (said.err or said.out).strip().splitlines()[-1:] or ["it says nothing"]
        return bad("BROKEN", f"{found} does not run TypeScript: {last[0][:200]}", fix)
    return good(f"Node {version[1]} at {found}", version=version[1])


def _program(sight: Sight, name: str, least: tuple[int, ...], why: str, fix: str) -> Finding:
    path = programs.find(name, sight.settings.environment)
    if path is None:
        return bad("MISSING", f"there is no {name} in PATH, and {why}", Manual(fix))
    said = programs.run((str(path), "--version"), sight.settings.environment, TIMEOUT_S)
    version = _VERSION.search(said.out + said.err)
    if said.status != 0 or version is None:
        return bad("BROKEN", f"{path} --version ends with {said.status} and says no version", Manual(fix))
    if tuple(int(part) for part in version[1].split("."))[: len(least)] < least:
        return bad("TOO_OLD", f"{name} {version[1]} is older than {_dotted(least)}, and {why}", Manual(fix))
    return good(f"{name} {version[1]} at {path}", version=version[1])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
