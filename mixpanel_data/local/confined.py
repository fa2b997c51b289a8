"""The program that runs one SELECT of somebody else's: reads a request from stdin, writes an answer to stdout, ends.

The locks, from the outside in: the kernel bounds its memory; the text must parse to exactly one SELECT; the engine has
the database open read-only and may touch no file but those it spills into, loads no extension, and its configuration is
locked; a read-only transaction; bounds on time, rows and bytes.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import duckdb

from mixpanel_data import clock
from mixpanel_data.errors import DatabaseLockedError, MixpanelDataError
from mixpanel_data.local import query as _query
from mixpanel_data.local import schema, store

MEMORY_LIMIT = "512MB"
# The engine's own limit, and as much again for values outside of its accounts.
DATA_LIMIT_BYTES = 1_500_000_000
SPILL_LIMIT = "4GB"
THREADS = 2
ROWS_AT_ONCE = 64

ALLOWED = "send one SELECT (also WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE, or EXPLAIN before a SELECT)"


class RefusedError(Exception):
    """The text is not one SELECT."""


def checked(text: str) -> str:
    """The text to run, if it is exactly one SELECT or the EXPLAIN of one.

    Raises:
        RefusedError: it is something else, or does not parse.
    """
    statements = _parsed(text)
    if len(statements) != 1:
        raise RefusedError(f"there are {len(statements)} statements where one SELECT is expected")
    kind = _kind(statements[0])
    if kind == "SELECT":
        return statements[0].query
    explained = re.match(r"\s*explain(\s+analyze)?\b(.*)", statements[0].query, re.IGNORECASE | re.DOTALL)
    if kind != "EXPLAIN" or explained is None:
        raise RefusedError(f"a {kind} statement is not allowed here")
    # EXPLAIN ANALYZE runs what stands behind it, whatever it is.
    behind = _parsed(explained[2])
    if [_kind(statement) for statement in behind] != ["SELECT"]:
        raise RefusedError("only a SELECT can be explained here")
    return f"explain {'analyze ' if explained[1] else ''}{behind[0].query}"


def _parsed(text: str) -> list[duckdb.Statement]:
    try:
        return duckdb.extract_statements(text)
    except duckdb.Error as error:
        raise RefusedError(str(error)) from error


def _kind(statement: duckdb.Statement) -> str:
    return str(statement.type).rpartition(".")[2]


def _confined(path: Path, spill: Path | None) -> duckdb.DuckDBPyConnection:
    """Open the store so that it can be read as a database and not as a file.

    The engine lets SQL read the files of an open database by their paths. So it is opened by a second name, and that
    name is taken away again; where the file system has no second names, the engine does without all files, its own
    temporary ones included.
    """
    linked = None
    if spill is not None:
        with suppress(OSError):
            linked = _second_name(path.resolve(), spill)
    con = duckdb.connect(str(linked or path), read_only=True)
    if linked is not None:
        shutil.rmtree(linked.parent)
    settings: list[tuple[str, object]] = [
        ("memory_limit", MEMORY_LIMIT),
        ("threads", THREADS),
        ("temp_directory", spill if linked else ""),
        ("max_temp_directory_size", SPILL_LIMIT),
        ("TimeZone", "UTC"),
        ("enable_progress_bar", "false"),
        ("autoinstall_known_extensions", "false"),
        ("autoload_known_extensions", "false"),
        ("allow_community_extensions", "false"),
        ("allow_persistent_secrets", "false"),
        ("enable_external_access", "false"),
    ]
    if linked is None:
        settings.append(("disabled_filesystems", "LocalFileSystem"))
    for setting, value in (*settings, ("lock_configuration", "true")):
        con.execute(f"set {setting} = {schema.literal(str(value))}")
    con.execute("begin transaction read only")
    return con


def _second_name(path: Path, spill: Path) -> Path:
    home = spill / "names"
    home.mkdir()
    os.link(path, home / path.name)
    wal = path.with_name(path.name + ".wal")
    if wal.exists():
        # What a writer that crashed had committed.
        os.link(wal, home / wal.name)
    return home / path.name


def _run(request: dict[str, Any]) -> NoReturn:
    text = checked(request["query"])
    path, spill = Path(request["path"]), Path(request["spill"]) if request["spill"] else None
    # This connection only keeps writers out while the other one opens the file, and until we end.
    with store.connection(path, "read", wait_s=request["lock_wait_s"]):
        con = _confined(path, spill)
        threading.Thread(target=_interrupt_late, args=(con, request["timeout_s"]), daemon=True).start()
        _query.run(con, text)
        # Nothing is closed: closing would wait for the rest of a query whose rows were enough.
        _end(_rows(con, request["max_rows"], request["max_bytes"]))


def _interrupt_late(con: duckdb.DuckDBPyConnection, timeout_s: float) -> None:
    clock.sleep(timeout_s)
    while True:
        con.interrupt()
        clock.sleep(0.05)  # an interrupt between two steps of the query is lost


def _rows(con: duckdb.DuckDBPyConnection, max_rows: int, max_bytes: int) -> dict[str, Any]:
    columns = [str(column[0]) for column in con.description or ()]
    rows: list[Any] = []
    size = 0
    while batch := con.fetchmany(ROWS_AT_ONCE):
        for row in batch:
            ready = _query.json_ready(row)
            size += len(json.dumps(ready, ensure_ascii=False).encode("utf-8", "surrogatepass"))
            if len(rows) >= max_rows or size > max_bytes:
                if not rows:
                    return {"error": "memory", "text": f"one row alone is larger than {max_bytes} bytes"}
                return {"columns": columns, "rows": rows, "truncated": True}
            rows.append(ready)
    return {"columns": columns, "rows": rows, "truncated": False}


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    """Answer the one request on stdin."""
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(ValueError, OSError):
        # Where the system does not know the limit, the engine's own has to do.
        resource.setrlimit(resource.RLIMIT_DATA, (DATA_LIMIT_BYTES, DATA_LIMIT_BYTES))
    started = clock.monotonic()
    answer: dict[str, Any]
    try:
        _run(request)
    except RefusedError as error:
        answer = {"error": "query", "text": str(error), "fix": ALLOWED}
    except DatabaseLockedError as error:
        answer = {"error": "locked", "text": str(error), "pid": error.holding_pid}
    except MixpanelDataError as error:
        answer = {"error": "storage", "text": str(error)}
    except duckdb.InterruptException as error:
        answer = {"error": "time", "text": str(error)}
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        late = clock.monotonic() - started > request["timeout_s"]
        answer = {"error": "time" if late else "memory", "text": str(error) or "out of memory"}
    except duckdb.Error as error:
        answer = {"error": "query", "text": str(error)}
    _end(answer)


def _end(answer: dict[str, Any]) -> NoReturn:
    sys.stdout.buffer.write(json.dumps(answer).encode())
    sys.stdout.buffer.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
