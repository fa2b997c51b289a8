"""When each service of the last start got where, and which of them the whole start waited for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pydantic


class Spell(pydantic.BaseModel, frozen=True):
    """One service's part in a start; all times in seconds since the start began.

    waited_for: the services that had to answer before it
    begun_s: when nothing held it up any longer
    prepared_s: when what it needs on disk was there, None where nothing had to be made
    spawned_s: when its process ran, None where it ran before
    rungs: rung → when it held; ready_s: when the last one did
    """

    waited_for: tuple[str, ...] = ()
    begun_s: float = 0.0
    prepared_s: float | None = None
    spawned_s: float | None = None
    rungs: dict[str, float] = {}
    ready_s: float | None = None


class Timing(pydantic.BaseModel, frozen=True):
    """One start.

    started_at: ISO instant, UTC
    took_s: seconds until all was ready; None for a start that did not get there
    """

    started_at: str
    took_s: float | None = None
    services: dict[str, Spell] = {}


@dataclass(frozen=True, slots=True)
class Link:
    """One service of the critical chain: from when it was free to begin until it was ready.

    after: the service that it had to wait for, None where nothing held it up
    """

    service: str
    after: str | None
    from_s: float
    to_s: float


def critical_chain(services: Mapping[str, Spell]) -> tuple[Link, ...]:
    """The services that the whole start waited for, each held up by the one before it; empty when none got ready."""
    ready = {name: spell.ready_s for name, spell in services.items() if spell.ready_s is not None}
    name = max(ready, key=lambda each: ready[each], default=None)
    chain: list[Link] = []
    while name is not None:
        spell = services[name]
        held_up_by = max((n for n in spell.waited_for if n in ready), key=lambda each: ready[each], default=None)
        chain.append(Link(name, held_up_by, spell.begun_s, ready[name]))
        name = held_up_by
    return tuple(reversed(chain))


def to_dict(timing: Timing) -> dict[str, Any]:
    """A start for programs, with its critical chain, and the seconds that no service of the chain accounts for."""
    chain = critical_chain(timing.services)
    between = None
    if timing.took_s is not None:
        between = round(timing.took_s - sum(link.to_s - link.from_s for link in chain), 3)
    return {
        **timing.model_dump(mode="json"),
        "critical_chain": [asdict(link) for link in chain],
        "between_s": between,
    }


def text(timing: Timing) -> str:
    """A line a service, in the order in which they began, and the chain."""
    lines = [f"last start, {timing.started_at[:19].replace('T', ' ')} UTC; seconds since it began:"]
    for name, spell in sorted(timing.services.items(), key=lambda each: each[1].begun_s):
        steps = [f"{spell.begun_s:.2f} begins" + (f", after {', '.join(spell.waited_for)}" if spell.waited_for else "")]
        steps += [f"{spell.prepared_s:.2f} prepared"] if spell.prepared_s is not None else []
        steps += [f"{spell.spawned_s:.2f} runs"] if spell.spawned_s is not None else []
        steps += [f"{at:.2f} {rung}" for rung, at in spell.rungs.items()]
        lines.append(f"{name:<10}{' → '.join(steps)}")
    found = to_dict(timing)
    chain = " → ".join(f"{link['service']} {link['to_s'] - link['from_s']:.2f}" for link in found["critical_chain"])
    if timing.took_s is None:
        lines.append(f"{'chain':<10}{chain or 'nothing got ready'}; it was not finished")
    else:
        lines.append(f"{'chain':<10}{chain}; between them {found['between_s']:.2f}; in all {timing.took_s:.2f}")
    return "\n".join(lines)
