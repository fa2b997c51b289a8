"""Credentials and the accounts of the configuration file, under the module name that users import them from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr, ValidationError

from mixpanel_data import accounts_file, arguments, credentials
from mixpanel_data.credentials import Credentials
from mixpanel_data.errors import AccountExistsError, AccountNotFoundError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tomlkit import TOMLDocument

__all__ = ["AccountInfo", "ConfigManager", "Credentials"]


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """An account of the configuration file, without its secret; what the file leaves out is empty.

    is_default: whether it is the one that applies where none is named
    """

    name: str
    username: str
    project_id: str
    region: str
    is_default: bool


class ConfigManager:
    """The accounts of the configuration file. The file is read anew by each call.

    Args:
        config_path: None takes MP_CONFIG_PATH, else ~/.mp/config.toml

    Raises:
        ConfigError: a call cannot read or write the file; `details["path"]` says which.
    """

    def __init__(self, config_path: str | Path | None = None) -> None:
        self._path = credentials.config_path() if config_path is None else Path(config_path).expanduser()

    def __repr__(self) -> str:
        return f"ConfigManager({str(self._path)!r})"

    @property
    def config_path(self) -> Path:
        """The file, whether or not it exists yet."""
        return self._path

    def resolve_credentials(self, account: str | None = None) -> Credentials:
        """The credentials that apply, in the order that `mixpanel_data.credentials` gives.

        Args:
            account: a name in the file; wins over the environment

        Raises:
            AccountNotFoundError: the file has no account of that name.
        """
        return credentials.resolve(account, path=self._path)

    def list_accounts(self) -> list[AccountInfo]:
        """The accounts in the order of the file; none where there is no file."""
        document = accounts_file.read(self._path)
        default = credentials.default_account(document)
        return [_info(name, entry, default) for name, entry in document.get("accounts", {}).items()]

    def get_account(self, name: str) -> AccountInfo:
        """The account of that name.

        Raises:
            AccountNotFoundError: there is none.
        """
        accounts = self.list_accounts()
        found = next((account for account in accounts if account.name == name), None)
        if found is None:
            raise AccountNotFoundError(name, [account.name for account in accounts])
        return found

    def add_account(self, name: str, username: str, secret: str, project_id: str, region: str) -> None:
        """Write an account into the file; the first one becomes the default.

        Raises:
            InvalidArgumentError: a ValueError: one of the values is wrong; names it.
            AccountExistsError: there is an account of that name.
        """
        arguments.name("name", name)
        values = {"username": username, "secret": SecretStr(secret), "project_id": project_id, "region": region}
        del secret  # some tracebacks show what a frame holds
        added = _checked(values)

        def edit(document: TOMLDocument) -> None:
            if "accounts" not in document:
                document["accounts"] = {}
            accounts: Any = document["accounts"]
            if name in accounts:
                raise AccountExistsError(name)
            if not accounts:
                document["default"] = name
            accounts[name] = {
                "username": added.username,
                "secret": added.secret.get_secret_value(),
                "project_id": added.project_id,
                "region": added.region,
            }

        accounts_file.change(self._path, edit)

    def remove_account(self, name: str) -> None:
        """Take an account out of the file; if it was the default, the first of the others becomes it.

        Raises:
            AccountNotFoundError: there is none of that name.
        """

        def edit(document: TOMLDocument) -> None:
            accounts = _known(document, name)
            del accounts[name]
            if document.get("default") == name:
                del document["default"]
                if accounts:
                    document["default"] = next(iter(accounts))

        accounts_file.change(self._path, edit)

    def set_default(self, name: str) -> None:
        """Make that account the one that applies where none is named.

        Raises:
            AccountNotFoundError: there is none of that name.
        """

        def edit(document: TOMLDocument) -> None:
            _known(document, name)
            document["default"] = name

        accounts_file.change(self._path, edit)


def _info(name: str, entry: Mapping[str, Any], default: str | None) -> AccountInfo:
    username, project_id, region = (str(entry.get(field, "")) for field in ("username", "project_id", "region"))
    return AccountInfo(name, username, project_id, region, is_default=name == default)


def _checked(values: dict[str, object]) -> Credentials:
    try:
        return Credentials.model_validate(values)
    except ValidationError as error:
        wrong = str(error.errors(include_input=False)[0]["loc"][0])
    raise InvalidArgumentError(wrong, "missing or wrong", fix=credentials.RIGHT[wrong])


def _known(document: TOMLDocument, name: str) -> Any:
    accounts: Any = document.get("accounts", {})
    if name not in accounts:
        raise AccountNotFoundError(name, list(accounts))
    return accounts
