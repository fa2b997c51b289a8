"""Stacks for the end-to-end tests, over a data set that is small and whose last day is fixed."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from fixtures.dataset import Arguments, build, write_export
from tests.support.stack import Stack, taken_down

DATA_SET = Arguments(seed=7, users=2_000, days=60, last_day=date(2025, 6, 30))
SETTINGS = {
    "HARNESS_EMULATOR_SEED": str(DATA_SET.seed),
    "HARNESS_EMULATOR_USERS": str(DATA_SET.users),
    "HARNESS_EMULATOR_DAYS": str(DATA_SET.days),
    "HARNESS_EMULATOR_LAST_DAY": DATA_SET.last_day.isoformat(),
    "HARNESS_EMULATOR_NOW": DATA_SET.last_day.isoformat(),
}


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data-sets")


@pytest.fixture(scope="session")
def raw_events(cache_dir: Path) -> list[dict[str, Any]]:
    """Every event of the data set up to its last full day, as the generator wrote it: the truth for all answers."""
    export = cache_dir / "events.jsonl"
    write_export(build(DATA_SET, cache_dir), export, to_day=DATA_SET.last_day)
    return [json.loads(line) for line in export.read_bytes().split(b"\n") if line]


@pytest.fixture
def fresh_stack(tmp_path: Path, cache_dir: Path) -> Iterator[Stack]:
    """A stack of the test's own, not started."""
    with taken_down(Stack(tmp_path, cache_dir, SETTINGS)) as stack:
        yield stack


@pytest.fixture(scope="module")
def running_stack(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Iterator[Stack]:
    """A started stack that the module's tests ask and leave as it is."""
    with taken_down(Stack(tmp_path_factory.mktemp("stack"), cache_dir, SETTINGS)) as stack:
        stack.good("up")
        yield stack
