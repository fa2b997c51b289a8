"""What can go wrong, and what to do about it.

    MixpanelDataError                     code, message (= cause), fix, details, to_dict()
    ├── InvalidArgumentError              an argument of ours is wrong; also a ValueError
    ├── ConfigError                       credentials or settings are missing or wrong
    │   └── AccountNotFoundError
    ├── APIError                          Mixpanel answered, but not with what was asked for
    │   ├── AuthenticationError           401, or 400 "Unable to authenticate request"
    │   ├── RateLimitError                429
    │   ├── QueryError                    400, 402, 403, 404 and other 4xx; 0 for local SQL
    │   ├── ServerError                   5xx
    │   └── IncompleteExportError         the export broke off after its first byte
    ├── DateRangeTooLargeError
    ├── TableExistsError
    ├── TableNotFoundError
    ├── DatabaseLockedError
    ├── DatabaseNotFoundError
    └── StorageError                      the local database could not do its part

No HTTP answer at all is a plain MixpanelDataError with code HTTP_ERROR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

__all__ = [
    "APIError",
    "AccountNotFoundError",
    "AuthenticationError",
    "ConfigError",
    "DatabaseLockedError",
    "DatabaseNotFoundError",
    "DateRangeTooLargeError",
    "IncompleteExportError",
    "InvalidArgumentError",
    "MixpanelDataError",
    "QueryError",
    "RateLimitError",
    "ServerError",
    "StorageError",
    "TableExistsError",
    "TableNotFoundError",
]


class MixpanelDataError(Exception):
    """Base of every error the library raises on purpose; `str()` is the message."""

    default_code: ClassVar[str] = "UNKNOWN_ERROR"

    def __init__(
        self,
        message: str,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
        *,
        fix: str | None = None,
    ) -> None:
        super().__init__(message)
        self._message = message
        self._code = code or self.default_code
        self._details = dict(details or {})
        if fix:
            self._details["fix"] = fix

    @property
    def code(self) -> str:
        return self._code

    @property
    def message(self) -> str:
        return self._message

    @property
    def cause(self) -> str:
        """What happened: the message, under the name that error reports use."""
        return self._message

    @property
    def fix(self) -> str | None:
        """What to do about it, or None where nothing is known to help."""
        fix = self._details.get("fix")
        return None if fix is None else str(fix)

    @property
    def details(self) -> dict[str, Any]:
        return dict(self._details)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: code, message, details; `fix` is inside details."""
        return {"code": self.code, "message": self.message, "details": self.details}


class InvalidArgumentError(MixpanelDataError, ValueError):
    """An argument is wrong; the message names it and what would be right."""

    default_code = "INVALID_ARGUMENT"

    def __init__(self, argument: str, problem: str, *, fix: str) -> None:
        super().__init__(f"{argument}: {problem}", details={"argument": argument}, fix=fix)


class ConfigError(MixpanelDataError):
    """Credentials or settings are missing or wrong."""

    default_code = "CONFIG_ERROR"


class AccountNotFoundError(ConfigError):
    """No account of that name is configured."""

    default_code = "ACCOUNT_NOT_FOUND"

    def __init__(self, account_name: str, available_accounts: Sequence[str]) -> None:
        known = ", ".join(available_accounts)
        super().__init__(
            f"no account is called {account_name!r}",
            details={"account_name": account_name, "available_accounts": list(available_accounts)},
            fix=f"take one of: {known}" if known else "add an account to ~/.mp/config.toml, or set the MP_* variables",
        )
        self.account_name = account_name
        self.available_accounts = list(available_accounts)


class APIError(MixpanelDataError):
    """Mixpanel answered, but not with what was asked for.

    details: `status_code` always; `response_body, request_method, request_url, request_params, request_body`
    when known. The request is described without its headers, so nothing secret is in it.
    """

    default_code = "API_ERROR"
    default_fix: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        details: Mapping[str, Any] | None = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(
            message, details={"status_code": status_code, **(details or {})}, fix=fix or type(self).default_fix
        )
        self.status_code = status_code

    @property
    def response_body(self) -> Any:
        return self._details.get("response_body")


class AuthenticationError(APIError):
    """Mixpanel does not accept these credentials for this project and region."""

    default_code = "AUTH_FAILED"
    default_fix = (
        "check username, secret, project id and region (MP_USERNAME, MP_SECRET, MP_PROJECT_ID, MP_REGION or "
        "~/.mp/config.toml), then run: mp auth test"
    )


class RateLimitError(APIError):
    """The project's query or export budget is used up; `retry_after` is in seconds, None when not told."""

    default_code = "RATE_LIMITED"

    def __init__(
        self, message: str, *, retry_after: int | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        wait = "wait before asking again" if retry_after is None else f"ask again after {retry_after} s"
        suffix = "" if retry_after is None else f" (retry after {retry_after} s)"
        super().__init__(
            message + suffix,
            status_code=429,
            details={**(details or {}), "retry_after": retry_after},
            fix=f"{wait}; fewer or shorter queries spend less of the budget",
        )
        self.retry_after = retry_after


class QueryError(APIError):
    """The query was refused: by Mixpanel (4xx), or by the local engine (status_code 0)."""

    default_code = "QUERY_FAILED"


class ServerError(APIError):
    """Mixpanel failed (5xx)."""

    default_code = "SERVER_ERROR"
    default_fix = "this is usually transient: ask again in a minute, or for a shorter range"


class IncompleteExportError(APIError):
    """The export broke off after it had begun; nothing of it was stored."""

    default_code = "EXPORT_INCOMPLETE"
    default_fix = "fetch again: nothing was stored; a shorter range is less likely to break off"


class DateRangeTooLargeError(MixpanelDataError):
    """One fetch covers at most `max_days` days, both ends included."""

    default_code = "DATE_RANGE_TOO_LARGE"

    def __init__(self, from_date: date, to_date: date, days_requested: int, max_days: int = 100) -> None:
        super().__init__(
            f"{from_date} to {to_date} are {days_requested} days; one fetch covers at most {max_days}",
            details={
                "from_date": from_date.isoformat(),
                "to_date": to_date.isoformat(),
                "days_requested": days_requested,
                "max_days": max_days,
            },
            fix=f"fetch at most {max_days} days, then the next ones with append=True",
        )
        self.days_requested, self.max_days = days_requested, max_days


class TableExistsError(MixpanelDataError):
    """A table of that name is already there, and append was not asked for."""

    default_code = "TABLE_EXISTS"

    def __init__(self, table_name: str) -> None:
        suggestion = "take another name, append=True to add to it, or drop it first"
        super().__init__(
            f"table {table_name!r} exists already",
            details={"table_name": table_name, "suggestion": suggestion},
            fix=suggestion,
        )
        self.table_name = table_name


class TableNotFoundError(MixpanelDataError):
    """No table of that name."""

    default_code = "TABLE_NOT_FOUND"

    def __init__(self, table_name: str) -> None:
        super().__init__(
            f"there is no table {table_name!r}",
            details={"table_name": table_name},
            fix="look at the list of tables, or fetch it first without append",
        )
        self.table_name = table_name


class DatabaseLockedError(MixpanelDataError):
    """Somebody else has the database file open, and did not let go in time."""

    default_code = "DATABASE_LOCKED"

    def __init__(self, db_path: Path | str, *, holding_pid: int | None = None, holder: str | None = None) -> None:
        who = holder or (f"process {holding_pid}" if holding_pid else "another process")
        suggestion = f"close the database in {who}, then try again"
        details: dict[str, Any] = {"db_path": str(db_path), "suggestion": suggestion}
        if holding_pid is not None:
            details["holding_pid"] = holding_pid
        super().__init__(f"the database {db_path} is in use by {who}", details=details, fix=suggestion)
        self.db_path, self.holding_pid = str(db_path), holding_pid


class DatabaseNotFoundError(MixpanelDataError, FileNotFoundError):
    """There is no database file to read."""

    default_code = "DATABASE_NOT_FOUND"

    def __init__(self, db_path: Path | str) -> None:
        suggestion = "fetch events first, or give the path of an existing database"
        super().__init__(
            f"there is no database at {db_path}",
            details={"db_path": str(db_path), "suggestion": suggestion},
            fix=suggestion,
        )
        self.db_path = str(db_path)


class StorageError(MixpanelDataError):
    """The local database could not do its part: disk, memory, a damaged file, a read-only workspace."""

    default_code = "STORAGE_ERROR"
