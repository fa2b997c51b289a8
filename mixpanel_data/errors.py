"""What can go wrong, and what to do about it.

    MixpanelDataError                     code, message (= cause), fix, details, to_dict()
    ├── InvalidArgumentError              an argument of ours is wrong; also a ValueError
    ├── ConfigError                       credentials or settings are missing or wrong
    │   ├── AccountNotFoundError
    │   └── AccountExistsError
    ├── APIError                          Mixpanel answered, but not with what was asked for
    │   ├── AuthenticationError           401, or 400 "Unable to authenticate request"
    │   ├── RateLimitError                429, or our own budget says that it would be one
    │   ├── QueryError                    400, 402, 403, 404 and other 4xx; 0 for local SQL
    │   │   └── JQLSyntaxError            412
    │   ├── ServerError                   5xx
    │   └── IncompleteExportError         the export broke off after its first byte
    ├── EventNotFoundError
    ├── DateRangeTooLargeError
    ├── TableExistsError
    ├── TableNotFoundError
    ├── DatabaseLockedError
    ├── DatabaseNotFoundError
    └── StorageError                      the local database could not do its part

No HTTP answer at all is a plain MixpanelDataError with code HTTP_ERROR.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, Unpack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

__all__ = [
    "APIError",
    "AccountExistsError",
    "AccountNotFoundError",
    "AuthenticationError",
    "ConfigError",
    "DatabaseLockedError",
    "DatabaseNotFoundError",
    "DateRangeTooLargeError",
    "EventNotFoundError",
    "IncompleteExportError",
    "InvalidArgumentError",
    "JQLSyntaxError",
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

    def __init__(self, message: str, details: Mapping[str, Any] | None = None, *, fix: str | None = None) -> None:
        super().__init__(message, details=details, fix=fix)


class AccountNotFoundError(ConfigError):
    """No account of that name is configured."""

    default_code = "ACCOUNT_NOT_FOUND"

    def __init__(self, account_name: str, available_accounts: Sequence[str] = ()) -> None:
        known = ", ".join(available_accounts)
        super().__init__(
            f"no account is called {account_name!r}",
            details={"account_name": account_name, "available_accounts": list(available_accounts)},
            fix=f"take one of: {known}" if known else "add it: mp auth add NAME, or set the four MP_* variables",
        )
        self.account_name = account_name
        self.available_accounts = list(available_accounts)


class AccountExistsError(ConfigError):
    """An account of that name is configured already."""

    default_code = "ACCOUNT_EXISTS"

    def __init__(self, account_name: str) -> None:
        super().__init__(
            f"an account is called {account_name!r} already",
            details={"account_name": account_name},
            fix="take another name, or remove it first: mp auth remove NAME",
        )
        self.account_name = account_name


class Exchange(TypedDict, total=False):
    """What is known of a request and its answer; never a header, so nothing secret is in it."""

    response_body: Any
    request_method: str | None
    request_url: str | None
    request_params: Mapping[str, Any] | None
    request_body: Mapping[str, Any] | None


class APIError(MixpanelDataError):
    """Mixpanel answered, but not with what was asked for.

    details: `status_code` always; `response_body, request_method, request_url, request_params, request_body`
    when known, which are properties too. The request is described without its headers, so nothing secret is in it.
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
        **exchange: Unpack[Exchange],
    ) -> None:
        known = {name: value for name, value in exchange.items() if value is not None}
        super().__init__(
            message, details={"status_code": status_code, **known, **(details or {})}, fix=fix or type(self).default_fix
        )
        self.status_code = status_code

    @property
    def response_body(self) -> Any:
        """The answer's text, None when it had none."""
        return self._details.get("response_body")

    @property
    def request_method(self) -> str | None:
        return self._details.get("request_method")

    @property
    def request_url(self) -> str | None:
        """Without the query string."""
        return self._details.get("request_url")

    @property
    def request_params(self) -> dict[str, Any] | None:
        """The query string."""
        return self._details.get("request_params")

    @property
    def request_body(self) -> dict[str, Any] | None:
        """The fields of a form or JSON body, None for a request without one."""
        return self._details.get("request_body")


class AuthenticationError(APIError):
    """Mixpanel does not accept these credentials for this project and region."""

    default_code = "AUTH_FAILED"
    default_fix = (
        "check username, secret, project id and region (MP_USERNAME, MP_SECRET, MP_PROJECT_ID, MP_REGION or "
        "~/.mp/config.toml), then run: mp auth test"
    )

    def __init__(
        self,
        message: str = "authentication failed",
        *,
        status_code: int = 401,
        details: Mapping[str, Any] | None = None,
        **exchange: Unpack[Exchange],
    ) -> None:
        super().__init__(message, status_code=status_code, details=details, **exchange)


class RateLimitError(APIError):
    """The project's budget is used up; `retry_after` is in seconds, None when not told.

    details: besides those of APIError, `retry_after`; `sent` is False where our own budget refused the request, so
    that Mixpanel never saw it
    """

    default_code = "RATE_LIMITED"

    def __init__(
        self,
        message: str = "rate limit exceeded",
        *,
        retry_after: int | None = None,
        status_code: int = 429,
        details: Mapping[str, Any] | None = None,
        **exchange: Unpack[Exchange],
    ) -> None:
        wait = "wait before asking again" if retry_after is None else f"ask again after {retry_after} s"
        suffix = "" if retry_after is None else f" (retry after {retry_after} s)"
        super().__init__(
            message + suffix,
            status_code=status_code,
            details={**(details or {}), "retry_after": retry_after},
            fix=f"{wait}; fewer or shorter queries spend less of the budget",
            **exchange,
        )
        self.retry_after = retry_after

    @property
    def retry_after_s(self) -> int | None:
        """`retry_after` under a name that says its unit."""
        return self.retry_after


class QueryError(APIError):
    """The query was refused: by Mixpanel (4xx), or by the local engine (status_code 0)."""

    default_code = "QUERY_FAILED"

    def __init__(
        self,
        message: str = "the query failed",
        *,
        status_code: int = 400,
        details: Mapping[str, Any] | None = None,
        fix: str | None = None,
        **exchange: Unpack[Exchange],
    ) -> None:
        super().__init__(message, status_code=status_code, details=details, fix=fix, **exchange)


class JQLSyntaxError(QueryError):
    """A JQL script did not compile, or failed while it ran (412).

    error_type, error_message: as `TypeError` and what follows it; the type is `Error` where the text names none
    line_info: the line of the script with a caret below it, None when the text has none
    stack_trace: None when the text has none
    script, request_path: what was run, and where the answer says that it was sent
    raw_error: Mixpanel's own text, of which the others are parts

    Source: reference/mixpanel-api.md, section 10.8
    """

    default_code = "JQL_SYNTAX_ERROR"
    default_fix = "correct the script where the text points"

    def __init__(
        self,
        raw_error: str,
        script: str | None = None,
        request_path: str | None = None,
        **exchange: Unpack[Exchange],
    ) -> None:
        self.raw_error, self.script, self.request_path = raw_error, script, request_path
        head, _, stack = raw_error.partition("Stack trace:")
        head = re.sub(r"^(UserVisiblePreconditionFailedError:)?\s*(Uncaught exception)?\s*", "", head)
        kind = re.match(r"(\w*Error):\s*", head)
        self.error_type = kind[1] if kind else "Error"
        self.error_message, _, rest = head[kind.end() if kind else 0 :].partition("\n")
        pointed = re.search(r"[^\n]*\S[^\n]*\n[ \t]*\^+", rest)
        # Both lines lose the same indentation, so that the caret stays below its place.
        self.line_info = textwrap.dedent(pointed[0]) if pointed else None
        self.stack_trace = stack.strip() or None
        super().__init__(
            f"JQL {self.error_type}: {self.error_message}" + (f"\n{self.line_info}" if self.line_info else ""),
            status_code=412,
            details={
                "error_type": self.error_type,
                "error_message": self.error_message,
                "line_info": self.line_info,
                "stack_trace": self.stack_trace,
                "script": script,
                "request_path": request_path,
                "raw_error": raw_error,
            },
            **exchange,
        )


class ServerError(APIError):
    """Mixpanel failed (5xx)."""

    default_code = "SERVER_ERROR"
    default_fix = "this is usually transient: ask again in a minute, or for a shorter range"


class IncompleteExportError(APIError):
    """The export broke off after it had begun; nothing of it was stored."""

    default_code = "EXPORT_INCOMPLETE"
    default_fix = "fetch again: nothing was stored; a shorter range is less likely to break off"


class EventNotFoundError(MixpanelDataError):
    """The project has no event of that name; `similar_events` are names that it has, best first."""

    default_code = "EVENT_NOT_FOUND"

    def __init__(self, event_name: str, similar_events: Sequence[str] = ()) -> None:
        meant = ", ".join(repr(name) for name in similar_events[:5])
        super().__init__(
            f"event not found: {event_name!r}" + (f"; did you mean {meant}?" if meant else ""),
            details={"event_name": event_name, "similar_events": list(similar_events)},
            fix=f"take one of: {meant}" if meant else "look at the list of events: mp inspect events",
        )
        self.event_name = event_name
        self.similar_events = list(similar_events)


class DateRangeTooLargeError(MixpanelDataError):
    """One fetch covers at most `max_days` days, both ends included; `from_date` and `to_date` are YYYY-MM-DD."""

    default_code = "DATE_RANGE_TOO_LARGE"

    def __init__(self, from_date: date | str, to_date: date | str, days_requested: int, max_days: int = 100) -> None:
        self.from_date, self.to_date = str(from_date), str(to_date)
        self.days_requested, self.max_days = days_requested, max_days
        super().__init__(
            f"{from_date} to {to_date} are {days_requested} days; one fetch covers at most {max_days}",
            details={
                "from_date": self.from_date,
                "to_date": self.to_date,
                "days_requested": days_requested,
                "max_days": max_days,
            },
            fix=f"fetch at most {max_days} days, then the next ones with append=True",
        )


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
        self.table_name, self.suggestion = table_name, suggestion


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
        self.db_path, self.holding_pid, self.suggestion = str(db_path), holding_pid, suggestion


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
        self.db_path, self.suggestion = str(db_path), suggestion


class StorageError(MixpanelDataError):
    """The local database could not do its part: disk, memory, a damaged file, a read-only workspace."""

    default_code = "STORAGE_ERROR"
