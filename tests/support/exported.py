"""What a table of fetched events must hold, from the export's own lines, in plain Python."""

import base64
import json
import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any

from mixpanel_data import Workspace
from tests.support.emulator import Emulator

Rows = dict[tuple[str, int, str, str], dict[str, Any]]


def as_rows(lines: Iterable[Mapping[str, Any]]) -> Rows:
    """Identity → properties, of copies the newest; `time` in the lines is in seconds or milliseconds."""
    rows: Rows = {}
    for event in lines:
        properties = dict(event["properties"])
        time = properties.pop("time")
        key = (
            event["event"],
            time if time > 10**11 else time * 1000,
            properties.pop("distinct_id", ""),
            properties.pop("$insert_id"),
        )
        known = rows.get(key)
        if known is None or properties["mp_processing_time_ms"] >= known["mp_processing_time_ms"]:
            rows[key] = properties
    return rows


def stored_rows(workspace: Workspace, table: str = "events", *, by_seconds: bool = False) -> Rows:
    """The same of a table; `by_seconds` cuts the milliseconds off. Two rows of one identity are an error."""
    found = workspace.sql_rows(
        f"select event_name, epoch_ms(event_time), distinct_id, insert_id, properties from {table}"
    ).rows
    rows = {
        (name, ms // 1000 * 1000 if by_seconds else ms, user, insert): json.loads(text)
        for name, ms, user, insert, text in found
    }
    assert len(rows) == len(found), "an event is there twice"
    return rows


def exported(emulator: Emulator, first: str, last: str) -> list[dict[str, Any]]:
    """The lines of the emulator's export, `time` in milliseconds."""
    account, project = emulator.about["account"], emulator.about["project"]["id"]
    login = base64.b64encode(f"{account['username']}:{account['secret']}".encode()).decode()
    asked = f"project_id={project}&from_date={first}&to_date={last}&time_in_ms=true"
    request = urllib.request.Request(  # noqa: S310  # the emulator's own loopback URL
        f"{emulator.url}/api/2.0/export?{asked}", headers={"Authorization": f"Basic {login}"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310  # as above
        return [json.loads(line) for line in answer.read().split(b"\n") if line]
