"""The SSE question asked by the copilot's own client library, where that is installed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pydantic

from harness import programs
from harness.settings import Settings
from harness.stack import copilot

SCRIPT = Path(__file__).with_name("real_client.mjs")
PATIENCE_S = 150.0
"""More than the script itself gives all that it waits for."""


class Word(pydantic.BaseModel, frozen=True):
    """What became of one client.

    mode: its defaults, or the handshake that every server knows
    tools: how many it listed, None where it could not; called: whether its call of a tool was answered
    said: what it complained of, though it may have got on
    """

    mode: str
    library: str
    tools: int | None
    called: bool
    said: tuple[str, ...]
    ms: float


@dataclass(frozen=True)
class RealClient:
    """A Node and the packages of a copilot."""

    node: Path
    packages: Path
    environment: Mapping[str, str]

    def ask(self, url: str) -> tuple[Word, ...]:
        """How the library gets on with a server, in each of its modes."""
        ran = programs.run((str(self.node), str(SCRIPT), str(self.packages), url), self.environment, PATIENCE_S)
        try:
            return tuple(pydantic.TypeAdapter(list[Word]).validate_json(ran.out))
        except pydantic.ValidationError:
            last = ran.err.strip().splitlines()[-1:] or ("it said nothing",)
            how = "did not end in time" if ran.status is None else f"ended with {ran.status}"
            return (
                Word(mode="its defaults", library="", tools=None, called=False, said=(f"node {how}", *last), ms=0.0),
            )


def find(settings: Settings) -> RealClient | None:
    """The copilot's client library, None where it is not installed."""
    directory = settings.values.copilot.dir or copilot.OURS
    packages = directory / "node_modules"
    if not (packages / "@ai-sdk" / "mcp" / "package.json").is_file():
        return None
    environment = {name: value for name, value in settings.environment.items() if not name.startswith(("MP_", "NODE_"))}
    return RealClient(copilot.node(settings.environment).binary, packages, environment)


def text(words: tuple[Word, ...]) -> str:
    """A line of the ladder for each client."""
    return "\n".join(
        f"  {'✓' if word.called else '✗'} {'client':<12}{word.ms:>8.1f} ms  {word.library}, {word.mode}: "
        + (f"{word.tools} tools, a call" if word.called else "does not get on")
        + (f"; it says: {json.dumps(sorted(set(word.said)), ensure_ascii=False)}" if word.said else "")
        for word in words
    )
