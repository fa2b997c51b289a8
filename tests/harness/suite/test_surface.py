"""Which changes of the surface break somebody: one change at a time, on the reviewed surface of the real server."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from harness.suite.surface import changes
from tests.support.repository import ROOT

TOOLS = json.loads((ROOT / "tests/mp_mcp_server/surface.json").read_text(encoding="utf-8"))
BEFORE: dict[str, Any] = {
    "tools": TOOLS,
    "resources": [{"uri": "workspace://tables", "name": "tables", "mimeType": "application/json"}],
    "templates": [{"uriTemplate": "schema://{event}", "name": "schema"}],
    "prompts": [{"name": "weekly", "arguments": [{"name": "day", "required": False}]}],
}


def tool(surface: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in surface["tools"] if each["name"] == name)
    return found


def funnel(surface: dict[str, Any]) -> dict[str, Any]:
    inputs: dict[str, Any] = tool(surface, "funnel")["inputSchema"]
    return inputs


def answer(surface: dict[str, Any]) -> dict[str, Any]:
    outputs: dict[str, Any] = tool(surface, "funnel")["outputSchema"]
    return outputs


Edit = Callable[[dict[str, Any]], object]
EDITS: list[tuple[str, bool, Edit]] = [
    ("a tool goes", True, lambda s: s["tools"].remove(tool(s, "jql"))),
    ("a tool comes", False, lambda s: s["tools"].append({**tool(s, "jql"), "name": "jql2"})),
    ("a description changes", False, lambda s: tool(s, "jql").update(description="Other words.")),
    ("an argument goes", True, lambda s: funnel(s)["properties"].pop("unit")),
    ("an argument comes", False, lambda s: funnel(s)["properties"].update(extra={"type": "string"})),
    (
        "a required argument comes",
        True,
        lambda s: (funnel(s)["properties"].update(extra={"type": "string"}), funnel(s)["required"].append("extra")),
    ),
    ("an argument is required now", True, lambda s: funnel(s)["required"].append("unit")),
    ("an argument is optional now", False, lambda s: funnel(s)["required"].remove("from_date")),
    ("a choice goes", True, lambda s: funnel(s)["properties"]["unit"]["enum"].remove("week")),
    ("a choice comes", False, lambda s: funnel(s)["properties"]["unit"]["enum"].append("quarter")),
    ("a default changes", True, lambda s: funnel(s)["properties"]["unit"].update(default="week")),
    ("a type changes", True, lambda s: funnel(s)["properties"]["funnel_id"].update(type="string")),
    ("a number may be less", False, lambda s: funnel(s)["properties"]["funnel_id"].update(minimum=-(10**9))),
    ("a number must be more", True, lambda s: funnel(s)["properties"]["funnel_id"].update(minimum=10**9)),
    ("a text must be shorter", True, lambda s: funnel(s)["properties"]["from_date"].update(maxLength=1)),
    ("a key of the answer goes", True, lambda s: answer(s)["properties"].pop("steps")),
    ("a key of the answer comes", False, lambda s: answer(s)["properties"].update(extra={"type": "string"})),
    (
        "a key deep in the answer changes its type",
        True,
        lambda s: answer(s)["properties"]["steps"]["items"]["properties"]["count"].update(type="string"),
    ),
    ("it writes now", True, lambda s: tool(s, "sql")["annotations"].update(readOnlyHint=False)),
    ("it no longer destroys", False, lambda s: tool(s, "drop_table")["annotations"].update(destructiveHint=False)),
    ("an answer has a schema no more", True, lambda s: tool(s, "sql").pop("outputSchema")),
    ("a resource goes", True, lambda s: s["resources"].clear()),
    ("a resource is of another type", True, lambda s: s["resources"][0].update(mimeType="text/plain")),
    ("a template moves", True, lambda s: s["templates"][0].update(uriTemplate="other://{event}")),
    ("a prompt's argument is required now", True, lambda s: s["prompts"][0]["arguments"][0].update(required=True)),
    ("a prompt comes", False, lambda s: s["prompts"].append({"name": "monthly"})),
]


@pytest.mark.parametrize(("breaking", "edit"), [each[1:] for each in EDITS], ids=[each[0] for each in EDITS])
def test_each_change_is_told_and_judged(breaking: bool, edit: Edit) -> None:
    after = copy.deepcopy(BEFORE)
    edit(after)
    found = changes(BEFORE, after)
    assert found
    assert any(change.breaking for change in found) is breaking, "\n".join(map(str, found))


def test_no_change_is_told_where_there_is_none() -> None:
    assert changes(BEFORE, copy.deepcopy(BEFORE)) == []
