"""The configuration file: what is added, removed and kept, who may read it, and two who change it at once."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_data import (
    AccountExistsError,
    AccountNotFoundError,
    ConfigError,
    InvalidArgumentError,
    accounts_file,
)
from mixpanel_data.auth import AccountInfo, ConfigManager, Credentials
from tests.support.examples import examples

SECRET = "canary/secret+51"
COMMENTED = """\
# Who asks.
default = "work"   # the one for every day

[accounts.home]
username = "home-robot" # at home
secret = "home-secret"
project_id = "1"
region = "us"

[accounts.work]
username = "work-robot"
secret = "work-secret"
project_id = 2
region = "in"

[other]
kept = true
"""


@pytest.fixture
def manager(tmp_path: Path) -> ConfigManager:
    return ConfigManager(tmp_path / "new" / "config.toml")


@pytest.fixture
def commented(tmp_path: Path) -> ConfigManager:
    path = tmp_path / "config.toml"
    path.write_text(COMMENTED)
    return ConfigManager(str(path))


def add(manager: ConfigManager, name: str, project_id: str = "42", region: str = "eu") -> None:
    manager.add_account(name, f"{name}-robot", SECRET, project_id, region)


def names(manager: ConfigManager) -> list[str]:
    return [account.name for account in manager.list_accounts()]


def default(manager: ConfigManager) -> list[str]:
    return [account.name for account in manager.list_accounts() if account.is_default]


def test_the_first_account_becomes_the_default_and_later_ones_do_not(manager: ConfigManager) -> None:
    assert manager.list_accounts() == []
    add(manager, "one")
    add(manager, "two", "43", "IN")
    assert manager.list_accounts() == [
        AccountInfo("one", "one-robot", "42", "eu", is_default=True),
        AccountInfo("two", "two-robot", "43", "in", is_default=False),
    ]
    found = manager.resolve_credentials()
    assert (found.username, found.account) == ("one-robot", "one")
    assert found.secret.get_secret_value() == SECRET
    assert manager.resolve_credentials("two").project_id == "43"


def test_the_file_is_the_owners_alone(manager: ConfigManager) -> None:
    before = os.umask(0)
    try:
        add(manager, "one")
    finally:
        os.umask(before)
    assert stat.S_IMODE(manager.config_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(manager.config_path.parent.stat().st_mode) == 0o700
    manager.config_path.chmod(0o644)
    add(manager, "two")
    assert stat.S_IMODE(manager.config_path.stat().st_mode) == 0o600
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in manager.config_path.parent.iterdir())


def test_comments_order_and_foreign_parts_stay(commented: ConfigManager) -> None:
    add(commented, "lab")
    commented.set_default("lab")
    commented.remove_account("home")
    text = commented.config_path.read_text()
    assert text.startswith('# Who asks.\ndefault = "lab"   # the one for every day\n')
    document = tomllib.loads(text)
    assert document["other"] == {"kept": True}
    assert list(document["accounts"]) == ["work", "lab"]
    assert document["accounts"]["work"] == tomllib.loads(COMMENTED)["accounts"]["work"]


def test_a_default_can_be_set_where_the_file_has_none(commented: ConfigManager) -> None:
    commented.config_path.write_text(COMMENTED.replace('default = "work"', "# none"))
    assert default(commented) == ["home"]
    commented.set_default("work")
    assert default(commented) == ["work"]
    assert tomllib.loads(commented.config_path.read_text())["default"] == "work"


def test_when_the_default_goes_the_first_of_the_others_takes_its_place(commented: ConfigManager) -> None:
    commented.remove_account("work")
    assert default(commented) == ["home"]
    commented.remove_account("home")
    assert commented.list_accounts() == []
    with pytest.raises(ConfigError, match="no Mixpanel credentials"):
        commented.resolve_credentials()
    add(commented, "again")
    assert default(commented) == ["again"]


def test_an_account_that_is_no_default_goes_quietly(commented: ConfigManager) -> None:
    commented.remove_account("home")
    assert default(commented) == ["work"]


def test_a_name_that_is_taken_or_missing_is_told(commented: ConfigManager) -> None:
    before = commented.config_path.read_bytes()
    with pytest.raises(AccountExistsError) as exists:
        add(commented, "home")
    assert exists.value.details["account_name"] == "home"
    for call in (commented.remove_account, commented.set_default, commented.get_account, commented.resolve_credentials):
        with pytest.raises(AccountNotFoundError) as missing:
            call("lab")
        assert missing.value.available_accounts == ["home", "work"]
    assert commented.config_path.read_bytes() == before


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("region", ("a", "robot", SECRET, "42", "mars")),
        ("project_id", ("a", "robot", SECRET, "forty", "us")),
        ("username", ("a", " ", SECRET, "42", "us")),
        ("secret", ("a", "robot", "", "42", "us")),
        ("name", (" ", "robot", SECRET, "42", "us")),
    ],
)
def test_a_wrong_value_is_a_value_error_that_names_it(
    manager: ConfigManager, field: str, values: tuple[str, str, str, str, str]
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        manager.add_account(*values)
    assert isinstance(caught.value, ValueError)
    assert caught.value.details["argument"] == field
    assert "canary" not in str(caught.value.to_dict()) + repr(caught.value.__cause__) + repr(caught.value.__context__)
    assert not manager.config_path.exists()


def test_a_file_that_is_not_toml_is_left_alone(commented: ConfigManager) -> None:
    commented.config_path.write_text('secret = "canary')
    for call in (commented.list_accounts, lambda: add(commented, "x"), lambda: commented.set_default("x")):
        with pytest.raises(ConfigError) as caught:
            call()
        assert caught.value.details["path"] == str(commented.config_path)
        assert "canary" not in str(caught.value.to_dict())
    assert commented.config_path.read_text() == 'secret = "canary'


def test_a_link_stays_a_link(commented: ConfigManager, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(commented.config_path)
    add(ConfigManager(link), "lab")
    assert link.is_symlink()
    assert names(commented) == ["home", "work", "lab"]


def test_a_directory_that_cannot_be_written_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written") as caught:
        add(ConfigManager(tmp_path / "file" / "config.toml"), "one")
    assert caught.value.fix


def test_what_cannot_be_written_whole_changes_nothing(
    commented: ConfigManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    before = sorted(commented.config_path.parent.iterdir())
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        add(commented, "lab")
    assert commented.config_path.read_text() == COMMENTED
    left = [path.name for path in sorted(commented.config_path.parent.iterdir()) if path not in before]
    assert left == [".config.toml.lock"]


def test_who_holds_the_file_is_waited_for_and_then_told(
    commented: ConfigManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts_file, "LONGEST_WAIT_S", 0.05)
    with commented.config_path.with_name(".config.toml.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another process"):
            add(commented, "lab")
    add(commented, "lab")
    assert names(commented) == ["home", "work", "lab"]


ADD_SOME = """
import sys
from mixpanel_data.auth import ConfigManager
manager = ConfigManager(sys.argv[1])
sys.stdin.readline()
for number in range(10):
    manager.add_account(f"account-{sys.argv[2]}-{number}", "robot", "secret", "1", "us")
"""


def test_two_processes_at_once_lose_no_account(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    workers = [
        subprocess.Popen([sys.executable, "-c", ADD_SOME, str(path), str(who)], stdin=subprocess.PIPE)
        for who in range(2)
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(b"now\n")
        worker.stdin.flush()
    for worker in workers:
        worker.communicate(timeout=120)
        assert worker.returncode == 0
    assert sorted(names(ConfigManager(path))) == sorted(f"account-{who}-{n}" for who in range(2) for n in range(10))
    assert len(default(ConfigManager(path))) == 1


@examples(15, 50)
@given(
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
    secret=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_every_name_and_secret_comes_back_as_it_went_in(commented: ConfigManager, name: str, secret: str) -> None:
    commented.config_path.write_text(COMMENTED)
    if name in {"home", "work"}:
        return
    commented.add_account(name, "robot", secret, "42", "us")
    found = commented.resolve_credentials(name)
    assert found.secret.get_secret_value() == secret
    assert names(commented) == ["home", "work", name]
    commented.remove_account(name)
    assert tomllib.loads(commented.config_path.read_text()) == tomllib.loads(COMMENTED)


def test_the_environment_names_the_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert ConfigManager().config_path == Path(os.environ["HOME"]) / ".mp" / "config.toml"
    environment.setenv("MP_CONFIG_PATH", str(tmp_path / "other.toml"))
    assert ConfigManager().config_path == tmp_path / "other.toml"


def test_neither_the_secret_nor_its_file_is_in_a_repr(manager: ConfigManager) -> None:
    add(manager, "one")
    told = repr(manager) + repr(manager.list_accounts()) + repr(manager.get_account("one")) + str(vars(manager))
    assert "canary" not in told
    assert Credentials.__name__ in repr(manager.resolve_credentials())
    assert "canary" not in repr(manager.resolve_credentials())
