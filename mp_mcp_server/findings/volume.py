"""How many events a fetch would bring, counted by Mixpanel before anything is downloaded."""

import json
from collections.abc import Iterator, Sequence

from typing_extensions import TypedDict

from mp_mcp_server.names import check_events
from mp_mcp_server.questions import Period, Questions

# Names of one question go into a URL, which servers and proxies bound; each question is one of 60 an hour.
_MOST_BYTES_OF_NAMES, _MOST_QUESTIONS = 4000, 5


class Estimation(TypedDict):
    """confidence: high, medium (last day not over), low (not all events analyzed)."""

    estimated_count: int
    days_in_range: int
    avg_per_day: float
    confidence: str
    events_analyzed: int


def estimate(questions: Questions, period: Period, events: Sequence[str] | None) -> Estimation:
    """Count the events of a period.

    Args:
        events: only these; None: all

    Raises:
        EventNotFoundError: the project has no such event.
    """
    if events is not None:
        check_events(questions.call.workspace, events)
    names = list(dict.fromkeys(events)) if events is not None else questions.events()
    parts = list(_parts(names))
    asked = parts[:_MOST_QUESTIONS]
    total, analyzed = 0, 0
    for number, part in enumerate(asked):
        questions.call.progress(number, len(asked), "counting what there is to fetch")
        series = questions.ask(lambda w, part=part: w.event_counts(part, **period.dates)).series  # type: ignore[misc]
        total += int(sum(sum(counts.values()) for counts in series.values()))
        analyzed += len(part)
    goes_on = period.last > questions.last_day()
    days = len(period.days)
    return {
        "estimated_count": total,
        "days_in_range": days,
        "avg_per_day": round(total / days, 1),
        "confidence": "low" if len(asked) < len(parts) else "medium" if goes_on else "high",
        "events_analyzed": analyzed,
    }


def _parts(names: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for name in names:
        size += len(json.dumps(name))
        if part and size > _MOST_BYTES_OF_NAMES:
            yield part
            part, size = [], len(json.dumps(name))
        part.append(name)
    if part:
        yield part
