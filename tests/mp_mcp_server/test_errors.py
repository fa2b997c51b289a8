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
    (library.EventNotFoundError("signup", ["Sign Up"]), "EVENT_NOT_FOUND", "event not found: signup", "mean sign up?"),
    (library.EventNotFoundError("zzz"), "EVENT_NOT_FOUND", "event not found: zzz", "list_events"),
    (
        library.JQLSyntaxError("Uncaught exception TypeError: x is undefined\n  return x.y\n         ^\n", "…"),
        "JQL_SYNTAX_ERROR",
        "jql script error: typeerror: x is undefined; at return x.y ^",
        "correct the script",
    ),
    (library.AccountExistsError("work"), "ACCOUNT_EXISTS", "account error", "another name"),
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


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (library.AuthenticationError("authentication failed: no", status_code=401), "Authentication failed: no"),
        (library.QueryError("query error (HTTP 403): no", status_code=403), "Query error (HTTP 403): no"),
        (library.RateLimitError("rate limited: slow down"), "Rate limited by Mixpanel API: slow down"),
        (
            library.ServerError("Mixpanel server error (HTTP 503): oops", status_code=503),
            "Mixpanel server error (HTTP 503): oops",
        ),
    ],
    ids=lambda value: str(value)[:20],
)
def test_no_cause_says_a_thing_twice(error: Exception, cause: str) -> None:
    assert explain(error, tool="sql", mask=unmasked).cause == cause


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


def test_what_a_service_repeats_of_a_secret_is_masked_wherever_it_stands() -> None:
    error = library.QueryError(
        "canary-5d1e is wrong",
        status_code=400,
        details={"response_body": {"sent": ["canary-5d1e"], "canary-5d1e": 1}},
        fix="leave out canary-5d1e",
    )
    failure = explain(error, tool="sql", mask=lambda text: text.replace("canary-5d1e", "***"))
    everything = failure.text() + json.dumps(failure.structured())
    assert "canary-5d1e" not in everything
    assert everything.count("***") >= 6


def test_what_is_very_long_is_cut_in_the_details_too() -> None:
    body = {"page": "x" * 100_000, "rows": list(range(1000))}
    failure = explain(library.QueryError("no", status_code=400, details=body), tool="sql", mask=unmasked)
    assert len(failure.text()) < 6000
    assert len(json.dumps(failure.structured())) < 6000


def test_what_was_stored_before_an_error_is_the_first_thing_to_know() -> None:
    error = library.ServerError("oops", status_code=503)
    error.add_note("2025-06-01 to 2025-06-03 is stored; go on with from_date=2025-06-04, append=true")
    assert explain(error, tool="fetch_events", mask=unmasked).fix.startswith("2025-06-01 to 2025-06-03 is stored")


@pytest.mark.parametrize("code", ["EVENT_NOT_FOUND", "TABLE_EXISTS", "TABLE_NOT_FOUND", "DATE_RANGE_TOO_LARGE"])
def test_what_a_tool_mends_is_said_in_terms_of_tools(code: str) -> None:
    (error, *_) = next(case for case in CASES if case[1] == code)
    suggestions = explain(error, tool="fetch_events", mask=unmasked).text().split("Suggestions:")[1]
    assert "append=True" not in suggestions
    assert "mp inspect" not in suggestions
