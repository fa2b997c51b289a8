"""What went wrong, worded once for models and machines: every error of a tool becomes one Failure.

library error ──┐
wrong argument ─┼─→ Failure ─→ text: summary, Error Details, Suggestions
anything else ──┘            └→ structured content: code, cause, fix, retry_after_s, details
"""

import difflib
import json
import logging
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pydantic
from fastmcp.exceptions import ToolError

from mixpanel_data import MixpanelDataError
from mp_mcp_server.catalogue import TOOLS, ToolSpec

logger = logging.getLogger(__name__)

_LONGEST_CAUSE = 500
# Of a text in the details: a script or a proxy's page of HTML helps nobody any more
_LONGEST_DETAIL = 2000
_MOST_DETAILS = 50
# ValueErrors all the same, but about data that came from elsewhere, not about what the caller said
_NO_ARGUMENT = (UnicodeError, json.JSONDecodeError, pydantic.ValidationError)


@dataclass(frozen=True, slots=True)
class Failure:
    """A tool's error as it leaves the server.

    code: what kind, in capitals; stable
    cause: one sentence, what happened
    report: the error's own dictionary: code, message, details
    suggestions: what to do, the best first
    retry_after_s: when a retry makes sense, if the service said so
    """

    code: str
    cause: str
    report: Mapping[str, Any]
    suggestions: Sequence[str]
    retry_after_s: float | None = None

    @property
    def fix(self) -> str:
        """The first thing to do."""
        return self.suggestions[0]

    def text(self) -> str:
        """The contract's text: summary, blank line, details as JSON, blank line, suggestions."""
        details = json.dumps(self.report, indent=2, ensure_ascii=False, default=str)
        steps = "\n".join(f"- {step}" for step in self.suggestions)
        return f"{self.cause}\n\nError Details:\n{details}\n\nSuggestions:\n{steps}"

    def structured(self) -> dict[str, Any]:
        """The same for programs: code, cause, fix, retry_after_s, details."""
        rest = {key: value for key, value in self.report.items() if key not in {"code", "message"}}
        return {
            "code": self.code,
            "cause": self.cause,
            "fix": self.fix,
            "retry_after_s": self.retry_after_s,
            "details": json.loads(json.dumps(rest.get("details", rest), default=str)),
        }


class ToolCallError(ToolError):
    """A ToolError that carries its Failure, so that the answer can have structured content too."""

    def __init__(self, failure: Failure) -> None:
        # a failure is an answer, not a fault of the server: fastmcp would log it as an error
        super().__init__(failure.text(), log_level=logging.INFO)
        self.failure = failure


@contextmanager
def translated(tool: str, mask: Callable[[str], str]) -> Iterator[None]:
    """Turn whatever leaves the block into a ToolCallError, once; a ToolError passes as it is."""
    try:
        yield
    except ToolError:
        raise
    except Exception as error:  # noqa: BLE001 - the rim: whatever leaves a tool becomes one answer
        raise ToolCallError(explain(error, tool=tool, mask=mask)) from None


def explain(error: Exception, *, tool: str, mask: Callable[[str], str]) -> Failure:
    """The Failure of any exception that a tool's body raised.

    Args:
        error: what was raised
        tool: the tool's name, for the log
        mask: takes secrets out of a text; the words of an error that nobody foresaw may hold anything

    Returns:
        A Failure; what nobody foresaw is UNEXPECTED_ERROR and its traceback goes to the log.
    """
    if isinstance(error, MixpanelDataError):
        failure = _of_the_library(error, tool)
    elif isinstance(error, ValueError) and not isinstance(error, _NO_ARGUMENT):
        failure = _invalid(str(error), [])
    elif isinstance(error, OSError):
        failure = _of_the_machine(error)
    else:
        logger.error("%s failed unexpectedly\n%s", tool, mask("".join(traceback.format_exception(error))))
        failure = _unexpected(type(error).__name__, str(error))
    # Whatever was foreseen too: the words may be those of a service or a proxy, which repeat what they were sent.
    return Failure(
        failure.code,
        _short(mask(failure.cause)),
        {key: _tidy(value, mask) for key, value in failure.report.items()},
        [_short(mask(step)) for step in failure.suggestions],
        failure.retry_after_s,
    )


def _tidy(value: Any, mask: Callable[[str], str]) -> Any:
    """The value without secrets, and with the beginnings of what is very long."""
    if isinstance(value, str):
        text = mask(value)
        return text if len(text) <= _LONGEST_DETAIL else text[:_LONGEST_DETAIL] + "…"
    if isinstance(value, Mapping):
        return {mask(str(key)): _tidy(inner, mask) for key, inner in [*value.items()][:_MOST_DETAILS]}
    if isinstance(value, list | tuple):
        return [_tidy(inner, mask) for inner in value[:_MOST_DETAILS]]
    return value


def explain_arguments(error: pydantic.ValidationError, spec: ToolSpec) -> Failure:
    """The Failure of arguments that do not fit the tool's input schema: which, and what would be right.

    Args:
        error: pydantic's finding
        spec: the tool that was called

    Returns:
        A Failure with code INVALID_ARGUMENT; details.arguments is a list of {name, problem}.
    """
    takes = [parameter.name for parameter in spec.parameters]
    found = [_finding(entry, takes) for entry in error.errors(include_url=False, include_input=False)]
    cause = "; ".join(problem for _, problem in found)
    known = ", ".join(takes) if takes else "no arguments"
    suggestions = [f"Correct that and call {spec.name} again; it takes {known}"]
    if spec.example:
        suggestions.append(f"For example {json.dumps(dict(spec.example), ensure_ascii=False)}")
    return _invalid(cause, suggestions, [{"name": name, "problem": problem} for name, problem in found])


def explain_text(argument: str) -> Failure:
    """The Failure of an argument that holds half a character: its own name may be the one."""
    name = argument.encode(errors="backslashreplace").decode()
    problem = "it holds half a character (a surrogate without its other half)"
    cause = f"{_short(name)}: {problem}"
    return _invalid(cause, ["Send whole characters, as UTF-8 can write them"], [{"name": name, "problem": problem}])


def unknown_tool(name: str) -> Failure:
    """The Failure of a call to a tool that is not there; the nearest names are suggested."""
    names = [spec.name for spec in TOOLS]
    near = difflib.get_close_matches(name, names, n=3)
    suggestion = f"Did you mean {' or '.join(near)}?" if near else f"The tools are {', '.join(names)}"
    cause = f"Unknown tool: {name[:100]!r}"
    return Failure("UNKNOWN_TOOL", cause, {"code": "UNKNOWN_TOOL", "message": cause}, [suggestion])


def _finding(entry: Mapping[str, Any], takes: Sequence[str]) -> tuple[str, str]:
    name = ".".join(str(part) for part in entry["loc"]) or "arguments"
    kind, said = entry["type"], str(entry["msg"])
    if kind in {"missing_argument", "missing_keyword_only_argument"}:
        return name, f"{name} is missing"
    if kind == "unexpected_keyword_argument":
        near = difflib.get_close_matches(name, takes, n=1)
        return name, f"{name} is not an argument" + (f", did you mean {near[0]}?" if near else "")
    said = said.removeprefix("Value error, ").removeprefix("Input ")
    return name, f"{name}: {said}"


def _invalid(cause: str, suggestions: Sequence[str], arguments: Sequence[Mapping[str, str]] = ()) -> Failure:
    details: dict[str, Any] = {"code": "INVALID_ARGUMENT", "message": cause}
    if arguments:
        details["arguments"] = list(arguments)
    steps = suggestions or ["Correct that argument and call again"]
    return Failure("INVALID_ARGUMENT", f"Invalid argument: {cause}", details, steps)


def _of_the_machine(error: OSError) -> Failure:
    cause = f"Local storage error: {error.strerror or type(error).__name__}"
    details = {"code": "STORAGE_ERROR", "message": cause, "path": str(error.filename) if error.filename else None}
    step = (
        "Check that the local store's folder exists, is writable and has room; another place: mp-mcp-server --db PATH"
    )
    return Failure("STORAGE_ERROR", cause, details, [step])


def _unexpected(kind: str, text: str) -> Failure:
    report = {"code": "UNEXPECTED_ERROR", "type": kind, "message": text}
    step = "This is a fault of the server, not of the call; its log on stderr says where"
    return Failure("UNEXPECTED_ERROR", f"Unexpected error: {kind}: {text}", report, [step])


def _of_the_library(error: MixpanelDataError, tool: str) -> Failure:
    summary, steps = _WORDING.get(error.code, _plain)(error, error.details)
    fix = error.fix
    # The library speaks to people who write Python; where a tool mends it, that comes first.
    known = [fix] if fix and error.code not in _BY_TOOLS else []
    hint = (
        [_HINTS[tool]] if error.code == "QUERY_FAILED" and error.details.get("status_code") and tool in _HINTS else []
    )
    notes = [note for note in getattr(error, "__notes__", []) if isinstance(note, str)]
    suggestions = list(dict.fromkeys([*notes, *hint, *known, *steps]))
    return Failure(error.code, summary, error.to_dict(), suggestions, _retry_after(error))


def _retry_after(error: MixpanelDataError) -> float | None:
    seconds = getattr(error, "retry_after", None)
    return float(seconds) if seconds is not None else None


def _short(text: str) -> str:
    # an HTML error page of a proxy is no sentence; its whole text is in the details
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _LONGEST_CAUSE else one_line[: _LONGEST_CAUSE - 1] + "…"


Wording = tuple[str, list[str]]
_LOGIN = "Check MP_USERNAME, MP_SECRET, MP_PROJECT_ID and MP_REGION where the server starts, or ~/.mp/config.toml"


def _led(summary: str, error: MixpanelDataError) -> str:
    """The summary, then the error's words; once where those begin with it."""
    said = error.message
    return summary + said[len(summary) :] if said.lower().startswith(summary.lower()) else f"{summary}: {said}"


def _plain(error: MixpanelDataError, _details: Mapping[str, Any]) -> Wording:
    return error.message, [] if error.fix else ["Correct that and call again"]


def _argument(error: MixpanelDataError, _details: Mapping[str, Any]) -> Wording:
    return f"Invalid argument: {error.message}", [] if error.fix else ["Correct that argument and call again"]


def _configuration(error: MixpanelDataError, _details: Mapping[str, Any]) -> Wording:
    return f"Configuration error: {error.message}", [_LOGIN, "`mp auth test` tells whether credentials work"]


def _account(error: MixpanelDataError, details: Mapping[str, Any]) -> Wording:
    there = _listed(details.get("available_accounts"))
    return f"Account error: {error.message}", [f"Available accounts: {there or 'none'}", _LOGIN]


def _authentication(error: MixpanelDataError, _details: Mapping[str, Any]) -> Wording:
    return _led("Authentication failed", error), [_LOGIN, "`mp auth test` tells whether credentials work"]


def _rate_limit(error: MixpanelDataError, _details: Mapping[str, Any]) -> Wording:
    seconds = _retry_after(error)
    wait = f"Retry after {seconds:.0f} seconds" if seconds is not None else "Wait before retrying"
    said = error.message.removeprefix("rate limited: ")
    return f"Rate limited by Mixpanel API: {said}", [wait, "Ask for several events in one event_counts call"]


def _server(error: MixpanelDataError, details: Mapping[str, Any]) -> Wording:
    summary = f"Mixpanel server error (HTTP {details.get('status_code', '5xx')})"
    return _led(summary, error), ["This is mostly transient: try again in a moment", "Ask for fewer days at once"]


def _query(error: MixpanelDataError, details: Mapping[str, Any]) -> Wording:
    status = details.get("status_code")
    if not status:
        return f"Query error in local SQL: {error.message}", [
            "list_tables names the tables; sql with DESCRIBE TABLE_NAME names the columns",
            "Send exactly one SELECT; a JSON property is read as properties->>'$.\"plan\"'",
        ]
    return _led(f"Query error (HTTP {status})", error), [
        "Check the arguments; list_events gives the names that exist",
        'Expressions read properties as properties["name"]',
    ]


def _script(error: MixpanelDataError, details: Mapping[str, Any]) -> Wording:
    pointed = f"; at {' '.join(str(line).split())}" if (line := details.get("line_info")) else ""
    summary = f"JQL script error: {details.get('error_type', 'Error')}: {details.get('error_message', error.message)}"
    return summary + pointed, [
        "Correct the script where the text points; details.line_info shows the line",
        "A script is function main() { return Events({from_date: …, to_date: …}).groupBy([…], …); }",
    ]


def _broken_off(error: MixpanelDataError, _details: Mapping[str, Any]) -> Wording:
    return f"Export incomplete: {error.message}", [
        "Fetch again: nothing of it was stored",
        "Ask for fewer days at once",
    ]


def _storage(error: MixpanelDataError, _details: Mapping[str, Any]) -> Wording:
    return f"Local storage error: {error.message}", ["Check that the local store's folder is writable and has room"]


def _event(error: MixpanelDataError, details: Mapping[str, Any]) -> Wording:
    near = _listed(details.get("similar_events"))
    steps = [f"Did you mean {near}?"] if near else []
    return f"Event not found: {details.get('event_name', error.message)}", [
        *steps,
        "list_events gives the names that exist",
    ]


def _range(_error: MixpanelDataError, details: Mapping[str, Any]) -> Wording:
    days, most = details.get("days_requested", "too many"), details.get("max_days", 100)
    return f"Date range too large: {days} days requested", [
        f"Maximum date range is {most} days: split it",
        "Fetch the first part, then each further one into the same table with append=true",
    ]


def _table_exists(error: MixpanelDataError, details: Mapping[str, Any]) -> Wording:
    return f"Table exists: {details.get('table_name', error.message)}", [
        "Give another name in table, or append=true to add to this one",
        "list_tables tells what it holds: perhaps it need not be fetched again",
    ]


def _table_missing(error: MixpanelDataError, details: Mapping[str, Any]) -> Wording:
    return f"Table not found: {details.get('table_name', error.message)}", [
        "list_tables names the tables that are there",
        "Fetch first: fetch_events makes the table when append is false",
    ]


def _locked(error: MixpanelDataError, details: Mapping[str, Any]) -> Wording:
    pid = details.get("holding_pid")
    holder = f" by process {pid}" if pid else ""
    return f"Database locked{holder}: {error.message}", [
        "Try again in a moment, or end the program that holds the file"
    ]


def _store_missing(error: MixpanelDataError, _details: Mapping[str, Any]) -> Wording:
    return f"Database not found: {error.message}", ["Run fetch_events first: it makes the local store"]


def _transport(error: MixpanelDataError, _details: Mapping[str, Any]) -> Wording:
    return f"Mixpanel cannot be reached: {error.message}", [
        "Check the network, and MP_API_BASE_URL if it is set",
        "Try again in a moment",
    ]


def _listed(names: Iterable[str] | None) -> str:
    return ", ".join(names or ())


_WORDING: Mapping[str, Callable[[MixpanelDataError, Mapping[str, Any]], Wording]] = {
    "INVALID_ARGUMENT": _argument,
    "CONFIG_ERROR": _configuration,
    "ACCOUNT_NOT_FOUND": _account,
    "ACCOUNT_EXISTS": _account,
    "AUTH_FAILED": _authentication,
    "RATE_LIMITED": _rate_limit,
    "SERVER_ERROR": _server,
    "QUERY_FAILED": _query,
    "JQL_SYNTAX_ERROR": _script,
    "EXPORT_INCOMPLETE": _broken_off,
    "STORAGE_ERROR": _storage,
    "EVENT_NOT_FOUND": _event,
    "DATE_RANGE_TOO_LARGE": _range,
    "TABLE_EXISTS": _table_exists,
    "TABLE_NOT_FOUND": _table_missing,
    "DATABASE_LOCKED": _locked,
    "DATABASE_NOT_FOUND": _store_missing,
    "HTTP_ERROR": _transport,
}
# Whose fix is a call of a tool, so that the library's own, a command or an argument in Python, would mislead.
_BY_TOOLS = frozenset(
    {
        "DATABASE_NOT_FOUND",
        "DATE_RANGE_TOO_LARGE",
        "EVENT_NOT_FOUND",
        "EXPORT_INCOMPLETE",
        "JQL_SYNTAX_ERROR",
        "TABLE_EXISTS",
        "TABLE_NOT_FOUND",
    }
)
# What Mixpanel most likely misses when it refuses a question of that tool.
_HINTS = {
    "funnel": "list_funnels gives the ids that exist; to_date must not be in the future",
    "fetch_profiles": 'list_cohorts gives the ids that exist; a where needs properties["name"]',
    "stream_profiles": 'list_cohorts gives the ids that exist; a where needs properties["name"]',
}
