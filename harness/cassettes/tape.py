"""What a tape holds: which case it is of, where and when it was recorded, and each request with its answer."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

from harness.errors import Exit, HarnessError

FORMAT = 1
SUFFIX = ".yaml"
LARGEST_BYTES = 32 << 20
"""Of one tape: beyond that nobody reviews it, and it is slow to load."""

Target = Literal["emulator", "live"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool, as an MCP client makes it."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Varies:
    """A place of an answer that says something else at each call; its case declares it, and its tape repeats that.

    place: a JSON pointer into the structured content
    what: only the order of its items, or all values; which items there are, or of which kinds, counts all the same
    reason: a sentence
    """

    place: str
    what: Literal["order", "values"]
    reason: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client answers when a tool asks it to fill in a form."""

    action: Literal["accept", "decline", "cancel"]
    content: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As the protocol has it."""
        return {"action": self.action} | ({} if self.content is None else {"content": dict(self.content)})


@dataclass(frozen=True, slots=True)
class Case:
    """What one tape is recorded of; the seam between the tapes and whoever lists cases.

    category, tool, name: where its tape is, `<category>/<tool>--<name>.yaml`; small letters, digits, `_` and `-`
    arguments: of the call that the case is about
    before: calls that have to come first, such as a fetch; their requests are on the same tape
    faults: rules for the emulator's `/_emulator/faults`, in force from after `before` on; with any, only the emulator
        can be asked, and whatever it answers is kept
    varies: of the answer to the call that the case is about
    replies: to what that call asks back, in turn; None where the client cannot be asked
    samples: what the client's model says, in turn, the last one again and again; None where it has none
    """

    category: str
    tool: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    before: tuple[ToolCall, ...] = ()
    faults: tuple[Mapping[str, Any], ...] = ()
    varies: tuple[Varies, ...] = ()
    replies: tuple[Reply, ...] | None = None
    samples: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for part in (self.category, self.tool, self.name):
            if not _NAME.fullmatch(part):
                raise ValueError(f"{part!r} cannot be part of a tape's name: take small letters, digits, _ and -")

    @property
    def id(self) -> str:
        """`live/segmentation--by-browser`: the tape's path without its suffix."""
        return f"{self.category}/{self.tool}--{self.name}"

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """All calls, in their order."""
        return (*self.before, ToolCall(self.tool, self.arguments))


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as Mixpanel sees it wherever it really goes.

    url: Mixpanel's own, without the query
    query: each parameter with its values, in the order in which they were sent
    media_type: of the body, empty where there is none
    """

    method: str
    url: str
    query: tuple[tuple[str, str], ...] = ()
    media_type: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    headers: the few that a client acts on, by name in small letters
    body: never compressed; `content-encoding: gzip` among the headers says that it travels so
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Interaction:
    """A request with its answer."""

    asked: Asked
    answer: Answer


@dataclass(frozen=True, slots=True)
class AskedBack:
    """What a tool asked of its client before it answered, and what it was told.

    method: `elicitation/create` or `sampling/createMessage`
    params, reply: as the protocol has them, on a tape in their steady form
    """

    method: str
    params: Mapping[str, Any]
    reply: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A call of a tool with what the server answered: the result of `tools/call`, on a tape in its steady form.

    asked_back: in the order in which it was asked, however the era of the client has it travel
    """

    call: ToolCall
    result: Mapping[str, Any]
    asked_back: tuple[AskedBack, ...] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where a tape comes from.

    at: when, ISO 8601 in UTC
    clock: the instant at which the server's clock stood; a replay's stands there too
    region: of the project that was asked
    data: what the emulator served; None for live Mixpanel
    versions: of what took part, by name
    """

    at: str
    target: Target
    clock: str
    region: str
    data: Mapping[str, Any] | None
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Tape:
    """All of one case.

    faults: those that the emulator was told of
    varies: of the last call's answer
    replies, samples: what its client had to say, whether it was asked or not
    """

    case: str
    recorded: Recorded
    interactions: tuple[Interaction, ...]
    exchanges: tuple[Exchange, ...] = ()
    faults: tuple[Mapping[str, Any], ...] = ()
    varies: tuple[Varies, ...] = ()
    replies: tuple[Reply, ...] | None = None
    samples: tuple[str, ...] | None = None


def place(directory: Path, case: str) -> Path:
    """The file of a case's tape.

    Raises:
        HarnessError: NO_SUCH_CASE (exit 2): it is no case's id.
    """
    category, _, rest = case.partition("/")
    tool, dashes, name = rest.partition("--")
    if not dashes or not all(_NAME.fullmatch(part) for part in (category, tool, name)):
        raise HarnessError(
            "NO_SUCH_CASE",
            f"{case[:200]!r} is no case's id",
            fix="write it as live/segmentation--example",
            exit_code=Exit.USAGE,
        )
    return directory / category / f"{tool}--{name}{SUFFIX}"


def found(directory: Path) -> dict[str, Path]:
    """Every tape below a directory, by its case's id, sorted."""
    files = sorted(directory.glob(f"*/*--*{SUFFIX}"))
    return {file.relative_to(directory).as_posix().removesuffix(SUFFIX): file for file in files}


def strays(directory: Path, known: Collection[str]) -> list[str]:
    """Files below a directory of tapes that are none, by their paths in it, sorted: a tape under another name is on
    none's list, and would go stale unseen.

    Args:
        known: files beside the tapes that belong there
    """
    tapes = set(found(directory).values())
    files = (file for file in directory.rglob("*") if file not in tapes and not file.is_dir())
    return sorted(path for file in files if (path := file.relative_to(directory).as_posix()) not in known)


def too_large(case: str, size: int) -> NoReturn:
    """Refuse a tape that nobody would review.

    Raises:
        HarnessError: TAPE_TOO_LARGE
    """
    raise HarnessError(
        "TAPE_TOO_LARGE",
        f"the tape of {case} has {size:,} bytes, and {LARGEST_BYTES:,} are allowed",
        fix="let the case ask for fewer days, fewer events, or a limit",
    )
