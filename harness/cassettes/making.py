"""How a tape is made of what was asked and answered: without secrets, and the same whenever the same is recorded."""

import importlib.metadata
from collections.abc import Iterable, Sequence
from datetime import datetime

from harness import clock
from harness.cassettes import canonical, scrub, steady
from harness.cassettes.journal import About
from harness.cassettes.scrub import Cleaner
from harness.cassettes.tape import Case, Exchange, Interaction, Recorded, Tape, Varies

VERSIONS_OF = ("mixpanel-data", "vcrpy", "httpx", "fastmcp")


def tape_of(
    case: Case,
    about: About,
    interactions: Sequence[Interaction],
    exchanges: Sequence[Exchange],
    clean: tuple[Cleaner, Cleaner],
) -> Tape:
    """The tape of a case.

    Args:
        interactions: as its journal has them, the account's values replaced
        exchanges: as a client had them
        clean: what takes the account and the address that was really asked out of exchanges; and what takes people out
            of all of it
    """
    account, people = clean
    ids = canonical.made_up(interactions)

    def anybodys(text: bytes) -> bytes:
        return people(ids(text))

    instant = datetime.fromisoformat(about.clock)
    return Tape(
        case.id,
        Recorded(
            at=clock.now().isoformat(timespec="seconds"),
            target=about.target,
            clock=about.clock,
            region=about.region,
            data=about.data,
            versions={name: importlib.metadata.version(name) for name in VERSIONS_OF},
        ),
        _sorted(_at(instant, (scrub.interaction(each, anybodys) for each in interactions))),
        kept(exchanges, case.varies, lambda text: anybodys(account(text))),
        case.faults,
        case.varies,
        case.replies,
        case.samples,
    )


def kept(exchanges: Sequence[Exchange], varies: Sequence[Varies], clean: Cleaner) -> tuple[Exchange, ...]:
    """Exchanges as they stand on a tape; what varies does so in the last one."""
    cleaned = [scrub.exchange(each, clean) for each in exchanges]
    return tuple(
        Exchange(
            each.call,
            steady.result(each.result, varies if number == len(cleaned) else ()),
            steady.asked_back(each.asked_back),
        )
        for number, each in enumerate(cleaned, start=1)
    )


def _at(instant: datetime, interactions: Iterable[Interaction]) -> list[Interaction]:
    return [Interaction(each.asked, canonical.at_its_clock(each.answer, instant)) for each in interactions]


def _sorted(interactions: list[Interaction]) -> tuple[Interaction, ...]:
    # Calls that were in flight together came as they came: sorted, a new recording differs where answers do.
    return tuple(sorted(interactions, key=lambda each: canonical.key(each.asked)))
