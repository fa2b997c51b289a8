"""What the services are started with."""

from pathlib import Path
from typing import Any

from harness import settings
from harness.stack.services import SERVICES, Launch, complete_environment

ABOUT = {
    "project": {"id": 42, "region": "eu"},
    "account": {"username": "u", "secret": "fixture-secret"},
    "now": "2025-06-30T23:59:59Z",
}
EMULATOR, MCP, COPILOT, NGINX = SERVICES


def launch(directory: Path, options: dict[str, Any] | None = None, **environment: str) -> Launch:
    found = settings.load(options, directory=directory, environment=environment)
    return Launch(found, directory / "state", {"emulator": ABOUT})


def words(command: tuple[str, ...]) -> str:
    return " ".join(command[1:])


def test_the_emulator_is_given_the_data_set(tmp_path: Path) -> None:
    asked = {"emulator.seed": 3, "emulator.users": 50, "emulator.days": 7, "emulator.stories": False}
    assert words(EMULATOR.command(launch(tmp_path, {**asked, "emulator.last_day": "2025-06-30"}))) == (
        "-P -m fixtures.emulator --host 127.0.0.1 --port 8201 --seed 3 --users 50 --days 7 --no-stories"
        " --last-day 2025-06-30"
    )


def test_an_export_takes_the_place_of_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "harness.toml").write_text('[emulator]\nseed = 3\ntimezone = "Europe/Berlin"\n')
    command = words(EMULATOR.command(launch(tmp_path, {"emulator.data": "x.jsonl"})))
    assert command == f"-P -m fixtures.emulator --host 127.0.0.1 --port 8201 --data {tmp_path / 'x.jsonl'}"


def test_tables_of_one_data_set_do_not_answer_for_another(tmp_path: Path) -> None:
    wishes: list[dict[str, Any]] = [
        {},
        {"emulator.seed": 2},
        {"emulator.data": "a.jsonl"},
        {"emulator.data": "b.jsonl"},
    ]
    stores = {MCP.command(launch(tmp_path, wish))[-1] for wish in wishes}
    assert len(stores) == len(wishes)
    assert all(Path(store).parent == tmp_path / "state" / "data" for store in stores)
    tomorrow = launch(tmp_path, {"emulator.last_day": "2025-07-01"})
    assert MCP.command(tomorrow)[-1] in stores, "a store outlives midnight"


def test_no_secret_stands_in_a_command_line_or_a_repr(tmp_path: Path) -> None:
    live = launch(
        tmp_path,
        {"stack.target": "live"},
        MP_USERNAME="me",
        MP_SECRET="live-secret",
        MP_PROJECT_ID="7",
        MP_REGION="eu",
    )
    assert MCP.command(live)[-1].endswith("/data/live-7.db")
    assert complete_environment(MCP, live)["MP_SECRET"] == "live-secret"
    for made in (live, launch(tmp_path)):
        said = words(MCP.command(made)) + words(EMULATOR.command(made)) + repr(made)
        assert "live-secret" not in said
        assert "fixture-secret" not in said


def test_the_clock_is_handed_on_and_credentials_do_not_reach_the_emulator(tmp_path: Path) -> None:
    made = launch(tmp_path, MP_SECRET="my-own", MP_NOW="2020-01-01", EMULATOR_SECRET="chosen")
    assert complete_environment(MCP, made)["MP_NOW"] == ABOUT["now"]
    emulator = complete_environment(EMULATOR, made)
    assert emulator["EMULATOR_SECRET"] == "chosen"
    assert not {"MP_SECRET", "MP_NOW"} & emulator.keys()
