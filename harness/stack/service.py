"""What a row of SERVICES is made of, what its command and environment are made from, and which rows make a stack."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.settings import Settings

HOST = "127.0.0.1"
PROGRAMS = "programs"
"""Where in the state directory programs stand that a service calls by name."""
MISLEADING = {
    "VIRTUAL_ENV": "names another environment",
    "PYTHONHOME": "names another Python's library",
    "PYTHONPATH": "puts other packages before ours",
    "UV_": "lets uv choose another Python, environment or index",
}
"""The caller's variables that would change which packages a service loads, or what their names begin with: why."""


@dataclass(frozen=True)
class Launch:
    """What a service's command and environment are made from.

    about: what the services that it needs say of themselves, by name; holds the emulator's account, so no repr shows it
    parts: the names of the services that the stack is made of
    run_id: the stack's; a service gets no secret of its own but what is made from it
    """

    settings: Settings
    state_dir: Path
    about: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    parts: frozenset[str] = frozenset()
    run_id: str = field(default="", repr=False)


@dataclass(frozen=True)
class Service:
    """One row of the catalogue.

    targets: the targets in whose stacks it runs
    needs: what it is of no use without, so that it is started along with it
    waits_for: which of them must answer before it starts
    command: its argv, without secrets
    environment: what is set for it beside the caller's cleaned environment; a value of None removes the variable
    program: the name that it gives itself, to be told apart from another program on its port
    path: what a client adds to the port
    health, about: routes; `about` is None where it does not describe itself
    ladder: the rungs that prove it ready, from the bottom
    directory: where it is started; the state directory when None
    prepare: makes what has to be there before its start, telling how it goes; whether there was anything to make
    missing: why this machine cannot run it, or None; a stack then does without it
    elsewhere: the address of one that somebody else runs, or None; it is then asked, and not started
    adapt: the row as these settings want it
    """

    name: str
    purpose: str
    targets: frozenset[str]
    needs: tuple[str, ...]
    port: Callable[[Settings], int]
    port_setting: str
    command: Callable[[Launch], tuple[str, ...]]
    environment: Callable[[Launch], Mapping[str, str | None]]
    program: str
    path: str
    health: str
    about: str | None
    ladder: tuple[str, ...]
    start_deadline_s: float
    waits_for: tuple[str, ...] = ()
    directory: Callable[[Launch], Path] | None = None
    prepare: Callable[[Launch, Callable[[str], None]], bool] | None = None
    missing: Callable[[Settings], str | None] = lambda _: None
    elsewhere: Callable[[Settings], str | None] = lambda _: None
    adapt: Callable[["Service", Settings], "Service"] = lambda service, _: service

    def url(self, port: int) -> str:
        """Where a client finds it."""
        return f"http://{HOST}:{port}{self.path}"


def for_target(services: Sequence[Service], target: str) -> tuple[Service, ...]:
    """The services of one target's stack, needing only each other."""
    return _among(services, {service.name for service in services if target in service.targets})


def of_stack(services: Sequence[Service], settings: Settings) -> tuple[Service, ...]:
    """The services that these settings make a stack of on this machine, each as they want it.

    What is only there for a service that somebody else runs is left out, and so is what this machine cannot run.
    """
    own = [service.adapt(service, settings) for service in for_target(services, settings.values.stack.target)]
    names = {service.name for service in own if service.missing(settings) is None}
    foreign = {service.name for service in own if service.elsewhere(settings)}
    for name in foreign:
        only_for_it = {need for service in own if service.name == name for need in service.needs}
        only_for_it -= {need for service in own if service.name not in foreign for need in service.needs}
        names -= only_for_it
    return _among(own, names)


def usual(services: Sequence[Service], settings: Settings) -> set[str]:
    """The services that a plain `up` brings up, with what they need."""
    by_name = {service.name: service for service in services}
    found: set[str] = set()
    waiting = [name for name in settings.values.stack.services or by_name if name in by_name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += by_name[name].needs
    return found


def absent(services: Sequence[Service], settings: Settings) -> dict[str, str]:
    """What this machine cannot run of a stack: service → why."""
    own = for_target(services, settings.values.stack.target)
    return {service.name: why for service in own if (why := service.missing(settings)) is not None}


def misleading(environment: Mapping[str, str]) -> dict[str, str]:
    """The caller's variables that would change which packages the services load: variable → why."""
    return {name: why for name in sorted(environment) if (why := _misleads(name)) is not None}


def complete_environment(service: Service, launch: Launch) -> dict[str, str]:
    """All that a service sees: the caller's environment without what misleads, and the service's own on top."""
    caller = launch.settings.environment
    dropped = {*misleading(caller), *(name for name in caller if name.startswith("HARNESS_"))}
    found = {name: value for name, value in caller.items() if name not in dropped}
    found["PYTHONUNBUFFERED"] = "1"
    for name, value in service.environment(launch).items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = value
    return found


def _misleads(name: str) -> str | None:
    begin = "UV_" if name.startswith("UV_") else name
    return MISLEADING.get(begin)


def _among(services: Sequence[Service], names: set[str]) -> tuple[Service, ...]:
    return tuple(
        replace(
            service,
            needs=tuple(need for need in service.needs if need in names),
            waits_for=tuple(need for need in service.waits_for if need in names),
        )
        for service in services
        if service.name in names
    )
