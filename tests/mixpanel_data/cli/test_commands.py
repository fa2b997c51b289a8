"""Every command in every form says exactly what the library says."""

from __future__ import annotations

import csv
import importlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from mixpanel_data import Workspace
from mixpanel_data.cli.app import GROUPS
from mixpanel_data.cli.grid import LONGEST_CELL
from mixpanel_data.cli.output import Format, Output, as_json
from mixpanel_data.cli.terminal import visible
from mixpanel_data.results import Result
from tests.mixpanel_data.cli.conftest import FIRST, LAST, Mp

DAYS: dict[str, Any] = {"from_date": FIRST, "to_date": LAST}
FROM_TO = ("--from", FIRST, "--to", LAST)
JQL = """function main() {
    return Events({from_date: "2025-06-30", to_date: "2025-06-30"}).groupBy(["name"], mixpanel.reducer.count());
}"""
SQL = """select event_name, count(*) as n, min(event_time) as first, true as yes, null as no
from events group by all order by 1"""
OS = """properties->>'$."$os"'"""
DEAR = 'properties["amount"] > 20'
WHERE = 'properties["$os"] == "iOS"'


@dataclass(frozen=True)
class Example:
    """A command line, and the same question to the library."""

    words: tuple[str, ...]
    asked: Callable[[Workspace], Any]

    @property
    def name(self) -> str:
        return " ".join(self.words[:2])


EXAMPLES = (
    Example(("inspect", "events"), lambda ws: ws.events()),
    Example(("inspect", "properties", "-e", "App Open"), lambda ws: ws.properties("App Open")),
    Example(
        ("inspect", "values", "-p", "$os", "-e", "App Open", "-l", "2"),
        lambda ws: ws.property_values("$os", event="App Open", limit=2),
    ),
    Example(("inspect", "funnels"), lambda ws: ws.funnels()),
    Example(("inspect", "cohorts"), lambda ws: ws.cohorts()),
    Example(("inspect", "top-events", "-t", "unique", "-l", "3"), lambda ws: ws.top_events(type="unique", limit=3)),
    Example(("inspect", "bookmarks", "-t", "insights"), lambda ws: ws.list_bookmarks("insights")),
    Example(("inspect", "lexicon-schemas", "-t", "event"), lambda ws: ws.lexicon_schemas(entity_type="event")),
    Example(
        ("inspect", "lexicon-schema", "-t", "event", "-n", "App Open"),
        lambda ws: ws.lexicon_schema("event", "App Open"),
    ),
    Example(
        ("inspect", "distribution", "-e", "App Open", "-p", "$os", *FROM_TO, "-l", "2"),
        lambda ws: ws.property_distribution("App Open", "$os", **DAYS, limit=2),
    ),
    Example(
        ("inspect", "numeric", "-e", "Purchase", "-p", "amount", *FROM_TO, "--percentiles", "10,50"),
        lambda ws: ws.numeric_summary("Purchase", "amount", **DAYS, percentiles=[10, 50]),
    ),
    Example(
        ("inspect", "daily", *FROM_TO, "-e", "App Open,Sign Up"),
        lambda ws: ws.daily_counts(**DAYS, events=["App Open", "Sign Up"]),
    ),
    Example(
        ("inspect", "engagement", *FROM_TO, "--buckets", "1,3,9"),
        lambda ws: ws.engagement_distribution(**DAYS, buckets=[1, 3, 9]),
    ),
    Example(
        ("inspect", "coverage", "-e", "App Open", "-p", "$os,nowhere", *FROM_TO),
        lambda ws: ws.property_coverage("App Open", ["$os", "nowhere"], **DAYS),
    ),
    Example(("inspect", "info"), lambda ws: ws.info()),
    Example(("inspect", "tables"), lambda ws: ws.tables()),
    Example(("inspect", "schema", "-t", "events"), lambda ws: ws.table_schema("events")),
    Example(("inspect", "summarize", "-t", "events"), lambda ws: ws.summarize("events")),
    Example(("inspect", "breakdown", "-t", "events"), lambda ws: ws.event_breakdown("events")),
    Example(("inspect", "keys", "-t", "events", "-e", "App Open"), lambda ws: ws.property_keys("events", "App Open")),
    Example(
        ("inspect", "column", "-t", "events", "-c", OS, "--top", "2"),
        lambda ws: ws.column_stats("events", OS, top_n=2),
    ),
    Example(("query", "sql", SQL), lambda ws: ws.select(SQL)),
    Example(
        ("query", "segmentation", "-e", "App Open", *FROM_TO, "-o", "$os", "-u", "week", "-w", WHERE),
        lambda ws: ws.segmentation("App Open", **DAYS, on="$os", unit="week", where=WHERE),
    ),
    Example(
        ("query", "funnel", "8801", *FROM_TO, "-u", "week", "-o", "$os"),
        lambda ws: ws.funnel(8801, **DAYS, unit="week", on="$os"),
    ),
    Example(
        (
            *("query", "retention", "-b", "Sign Up", "-r", "App Open", *FROM_TO, "-n", "3"),
            *("-u", "week", "--born-where", WHERE, "--return-where", WHERE),
        ),
        lambda ws: ws.retention(
            born_event="Sign Up",
            return_event="App Open",
            **DAYS,
            interval_count=3,
            unit="week",
            born_where=WHERE,
            return_where=WHERE,
        ),
    ),
    Example(("query", "jql", "-c", JQL, "-P", "a=b=c"), lambda ws: ws.jql(JQL, {"a": "b=c"})),
    Example(
        ("query", "event-counts", "-e", 'App Open,"Sign Up"', *FROM_TO, "-t", "unique"),
        lambda ws: ws.event_counts(["App Open", "Sign Up"], **DAYS, type="unique"),
    ),
    Example(
        ("query", "property-counts", "-e", "App Open", "-p", "$os", *FROM_TO, "-l", "2", "-u", "week"),
        lambda ws: ws.property_counts("App Open", "$os", **DAYS, limit=2, unit="week"),
    ),
    Example(
        ("query", "activity-feed", "-U", "user-000096", *FROM_TO), lambda ws: ws.activity_feed(["user-000096"], **DAYS)
    ),
    Example(("query", "saved-report", "64002"), lambda ws: ws.query_saved_report(64002)),
    Example(("query", "flows", "64005"), lambda ws: ws.query_flows(64005)),
    Example(
        ("query", "frequency", *FROM_TO, "-e", "App Open", "-u", "week", "--addiction-unit", "day", "-w", WHERE),
        lambda ws: ws.frequency(**DAYS, event="App Open", unit="week", addiction_unit="day", where=WHERE),
    ),
    Example(
        ("query", "segmentation-numeric", "-e", "Purchase", "-o", "amount", *FROM_TO, "-t", "unique"),
        lambda ws: ws.segmentation_numeric("Purchase", on="amount", **DAYS, type="unique"),
    ),
    Example(
        ("query", "segmentation-sum", "-e", "Purchase", "-o", "amount", *FROM_TO, "-u", "day"),
        lambda ws: ws.segmentation_sum("Purchase", on="amount", **DAYS),
    ),
    Example(
        ("query", "segmentation-average", "-e", "Purchase", "-o", "amount", *FROM_TO, "-w", DEAR),
        lambda ws: ws.segmentation_average("Purchase", on="amount", **DAYS, where=DEAR),
    ),
    Example(("auth", "test"), lambda _: Workspace.test_credentials()),
)

# Tested one by one in test_auth, test_fetch and test_inspect: they change something, or chance is in them.
ON_THEIR_OWN = {
    *("auth list", "auth add", "auth remove", "auth switch", "auth show"),
    *("fetch events", "fetch profiles", "inspect sample", "inspect drop", "inspect drop-all"),
}


def commands() -> set[str]:
    return {
        f"{group} {info.name}"
        for group, (_, modules) in GROUPS.items()
        for module in modules
        for info in importlib.import_module(module).app.registered_commands
    }


def test_every_command_is_tried_here_or_on_its_own() -> None:
    assert commands() == ON_THEIR_OWN | {example.name for example in EXAMPLES}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_a_command_says_in_every_form_what_the_library_says(
    on_fetched: Workspace,
    mp: Mp,
    lexicon: None,
    environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    example: Example,
) -> None:
    value = example.asked(on_fetched)
    returned: list[Any] = []
    show = Output.show

    def keep(self: Output, found: Any) -> None:
        returned.append(found)
        show(self, found)

    environment.setattr(Output, "show", keep)
    seen = {}
    for form in Format:
        if form is Format.JSON or example.name == "query sql":
            ran = mp(*example.words, "--format", form)
            assert (ran.code, ran.err) == (0, "")
            seen[form] = ran.out
        else:
            # What the command returns is the same: the service need not compute it once more.
            show(Output(form), returned[0])
            seen[form] = capsys.readouterr().out

    plainly = json_form(value)
    assert json.loads(seen[Format.JSON]) == plainly
    assert seen[Format.JSON] == as_json(plainly, indent=2) + "\n"
    items = plainly if isinstance(plainly, list) else [plainly]
    assert [json.loads(line) for line in seen[Format.JSONL].splitlines()] == items

    rows = table_form(value)
    assert rows, "an example that finds nothing proves nothing"
    header, *cells = csv.reader(io.StringIO(seen[Format.CSV], newline=""))
    assert [dict(zip(header, line, strict=True)) for line in cells] == [
        {key: cell(row.get(key)) for key in header} for row in rows
    ]
    assert set(header) == {key for row in rows for key in row}

    lines = seen[Format.TABLE].splitlines()
    assert lines[0] == lines[0].upper()
    for row in rows:
        for text in filter(None, map(cell, row.values())):
            assert any(visible(text)[: LONGEST_CELL - 1] in line for line in lines[1:])

    if isinstance(plainly, list):
        names = [
            next((item[key] for key in ("name", "value", "event", "id") if key in item), next(iter(item.values())))
            if isinstance(item, dict)
            else item
            for item in plainly
        ]
        assert seen[Format.PLAIN].removesuffix("\n").split("\n") == [cell(each) for each in names]
    else:
        assert seen[Format.PLAIN].removesuffix("\n").split("\n") == [
            f"{key}={cell(each)}" for key, each in plainly.items()
        ]


def json_form(value: Any) -> Any:
    """What JSON should say: a result's own dict; rows of SQL as objects."""
    if isinstance(value, list):
        return [json_form(item) for item in value]
    if hasattr(value, "to_dicts"):
        return json.loads(json.dumps(value.to_dicts(), default=str))
    return json.loads(json.dumps(value.to_dict() if isinstance(value, Result) else value))


def table_form(value: Any) -> list[dict[str, Any]]:
    """What a table should hold: a frame's records, the items of a list, or the one object."""
    if hasattr(value, "to_table_dict"):
        return json.loads(json.dumps(value.to_table_dict(), default=lambda each: each.isoformat()))  # type: ignore[no-any-return]
    plainly = json_form(value)
    inner = [
        each
        for key, each in (plainly.items() if isinstance(value, Result) else [])
        if isinstance(each, list) and any(isinstance(item, Result) for item in getattr(value, key))
    ]
    if len(inner) == 1:
        return list(inner[0])
    items = plainly if isinstance(plainly, list) else [plainly]
    return [item if isinstance(item, dict) else {"value": item} for item in items]


def cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
