"""Every row of KNOWN_ISSUES: its own logs, nobody else's, and lines made to take for ever."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.doctor.known_issues import KNOWN_ISSUES, KnownIssue, Pieces, Scan, Weight, match, scan, scanned, worst
from harness.doctor.known_issues.text import findings_text, mark_text

BY_ID = {issue.id: issue for issue in KNOWN_ISSUES}
RUNBOOK = {
    "virtual-env-conflict", "port-taken", "get-sse-refused", "body-timeout", "nginx-points-at-minikube",
    "tools-merged", "mcp-not-running", "headers-timeout", "credentials-missing",
}  # fmt: skip


def ids(text: str) -> list[str]:
    return [finding.issue.id for finding in match(text.splitlines())]


def test_every_issue_is_named_once_and_says_everything() -> None:
    assert len(BY_ID) == len(KNOWN_ISSUES)
    assert BY_ID.keys() >= RUNBOOK
    for issue in KNOWN_ISSUES:
        assert issue.title
        assert issue.cause
        assert issue.solution
        assert issue.matches
        assert issue.passes
        assert "." in issue.check
        # Who calls something harmless says when it is not.
        assert bool(issue.unless) == (issue.weight is Weight.HARMLESS) or issue.id == "nginx-user-directive"


@pytest.mark.parametrize("issue", KNOWN_ISSUES, ids=lambda issue: issue.id)
def test_its_logs_show_it_and_look_alikes_do_not(issue: KnownIssue) -> None:
    for log in issue.matches:
        assert issue.id in ids(log), log
    for log in issue.passes:
        assert issue.id not in ids(log), log


@pytest.mark.parametrize("issue", KNOWN_ISSUES, ids=lambda issue: issue.id)
def test_each_of_its_symptoms_is_shown_by_one_of_its_logs_or_stands_in_a_line(issue: KnownIssue) -> None:
    for symptom in issue.symptoms:
        line = f"10:00 {symptom.replace('…', ' some words ').upper()} and more"
        assert issue.id in ids(line), symptom


@pytest.mark.parametrize("issue", KNOWN_ISSUES, ids=lambda issue: issue.id)
def test_a_log_shows_nothing_that_contradicts(issue: KnownIssue) -> None:
    """A log that is one issue's own may show others, but no sign that all is well beside a fault of the same thing."""
    for log in issue.matches:
        found = match(log.splitlines())
        weights = {finding.weight for finding in found if finding.issue.check == issue.check}
        assert not {Weight.GOOD, Weight.FAULT} <= weights


def test_ordinary_logs_show_nothing() -> None:
    ordinary = """2025-06-30 10:00:00,728 INFO __main__: listening on http://127.0.0.1:8200/mcp
2025-06-30 10:00:00,748 INFO uvicorn.error: Started server process [8102]
2025-06-30 10:00:00,788 INFO mp_mcp_server.audit: "list_events" begins: {}
2025-06-30 10:00:01,548 INFO mp_mcp_server.audit: "list_events" took 429.6 ms
emulator on http://127.0.0.1:8201 · project 3100042 · 2025-03-03 to 2025-06-30
GET /api/query/events/names 200 15 ms
INFO:     127.0.0.1:50328 - "POST /mcp HTTP/1.1" 200 OK
127.0.0.1 - - [30/Jun/2025:10:00:00 +0000] "POST /mcp HTTP/1.1" 200 1400 "-" "node"
"""
    assert ids(ordinary) == []


def test_a_harmless_line_becomes_a_fault_by_what_another_service_says() -> None:
    alone = match([("copilot", "GET SSE failed: 400 Bad Request")])
    assert [(finding.issue.id, finding.weight) for finding in alone] == [("get-sse-refused", Weight.HARMLESS)]
    gone = 'POST answered {"error":{"code":-32600,"message":"Session not found"}}'
    for lines in itertools.permutations([("copilot", "GET SSE failed: 400 Bad Request"), ("mcp", gone)]):
        found = {finding.issue.id: finding for finding in match(lines)}
        assert found["get-sse-refused"].weight is Weight.FAULT
        assert found["get-sse-refused"].because == gone
        assert found["dead-session"].service == "mcp"
    assert "not harmless here" in findings_text(match([*lines]))


def test_findings_say_where_first_and_how_often_faults_first() -> None:
    lines = [
        ("copilot", "[MCP mixpanel_data] Got 39 tools: a"), ("copilot", "GET SSE failed: 405"), ("nginx", "all well"),
        ("nginx", "502 Bad Gateway"), ("nginx", "502 Bad Gateway"),
    ]  # fmt: skip
    found = match(lines)
    assert [(f.issue.id, f.service, f.number, f.count) for f in found] == [
        ("nginx-upstream-down", "nginx", 2, 2), ("get-sse-refused", "copilot", 2, 1), ("tools-merged", "copilot", 1, 1),
    ]  # fmt: skip
    assert match([]) == []
    assert findings_text([]) == "no known issue shows"


def test_the_parts_of_a_symptom_stand_in_their_order_on_one_line() -> None:
    assert ids("the budget of query calls is used up") == ["rate-limited"]
    assert ids("calls is used up, the budget of") == []
    assert ids("the budget of\nquery calls is used up") == []


def test_colours_and_carriage_returns_do_not_hide_a_symptom() -> None:
    assert ids("\x1b[31mGET SSE \x1b[1mfailed:\x1b[0m 400\r") == ["get-sse-refused"]


def test_the_last_fault_explains_an_end_best() -> None:
    lines = ["UND_ERR_SOCKET", "GET SSE failed: 400", "ModuleNotFoundError: No module named 'x'", "goodbye"]
    found = worst(lines)
    assert found is not None
    assert found.issue.id == "python-package-missing"
    assert worst(["GET SSE failed: 400"]) is None


def test_a_mark_is_whole_the_first_time_and_short_again() -> None:
    (found,) = match(["UND_ERR_BODY_TIMEOUT"])
    assert found.issue.solution in mark_text(found, again=False)
    assert found.issue.solution not in mark_text(found, again=True)
    assert "body-timeout" in mark_text(found, again=True)


@given(
    text=st.lists(st.sampled_from([*BY_ID["port-taken"].matches, "fine", "", "\x1b[0m", "é"])),
    cuts=st.lists(st.integers(0, 400)),
)
def test_a_log_shows_the_same_in_pieces_of_any_size(text: list[str], cuts: list[int]) -> None:
    raw = "\n".join(text).encode()
    places = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    pieces = [raw[a:b] for a, b in itertools.pairwise(places)]
    whole, cut = scanned({"s": [raw]}, KNOWN_ISSUES), scanned({"s": pieces}, KNOWN_ISSUES)
    assert whole == cut
    expected = sum(line in BY_ID["port-taken"].matches for line in text)
    assert sum(finding.count for finding in whole) == expected


def test_a_line_without_end_is_cut_and_not_kept() -> None:
    pieces = Pieces(most_bytes=1000)
    assert pieces.add(b"x" * 600) == b""
    assert pieces.add(b"x" * 600) == b"x" * 1200
    assert pieces.end() == b""


FIRSTS = [issue.symptoms[0].partition("…")[0].strip().encode() for issue in KNOWN_ISSUES]
HOSTILE = [
    b"get sse failed: " * 65536, b"[emerg] " * 131072, b"budget of " * 100_000, b"a" * 1_000_000, b"\x1b[" * 500_000,
    b"\x1b[0" * 300_000, b"failed after ms: " * 60_000, b"\xff" * 1_000_000, b"192.168.49.2" * 80_000,
    b"virtual_env=" * 80_000, b"[mcp mixpanel_data] got " * 40_000,
    *(first * (100_000 // len(first)) for first in FIRSTS),
]  # fmt: skip


def test_no_line_takes_for_ever() -> None:
    for line in HOSTILE:
        began = time.process_time()
        Scan(KNOWN_ISSUES).feed("s", line + b"\n" + line)
        # Two megabytes; what backs up on such lines takes minutes.
        assert time.process_time() - began < 60, line[:40]


def test_twice_the_log_takes_about_twice_the_time() -> None:
    line = b'INFO:     127.0.0.1:50326 - "GET /mcp HTTP/1.1" 400 Bad Request [emerg] budget of x\n'

    def cost(lines: int) -> float:
        raw = line * lines
        began = time.process_time()
        scan().feed("s", raw)
        return time.process_time() - began

    cost(1000)
    small = min(cost(1_000) for _ in range(3))
    large = min(cost(8_000) for _ in range(3))
    assert large < 8 * small * 4
