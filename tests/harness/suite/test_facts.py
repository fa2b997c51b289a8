"""What is known of the data set is what brute force finds in it today, and every fact that a case names is there."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.suite import facts as known
from harness.suite.cases import CASES
from harness.suite.facts import Fact
from tests.harness.suite import facts as counted
from tests.support.emulator import running_emulator


def test_the_file_is_what_brute_force_counts(tmp_path: Path) -> None:
    with running_emulator(tmp_path / "log", *counted.arguments(), cache_dir=tmp_path) as emulator:
        found = counted.facts(
            list(emulator.raw_events(counted.FIRST_DAY, counted.LAST_DAY)), counted.profiles_of(emulator)
        )
    assert json.loads(json.dumps(found)) == known.load(counted.FILE.parent)


def named(value: object) -> Iterator[str]:
    """Every fact that is named anywhere in a value."""
    if isinstance(value, Fact):
        yield value.name
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from named(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from named(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from named(inner)


def test_every_fact_is_there_and_asked_for() -> None:
    there: Mapping[str, Any] = known.load(counted.FILE.parent)
    asked = {name for case in CASES for name in named(case)}
    assert asked - set(there) == set()
    assert set(there) - asked == set(), "facts that no case asks for"


def test_a_checkout_without_facts_says_so(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"facts\.json") as caught:
        known.load(tmp_path)
    assert caught.value.code == "NO_FACTS"
