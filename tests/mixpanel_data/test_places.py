"""Where the tables are: in a file, in one that goes with the workspace, or in memory; and that only the door knows."""

from __future__ import annotations

import ast
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mixpanel_data
from mixpanel_data import Workspace
from mixpanel_data.auth import ConfigManager
from mixpanel_data.local.place import Memory
from mixpanel_data.local.workdir import PREFIX, Temporary
from tests.support.emulator import Emulator

JUNE: dict[str, Any] = {"from_date": "2025-06-28", "to_date": "2025-06-30"}


@pytest.fixture
def temporary(tmp_path: Path, environment: pytest.MonkeyPatch) -> Path:
    """Where the system keeps temporary things."""
    place = tmp_path / "temporary"
    place.mkdir()
    environment.setenv("TMPDIR", str(place))
    environment.setattr(tempfile, "tempdir", None)
    return place


@pytest.fixture
def configured(emulator: Emulator, environment: pytest.MonkeyPatch) -> None:
    """The emulator, as a user would configure it."""
    for name, value in {**emulator.environment, "MP_NOW": "2025-06-30"}.items():
        environment.setenv(name, value)


@pytest.fixture(params=["file", pytest.param("ephemeral", marks=pytest.mark.soak), "memory"])
def anywhere(request: pytest.FixtureRequest, configured: None, temporary: Path, tmp_path: Path) -> Iterator[Workspace]:
    make: dict[str, Callable[[], Workspace]] = {
        "file": lambda: Workspace(path=tmp_path / "store.db"),
        "ephemeral": Workspace.ephemeral,
        "memory": Workspace.memory,
    }
    with make[request.param]() as made:
        yield made
    assert list(temporary.iterdir()) == []


def test_every_call_works_wherever_the_tables_are(anywhere: Workspace) -> None:
    """In memory there is no file at all: whoever took the place for one would fail there."""
    assert anywhere.tables() == []
    first = anywhere.fetch_events(**JUNE)
    anywhere.fetch_events(**JUNE, append=True)
    anywhere.fetch_events("pieces", **JUNE, parallel=True, chunk_days=1)
    anywhere.fetch_profiles()
    anywhere.fetch_profiles(append=True, parallel=True)
    rows = first.to_dict()["rows"]
    assert rows > 10
    assert {table.name: table.row_count for table in anywhere.tables()} == {
        "events": rows,
        "pieces": rows,
        "profiles": 120,
    }
    assert anywhere.sql_scalar("select count(*) from events") == rows
    assert anywhere.select("select count(*) from pieces").rows == ((rows,),)
    assert len(anywhere.sql("from profiles")) == len(anywhere.sql_rows("from profiles")) == 120
    assert anywhere.event_breakdown("events").total_events == rows
    assert anywhere.summarize("events").row_count == rows
    assert anywhere.column_stats("events", "lower(event_name)").count == rows
    assert anywhere.property_keys("profiles")
    assert len(anywhere.sample("events", 3)) == 3
    assert anywhere.table_schema("profiles").columns[0].name == "distinct_id"
    anywhere.drop("pieces")
    assert anywhere.info().tables == ("events", "profiles")
    assert json.dumps(anywhere.info().to_dict())
    anywhere.connection.execute("create table mine as select 7 as x")
    anywhere.fetch_events("more", **JUNE)
    anywhere.fetch_profiles(append=True)
    assert anywhere.sql_scalar("from mine") == 7
    anywhere.drop_all()
    assert anywhere.tables() == []


def test_what_is_ephemeral_is_gone_with_the_workspace(configured: None, temporary: Path) -> None:
    with Workspace.ephemeral() as workspace:
        workspace.sql_rows("create table t as select 1 as i")
        path = workspace.db_path
        assert path is not None
        assert path.exists()
        assert path.is_relative_to(temporary)
        assert path.parent.stat().st_mode & 0o077 == 0
    assert list(temporary.iterdir()) == []
    forgotten = Workspace.ephemeral()
    forgotten.sql_rows("select 1")
    del forgotten
    assert list(temporary.iterdir()) == []


def test_what_is_in_memory_has_no_path_and_is_gone_with_the_workspace(configured: None) -> None:
    with Workspace.memory() as workspace:
        assert workspace.db_path is None
        assert workspace.info().path is None
        assert workspace.info().size_mb is None
        workspace.sql_rows("create table t as select 1 as i")
        assert workspace.sql_scalar("from t") == 1
        with Workspace.memory() as other:
            assert other.sql_scalar("select count(*) from information_schema.tables") == 0
    assert not (Path.home() / ".mp").exists()


SCRIPT = """
import sys
from mixpanel_data.local.engine import StorageEngine
engine = StorageEngine.ephemeral()
engine.execute_rows("create table t as select 1")
print(engine.path, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("ends", ["by itself", "killed"])
def test_what_is_ephemeral_is_gone_with_the_program(temporary: Path, ends: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        path = Path(program.stdout.readline().strip())
        other = Temporary()
        assert path.exists(), "another one does not sweep away what is in use"
        other.close()
        if ends == "killed":
            program.send_signal(signal.SIGKILL)
    assert path.exists() is (ends == "killed")
    Temporary().close()
    assert list(temporary.iterdir()) == [], "what a program that was killed left behind, the next one sweeps away"


def test_a_copy_of_the_program_leaves_it_alone(temporary: Path) -> None:
    script = f"""if True:
        import os, sys
        {SCRIPT.replace(chr(10), chr(10) + "        ").replace("sys.stdin.read()", "")}
        child = os.fork()
        if not child:
            sys.exit(0)
        os.waitpid(child, 0)
        assert engine.execute_scalar("select count(*) from t") == 1
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(temporary.iterdir()) == []


def test_what_belongs_to_others_is_not_swept(temporary: Path) -> None:
    (temporary / f"{PREFIX}file").touch()
    (temporary / "somebody-else").mkdir()
    (temporary / f"{PREFIX}link").symlink_to(temporary / "somebody-else")
    Temporary().close()
    assert {entry.name for entry in temporary.iterdir()} == {f"{PREFIX}file", "somebody-else", f"{PREFIX}link"}


def test_credentials_of_a_configuration_of_ones_own(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = ConfigManager(tmp_path / "config.toml")
    config.add_account("a", "robot", "x", "42", "us")
    with Workspace("a", region="eu", _config_manager=config) as workspace:
        assert (workspace.info().project_id, workspace.info().region, workspace.info().account) == ("42", "eu", "a")
    with pytest.raises(mixpanel_data.ConfigError, match="region"):
        Workspace(region="mars", _config_manager=config)


def test_only_the_door_opens_a_store() -> None:
    """Everywhere else an engine is opened in memory alone, and nobody asks a place whether it is a file."""
    home = Path(str(mixpanel_data.__file__)).parent
    opened: dict[str, list[str]] = {}
    for source in sorted(home.rglob("*.py")):
        text = source.read_text()
        name = str(source.relative_to(home))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "duckdb.connect":
                opened.setdefault(name, []).append(ast.unparse(node.args[0]))
            if isinstance(node, ast.Constant | ast.JoinedStr) and "attach {" in ast.unparse(node):
                opened.setdefault(name, []).append("attach")
    assert opened.pop("local/store.py")
    assert {what for calls in opened.values() for what in calls} <= {"':memory:'"}


def test_a_place_in_memory_says_so() -> None:
    assert str(Memory()) == "in memory"


def test_a_program_that_asked_in_memory_leaves_nothing(configured: None, temporary: Path) -> None:
    script = (
        "from mixpanel_data import Workspace\n"
        "from mixpanel_data.local import confine\n"
        "with Workspace.memory() as workspace: print(workspace.select('select 1').rows[0][0], confine.pid())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    answer, pid = done.stdout.split()
    assert answer == "1"
    assert not Path(f"/proc/{pid}").exists(), "whoever ends waits for what it has started"
    assert list(temporary.iterdir()) == []
