"""What `up` and `down` will do, decided from what was seen and without touching anything."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from graphlib import TopologicalSorter

from harness.errors import Exit, HarnessError, nearest
from harness.stack.services import Service


class Condition(Enum):
    """How a service was found.

    STARTING: it lives, but nobody has seen it answer, since its `up` was cut short
    DIED: it was started and is gone; STOPPED: it was never started
    ELSEWHERE: somebody else runs it
    """

    UP = "up"
    STARTING = "starting"
    DIED = "died"
    STOPPED = "stopped"
    ELSEWHERE = "elsewhere"


class Deed(Enum):
    """What is to be done with one service; ASK: it is not ours, and only has to answer."""

    KEEP = "keep"
    AWAIT = "await"
    START = "start"
    ASK = "ask"


DEEDS = {
    Condition.UP: Deed.KEEP,
    Condition.STARTING: Deed.AWAIT,
    Condition.DIED: Deed.START,
    Condition.STOPPED: Deed.START,
    Condition.ELSEWHERE: Deed.ASK,
}


@dataclass(frozen=True, slots=True)
class Step:
    """One service and what is to be done with it."""

    service: Service
    deed: Deed


def plan_up(services: Sequence[Service], wanted: Collection[str], found: Mapping[str, Condition]) -> list[Step]:
    """The steps that bring the wanted services up, what a service needs before it; what lives is left alone.

    Args:
        wanted: names of services, all when empty

    Raises:
        HarnessError: UNKNOWN_SERVICE (exit 2)
    """
    by_name = {service.name: service for service in services}
    check_names(services, wanted)
    needed: set[str] = set()
    waiting = list(wanted or by_name)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += by_name[name].needs
    order = [name for name in in_order(services) if name in needed]
    return [Step(by_name[name], DEEDS[found.get(name, Condition.STOPPED)]) for name in order]


def in_order(services: Sequence[Service]) -> list[str]:
    """The names of the services, each behind what it needs."""
    return list(TopologicalSorter({service.name: service.needs for service in services}).static_order())


def check_names(services: Sequence[Service], names: Collection[str]) -> None:
    """Refuse a name that no service of this stack has.

    Raises:
        HarnessError: UNKNOWN_SERVICE (exit 2)
    """
    known = [service.name for service in services]
    for name in names:
        if name not in known:
            raise HarnessError(
                "UNKNOWN_SERVICE",
                f"there is no service {name!r} in this stack",
                fix=nearest(name, known),
                exit_code=Exit.USAGE,
            )
