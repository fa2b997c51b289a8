"""The tree of errors: what every one of them can say."""

from __future__ import annotations

import json
from datetime import date

import pytest

import mixpanel_data
from mixpanel_data import errors, exceptions

EVERY = (
    errors.MixpanelDataError("it broke"),
    errors.InvalidArgumentError("unit", "'eon' is not known", fix="take day"),
    errors.ConfigError("nothing is configured", fix="configure"),
    errors.AccountNotFoundError("lab", ["home"]),
    errors.AccountExistsError("lab"),
    errors.APIError("odd", status_code=302, fix="look"),
    errors.AuthenticationError("no", status_code=401),
    errors.RateLimitError("slow down", retry_after=37),
    errors.QueryError("bad", status_code=400, fix="mend"),
    errors.JQLSyntaxError("SyntaxError: Unexpected token"),
    errors.ServerError("down", status_code=503),
    errors.IncompleteExportError("cut", status_code=200),
    errors.EventNotFoundError("Sign In", ["Sign Up"]),
    errors.DateRangeTooLargeError(date(2025, 1, 1), date(2025, 6, 30), 181),
    errors.TableExistsError("events"),
    errors.TableNotFoundError("events"),
    errors.DatabaseLockedError("a.db", holding_pid=7),
    errors.DatabaseNotFoundError("a.db"),
    errors.StorageError("disk full", fix="make room"),
)


def test_every_class_of_the_tree_is_here_public_and_re_exported() -> None:
    assert {type(error).__name__ for error in EVERY} == set(errors.__all__)
    assert set(errors.__all__) <= set(mixpanel_data.__all__)
    assert all(getattr(exceptions, name) is getattr(mixpanel_data, name) for name in errors.__all__)


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_every_error_has_a_code_of_its_own_and_a_json_form(error: errors.MixpanelDataError) -> None:
    told = json.loads(json.dumps(error.to_dict()))
    assert set(told) == {"code", "message", "details"}
    assert told["message"] == error.message == error.cause == str(error)
    assert [other.code for other in EVERY].count(error.code) == 1
    assert told["details"].get("fix") == error.fix
    assert error.fix or type(error) is errors.MixpanelDataError


def test_contract_details_are_there() -> None:
    by_code = {error.code: error for error in EVERY}
    assert by_code["RATE_LIMITED"].details["retry_after"] == 37
    assert "37" in by_code["RATE_LIMITED"].message
    assert by_code["DATE_RANGE_TOO_LARGE"].details == {
        "from_date": "2025-01-01",
        "to_date": "2025-06-30",
        "days_requested": 181,
        "max_days": 100,
        "fix": by_code["DATE_RANGE_TOO_LARGE"].fix,
    }
    assert by_code["TABLE_EXISTS"].details["table_name"] == "events"
    assert by_code["DATABASE_LOCKED"].details["holding_pid"] == 7
    assert by_code["AUTH_FAILED"].details["status_code"] == 401


def test_errors_are_also_what_the_standard_library_calls_them() -> None:
    assert isinstance(errors.InvalidArgumentError("a", "b", fix="c"), ValueError)
    assert isinstance(errors.DatabaseNotFoundError("a.db"), FileNotFoundError)


FAILED = (
    "UserVisiblePreconditionFailedError: Uncaught exception TypeError: Events(...).limit is not a function\n"
    "  }).limit(5)\n     ^\n\nStack trace:\nTypeError: Events(...).limit is not a function\n"
    "    at main (<anonymous>:5:6)\n"
)


def test_a_script_s_error_is_taken_apart() -> None:
    """The example of reference/mixpanel-api.md, section 10.8."""
    error = errors.JQLSyntaxError(FAILED, "function main() {}", "/api/query/jql?project_id=1")
    assert error.error_type == "TypeError"
    assert error.error_message == "Events(...).limit is not a function"
    assert error.line_info == "}).limit(5)\n   ^"
    assert error.stack_trace == "TypeError: Events(...).limit is not a function\n    at main (<anonymous>:5:6)"
    assert error.message == "JQL TypeError: Events(...).limit is not a function\n}).limit(5)\n   ^"
    assert error.status_code == 412
    assert isinstance(error, errors.QueryError)
    parts = ("error_type", "error_message", "line_info", "stack_trace", "script", "request_path", "raw_error")
    assert {part: error.details[part] for part in parts} == {part: getattr(error, part) for part in parts}


@pytest.mark.parametrize(
    ("raw", "kind", "message", "line", "stack"),
    [
        ("SyntaxError: Unexpected token", "SyntaxError", "Unexpected token", None, None),
        ("Uncaught exception RangeError: too deep\n", "RangeError", "too deep", None, None),
        ("UserVisiblePreconditionFailedError: Timeout", "Error", "Timeout", None, None),
        ("UserVisiblePreconditionFailedError: Uncaught exception ab", "Error", "ab", None, None),
        ("Error: a\nfunction main() {\n\tx y\n\t  ^^\n", "Error", "a", "x y\n  ^^", None),
        ("Error: a\n\nStack trace:\n", "Error", "a", None, None),
        ("", "Error", "", None, None),
        ("Stack trace:\nat main", "Error", "", None, "at main"),
    ],
)
def test_a_script_s_error_of_any_other_form_is_kept_whole(
    raw: str, kind: str, message: str, line: str | None, stack: str | None
) -> None:
    error = errors.JQLSyntaxError(raw)
    assert (error.error_type, error.error_message, error.line_info, error.stack_trace) == (kind, message, line, stack)
    assert (error.raw_error, error.script, error.request_path) == (raw, None, None)


EXCHANGE = {
    "response_body": {"error": "no"},
    "request_method": "POST",
    "request_url": "https://mixpanel.com/api/query/jql",
    "request_params": {"project_id": "1"},
    "request_body": {"script": "main()"},
}


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.APIError, 302),
        (errors.AuthenticationError, 401),
        (errors.RateLimitError, 429),
        (errors.QueryError, 400),
        (errors.ServerError, 503),
    ],
)
def test_an_error_of_the_api_tells_what_was_asked_and_answered_where_that_is_known(
    kind: type[errors.APIError], status: int
) -> None:
    error = kind("no", status_code=status, **EXCHANGE)  # type: ignore[arg-type]  # each has the type of its name
    assert {name: getattr(error, name) for name in EXCHANGE} == EXCHANGE
    assert {name: error.details[name] for name in EXCHANGE} == EXCHANGE
    bare = kind("no", status_code=status)
    assert all(getattr(bare, name) is None for name in EXCHANGE)
    assert set(bare.details) - {"status_code", "fix", "retry_after"} == set()


def test_contract_defaults_of_the_constructors() -> None:
    assert errors.AuthenticationError().status_code == 401
    assert errors.QueryError().status_code == 400
    assert (errors.RateLimitError().status_code, errors.RateLimitError().retry_after) == (429, None)
    assert errors.RateLimitError(retry_after=7).retry_after_s == 7
    assert errors.MixpanelDataError("x").code == "UNKNOWN_ERROR"
    assert errors.MixpanelDataError("x", "HTTP_ERROR", {"a": 1}).to_dict() == {
        "code": "HTTP_ERROR", "message": "x", "details": {"a": 1}
    }  # fmt: skip
    assert errors.ConfigError("x", {"path": "p"}).details == {"path": "p"}
    assert errors.AccountNotFoundError("lab").available_accounts == []


def test_similar_events_are_suggested_five_at_most() -> None:
    error = errors.EventNotFoundError("sign in", [f"Sign {n}" for n in range(7)])
    assert error.details == {
        "event_name": "sign in", "similar_events": error.similar_events, "fix": error.fix
    }  # fmt: skip
    assert len(error.similar_events) == 7
    assert error.message.endswith("did you mean 'Sign 0', 'Sign 1', 'Sign 2', 'Sign 3', 'Sign 4'?")
    assert "list of events" in str(errors.EventNotFoundError("sign in").fix)


def test_a_range_that_is_too_large_names_its_days_in_either_form() -> None:
    for error in (
        errors.DateRangeTooLargeError(date(2025, 1, 1), date(2025, 6, 30), 181),
        errors.DateRangeTooLargeError("2025-01-01", "2025-06-30", 181, 100),
    ):
        assert (error.from_date, error.to_date, error.days_requested, error.max_days) == (
            "2025-01-01", "2025-06-30", 181, 100
        )  # fmt: skip
