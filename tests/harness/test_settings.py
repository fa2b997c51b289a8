"""harness.toml, environment and options: who wins, and what is refused."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from harness import settings
from harness.errors import HarnessError


def load(directory: Path, options: dict[str, Any] | None = None, **environment: str) -> settings.Settings:
    return settings.load(options, directory=directory, environment=environment)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "harness.toml").write_text(
        '[emulator]\nport = 9001\nseed = 7\nlast_day = 2025-06-30\ndata = "x.jsonl"\n'
    )
    return tmp_path


def test_defaults_are_the_documented_ports(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert (found.values.emulator.port, found.values.mcp.port, found.values.stack.target) == (8201, 8200, "emulator")


def test_file_then_environment_then_option(checkout: Path) -> None:
    inside = checkout / "deep" / "down"
    inside.mkdir(parents=True)
    assert load(inside).values.emulator.port == 9001
    assert load(inside).values.emulator.last_day == date(2025, 6, 30)
    assert load(inside, HARNESS_EMULATOR_PORT="9002").values.emulator.port == 9002
    found = load(inside, {"emulator.seed": 9, "emulator.users": None}, HARNESS_EMULATOR_SEED="8")
    assert (found.values.emulator.seed, found.values.emulator.users) == (9, 10_000)
    assert found.explicit["emulator.seed"] == "--seed"


def test_a_path_is_meant_from_where_it_was_said(checkout: Path) -> None:
    inside = checkout / "deep"
    inside.mkdir()
    assert load(inside).values.emulator.data == checkout / "x.jsonl"
    assert load(inside, {"emulator.data": Path("y.jsonl")}).values.emulator.data == inside / "y.jsonl"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[emulator]\nprot = 1", "did you mean port?"),
        ("[emulater]\nport = 1", "did you mean emulator?"),
        ("port = 1", "port stands outside of a table"),
        ("[emulator]\nport = 70000", "emulator.port cannot be 70000"),
        ("[emulator]\nport = 'x'", "valid integer"),
        ("[stack]\ntarget = 'prod'", "'live' or 'replay'"),
        ("[mcp]\nport = 8201", "should differ"),
        ("[emulator]\nnow = 'noon'", "ISO 8601"),
        ("[emulator", "cannot be read"),
        ("mcp = 8200", "write [mcp], its keys below"),
        ("[mcp]\nurl = 'https://me:p/w@h@10.0.0.5/mcp'", "cannot be 'https://…@10.0.0.5/mcp'"),
    ],
)
def test_a_wrong_file_is_refused_with_what_would_be_right(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "harness.toml").write_text(text)
    with pytest.raises(HarnessError) as caught:
        load(tmp_path)
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_misspelt_variable_is_refused_and_a_wrong_value_says_where_it_stands(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="HARNESS_EMULATOR_PORT"):
        load(tmp_path, HARNESS_EMULATOR_PROT="1")
    with pytest.raises(HarnessError, match=r"from HARNESS_MCP_PORT"):
        load(tmp_path, HARNESS_MCP_PORT="many")


def test_an_empty_variable_says_nothing(checkout: Path) -> None:
    found = load(checkout, HARNESS_MCP_PORT="", HARNESS_STACK_TARGET="")
    assert (found.values, found.explicit) == (load(checkout).values, load(checkout).explicit)


def test_data_and_data_set_contradict_each_other_only_on_one_command_line(checkout: Path) -> None:
    with pytest.raises(HarnessError, match="drop --seed"):
        load(checkout, {"emulator.data": Path("x"), "emulator.seed": 1})
    assert load(checkout, {"emulator.data": Path("x")}).values.emulator.seed == 7


def test_the_state_directory_is_named_or_the_checkouts_or_the_users(tmp_path: Path) -> None:
    assert load(tmp_path, HARNESS_STATE_DIR="here").state_dir == tmp_path / "here"
    outside = load(tmp_path)
    if outside.root is None:
        assert outside.state_dir.name == "mixpanel-harness"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "somebody-elses"\n')
    assert settings.checkout_root(tmp_path) is outside.root
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "mixpanel-data"\n')
    assert load(tmp_path).state_dir == tmp_path / ".harness"


def test_a_running_stack_keeps_what_nobody_sets_now(tmp_path: Path) -> None:
    launch = load(tmp_path, {"emulator.seed": 5, "emulator.users": 50}).launch()
    again = load(tmp_path).relaunch(launch)
    assert (again.values.emulator.seed, again.differences(launch)) == (5, [])
    other = load(tmp_path, {"emulator.seed": 6, "emulator.users": 50}).relaunch(launch)
    assert other.differences(launch) == ["emulator.seed: 5 runs, 6 is asked for"]
    live = load(tmp_path, {"stack.target": "live"}).relaunch(launch)
    assert live.differences(launch) == ["stack.target: emulator runs, live is asked for"]


def test_an_export_that_changed_on_disk_is_another_setting(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text("1")
    asked = {"emulator.data": file}
    launch = load(tmp_path, asked).launch()
    assert load(tmp_path, asked).relaunch(launch).differences(launch) == []
    file.write_text("12")
    changed = load(tmp_path, asked).relaunch(launch).differences(launch)
    assert changed == ["emulator.data: the file has changed since"]
    assert load(tmp_path).relaunch(launch).values.emulator.data == file


def test_no_repr_shows_the_environment(tmp_path: Path) -> None:
    assert "s3cret" not in repr(load(tmp_path, MP_SECRET="s3cret"))


def test_every_setting_has_a_meaning_and_a_variable() -> None:
    for name, meaning in settings.keys().items():
        assert meaning, name
        assert settings.variable(name) == "HARNESS_" + name.upper().replace(".", "_")


def test_a_stack_with_a_name_has_a_state_of_its_own_and_chooses_its_ports(tmp_path: Path) -> None:
    plain, named = load(tmp_path, HARNESS_STATE_DIR="s"), load(tmp_path, {"stack.name": "one"}, HARNESS_STATE_DIR="s")
    assert named.state_dir == plain.state_dir / "stacks" / "one"
    assert (plain.chooses_ports, named.chooses_ports) == (False, True)
    fixed = load(tmp_path, {"stack.ports": "fixed"}, HARNESS_STACK_NAME="one")
    assert not fixed.chooses_ports
    with pytest.raises(HarnessError, match="from --stack"):
        load(tmp_path, {"stack.name": "../up"})


def test_services_are_a_list_in_a_file_and_parted_by_commas_in_a_variable(tmp_path: Path) -> None:
    (tmp_path / "harness.toml").write_text('[stack]\nservices = ["emulator", "mcp"]\n[logs]\ncopilot = "their.log"\n')
    found = load(tmp_path)
    assert found.values.stack.services == ("emulator", "mcp")
    assert found.values.logs.copilot == tmp_path / "their.log"
    assert load(tmp_path, HARNESS_STACK_SERVICES="mcp, copilot").values.stack.services == ("mcp", "copilot")


def test_every_value_is_told_with_where_it_came_from_and_no_secret(checkout: Path) -> None:
    found = load(checkout, {"emulator.users": 50}, HARNESS_EMULATOR_DAYS="9", MP_SECRET="s3cret")
    rows = {row["name"]: row for row in found.told({"emulator.timezone": None})}
    assert set(settings.keys()) | {"MP_USERNAME", "MP_SECRET", "MP_PROJECT_ID", "MP_REGION"} == set(rows)
    told = {name: (rows[name]["shown"], rows[name]["source"]) for name in rows}
    assert told["emulator.seed"] == ("7", str(checkout / "harness.toml"))
    assert told["emulator.days"] == ("9", "HARNESS_EMULATOR_DAYS")
    assert told["emulator.users"] == ("50", "--users")
    assert told["emulator.timezone"] == ("unset", "the running stack")
    assert told["mcp.port"] == ("8200", "default")
    assert told["MP_SECRET"] == ("set", "MP_SECRET")
    assert told["MP_USERNAME"] == ("not set", "default")
    assert "s3cret" not in str(rows)


def test_a_stack_that_chose_its_ports_is_found_by_a_command_that_names_others_in_passing(tmp_path: Path) -> None:
    launch = load(tmp_path, {"stack.ports": "auto"}).with_ports({"mcp": 20001}).launch()
    again = load(tmp_path, HARNESS_MCP_PORT="9000").relaunch(launch)
    assert (again.values.mcp.port, again.differences(launch)) == (20001, [])
    fixed = load(tmp_path, {"stack.ports": "fixed"}, HARNESS_MCP_PORT="9000").relaunch(launch)
    assert "stack.ports: auto runs, fixed is asked for" in fixed.differences(launch)
