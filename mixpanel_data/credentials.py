"""Whose account asks, and where it asks.

The first that applies:

1. the account named by argument or flag, out of the configuration file: who names one means it;
2. MP_USERNAME, MP_SECRET, MP_PROJECT_ID, MP_REGION, all four; some but not all of them is an error;
3. the account that MP_ACCOUNT names: it says which account of the file, and the four say that it is none of them;
4. the account that the file's `default` names, else its first account.

The file is `~/.mp/config.toml`, or the one that MP_CONFIG_PATH names:

    default = "work"

    [accounts.work]
    username = "…"
    secret = "…"
    project_id = "…"
    region = "us"
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, quote_plus, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints, ValidationError

from mixpanel_data import accounts_file
from mixpanel_data.errors import AccountNotFoundError, ConfigError

REGIONS = ("us", "eu", "in")
VARIABLES = {"username": "MP_USERNAME", "secret": "MP_SECRET", "project_id": "MP_PROJECT_ID", "region": "MP_REGION"}

# What would be right, field by field.
RIGHT = {
    "region": f"region is one of {', '.join(REGIONS)}",
    "project_id": "project_id is a number",
    "username": "username is the service account's name",
    "secret": "secret is the service account's secret",
}

_HOW_TO_CONFIGURE = (
    "set MP_USERNAME, MP_SECRET, MP_PROJECT_ID and MP_REGION, or add an account to ~/.mp/config.toml: mp auth add NAME "
    "(MP_CONFIG_PATH names another file)"
)


def _as_text(value: object) -> object:
    # A project id is a number to the person who writes the file.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


class Credentials(BaseModel):
    """A service account and the project it asks about; never prints its secret.

    account: the name in the configuration file, None when it came from elsewhere
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="ignore")

    username: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    secret: Annotated[SecretStr, Field(min_length=1)]
    project_id: Annotated[str, BeforeValidator(_as_text), StringConstraints(strip_whitespace=True, pattern=r"^[0-9]+$")]
    region: Annotated[Literal["us", "eu", "in"], BeforeValidator(_lower)]
    account: str | None = None

    def mask(self, text: str) -> str:
        """The text without the secret, in any of the forms in which an answer could repeat it."""
        secret = self.secret.get_secret_value()
        basic = base64.b64encode(f"{self.username}:{secret}".encode()).decode()
        forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), escape(secret)}
        # The older way to send a project's secret: as the username, without a password.
        alone = {base64.b64encode(f"{secret}{end}".encode()).decode() for end in ("", ":")}
        forms |= {basic, quote(basic, safe=""), *alone, *(quote(form, safe="") for form in alone)}
        # Twice: what is repeated within a JSON text may have been one already.
        for _ in range(2):
            forms |= {json.dumps(form, ensure_ascii=plain)[1:-1] for form in forms for plain in (True, False)}
        # Longest first: a form that is part of another must not leave the rest of it behind.
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, "***")
        return text


def resolve(
    account: str | None = None,
    *,
    project_id: str | int | None = None,
    region: str | None = None,
    path: Path | None = None,
) -> Credentials:
    """The credentials that apply, in the order that this module's text gives.

    Args:
        account: a name in the configuration file; wins over the environment
        project_id, region: in place of those that were found
        path: the configuration file; None takes the one that `config_path` says

    Raises:
        ConfigError: nothing is configured, or something in it is missing or wrong; says what, and no secret.
        AccountNotFoundError: the file has no account of that name.
    """
    found = None if account else _from_environment()
    if found is None:
        found = _from_file(account or os.environ.get("MP_ACCOUNT", "").strip() or None, path or config_path())
    if project_id is not None:
        found["project_id"] = project_id
    if region is not None:
        found["region"] = region
    return _validated(found)


def api_base_url() -> str | None:
    """The one base URL in place of all of Mixpanel's hosts (MP_API_BASE_URL), None when unset; may hold {region}."""
    text = os.environ.get("MP_API_BASE_URL", "").strip()
    return checked_base_url(text, "MP_API_BASE_URL") if text else None


def rate_limits() -> str:
    """How often one may ask (MP_RATE_LIMITS), as `mixpanel_data.budget` reads it."""
    return os.environ.get("MP_RATE_LIMITS", "").strip() or "mixpanel"


FETCH_MEMORY_MB = 256
DAY_S = 86_400.0


def fetch_memory_mb() -> int:
    """How much memory the engine may take for a fetch (MP_FETCH_MEMORY_MB), in megabytes; beyond that it uses the disk.

    Raises:
        ConfigError: it is not a whole number of at least 64.
    """
    text = os.environ.get("MP_FETCH_MEMORY_MB", "").strip() or str(FETCH_MEMORY_MB)
    if not (text.isascii() and text.isdigit() and int(text[:9]) >= 64):
        raise ConfigError(
            f"MP_FETCH_MEMORY_MB is not a number of megabytes: {text!r}",
            fix=f"set it to a whole number of at least 64, or unset it for {FETCH_MEMORY_MB}",
        )
    return int(text[:9])


def timeout_s() -> float | None:
    """How long without a byte a request is given up (MP_TIMEOUT_S), in seconds; None when unset.

    Raises:
        ConfigError: it is no number between 0 and a day.
    """
    text = os.environ.get("MP_TIMEOUT_S", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= DAY_S:
        raise ConfigError(
            f"MP_TIMEOUT_S is not a number of seconds: {text!r}",
            fix="set it to a number such as 300, or unset it for 120, and 600 for an export",
        )
    return seconds


def redis_url() -> SecretStr | None:
    """The Redis through which several processes share a budget (MP_REDIS_URL), None when unset; may hold a password."""
    text = os.environ.get("MP_REDIS_URL", "").strip()
    return SecretStr(text) if text else None


def checked_base_url(text: str, name: str) -> str:
    """The base URL without a trailing slash, if it is one that requests can be sent to.

    Raises:
        ConfigError: it is not http(s), has no host, or carries a user, a query or a fragment.
    """
    fix = f"set {name} to something like http://127.0.0.1:8201 or https://proxy.example/{{region}}"
    try:
        parts = urlsplit(text.replace("{region}", "region"))
        _ = parts.port
        (parts.hostname or "").encode("idna")  # a name that none can have is found out by whoever looks it up
    except ValueError as error:
        raise ConfigError(f"{name} is not a URL", fix=fix) from error
    # The text itself stays out of the message: a user and password may stand in it.
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{name} carries a user or password", fix=f"{fix}; credentials are set by the MP_* variables")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"{name} is not an http or https URL: {text!r}", fix=fix)
    if parts.query or parts.fragment:
        raise ConfigError(f"{name} has a query or fragment: {text!r}", fix=fix)
    return text.rstrip("/")


def config_path() -> Path:
    """The configuration file: MP_CONFIG_PATH, else ~/.mp/config.toml."""
    named = os.environ.get("MP_CONFIG_PATH", "").strip()
    return Path(named).expanduser() if named else Path.home() / ".mp" / "config.toml"


def default_database(project_id: str) -> Path:
    """Where a project's local database lives unless told otherwise."""
    return Path.home() / ".mp" / "data" / f"{project_id}.db"


def _from_environment() -> dict[str, Any] | None:
    values = {field: os.environ.get(variable, "").strip() for field, variable in VARIABLES.items()}
    missing = [VARIABLES[field] for field, value in values.items() if not value]
    if len(missing) == len(VARIABLES):
        return None
    if missing:
        raise ConfigError(
            f"some of the MP_* variables are set, but not: {', '.join(missing)}",
            details={"missing": missing},
            fix="set all four, or none of them to use the configuration file",
        )
    return dict(values)


def _from_file(account: str | None, path: Path) -> dict[str, Any]:
    document = accounts_file.read(path)
    accounts = document.get("accounts", {})
    name = account or default_account(document)
    if name is None:
        raise ConfigError("no Mixpanel credentials are configured", fix=_HOW_TO_CONFIGURE)
    if name not in accounts:
        raise AccountNotFoundError(name, list(accounts))
    return {**accounts[name], "account": name}


def default_account(document: Mapping[str, Any]) -> str | None:
    """The account that a configuration file's `default` names, else its first; None where it has none."""
    named = document.get("default")
    return str(named) if named is not None else next(iter(document.get("accounts", {})), None)


def _validated(found: dict[str, Any]) -> Credentials:
    try:
        return Credentials.model_validate(found)
    except ValidationError as error:
        wrong = sorted({str(problem["loc"][0]) for problem in error.errors(include_input=False)})
    source = f"account {found['account']!r}" if found.get("account") else "the MP_* variables"
    raise ConfigError(
        f"{source}: missing or wrong: {', '.join(wrong)}",
        details={"wrong": wrong},
        fix="; ".join(RIGHT.get(field, field) for field in wrong),
    )
