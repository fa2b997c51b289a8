"""`python -m tests.mp_mcp_server.suite_tools OPTIONS`: our server with the tools that the conformance suite calls.

So that it sees the questions, the models and the progress of this server's runtime, which its own tools use too.
"""

import sys
import time
from typing import Literal

from pydantic import BaseModel
from typing_extensions import TypedDict

from mp_mcp_server import server
from mp_mcp_server.call import Call, Prompt
from mp_mcp_server.catalogue import ToolSpec


class Text(TypedDict):
    text: str


class Named(BaseModel):
    name: str = ""
    color: str = ""
    ok: bool = False


class Defaults(BaseModel):
    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Literal["active", "inactive", "pending"] = "active"
    verified: bool = True


def test_error_handling(call: Call) -> Text:
    """Fail, and say so.

    Args:
        call: of this tool
    """
    raise ValueError("This tool intentionally returns an error for testing")


def test_tool_with_progress(call: Call) -> Text:
    """Tell how far it is, three times.

    Args:
        call: of this tool
    """
    for done in (0, 50, 100):
        call.progress(done, 100, f"{done} of 100")
        time.sleep(0.3)
    return {"text": "done"}


def test_sampling(call: Call, *, prompt: str) -> Text:
    """Have a model say something.

    Args:
        call: of this tool
        prompt: what it is asked
    """
    spoken = call.sample("model", Prompt(prompt, "{}"))
    return {"text": f"LLM response: {spoken.text if spoken else 'none'}"}


def test_elicitation(call: Call, *, message: str) -> Text:
    """Ask a person.

    Args:
        call: of this tool
        message: what they are asked
    """
    return {"text": f"User response: {call.ask('person', message, Named).outcome}"}


def test_elicitation_sep1034_defaults(call: Call) -> Text:
    """Ask a person with an answer for everything already filled in.

    Args:
        call: of this tool
    """
    answer = call.ask("person", "Fill in, or leave it.", Defaults)
    return {"text": f"Elicitation completed: action={answer.outcome}, content={answer.form}"}


def _asks(name: str, *keys: str) -> ToolSpec:
    """A tool that asks one question after the other."""

    def asks(call: Call) -> Text:
        """Ask.

        Args:
            call: of this tool
        """
        for key in keys:
            call.ask(key, f"What is your {key}?", Named)
        return {"text": "state-ok"}

    asks.__name__ = name
    return ToolSpec(asks, "interactive", read_only=True)


def test_input_required_result_sampling(call: Call) -> Text:
    """Have a model say something.

    Args:
        call: of this tool
    """
    spoken = call.sample("capital", Prompt("What is the capital of France?", "{}"))
    return {"text": spoken.text if spoken else ""}


def test_input_required_result_capabilities(call: Call) -> Text:
    """Ask whomever there is.

    Args:
        call: of this tool
    """
    call.ask("person", "Well?", Named)
    call.sample("model", Prompt("Well?", "{}"))
    return {"text": "done"}


SPECS = (
    *(
        ToolSpec(run, "interactive", read_only=True)
        for run in (
            test_error_handling,
            test_tool_with_progress,
            test_sampling,
            test_elicitation,
            test_elicitation_sep1034_defaults,
            test_input_required_result_sampling,
            test_input_required_result_capabilities,
        )
    ),
    _asks("test_input_required_result_elicitation", "user_name"),
    _asks("test_input_required_result_request_state", "consent"),
    _asks("test_input_required_result_tampered_state", "consent"),
    _asks("test_input_required_result_multi_round", "name", "color"),
)

if __name__ == "__main__":
    from mp_mcp_server import cli

    build = server.build
    server.build = lambda settings=None, specs=SPECS: build(settings, specs)
    sys.exit(cli.main())
