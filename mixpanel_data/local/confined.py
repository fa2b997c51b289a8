"""What runs one SELECT of somebody else's, in a process of its own: takes a request, answers it, ends.

The locks, from the outside in: the kernel bounds its memory and its time; the text must parse to exactly one SELECT;
the engine has the database open read-only and may touch no file but those it spills into, loads no extension, and its
configuration is locked; a read-only transaction; bounds on time, rows and bytes.
"""

from __future__ import annotations

import json
import os
import re
import resource
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

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
# Beyond what a query may take even where nobody is left to end it.
SPARE_CPU_S = 60

# What holds for every request. Nothing is open yet that could be read, so that a child can wait in this state.
_SETTINGS: dict[str, object] = {
    "memory_limit": MEMORY_LIMIT,
    "threads": THREADS,
    "max_temp_directory_size": SPILL_LIMIT,
    "TimeZone": "UTC",
    "enable_progress_bar": "false",
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "temp_directory": "",
}

ALLOWED = "send one SELECT (also WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE, or EXPLAIN before a SELECT)"


class RefusedError(Exception):
    """The text is not one SELECT."""


Parser = Callable[[str], list[duckdb.Statement]]


def checked(text: str, parse: Parser = duckdb.extract_statements) -> str:
    """The text to run, if it is exactly one SELECT or the EXPLAIN of one.

    Args:
        parse: the engine's own parser; that of a connection, where there is one, is there already

    Raises:
        RefusedError: it is something else, or does not parse.
    """
    statements = _parsed(text, parse)
    if len(statements) != 1:
        raise RefusedError(f"there are {len(statements)} statements where one SELECT is expected")
    kind = _kind(statements[0])
    if kind == "SELECT":
        return statements[0].query
    explained = re.match(r"\s*explain(\s+analyze)?\b(.*)", statements[0].query, re.IGNORECASE | re.DOTALL)
    if kind != "EXPLAIN" or explained is None:
        raise RefusedError(f"a {kind} statement is not allowed here")
    # EXPLAIN ANALYZE runs what stands behind it, whatever it is.
    behind = _parsed(explained[2], parse)
    if [_kind(statement) for statement in behind] != ["SELECT"]:
        raise RefusedError("only a SELECT can be explained here")
    return f"explain {'analyze ' if explained[1] else ''}{behind[0].query}"


def _parsed(text: str, parse: Parser) -> list[duckdb.Statement]:
    try:
        return parse(text)
    except duckdb.Error as error:
        raise RefusedError(str(error)) from error


def _kind(statement: duckdb.Statement) -> str:
    return str(statement.type).rpartition(".")[2]


def _ready() -> duckdb.DuckDBPyConnection:
    """An engine without a database, bounded as far as it can be before the request is known."""
    con = duckdb.connect(":memory:")
    _set(con, _SETTINGS)
    return con


def _set(con: duckdb.DuckDBPyConnection, settings: dict[str, object]) -> None:
    for setting, value in settings.items():
        con.execute(f"set {setting} = {schema.literal(str(value))}")


def _run(con: duckdb.DuckDBPyConnection, request: dict[str, Any], answer: Callable[[dict[str, Any]], NoReturn]) -> None:
    text = checked(request["query"], con.extract_statements)
    path, spill = Path(request["path"]), Path(request["spill"]) if request["spill"] else None
    with store.attached_unseen(con, path, "store", spill, wait_s=request["lock_wait_s"]) as unseen:
        con.execute("use store")
        if unseen:
            _set(con, {"temp_directory": spill, "enable_external_access": "false"})
        else:
            # Without its own temporary files too: what keeps those apart from the database is the second name.
            _set(con, {"enable_external_access": "false", "disabled_filesystems": "LocalFileSystem"})
        _set(con, {"lock_configuration": "true"})
        con.execute("begin transaction read only")
        threading.Thread(target=_interrupt_late, args=(con, request["timeout_s"]), daemon=True).start()
        _query.run(con, text)
        # Nothing is closed: closing would wait for the rest of a query whose rows were enough.
        answer(_rows(con, request["max_rows"], request["max_bytes"]))


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


def serve(orders: socket.socket) -> NoReturn:
    """Make ready, wait for the one request, answer it, and end with this process whatever happens.

    Args:
        orders: sends one message: the socket on which the request stands and the answer is expected
    """
    try:
        with suppress(ValueError, OSError):
            # Where the system does not know the limit, the engine's own has to do.
            resource.setrlimit(resource.RLIMIT_DATA, (DATA_LIMIT_BYTES, DATA_LIMIT_BYTES))
        con = _ready()
        _, files, _, _ = socket.recv_fds(orders, 1, 1)
        if files:
            _answer(con, socket.socket(fileno=files[0]))
    finally:
        os._exit(0)


def _answer(con: duckdb.DuckDBPyConnection, talk: socket.socket) -> None:
    stream = talk.makefile("rb")
    request = json.loads(stream.readline())
    threading.Thread(target=_end_with_asker, args=(stream,), daemon=True).start()
    cpu = int(request["timeout_s"]) * THREADS + SPARE_CPU_S
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    if request["spill"]:
        os.chdir(request["spill"])

    def answer(document: dict[str, Any]) -> NoReturn:
        talk.sendall(json.dumps(document).encode())
        os._exit(0)

    started = clock.monotonic()
    try:
        _run(con, request, answer)
    except RefusedError as error:
        answer({"error": "query", "text": str(error), "fix": ALLOWED})
    except DatabaseLockedError as error:
        answer({"error": "locked", "text": str(error), "pid": error.holding_pid})
    except (MixpanelDataError, OSError) as error:
        fix = error.fix if isinstance(error, MixpanelDataError) else None
        answer({"error": "storage", "text": str(error), "fix": fix or "check the path and its permissions"})
    except duckdb.InterruptException as error:
        answer({"error": "time", "text": str(error)})
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        late = clock.monotonic() - started > request["timeout_s"]
        answer({"error": "time" if late else "memory", "text": str(error) or "out of memory"})
    except duckdb.Error as error:
        answer({"error": "query", "text": str(error)})


def _end_with_asker(stream: BinaryIO) -> None:
    # Whoever asks keeps the socket open until it has the answer; its end says that nobody waits for one.
    stream.read()
    os._exit(0)
