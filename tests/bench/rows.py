"""ROWS: each time or ratio that somebody promised, and how it is measured. Medians where once would be luck."""

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fixtures.dataset import Arguments, build, write_export
from tests.support.emulator import running_emulator
from tests.support.repository import ROOT
from tests.support.stack import Stack, taken_down


@dataclass(frozen=True)
class Row:
    """One measured figure.

    wanted: what was promised of it, in words; None where it is only of interest
    good: whether a figure keeps the promise
    """

    name: str
    unit: str
    measure: Callable[[Path], float]
    wanted: str | None = None
    good: Callable[[float], bool] = lambda _: True


def _default_data_set() -> Arguments:
    return Arguments(last_day=datetime.now(UTC).date() - timedelta(days=1))


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def data_set_build(scratch: Path) -> float:
    return _seconds(lambda: build(_default_data_set(), scratch / "built"))


def data_set_export(scratch: Path) -> float:
    database = build(_default_data_set(), scratch / "cache")
    return _seconds(lambda: write_export(database, scratch / "events.jsonl"))


def emulator_start(scratch: Path) -> float:
    build(_default_data_set(), scratch / "cache")

    def once() -> float:
        start = time.perf_counter()
        with running_emulator(scratch / "emulator.log", cache_dir=scratch / "cache", whole=True):
            return time.perf_counter() - start

    return statistics.median(once() for _ in range(5))


def up(scratch: Path) -> float:
    """`harness up` with the packages installed and the data set cached."""
    build(_default_data_set(), scratch / "cache")

    def once(n: int) -> float:
        (scratch / f"up-{n}").mkdir()
        with taken_down(Stack(scratch / f"up-{n}", scratch / "cache")) as stack:
            return _seconds(lambda: stack.good("up"))

    return statistics.median(once(n) for n in range(3))


def second_make_up(scratch: Path) -> float:
    """`make up` when all is running, make included."""
    (scratch / "twice").mkdir()
    with taken_down(Stack(scratch / "twice", scratch / "cache")) as stack:
        environment = {**stack.environment, "HOME": os.environ.get("HOME", "/")}
        command = ["make", "--silent", "--directory", str(ROOT), "up"]

        def once() -> None:
            subprocess.run(command, env=environment, check=True, capture_output=True)

        once()
        return statistics.median(_seconds(once) for _ in range(5))


def clone_to_healthy_stack(scratch: Path) -> float:
    """`git clone` and `make up` with an empty package cache, to the prompt that comes back over a healthy stack."""
    (scratch / "fresh").mkdir()
    with taken_down(
        Stack(scratch / "fresh", scratch / "empty-cache", program=(str(scratch / "clone/.venv/bin/harness"),))
    ) as stack:
        environment = {**stack.environment, "PIP_NO_CACHE_DIR": "1", "npm_config_cache": str(scratch / "npm")}

        def first_run() -> None:
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(scratch / "clone")], check=True)
            subprocess.run(
                ["make", "--silent", "--directory", str(scratch / "clone"), "up"],
                env=environment, check=True, capture_output=True,
            )  # fmt: skip

        return _seconds(first_run)


ROWS: tuple[Row, ...] = (
    Row("data set: built, default size", "s", data_set_build, "seconds, not minutes (< 10 s)", lambda s: s < 10),
    Row("data set: written out as raw export", "s", data_set_export, "seconds, not minutes (< 10 s)", lambda s: s < 10),
    Row("emulator: start to first answer, data set cached", "s", emulator_start, "< 2 s", lambda s: s < 2),
    Row("harness up: data set cached", "s", up),
    Row("make up: all is running", "s", second_make_up, "< 1 s", lambda s: s < 1),
    Row(
        "git clone + make up: to a healthy stack, nothing cached",
        "s",
        clone_to_healthy_stack,
        "< 90 s",
        lambda s: s < 90,
    ),
)


def run(row: Row, scratch: Path) -> float:
    """Measure one row in a directory of its own, which is gone afterwards."""
    scratch.mkdir()
    try:
        return row.measure(scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
