"""A copilot that runs in minikube: whether its manifest names a way to the server, and whether that way leads there."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from harness import programs
from harness.doctor.check import Finding, bad, good, unused
from harness.doctor.sight import Sight
from harness.doctor.subjects.checkout import LONGEST_BYTES

HOST = "host.minikube.internal"
VARIABLE = "MIXPANEL_DATA_MCP_URL"
FOLDERS = ("", "k8s", "kubernetes", "deploy", "manifests", "helm")
TIMEOUT_S = 20.0
_VALUE = re.compile(rf"{VARIABLE}['\"]?\s*\n?\s*(?:value)?\s*[:=]\s*['\"]?(\S+?)['\"]?\s*$", re.MULTILINE)


def manifest(sight: Sight) -> Finding:
    """The server's address in a manifest of the copilot's checkout: a pod's own localhost is not this machine."""
    directory = sight.settings.values.copilot.dir
    if directory is None:
        return unused("copilot.dir is not set: nothing of these settings runs in minikube")
    found = next(((path, _text(path)) for path in _manifests(directory) if VARIABLE in _text(path)), None)
    if found is None:
        return unused(f"no manifest in {directory} gives a pod {VARIABLE}")
    path, text = found
    value = _VALUE.search(text)
    name, wanted = path.relative_to(directory), f"http://{HOST}:{sight.port('mcp')}{sight.path('mcp')}"
    if value is None:
        return bad("NO_ADDRESS", f"{name} names {VARIABLE} and no value for it", f"value: {wanted}")
    url = urlsplit(value[1])
    if url.hostname in {"localhost", "127.0.0.1", "::1"}:
        what = f"{name} sends the pod to {value[1]}, which is the pod itself"
        return bad("LOCALHOST", what, f"value: {wanted}", address=value[1])
    if url.hostname == HOST and url.port != sight.port("mcp"):
        return bad(
            "OTHER_PORT",
            f"{name} sends the pod to {value[1]}, and the server is on port {sight.port('mcp')}",
            f"value: {wanted}",
        )
    return good(f"{name} sends the pod to {value[1]}", address=value[1])


def host(sight: Sight) -> Finding:
    """Whether minikube's machine reaches the server by host.minikube.internal."""
    address = sight.facts("minikube.manifest").get("address")
    if address is None or urlsplit(address).hostname != HOST:
        return unused(f"no manifest of these settings uses {HOST}")
    if sight.absent("mcp") is not None:
        return unused(str(sight.absent("mcp")))
    environment = sight.settings.environment
    minikube = programs.find("minikube", environment)
    if minikube is None:
        return bad(
            "NO_MINIKUBE", "a manifest wants minikube, and there is none in PATH", "install minikube, and start it"
        )
    health = f"http://{HOST}:{sight.port('mcp')}/health"
    said = programs.run((str(minikube), "ssh", "--", "curl", "-sS", "-m", "5", health), environment, TIMEOUT_S)
    if said.status is None:
        return bad("SILENT", f"minikube ssh did not end within {TIMEOUT_S:g} s", "minikube status; minikube start")
    if said.status != 0 or '"mixpanel"' not in said.out:
        last = (said.err or said.out).strip().splitlines()[-1:] or ["no answer"]
        fix = (
            "the server listens on 127.0.0.1 alone: lead a port of minikube's bridge to it, such as"
            f" socat TCP-LISTEN:{sight.port('mcp')},bind=192.168.49.1,fork TCP:127.0.0.1:{sight.port('mcp')}"
        )
        return bad("NO_WAY", f"minikube does not reach {health}: {last[0][:200]}", fix)
    return good(f"minikube reaches {health}")


def _manifests(directory: Path) -> list[Path]:
    found = []
    for folder in FOLDERS:
        place = directory / folder
        if place.is_dir():
            found += sorted(path for path in place.iterdir() if path.suffix in {".yaml", ".yml"} and path.is_file())
    return found


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(LONGEST_BYTES).decode(errors="replace")
