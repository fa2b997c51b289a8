"""What a check may look at: the settings, the stack as it is written down, and what the checks it needs have found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from harness.doctor.check import Finding
from harness.settings import Settings
from harness.stack.service import HOST, Service, absent, of_stack
from harness.stack.state import Member, Stack, StateDirectory
from harness.wire import Place, elsewhere


@dataclass(frozen=True)
class Sight:
    """One look at everything.

    settings: with a running stack's own in place of what nobody set now
    catalogue: every service that there is; services: those that these settings make a stack of on this machine
    stack: as it is written down, None when nothing is
    found: what other checks have found so far; those that a check needs are there before it looks
    """

    settings: Settings
    catalogue: tuple[Service, ...]
    services: tuple[Service, ...]
    state: StateDirectory
    stack: Stack | None
    found: dict[str, Finding] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings, catalogue: Sequence[Service]) -> "Sight":
        """What there is to look at now."""
        state = StateDirectory(settings.state_dir)
        stack = state.read()
        if stack is not None:
            settings = settings.relaunch(stack.launch)
        return cls(settings, tuple(catalogue), of_stack(catalogue, settings), state, stack)

    @property
    def live(self) -> bool:
        """Whether Mixpanel itself stands behind the server."""
        return self.settings.values.stack.target == "live"

    @property
    def replays(self) -> bool:
        """Whether tapes stand behind the server."""
        return self.settings.values.stack.target == "replay"

    def facts(self, check: str) -> Mapping[str, Any]:
        """What a check that this one needs has found."""
        return self.found[check].facts

    def member(self, name: str) -> Member | None:
        """A service as it was started, None when it was not."""
        return self.stack.members.get(name) if self.stack else None

    def service(self, name: str) -> Service | None:
        """A service of this stack, None when these settings have none of that name."""
        return next((service for service in self.services if service.name == name), None)

    def absent(self, name: str) -> str | None:
        """Why there is nothing of a service to look at, None where it was started or somebody else runs it."""
        service = self.service(name)
        there = service is not None and (self.member(name) is not None or service.elsewhere(self.settings))
        return None if there else self.why_not(name)

    def why_not(self, name: str) -> str:
        """The same for one of which that is known."""
        if self.service(name) is None:
            why = absent(self.catalogue, self.settings).get(name)
            return f"this machine cannot run the {name}: {why}" if why else f"these settings have no {name}"
        if self.stack is None:
            return "nothing is running: harness up"
        return f"{name} was not started: harness up {name}"

    def port(self, name: str) -> int:
        """Where a service is or would be."""
        member, service = self.member(name), self.service(name)
        if member is not None:
            return member.port
        if service is None:
            raise LookupError(self.why_not(name))
        return service.port(self.settings)

    def place(self, name: str) -> Place:
        """Where a service is asked: a port of this machine, or the one that somebody else runs."""
        service = self.service(name)
        url = service.elsewhere(self.settings) if service else None
        return elsewhere(url) if url else self.port(name)

    def path(self, name: str) -> str:
        """What a client of a service adds to its place."""
        service = self.service(name)
        if service is None:
            raise LookupError(self.why_not(name))
        url = service.elsewhere(self.settings)
        return urlsplit(url).path if url else service.path

    def url(self, name: str) -> str:
        """The whole address of a service."""
        service = self.service(name)
        url = service.elsewhere(self.settings) if service else None
        return url or f"http://{HOST}:{self.port(name)}{self.path(name)}"
