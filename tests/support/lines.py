"""Exports made by hand, and what a table holds after them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from mixpanel_data import Workspace
from tests.support.scripted_http import Reply

DAY = 86_400_000
JUNE: dict[str, Any] = {"from_date": "2025-06-01", "to_date": "2025-06-30"}
NOON = 1_748_779_200_000  # 2025-06-01 12:00 UTC


def line(event: str = "Song Played", /, time: Any = NOON, **properties: Any) -> dict[str, Any]:
    """An event as the export writes it; `insert` and `processed` stand for the service's own long names."""
    names = {"insert": "$insert_id", "processed": "mp_processing_time_ms"}
    return {"event": event, "properties": {"time": time, **{names.get(k, k): v for k, v in properties.items()}}}


def export(*events: dict[str, Any] | bytes, packed: bool = True) -> Reply:
    body = b"".join(
        event if isinstance(event, bytes) else json.dumps(event, ensure_ascii=False).encode() + b"\n"
        for event in events
    )
    return Reply(200, gzip.compress(body), {"Content-Encoding": "gzip"}) if packed else Reply(200, body)


def stored(workspace: Workspace, table: str = "events") -> list[tuple[Any, ...]]:
    """The rows in an order of their own, properties parsed."""
    rows = workspace.sql_rows(
        f"select event_name, epoch_ms(event_time), distinct_id, insert_id, properties from {table}"
    )
    return sorted(
        ((name, ms, user, insert, json.loads(text)) for name, ms, user, insert, text in rows),
        key=lambda row: json.dumps(row, sort_keys=True),
    )


def database(workspace: Workspace) -> Path:
    assert workspace.db_path is not None
    return workspace.db_path
