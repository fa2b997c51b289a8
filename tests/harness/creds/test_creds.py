"""`harness creds`: which of the four is missing, malformed or wrong, told without ever showing the secret."""

import contextlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from harness.cli import main
from harness.creds import form
from tests.harness.doctor.bench import FOREIGN
from tests.support import schemas
from tests.support.emulator import Emulator, running_emulator

CANARY = "c4n4ry-s3cret-that-nobody-may-see"
WELL = {
    "MP_USERNAME": "reader.0a1b2c.mp-service-account",
    "MP_SECRET": "kJ3hs8Qz0pLm",
    "MP_PROJECT_ID": "3100042",
    "MP_REGION": "EU",
}
MALFORMED = [
    ("MP_USERNAME", "", "NOT_SET"),
    ("MP_SECRET", "   ", "NOT_SET"),
    ("MP_USERNAME", "<your-username>", "PLACEHOLDER"),
    ("MP_USERNAME", "your_service_account", "PLACEHOLDER"),
    ("MP_SECRET", "your-secret-here", "PLACEHOLDER"),
    ("MP_SECRET", "xxxxxxxx", "PLACEHOLDER"),
    ("MP_SECRET", "${MP_SECRET}", "PLACEHOLDER"),
    ("MP_SECRET", "changeme", "PLACEHOLDER"),
    ("MP_PROJECT_ID", "12345", "PLACEHOLDER"),
    ("MP_PROJECT_ID", "your-project-id", "PLACEHOLDER"),
    ("MP_PROJECT_ID", "0123456789abcdef0123456789abcdef", "MALFORMED"),
    ("MP_PROJECT_ID", "31_00", "MALFORMED"),
    ("MP_PROJECT_ID", "'3100042'", "MALFORMED"),
    ("MP_REGION", "europe", "MALFORMED"),
    ("MP_SECRET", "two words", "MALFORMED"),
    ("MP_SECRET", "reader.0a1b2c.mp-service-account", "MALFORMED"),
    ("MP_USERNAME", "me@example.test", "NO_SERVICE_ACCOUNT"),
    ("MP_USERNAME", "reader.0a1b2c", "NO_SERVICE_ACCOUNT"),
]


@pytest.fixture(scope="module")
def european(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator whose one account and project live in eu."""
    place = tmp_path_factory.mktemp("emulator")
    size = ("--users", "50", "--days", "5", "--no-stories", "--last-day", "2025-06-30", "--now", "2025-06-30")
    with running_emulator(place / "log", "--region", "eu", *size, cache_dir=place) as running:
        yield running


def creds(home: Path, environment: Mapping[str, str], *words: str) -> tuple[int, str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    out, err = io.StringIO(), io.StringIO()
    own = {"HOME": str(home), "HARNESS_STATE_DIR": str(home / "state")}
    with (
        mock.patch.dict(os.environ, {**plain, **own, **environment}, clear=True),
        contextlib.chdir(home),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = main(["creds", *words])
    schemas.hold(["creds", *words], out.getvalue(), err.getvalue())
    return code, out.getvalue(), err.getvalue()


def at(emulator: Emulator, **changed: str) -> dict[str, str]:
    """The emulator's own credentials, asked through the base URLs of all regions."""
    return {**emulator.environment, "MP_API_BASE_URL": f"{emulator.url}/{{region}}", **changed}


def test_four_that_are_well_formed_have_no_problem() -> None:
    assert form.problems(WELL) == ()


@pytest.mark.parametrize(("variable", "value", "code"), MALFORMED)
def test_a_value_that_is_none_is_told_with_what_would_be_right(variable: str, value: str, code: str) -> None:
    (problem,) = form.problems({**WELL, variable: value})
    assert (problem.variable, problem.code) == (variable, code)
    assert problem.fix
    if variable == "MP_SECRET" and value.strip():
        assert value not in problem.cause + problem.fix


def test_a_variable_that_is_unset_and_one_that_is_empty_are_told_apart() -> None:
    unset, empty = form.problems({"MP_USERNAME": "", "MP_PROJECT_ID": "7", "MP_REGION": "us"})[::-1]
    assert "not set" in unset.cause
    assert "empty" in empty.cause


def test_accepted_credentials_are_exit_0(european: Emulator, tmp_path: Path) -> None:
    code, out, _ = creds(tmp_path, at(european), "--json")
    found = json.loads(out)
    assert code == 0, found
    assert (found["tried"]["verdict"], found["tried"]["lives_in"]) == ("ACCEPTED", "eu")


@pytest.mark.parametrize(
    ("changed", "verdict", "says"),
    [
        ({"MP_REGION": "us"}, "WRONG_REGION", "this account lives in eu"),
        ({"MP_REGION": "in", "MP_PROJECT_ID": "17"}, "WRONG_REGION", "this account lives in eu"),
        ({"MP_PROJECT_ID": "17"}, "WRONG_PROJECT", "no project 17"),
        ({"MP_SECRET": CANARY}, "WRONG_SECRET", "no region knows this account"),
        ({"MP_USERNAME": "me@example.test"}, "WRONG_SECRET", "no service account's name"),
    ],
    ids=["region", "region and project", "project", "secret", "login"],
)
def test_which_of_the_four_is_wrong_is_told(
    european: Emulator, tmp_path: Path, changed: dict[str, str], verdict: str, says: str
) -> None:
    code, out, err = creds(tmp_path, at(european, **changed), "--json")
    tried = json.loads(out)["tried"]
    assert (code, tried["verdict"]) == (6, verdict), tried
    assert says in tried["cause"]
    assert CANARY not in out + err


def test_an_account_without_a_role_is_told_from_one_without_a_project(tmp_path: Path) -> None:
    projects = tmp_path / "projects.toml"
    projects.write_text(
        '[[project]]\nid = 77\nname = "Closed"\nregion = "eu"\ntimezone = "UTC"\n'
        'token = "0123456789abcdef0123456789abcdef"\nsecret = "s"\n'
    )
    size = ("--users", "50", "--days", "5", "--no-stories", "--last-day", "2025-06-30", "--now", "2025-06-30")
    options = ("--region", "eu", "--projects", str(projects), *size)
    with running_emulator(tmp_path / "log", *options, cache_dir=tmp_path / "cache") as running:
        code, out, _ = creds(tmp_path, at(running, MP_PROJECT_ID="77"), "--json")
    assert (code, json.loads(out)["tried"]["verdict"]) == (6, "NO_ROLE")


def test_a_base_url_for_all_regions_cannot_tell_them_apart_and_says_so(european: Emulator, tmp_path: Path) -> None:
    code, out, _ = creds(tmp_path, at(european, MP_API_BASE_URL=european.url, MP_SECRET="another"), "--json")
    assert code == 6
    assert "cannot be told apart" in json.loads(out)["tried"]["cause"]


def test_no_answer_is_not_called_wrong(tmp_path: Path) -> None:
    nobody = {**WELL, "MP_API_BASE_URL": "http://127.0.0.1:1/{region}", "MP_RATE_LIMITS": "off"}
    code, out, _ = creds(tmp_path, nobody, "--json")
    assert (code, json.loads(out)["tried"]["verdict"]) == (4, "NO_ANSWER")


def test_what_is_missing_is_not_tried_and_what_bashrc_exports_is_named(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text(
        f"alias ll='ls -l'\nexport MP_SECRET='{CANARY}' MP_REGION=eu\ntouch {tmp_path}/ran\n"
    )
    given = {name: value for name, value in WELL.items() if name != "MP_SECRET"}
    code, out, err = creds(tmp_path, given)
    assert code == 6
    assert ".bashrc, line 2 exports MP_SECRET, and this shell has not loaded it" in out
    assert f"source {tmp_path}/.bashrc" in out
    assert ".bashrc, line 2 exports MP_REGION, and this shell has another value" in out
    assert "was not asked" in out
    assert CANARY not in out + err
    assert CANARY not in creds(tmp_path, given, "--json")[1]
    assert not (tmp_path / "ran").exists()


def test_a_report_as_json_is_whole(european: Emulator, tmp_path: Path) -> None:
    found: dict[str, Any] = json.loads(creds(tmp_path, at(european, MP_USERNAME="me@example.test"), "--json")[1])
    assert found["good"] is False
    assert found["present"] == ["MP_USERNAME", "MP_SECRET", "MP_PROJECT_ID", "MP_REGION"]
    assert [problem["code"] for problem in found["problems"]] == ["NO_SERVICE_ACCOUNT"]
