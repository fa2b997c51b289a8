"""What a bundle holds, as it is made here and as it comes from somebody else."""

from typing import Any, Literal

import pydantic

Holding = Literal["free", "ours", "other stack", "stranger"]


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Variable(_Part):
    """A variable of the environment that the harness, the library or the network goes by; its value unless secret."""

    name: str
    value: str | None


class Port(_Part):
    """A port of the stack: free, ours, stale or a stranger's; who holds it, without the words of its command line."""

    service: str
    port: int
    state: Holding
    holder: str | None


class Log(_Part):
    """A log in the bundle: `whole` is false where only its last lines are in it."""

    name: str
    bytes: int
    whole: bool


class Report(_Part):
    """Everything but the logs' text.

    made_at: ISO instant in UTC
    settings: rows of `harness settings`; settings_error in their place where they cannot be read
    status: of `harness status`, the timing of the last start among it
    checks: of `harness doctor`
    known_issues: what the logs show, faults first
    notes: what whoever reads this should know about it
    """

    format: Literal[1] = 1
    made_at: str
    versions: dict[str, str]
    settings: list[dict[str, Any]]
    settings_error: dict[str, Any] | None
    environment: list[Variable]
    status: dict[str, Any]
    ports: list[Port]
    checks: dict[str, Any] | None
    known_issues: list[dict[str, Any]]
    logs: list[Log]
    notes: list[str]
