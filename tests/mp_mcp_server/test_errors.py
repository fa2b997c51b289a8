"""One mapping: each error of the library, each wrong argument and everything else, in both forms."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fastmcp.exceptions import ToolError

import mixpanel_data
from mixpanel_data import errors as library
from mp_mcp_server.errors import ToolCallError, explain, translated


def unmasked(text: str) -> str:
    return text


CASES: list[tuple[Exception, str, str, str]] = [
    # error, code, what its summary says, what its suggestions say
    (library.AuthenticationError("no", status_code=401), "AUTH_FAILED", "authentication failed", "MP_USERNAME"),
    (library.RateLimitError("slow down", retry_after=7), "RATE_LIMITED", "rate limited by mixpanel api", "after 7 s"),
    (library.RateLimitError("slow down"), "RATE_LIMITED", "rate limited by mixpanel api", "wait before"),
    (library.ServerError("oops", status_code=503), "SERVER_ERROR", "mixpanel server error (http 503)", "again"),
    (library.QueryError("bad on", status_code=400), "QUERY_FAILED", "query error (http 400)", "list_events"),
    (library.QueryError("no table x", status_code=0), "QUERY_FAILED", "query error in local sql", "list_tables"),
    (
        library.DateRangeTooLargeError(date(2025, 1, 1), date(2025, 4, 11), 101),
        "DATE_RANGE_TOO_LARGE",
        "date range too large: 101 days requested",
        "maximum date range is 100 days",
    ),
    (library.TableExistsError("june"), "TABLE_EXISTS", "table exists: june", "append"),
    (library.TableNotFoundError("june"), "TABLE_NOT_FOUND", "table not found: june", "list_tables"),
    (
        library.DatabaseLockedError("a.db", holding_pid=4711),
        "DATABASE_LOCKED",
        "database locked by process 4711",
        "again",
    ),
    (library.DatabaseNotFoundError("a.db"), "DATABASE_NOT_FOUND", "database not found", "fetch_events"),
    (library.AccountNotFoundError("me", ["work"]), "ACCOUNT_NOT_FOUND", "account error", "work"),
    (library.ConfigError("nothing is set"), "CONFIG_ERROR", "configuration error", "MP_USERNAME"),
    (
        library.InvalidArgumentError("unit", "is odd", fix="take day"),
        "INVALID_ARGUMENT",
        "invalid argument",
        "take day",
    ),
    (library.IncompleteExportError("cut", status_code=200), "EXPORT_INCOMPLETE", "cut", "fetch again"),
    (library.StorageError("disk full", fix="make room"), "STORAGE_ERROR", "disk full", "make room"),
    (library.MixpanelDataError("no answer", "HTTP_ERROR"), "HTTP_ERROR", "cannot be reached", "MP_API_BASE_URL"),
    (library.APIError("odd", status_code=200), "API_ERROR", "odd", "again"),
    (ValueError("limit must be positive"), "INVALID_ARGUMENT", "invalid argument: limit must be positive", "again"),
    (PermissionError(13, "Permission denied", "a.db"), "STORAGE_ERROR", "permission denied", "--db"),
]


@pytest.mark.parametrize(("error", "code", "cause", "fix"), CASES, ids=lambda value: str(value)[:30])
def test_each_error_has_code_cause_and_fix_in_both_forms(error: Exception, code: str, cause: str, fix: str) -> None:
    failure = explain(error, tool="sql", mask=unmasked)
    told = failure.structured()
    assert told["code"] == code
    assert cause in told["cause"].lower()
    assert told["retry_after_s"] == (7.0 if "after 7" in fix else None)
    summary, details, suggestions = failure.text().split("\n\n")
    assert summary == told["cause"]
    heading, _, report = details.partition("\n")
    assert heading == "Error Details:"
    assert json.loads(report)["code"] == code
    heading, *steps = suggestions.splitlines()
    assert heading == "Suggestions:"
    assert steps[0] == f"- {told['fix']}"
    assert all(step.startswith("- ") for step in steps)
    assert fix.lower() in suggestions.lower()
    json.dumps(told)


def test_every_error_of_the_library_is_tried_here() -> None:
    kinds = {
        kind
        for kind in vars(mixpanel_data.errors).values()
        if isinstance(kind, type) and issubclass(kind, mixpanel_data.MixpanelDataError)
    }
    assert kinds == {type(error) for error, *_ in CASES if isinstance(error, mixpanel_data.MixpanelDataError)}


def test_the_librarys_own_dictionary_is_in_the_details() -> None:
    error = library.QueryError("bad", status_code=400, details={"response_body": "Ünknown"})
    failure = explain(error, tool="sql", mask=unmasked)
    assert json.loads(failure.text().split("Error Details:\n")[1].split("\n\nSuggestions:")[0]) == error.to_dict()
    assert "Ünknown" in failure.text()
    assert failure.structured()["details"] == error.details


def test_a_page_of_html_is_no_summary() -> None:
    page = "<html>\n" + "<p>sorry</p>\n" * 500
    failure = explain(library.ServerError(page, status_code=502), tool="sql", mask=unmasked)
    assert len(failure.cause) <= 500
    assert "\n" not in failure.cause


def translating(error: Exception) -> Any:
    with translated("sql", lambda text: text.replace("canary-5d1e", "***")):
        raise error


def test_the_unexpected_leaks_neither_traceback_nor_secret(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ToolCallError) as caught:
        translating(KeyError("canary-5d1e"))
    answer = str(caught.value) + json.dumps(caught.value.failure.structured())
    assert answer.startswith("Unexpected error: KeyError: '***'")
    assert caught.value.failure.report == {"code": "UNEXPECTED_ERROR", "type": "KeyError", "message": "'***'"}
    assert "canary-5d1e" not in answer + caplog.text
    assert "Traceback" not in answer
    assert Path(__file__).name not in answer
    assert Path(__file__).name in caplog.text


def test_text_that_cannot_be_decoded_is_no_wrong_argument() -> None:
    with pytest.raises(ToolCallError) as caught:
        translating(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"))
    assert caught.value.failure.code == "UNEXPECTED_ERROR"


def test_a_tool_error_passes_as_it_is() -> None:
    error = ToolError("already said")
    with pytest.raises(ToolError) as caught:
        translating(error)
    assert caught.value is error
