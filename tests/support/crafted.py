"""A project of which every event is known: a clock that changes, ids that are missing, values of every kind."""

import json
import random
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.fixtures.emulator.stage import Row

PROJECT_ID = 4100777
SECRET = "crafted-project-secret"
ZONE = ZoneInfo("Europe/Paris")
# In between, on 30 March, a day has 23 hours.
FIRST, LAST = date(2025, 3, 25), date(2025, 4, 6)
EVENTS = ("Visit", "Order", "Sign Up", "constructor")
ODD_NAMES = ('a "quoted" \\ name', "dotted.name", "constructor", "__proto__", "naïve 名")
_NOTHING = object()
_PLANS: tuple[Any, ...] = ("free", "pro", "Pro", "12", None, _NOTHING, 12, True)
_PRICES: tuple[Any, ...] = (3, 4.5, 19.99, 250, -7, 0, "12", None, _NOTHING, 1200)
_TAGS: tuple[Any, ...] = (["new", "sale"], ["new"], [], _NOTHING, "new", {"a": 1})


def rows() -> list[Row]:
    """The same every time, in the order of arrival; some were delivered twice."""
    drawn = random.Random(51)  # noqa: S311  # the same every time, which is the point
    made: list[Row] = []
    for number in range(700):
        day = FIRST - timedelta(days=2) + timedelta(days=drawn.randrange((LAST - FIRST).days + 5))
        at = datetime(day.year, day.month, day.day, tzinfo=ZONE) + timedelta(seconds=drawn.randrange(86400))
        properties: dict[str, Any] = {
            "plan": drawn.choice(_PLANS),
            "price": drawn.choice(_PRICES),
            "tags": drawn.choice(_TAGS),
            drawn.choice(ODD_NAMES): drawn.choice(("x", 1, None)),
        }
        made.append(
            Row(
                event=drawn.choices(EVENTS, (6, 3, 1, 1))[0],
                time_ms=int(at.timestamp()) * 1000,
                distinct_id=drawn.choice(["", *(f"u{user}" for user in range(28)), *["busy"] * 9]),
                insert_id=f"id-{number}",
                properties=json.dumps({key: value for key, value in properties.items() if value is not _NOTHING}),
            )
        )
    return [*made, *made[:40]]


def write(folder: Path, username: str) -> Path:
    """The file of projects for the emulator's `--projects`, with the events beside it."""
    lines = (
        {
            "event": row.event,
            "properties": {
                "time": row.time_ms // 1000,
                "$insert_id": row.insert_id,
                **({"distinct_id": row.distinct_id} if row.distinct_id else {}),
                **row.values,
            },
        }
        for row in rows()
    )
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    projects = folder / "projects.toml"
    projects.write_text(
        f"""
[[project]]
id = {PROJECT_ID}
name = "Crafted"
region = "us"
timezone = "{ZONE.key}"
token = "{"0" * 28}c4af"
secret = "{SECRET}"
data = "events.jsonl"

[[account]]
username = "{username}"
secret = "{SECRET}"
region = "us"
roles = {{ {PROJECT_ID} = "consumer" }}
""",
        "utf-8",
    )
    return projects
