"""A case: one call of one tool under one circumstance, and what must come of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from harness.cassettes.tape import Reply, Varies
from harness.suite.expect import Expectation

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Kind(Enum):
    """What can happen to a tool: the columns of the coverage matrix."""

    GOOD = "good"
    EMPTY = "empty"
    LARGE = "large"
    WRONG_ARGUMENT = "wrong argument"
    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    RATE_LIMITED = "429"
    RATE_LIMITED_SILENT = "429 silent"
    SERVER_ERROR = "5xx"
    TIMEOUT = "time-out"
    MALFORMED = "malformed"
    PECULIAR = "its own"


REQUIRED = tuple(kind for kind in Kind if kind is not Kind.PECULIAR)
"""Every tool has a case of each of these, or an exemption with its reason."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What the emulator is told to do wrong, as `POST /_emulator/faults` takes it.

    Source: fixtures/emulator/README.md, "Faults"
    """

    kind: str
    value: str | int | None = None
    path: str | None = None
    skip: int | None = None
    count: int | None = None

    def rule(self) -> dict[str, Any]:
        """The rule as JSON."""
        said = {"kind": self.kind, "value": self.value, "path": self.path, "skip": self.skip, "count": self.count}
        return {key: value for key, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Call:
    """A call that sets the scene."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One call and what must come of it.

    name: unique among the tool's cases; part of a file name
    arguments: values may be Facts
    expects: all must hold
    before: calls on the same fresh store; each must go well
    fault: what goes wrong at Mixpanel, from after `before` on
    via: `tape` where a recording can hold it; `emulator-fault` where only a live wire can go wrong in this way
    replies: to the tool's questions, in turn; None where the client cannot be asked
    nobody_to_ask: it is about a client that cannot be asked
    samples: what the client's model says, in turn, the last one again and again; None where it has none
    varies: what its answer says otherwise at each call, each with its reason; all else is as on its tape
    cancel_after_s: the client gives up after so long and calls again; what is expected is the second answer
    """

    tool: str
    name: str
    kind: Kind
    expects: tuple[Expectation, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    before: tuple[Call, ...] = ()
    fault: Fault | None = None
    via: Literal["tape", "emulator-fault"] = "tape"
    replies: tuple[Reply, ...] | None = None
    samples: tuple[str, ...] | None = None
    cancel_after_s: float | None = None
    nobody_to_ask: bool = False
    varies: tuple[Varies, ...] = ()

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"{self.tool}: a case's name is lower case words with hyphens, not {self.name!r}")
        if not self.expects:
            raise ValueError(f"{self.id}: a case that expects nothing proves nothing")

    @property
    def id(self) -> str:
        """`segmentation--by-browser`."""
        return f"{self.tool}--{self.name}"


@dataclass(frozen=True, slots=True)
class Exemption:
    """Why a tool has no case of a kind.

    holds: whether the reason is still true is asked of the catalogue, by name (see matrix.REASONS)
    """

    tool: str
    kind: Kind
    reason: str
