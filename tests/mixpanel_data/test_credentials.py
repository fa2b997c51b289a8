"""Whose account asks: the environment, the file, and what is said when something in them is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mixpanel_data import AccountNotFoundError, ConfigError, Credentials, Workspace, auth, credentials
from tests.support.repository import ROOT

FOUR = {"MP_USERNAME": "robot", "MP_SECRET": "s3cret-value", "MP_PROJECT_ID": "42", "MP_REGION": "EU"}
FILE = """
default = "work"

[accounts.home]
username = "home-robot"
secret = "home-secret"
project_id = "1"
region = "us"

[accounts.work]
username = "work-robot"
secret = "work-secret"
project_id = 2
region = "in"
"""


@pytest.fixture
def file(environment: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(FILE)
    environment.setenv("MP_CONFIG_PATH", str(path))
    return path


def set_all(environment: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        environment.setenv(name, value)


def test_the_four_variables_are_enough(environment: pytest.MonkeyPatch) -> None:
    set_all(environment, FOUR)
    found = credentials.resolve()
    assert (found.username, found.project_id, found.region, found.account) == ("robot", "42", "eu", None)
    assert found.secret.get_secret_value() == "s3cret-value"


@pytest.mark.parametrize("left_out", FOUR)
def test_some_but_not_all_variables_are_an_error_that_names_the_missing_one(
    environment: pytest.MonkeyPatch, file: Path, left_out: str
) -> None:
    set_all(environment, {name: value for name, value in FOUR.items() if name != left_out})
    with pytest.raises(ConfigError) as caught:
        credentials.resolve()
    assert caught.value.details["missing"] == [left_out]
    assert left_out in caught.value.message
    assert "s3cret" not in str(caught.value.to_dict())


def test_the_environment_wins_over_the_files_default(environment: pytest.MonkeyPatch, file: Path) -> None:
    set_all(environment, FOUR)
    assert credentials.resolve().username == "robot"


def test_an_account_named_by_argument_wins_over_the_environment(environment: pytest.MonkeyPatch, file: Path) -> None:
    set_all(environment, FOUR)
    found = credentials.resolve("home")
    assert (found.username, found.account) == ("home-robot", "home")


def test_mp_account_names_one_of_the_file_but_the_four_variables_and_an_argument_win(
    environment: pytest.MonkeyPatch, file: Path
) -> None:
    environment.setenv("MP_ACCOUNT", "home")
    assert credentials.resolve().account == "home"
    assert credentials.resolve("work").account == "work"
    set_all(environment, FOUR)
    assert credentials.resolve().username == "robot"
    assert credentials.resolve("work").account == "work"


def test_the_file_gives_its_default_and_without_one_its_first_account(file: Path) -> None:
    found = credentials.resolve()
    assert (found.username, found.project_id, found.region) == ("work-robot", "2", "in")
    file.write_text(FILE.replace('default = "work"', ""))
    assert credentials.resolve().account == "home"


def test_an_unknown_account_is_told_with_those_that_exist(file: Path) -> None:
    with pytest.raises(AccountNotFoundError) as caught:
        credentials.resolve("lab")
    assert caught.value.details["available_accounts"] == ["home", "work"]
    assert "home, work" in str(caught.value.fix)


def test_project_and_region_can_be_replaced(file: Path) -> None:
    found = credentials.resolve("home", project_id=77, region="eu")
    assert (found.project_id, found.region) == ("77", "eu")


def test_nothing_configured_says_what_to_set() -> None:
    with pytest.raises(ConfigError, match="no Mixpanel credentials") as caught:
        Workspace()
    assert "MP_USERNAME" in str(caught.value.fix)


@pytest.mark.parametrize(("field", "value"), [("region", "mars"), ("project_id", "abc"), ("project_id", "-1")])
def test_a_wrong_value_is_named_and_no_secret_is_told(environment: pytest.MonkeyPatch, field: str, value: str) -> None:
    set_all(environment, {**FOUR, credentials.VARIABLES[field]: value})
    with pytest.raises(ConfigError) as caught:
        credentials.resolve()
    assert field in str(caught.value.details)
    assert "s3cret" not in str(caught.value.to_dict()) + repr(caught.value.__cause__) + repr(caught.value.__context__)


@pytest.mark.parametrize("text", ['secret = "work-secret', "accounts = 3", "default = [", "[accounts]\nwork = 5"])
def test_a_broken_file_is_named_without_quoting_it(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        credentials.resolve()
    assert str(file) in caught.value.message
    assert "work-secret" not in str(caught.value.to_dict())


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host",
        "host:8201",
        "http://",
        "http://me:hunter2@host",
        "http://host/?a=b",
        "http://host/#x",
        "http://h:x",
        f"http://{'h' * 64}.example",
    ],
)
def test_a_base_url_that_cannot_be_asked_is_refused(environment: pytest.MonkeyPatch, url: str) -> None:
    environment.setenv("MP_API_BASE_URL", url)
    with pytest.raises(ConfigError, match="MP_API_BASE_URL") as caught:
        credentials.api_base_url()
    assert "hunter2" not in str(caught.value.to_dict())


def test_a_base_url_keeps_its_place_for_the_region(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MP_API_BASE_URL", "http://127.0.0.1:8201/{region}/")
    assert credentials.api_base_url() == "http://127.0.0.1:8201/{region}"


def test_the_secret_is_in_no_text_of_the_credentials(credentials: Credentials) -> None:
    assert auth.Credentials is Credentials
    for text in (repr(credentials), str(credentials), str(credentials.model_dump()), credentials.model_dump_json()):
        assert "canary" not in text


@pytest.mark.parametrize("form", ["canary/secret+51", "canary%2Fsecret%2B51"])
def test_a_text_that_repeats_the_secret_is_masked(credentials: Credentials, form: str) -> None:
    assert credentials.mask(f"you sent {form}!") == "you sent ***!"


def test_every_variable_that_is_read_is_in_the_readme() -> None:
    read = {
        name
        for path in (ROOT / "mixpanel_data").rglob("*.py")
        for name in re.findall(r'"(MP_[A-Z_]+)"', path.read_text(encoding="utf-8"))
    }
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {"MP_FETCH_MEMORY_MB", "MP_RATE_LIMITS", "MP_REDIS_URL", "MP_NOW"} <= read
    assert [name for name in sorted(read) if f"| `{name}`" not in readme and f", `{name}`" not in readme] == []
