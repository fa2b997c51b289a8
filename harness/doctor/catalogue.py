"""CHECKS: everything that the doctor looks at, in the order in which it is shown; a fact about a check stands here."""

from harness.doctor.check import Check
from harness.doctor.rows import cassettes, copilot, front_door, machine, server, upstream

CHECKS: tuple[Check, ...] = (
    *machine.CHECKS,
    *upstream.CHECKS,
    *server.CHECKS,
    *copilot.CHECKS,
    *front_door.CHECKS,
    *cassettes.CHECKS,
    *machine.LAST,
)


def by_id(name: str) -> Check | None:
    """The check of that id."""
    return next((check for check in CHECKS if check.id == name), None)


def rows() -> list[tuple[str, str, str, str]]:
    """The catalogue for a table: id, what it proves, how bad it is when it does not hold, what it needs."""
    return [(check.id, check.proves, check.severity.value, ", ".join(check.needs)) for check in CHECKS]
