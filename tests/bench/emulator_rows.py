"""ROWS_EMULATOR: how fast the emulator answers and delivers over many events, and what memory that takes."""

import base64
import http.client
import json
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psutil

from fixtures.dataset import Arguments, build
from tests.bench.rows import Row
from tests.support.emulator import Emulator, running_emulator

LAST_DAY = date(2025, 6, 30)
MILLION = Arguments(users=40_000, days=120, last_day=LAST_DAY)
TEN_MILLION = Arguments(users=400_000, days=120, last_day=LAST_DAY)
MEMORY_LIMIT_MB = 2_000
_PIECE = 1 << 20


@contextmanager
def serving(arguments: Arguments, scratch: Path) -> Iterator[Emulator]:
    """An emulator at the end of the last full day of a data set, which is built first."""
    build(arguments, scratch / "cache")
    options = {
        "--seed": arguments.seed,
        "--users": arguments.users,
        "--days": arguments.days,
        "--last-day": arguments.last_day,
        "--now": arguments.last_day,
        "--memory-limit": f"{MEMORY_LIMIT_MB}MB",
    }
    given = [str(part) for pair in options.items() for part in pair]
    with running_emulator(scratch / "emulator.log", *given, cache_dir=scratch / "cache", whole=True) as emulator:
        yield emulator


def received(emulator: Emulator, path: str, asked: Mapping[str, object]) -> tuple[bytes, int]:
    """The first piece of an answer's body, and how many lines all of it has."""
    project, account = emulator.about["project"], emulator.about["account"]
    credentials = base64.b64encode(f"{account['username']}:{account['secret']}".encode()).decode()
    connection = http.client.HTTPConnection(urlsplit(emulator.url).netloc, timeout=600)
    try:
        connection.request(
            "GET",
            f"{path}?{urlencode({'project_id': project['id'], **asked})}",
            headers={"authorization": f"Basic {credentials}", "accept-encoding": "identity"},
        )
        answer = connection.getresponse()
        first = piece = answer.read(_PIECE)
        assert answer.status == 200, first
        lines = 0
        while piece:
            lines += piece.count(b"\n")
            piece = answer.read(_PIECE)
        return first, lines
    finally:
        connection.close()


def listener(emulator: Emulator) -> int:
    """The process that listens where an emulator is reached."""
    port = urlsplit(emulator.url).port
    return next(
        there.pid
        for there in psutil.net_connections("tcp4")
        if there.status == psutil.CONN_LISTEN and there.laddr and there.laddr.port == port and there.pid
    )


def segmentation_s(emulator: Emulator, arguments: Arguments) -> float:
    """The median time of segmentations over all days of the most frequent event, no two of them the same."""
    days = {"from_date": arguments.first_day, "to_date": arguments.last_day}
    names = json.loads(received(emulator, "/api/query/events/names", {**days, "type": "general", "limit": 1})[0])

    def once(version: str) -> float:
        asked = {
            **days,
            "event": names[0],
            "unit": "week",
            "on": 'properties["$browser"]',
            "where": f'properties["$os"] == "iOS" and properties["app_version"] != "{version}"',
        }
        start = time.perf_counter()
        answer = json.loads(received(emulator, "/api/query/segmentation", asked)[0])
        took = time.perf_counter() - start
        assert sum(sum(counts.values()) for counts in answer["data"]["values"].values()) > 0
        return took

    once("warm")
    return statistics.median(once(f"5.{version}") for version in range(5))


def segmentation_of_a_million(scratch: Path) -> float:
    with serving(MILLION, scratch) as emulator:
        return segmentation_s(emulator, MILLION)


def export_of_a_million(scratch: Path) -> float:
    """Events a second over HTTP, uncompressed, all days."""
    with serving(MILLION, scratch) as emulator:

        def once() -> float:
            start = time.perf_counter()
            _, lines = received(
                emulator, "/api/2.0/export", {"from_date": MILLION.first_day, "to_date": MILLION.last_day}
            )
            return lines / (time.perf_counter() - start)

        return statistics.median(once() for _ in range(3))


def segmentation_of_ten_million(scratch: Path) -> float:
    with serving(TEN_MILLION, scratch) as emulator:
        return segmentation_s(emulator, TEN_MILLION)


def memory_of_ten_million(scratch: Path) -> float:
    """The most memory that the emulator ever held, in MB, after questions over all of it and a day's export."""
    with serving(TEN_MILLION, scratch) as emulator:
        segmentation_s(emulator, TEN_MILLION)
        days = {"from_date": TEN_MILLION.first_day, "to_date": LAST_DAY}
        received(emulator, "/api/query/retention", {**days, "retention_type": "compounded", "interval_count": 10})
        received(emulator, "/api/query/funnels", {**days, "funnel_id": 8801, "on": 'properties["$os"]'})
        received(emulator, "/api/2.0/export", {"from_date": LAST_DAY - timedelta(days=9), "to_date": LAST_DAY})
        status = Path(f"/proc/{listener(emulator)}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024 / 1e6


ROWS_EMULATOR: tuple[Row, ...] = (
    Row(
        "emulator: segmentation with where and on, 1 million events",
        "s",
        segmentation_of_a_million,
        "≤ 1 s",
        lambda s: s <= 1,
    ),
    Row(
        "emulator: export of 1 million events, uncompressed",
        "events/s",
        export_of_a_million,
        "≥ 200,000 events/s",
        lambda rate: rate >= 200_000,
    ),
)
# Building their data takes minutes and gigabytes.
ROWS_EMULATOR_SOAK: tuple[Row, ...] = (
    Row("emulator: segmentation with where and on, 10 million events", "s", segmentation_of_ten_million),
    Row(
        "emulator: most memory held, 10 million events",
        "MB",
        memory_of_ten_million,
        f"within --memory-limit: ≤ {MEMORY_LIMIT_MB} MB",
        lambda mb: mb <= MEMORY_LIMIT_MB,
    ),
)
