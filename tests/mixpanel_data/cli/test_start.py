"""What starting `mp` costs: nothing heavy before it is needed; and completion, which starts it at each Tab."""

from __future__ import annotations

import pytest

from tests.mixpanel_data.cli.conftest import Mp, mp_process
from tests.mixpanel_data.test_imports import imported_by
from tests.support.emulator import Emulator

ENGINES = {"duckdb", "pandas", "numpy", "httpx"}
HEAVY = ENGINES | {"pydantic", "jq", "rich", "logging", "tomlkit", "limits", "tenacity"}
MP = ("-m", "mixpanel_data.cli.app")


@pytest.mark.parametrize("words", [("--version",), ("--help",)], ids=" ".join)
def test_the_first_words_load_nothing_but_the_parser(words: tuple[str, ...]) -> None:
    loaded = imported_by(*MP, *words)
    assert "typer" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("words", [("inspect", "drop", "--help"), ("auth", "list")], ids=" ".join)
def test_a_command_that_asks_nobody_loads_no_engine(words: tuple[str, ...]) -> None:
    assert imported_by(*MP, *words) & ENGINES == set()


def test_a_command_that_asks_mixpanel_loads_no_database(emulator: Emulator, environment: pytest.MonkeyPatch) -> None:
    for name, value in emulator.environment.items():
        environment.setenv(name, value)
    loaded = imported_by(*MP, "inspect", "events")
    assert "httpx" in loaded
    assert loaded & {"duckdb", "pandas", "numpy", "jq"} == set()


@pytest.mark.parametrize(
    ("typed", "place", "offered"),
    [
        ("mp ", 1, {"auth", "fetch", "query", "inspect"}),
        ("mp in", 1, {"inspect"}),
        ("mp inspect dr", 2, {"drop", "drop-all"}),
        ("mp query segmentation --wh", 3, {"--where"}),
        ("mp query segmentation -u ", 4, {"minute", "hour", "day", "week", "month"}),
        ("mp query event-counts -t u", 4, {"unique"}),
        ("mp inspect bookmarks -t f", 4, {"funnels", "flows"}),
        ("mp inspect events -f j", 4, {"json", "jsonl"}),
    ],
)
def test_completion_offers_what_can_come_next(
    environment: pytest.MonkeyPatch, mp: Mp, typed: str, place: int, offered: set[str]
) -> None:
    told = {"_MP_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(place)}
    for name, value in told.items():
        environment.setenv(name, value)
    ran = mp()
    assert (ran.code, ran.err) == (0, "")
    assert set(ran.out.split()) == offered


def test_completion_loads_no_engine(environment: pytest.MonkeyPatch) -> None:
    typed = {"_MP_COMPLETE": "complete_bash", "COMP_WORDS": "mp inspect column -t ", "COMP_CWORD": "4"}
    for name, value in typed.items():
        environment.setenv(name, value)
    loaded = imported_by(*MP)
    assert "mixpanel_data" in loaded
    assert loaded & (ENGINES | {"rich"}) == set()


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_completion_can_be_put_into_a_shell(shell: str) -> None:
    ran = mp_process(env={"_MP_COMPLETE": f"source_{shell}"})
    assert ran.returncode == 0
    assert "_MP_COMPLETE=complete_" + shell in ran.stdout
