"""What is said of a funnel, sentence by sentence."""

from datetime import date

import pytest

from mp_mcp_server.analysis.funnel import find_bottleneck
from mp_mcp_server.findings import funnel
from mp_mcp_server.questions import Period

PERIOD = Period(date(2025, 6, 1), date(2025, 6, 30))
NAMES = ("Join", "View", "Cart", "Buy")
SEGMENTS = {"country": {"JP": (400, 320, 20, 15), "elsewhere": (600, 480, 180, 135)}}

CASES = {
    "a bottleneck": (
        (1000, 800, 200, 150),
        {},
        [
            "From 2025-06-01 to 2025-06-30, 150 of 1000 users came through Shop.",
            "That is 15.0 %.",
            "The bottleneck is step 3, Cart: 75.0 % of those who took View do not take it (600 users).",
            "No segment surely does better or worse at any step.",
        ],
        [("Look at how users get from View to Cart.", "high", "75.0 % of those who took View do not")],
    ),
    "none that stands out": (
        (1000, 740, 550, 420),
        {},
        [
            "From 2025-06-01 to 2025-06-30, 420 of 1000 users came through Shop.",
            "That is 42.0 %.",
            "No step stands out; the worst is step 2, View: 26.0 % of those who took Join do not take it (260 users).",
            "No segment surely does better or worse at any step.",
        ],
        [("Look at how users get from Join to View.", "low", "26.0 % of those who took Join")],
    ),
    "a segment that falls short": (
        (1000, 800, 200, 150),
        SEGMENTS,
        [
            "From 2025-06-01 to 2025-06-30, 150 of 1000 users came through Shop.",
            "That is 15.0 %.",
            "The bottleneck is step 3, Cart: 75.0 % of those who took View do not take it (600 users).",
            "At step 3, Cart, users with country = JP fall short most: 6.2 % of 320 take it, of all others 37.5 %.",
        ],
        [
            ("Find out what keeps users with country = JP from Cart.", "high", "About 100 users more would take"),
            ("Look at how users get from View to Cart.", "medium", "75.0 % of those who took View do not take it"),
        ],
    ),
    "nobody": ((0, 0, 0, 0), {}, ["Nobody began Shop from 2025-06-01 to 2025-06-30."], []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_funnel_is_told_in_sentences(case: str) -> None:
    reached, segments, sentences, advice = CASES[case]
    finding = find_bottleneck(NAMES, reached, segments)
    assert funnel._summary("Shop", PERIOD, finding) == " ".join(sentences)
    given = funnel._recommendations(finding)
    assert [(one["action"], one["priority"]) for one in given] == [(action, priority) for action, priority, _ in advice]
    assert all(part in one["expected_impact"] for one, (_, _, part) in zip(given, advice, strict=True))
