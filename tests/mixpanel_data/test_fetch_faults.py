"""Every fault that the emulator can make, in one call and in pieces: then the table is exactly right or not there, and
the same fetch again makes it right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from fixtures.emulator.faults import KINDS
from mixpanel_data import FetchResult, MixpanelAPIClient, MixpanelDataError, Workspace
from mixpanel_data import credentials as _credentials
from mixpanel_data.errors import IncompleteExportError, QueryError, RateLimitError, ServerError
from tests.support.emulator import Emulator
from tests.support.exported import Rows, as_rows, exported, stored_rows
from tests.support.faults import going_wrong, patience_s
from tests.support.virtual_clock import VirtualClock

SPAN: dict[str, Any] = {"from_date": "2025-06-12", "to_date": "2025-06-20"}
IN_PIECES: dict[str, Any] = {**SPAN, "parallel": True, "chunk_days": 3}

# What one such answer makes of a fetch that asks once: an error, or nothing of it is seen.
HARMLESS = None
FAULTS: list[tuple[str, int | str | None, type[MixpanelDataError] | None]] = [
    ("status", 500, ServerError),
    ("status", 503, ServerError),
    ("status", 400, QueryError),
    ("status", 403, QueryError),
    ("status", 404, QueryError),
    ("rate_limited", "seconds", RateLimitError),
    ("rate_limited", "http_date", RateLimitError),
    ("rate_limited", "absent", RateLimitError),
    ("html", 502, ServerError),
    ("html", 404, QueryError),
    ("empty", 503, ServerError),
    ("error_as_200", None, IncompleteExportError),
    ("latency", 100, HARMLESS),
    ("slow", 20, HARMLESS),
    ("stall", 0, MixpanelDataError),
    ("stall", 5000, IncompleteExportError),
    ("reset", 0, MixpanelDataError),
    ("reset", 5000, IncompleteExportError),
    ("cut", 0, MixpanelDataError),
    ("cut", 5000, IncompleteExportError),
    ("cut_gzip", 100, IncompleteExportError),
    ("cut_gzip", 5000, IncompleteExportError),
    ("malformed_line", 1, HARMLESS),
    ("malformed_line", 25, HARMLESS),
    ("duplicate_rows", 3, HARMLESS),
    ("terminated_early", 0, IncompleteExportError),
    ("terminated_early", 40, IncompleteExportError),
    ("content_type", "text/html", HARMLESS),
]
# What is an answer, but not the whole one, a fetch in pieces asks for once more.
ASKED_FOR_AGAIN = {"terminated_early", "error_as_200"}


def test_every_fault_is_tried() -> None:
    assert {kind for kind, _, _ in FAULTS} == set(KINDS)


@pytest.fixture(scope="module")
def lines(emulator: Emulator) -> list[dict[str, Any]]:
    return exported(emulator, SPAN["from_date"], SPAN["to_date"])


@pytest.fixture(scope="module")
def truth(lines: list[dict[str, Any]]) -> Rows:
    return as_rows(lines)


@pytest.fixture
def impatient(
    live_workspace: Workspace, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Workspace]:
    """A workspace whose client asks once."""
    VirtualClock(monkeypatch)
    waits_s = patience_s(request)
    client = MixpanelAPIClient(_credentials.resolve(), base_url=emulator.url, export_timeout=waits_s, max_retries=0)
    with Workspace(path=live_workspace.db_path, _api_client=client) as made:
        yield made


def rule(kind: str, value: int | str | None, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "value": value, "path": "*/export", **more}


def lost_with_a_line(kind: str, number: object, lines: list[dict[str, Any]], truth: Rows) -> Rows:
    """The table without the event of a line that was broken."""
    if kind != "malformed_line":
        return truth
    assert isinstance(number, int)
    return as_rows(event for at, event in enumerate(lines, 1) if at != number)


# One of each kind; the others differ in a value only.
ONE_OF_A_KIND = list({fault[0]: fault for fault in FAULTS}.values())
KIND_NAMES = [fault[0] for fault in ONE_OF_A_KIND]
OTHERS = [fault for fault in FAULTS if fault not in ONE_OF_A_KIND]
MORE_THAT_PASS = ("html", "empty", "reset", "cut_gzip")


@dataclass(frozen=True)
class Scene:
    """Where fetches go wrong, and what is right there."""

    workspace: Workspace
    emulator: Emulator
    lines: list[dict[str, Any]]
    truth: Rows


@pytest.fixture
def scene(impatient: Workspace, emulator: Emulator, lines: list[dict[str, Any]], truth: Rows) -> Scene:
    return Scene(impatient, emulator, lines, truth)


@pytest.mark.parametrize(("kind", "value", "error"), ONE_OF_A_KIND, ids=KIND_NAMES)
def test_a_fault_in_one_call(
    scene: Scene, kind: str, value: int | str | None, error: type[MixpanelDataError] | None
) -> None:
    go_wrong_once(scene, kind, value, error)


@pytest.mark.soak
@pytest.mark.parametrize(("kind", "value", "error"), OTHERS, ids=[f"{kind}={value}" for kind, value, _ in OTHERS])
def test_a_fault_of_another_value_in_one_call(
    scene: Scene, kind: str, value: int | str | None, error: type[MixpanelDataError] | None
) -> None:
    go_wrong_once(scene, kind, value, error)


def go_wrong_once(scene: Scene, kind: str, value: int | str | None, error: type[MixpanelDataError] | None) -> None:
    """Fetch while the answer has that fault, look, and fetch again."""
    impatient, emulator, lines, truth = scene.workspace, scene.emulator, scene.lines, scene.truth
    with going_wrong(emulator, rule(kind, value)):
        if error is not None:
            with pytest.raises(error) as caught:
                impatient.fetch_events(**SPAN)
            assert caught.value.fix
            assert impatient.tables() == []
        else:
            result = impatient.fetch_events(**SPAN)
            assert stored_rows(impatient) == lost_with_a_line(kind, value, lines, truth)
            assert result.skipped_lines == (kind == "malformed_line")
            copies = len(lines) * (3 if kind == "duplicate_rows" else 1)
            assert result.duplicates == copies - result.rows - result.skipped_lines
    impatient.fetch_events(**SPAN, append=error is None)
    assert stored_rows(impatient) == truth


# What a fetch makes of them: refused, waited for, broken off, asked for again, skipped, passed over.
OF_A_PIECE = {"status", "rate_limited", "stall", "cut_gzip", "error_as_200", "malformed_line", "latency"}
IN_A_PIECE = [
    pytest.param(*fault, id=fault[0], marks=[] if fault[0] in OF_A_PIECE else pytest.mark.soak)
    for fault in ONE_OF_A_KIND
]


@pytest.mark.parametrize(("kind", "value", "error"), IN_A_PIECE)
def test_a_fault_in_every_second_piece(
    impatient: Workspace,
    emulator: Emulator,
    lines: list[dict[str, Any]],
    truth: Rows,
    kind: str,
    value: int | str | None,
    error: type[MixpanelDataError] | None,
) -> None:
    with going_wrong(emulator, rule(kind, value, skip=1, count=2)):
        result = impatient.fetch_events(**IN_PIECES, max_workers=1)
    assert not isinstance(result, FetchResult)
    held = stored_rows(impatient)
    if kind == "malformed_line":
        assert len(held) == len(truth) - 2 == len(truth) - result.skipped_lines
        assert held.items() <= truth.items()
    elif error is None or kind in ASKED_FOR_AGAIN:
        assert held == truth
    else:
        missing = {day for first, last in result.failed_date_ranges for day in (first, last)}
        assert missing
        assert held.items() < truth.items()
        assert impatient.tables()[0].gaps
        assert all(batch.error for batch in result.batches if not batch.success)
    again = impatient.fetch_events(**IN_PIECES, append=not result.has_failures)
    assert not isinstance(again, FetchResult)
    assert not again.has_failures
    assert stored_rows(impatient) == truth
    assert impatient.tables()[0].gaps == ()


@pytest.mark.parametrize(
    "kind",
    ["status", "rate_limited", "cut", *(pytest.param(kind, marks=pytest.mark.soak) for kind in MORE_THAT_PASS)],
)
def test_what_passes_is_not_seen_by_a_client_that_tries_again(
    live_workspace: Workspace, emulator: Emulator, truth: Rows, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    VirtualClock(monkeypatch)
    value = {"status": 503, "html": 502, "reset": 5000, "cut": 5000}.get(kind)
    with going_wrong(emulator, rule(kind, value, count=2)):
        live_workspace.fetch_events(**SPAN)
        live_workspace.fetch_events("pieces", **IN_PIECES)
    assert stored_rows(live_workspace) == stored_rows(live_workspace, "pieces") == truth


def test_events_are_streamed_once_each_whatever_passes(
    live_workspace: Workspace, emulator: Emulator, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    VirtualClock(monkeypatch)
    with going_wrong(emulator, rule("status", 503, count=2)):
        streamed = list(live_workspace.stream_events(**SPAN, raw=True))
    assert streamed == lines


@pytest.mark.parametrize(("kind", "value"), [("cut", 5_000), ("cut_gzip", 5_000), ("terminated_early", 40)])
def test_a_stream_that_breaks_off_says_so_and_repeats_nothing(
    live_workspace: Workspace, emulator: Emulator, lines: list[dict[str, Any]], kind: str, value: int
) -> None:
    seen: Counter[str] = Counter()
    stream = live_workspace.stream_events(**SPAN, raw=True)
    with going_wrong(emulator, rule(kind, value, count=1)), pytest.raises(IncompleteExportError):
        seen.update(str(event) for event in stream)
    assert seen
    assert not seen - Counter(str(event) for event in lines)
