"""ROWS_FETCH: how fast `fetch_events` makes a table of an export, side by side with what DuckDB alone could do.

The bytes are prepared beforehand and served by a process of their own. Beside `fetch_events` over HTTP into a file
stand DuckDB making the same deduplicated table in a file from the same bytes in a local file, the limit, and an
insert for each row with a primary key.
"""

import functools
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path

from fixtures.dataset import Arguments, build, write_export
from mixpanel_data import transform_event
from tests.bench.rows import Row
from tests.support.repository import ROOT

MILLION = Arguments(users=48_000, days=100, last_day=date(2025, 6, 30))
ROW_BY_ROW = 2000
_BLOCK = 8 << 20
# The peak that `resource` tells is at least what the parent had; this one is the program's own.
_PEAK = """
import sys, time
begun = time.perf_counter()
{work}
status = open("/proc/self/status").read()
print(rows, time.perf_counter() - begun, int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6)
"""
_FETCH = _PEAK.format(
    work="""
from mixpanel_data import Workspace
with Workspace(path=sys.argv[1]) as workspace:
    rows = workspace.fetch_events(from_date=sys.argv[2], to_date=sys.argv[3], progress=False).rows
"""
)
_LIMIT = _PEAK.format(
    work='''
import duckdb
con = duckdb.connect(sys.argv[1])
con.execute("set enable_progress_bar = false")
rows = con.execute("""
create table events as
select event_name, event_time, distinct_id, insert_id, properties from (
    select event as event_name, make_timestamp_ms(cast(properties->>'time' as bigint)) as event_time,
        properties->>'distinct_id' as distinct_id, properties->>'$."$insert_id"' as insert_id,
        cast(properties->>'mp_processing_time_ms' as bigint) as processed,
        json_merge_patch(properties, '{{"time":null,"distinct_id":null,"$insert_id":null}}') as properties
    from read_json($1, format = 'newline_delimited', columns = {{event: 'VARCHAR', properties: 'JSON'}})
)
qualify row_number() over (partition by event_name, event_time, distinct_id, insert_id order by processed desc) = 1
""", [sys.argv[2]]).fetchall()[0][0]
con.close()
'''.replace("{{", "{").replace("}}", "}")
)
_ROW_BY_ROW = _PEAK.format(
    work='''
import json, duckdb
given = json.load(open(sys.argv[2]))
con = duckdb.connect(sys.argv[1])
con.execute("""create table events (event_name varchar not null, event_time timestamp not null,
    distinct_id varchar not null, insert_id varchar primary key, properties json)""")
begun = time.perf_counter()
for at in range(0, len(given), 1000):
    con.executemany("insert or ignore into events values (?, ?, ?, ?, ?)", given[at : at + 1000])
    con.commit()
rows = len(given)
'''
)


@dataclass(frozen=True)
class Figures:
    """What one run measured: seconds of each way, and the most memory that a fetch held."""

    events: int
    fetch_s: float
    limit_s: float
    row_by_row_s: float
    fetch_mb: float

    @property
    def share(self) -> float:
        return self.limit_s / self.fetch_s

    @property
    def times_row_by_row(self) -> float:
        return self.row_by_row_s / self.fetch_s


@functools.cache
def figures(millions: int) -> Figures:
    """All ways at so many million events, one after another."""
    with tempfile.TemporaryDirectory(prefix="bench-fetch-") as place:
        home = Path(place)
        export = _prepared(home, millions)
        days = (MILLION.first_day.isoformat(), MILLION.last_day.isoformat())
        runs = 3 if millions == 1 else 1
        with _served(export) as environment:
            fetches, limits = [], []
            for number in range(runs):
                fetches.append(_timed(_FETCH, home / f"fetched-{number}.db", *days, environment=environment))
                limits.append(_timed(_LIMIT, home / f"limit-{number}.db", str(export)))
        events = fetches[0][0]
        assert {events} == {rows for rows, _, _ in (*fetches, *limits)}
        one_by_one = _timed(_ROW_BY_ROW, home / "rows.db", str(_rows(export, home)))
        return Figures(
            events,
            sorted(seconds for _, seconds, _ in fetches)[runs // 2],
            sorted(seconds for _, seconds, _ in limits)[runs // 2],
            one_by_one[1] / ROW_BY_ROW * events,
            max(peak for _, _, peak in fetches),
        )


def _prepared(home: Path, millions: int) -> Path:
    """The export as gzip bytes, its times in milliseconds; further millions are the first one's with other ids."""
    first, made = home / "first.jsonl.gz", home / "export.jsonl.gz"
    write_export(build(MILLION, home / "cache"), first)
    if millions == 1:
        return first
    with gzip.open(made, "wb", compresslevel=1) as target:
        for number in range(millions):
            with gzip.open(first) as source:
                rest = b""
                while block := source.read(_BLOCK):
                    whole, newline, rest = (rest + block).rpartition(b"\n")
                    target.write((whole + newline).replace(b'"$insert_id":"', b'"$insert_id":"%d-' % number))
    return made


def _rows(export: Path, home: Path) -> Path:
    """The first rows, as the values of an insert."""
    with gzip.open(export) as lines:
        rows = [transform_event(json.loads(line)) for line in islice(lines, ROW_BY_ROW)]
    path = home / "rows.json"
    path.write_text(
        json.dumps(
            [
                [
                    *(row["event_name"], row["event_time"].replace(tzinfo=None).isoformat(" ")),
                    *(row["distinct_id"], row["insert_id"], json.dumps(row["properties"])),
                ]
                for row in rows
            ]
        )
    )
    return path


@contextmanager
def _served(export: Path) -> Iterator[dict[str, str]]:
    """The bytes behind a port; the environment that leads a workspace there."""
    command = [sys.executable, str(ROOT / "tests/bench/prepared.py"), str(export)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        try:
            yield {
                "MP_USERNAME": "bench", "MP_SECRET": "bench", "MP_PROJECT_ID": "1", "MP_REGION": "us",
                "MP_API_BASE_URL": f"http://127.0.0.1:{port}", "MP_RATE_LIMITS": "off",
            }  # fmt: skip
        finally:
            server.terminate()


def _timed(
    program: str, database: Path, *arguments: str, environment: dict[str, str] | None = None
) -> tuple[int, float, float]:
    """Rows, seconds and peak megabytes of a program in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program, str(database), *arguments],
        env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    database.unlink()
    rows, seconds, peak = done.stdout.split()
    return int(rows), float(seconds), float(peak)


def _share(millions: int) -> Row:
    return Row(
        f"fetch_events, {millions} million events: share of DuckDB's own limit",
        "×",
        lambda _: figures(millions).share,
        "≥ 0.7 ×",
        lambda share: share >= 0.7,
    )


def _times(millions: int) -> Row:
    return Row(
        f"fetch_events, {millions} million events: as many times as fast as row by row",
        "×",
        lambda _: figures(millions).times_row_by_row,
        "≥ 200 ×",
        lambda times: times >= 200,
    )


def _rate(millions: int) -> Row:
    return Row(
        f"fetch_events, {millions} million events: rate",
        "events/s",
        lambda _: figures(millions).events / figures(millions).fetch_s,
    )


def _peak(millions: int) -> Row:
    return Row(f"fetch_events, {millions} million events: most memory held", "MB", lambda _: figures(millions).fetch_mb)


ROWS_FETCH = (_share(1), _times(1), _rate(1), _peak(1))
ROWS_FETCH_SOAK = (
    _share(10),
    _times(10),
    _rate(10),
    _peak(10),
    Row(
        "fetch_events: memory of 10 million events beyond that of 1 million",
        "MB",
        lambda _: figures(10).fetch_mb - figures(1).fetch_mb,
        "≤ 50 MB",
        lambda mb: mb <= 50,
    ),
)
