"""The suite's cases as recordings know them: where a tape is, and how its calls are made while it is recorded."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from harness.cassettes import tape
from harness.cassettes.studio import Running
from harness.cassettes.tape import Exchange, ToolCall
from harness.errors import HarnessError
from harness.rpc import RpcError
from harness.suite.case import Call, Case
from harness.suite.cases import CASES
from harness.suite.client import CALL_S, Modern, Person
from harness.suite.facts import settled
from harness.wire import WireError
from mp_mcp_server.catalogue import TOOLS


@cache
def category(tool: str) -> str:
    """The family of a tool, and so the folder of its tapes."""
    return next(spec.category for spec in TOOLS if spec.name == tool)


def place(case: Case) -> str:
    """The id of a case's tape, `live/segmentation--by-browser`."""
    return f"{category(case.tool)}/{case.id}"


def taped(case: Case, facts: Mapping[str, Any]) -> tape.Case:
    """The case with its facts filled in, as a recording takes it."""
    return tape.Case(
        category(case.tool),
        case.tool,
        case.name,
        settled(case.arguments, facts),
        tuple(_call(each, facts) for each in case.before),
        (case.fault.rule(),) if case.fault else (),
        case.varies,
        case.replies,
        case.samples,
    )


def tape_cases(facts: Mapping[str, Any], cases: Iterable[Case] = CASES) -> tuple[tape.Case, ...]:
    """All cases that a tape can hold."""
    return tuple(taped(case, facts) for case in cases if case.via == "tape")


def answering(server: Running, case: tape.Case, ready: Callable[[], None]) -> list[Exchange]:
    """The calls of a client that answers what it is asked back as the case says; a Caller.

    Raises:
        HarnessError: NO_ANSWER; or what `ready` raises
    """
    client = Modern(server.port, "/mcp")
    try:
        made = [Exchange(each, client.call(each.tool, each.arguments, Person(), CALL_S)) for each in case.before]
        ready()
        last = case.calls[-1]
        person = Person(case.replies, case.samples)
        result = client.call(last.tool, last.arguments, person, CALL_S)
    except (RpcError, WireError) as error:
        raise HarnessError(
            "NO_ANSWER",
            f"{case.id}: the server does not answer as MCP has it: {error}",
            fix="see its log in the state directory of recordings",
        ) from None
    return [*made, Exchange(last, result, tuple(person.asked))]


def _call(call: Call, facts: Mapping[str, Any]) -> ToolCall:
    return ToolCall(call.tool, settled(call.arguments, facts))
