"""A first look at one side of a product, and then by one property: who does better, who worse, and how surely.

All of it is JSON-ready: it travels with the question which property to look at.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import TypedDict

from mixpanel_data.errors import MixpanelDataError
from mp_mcp_server.analysis.funnel import FunnelFinding, find_bottleneck
from mp_mcp_server.expressions import accessor
from mp_mcp_server.findings.funnel import by_property
from mp_mcp_server.findings.ladders import AGAIN, FIRST, FocusArea, Reached, Subject, percent, rate
from mp_mcp_server.properties import Splits, splits
from mp_mcp_server.questions import Period, Questions, fits

_MOST_OTHERS, _MOST_VALUES = 8, 5
_SHOWN = 3


class Overview(TypedDict):
    """segments: properties to compare by."""

    focus_area: str
    period: dict[str, str]
    findings: list[str]
    metrics: dict[str, Any]
    segments: list[str]


class SegmentValue(TypedDict):
    """differs: p < 0.001, corrected."""

    users: int
    reached: int
    rate: float
    differs: bool


class SegmentAnalysis(TypedDict):
    """Largest first."""

    segment_property: str
    findings: list[str]
    breakdown: dict[str, SegmentValue]


class Look(TypedDict):
    """What is known after the first look, JSON-ready: it travels with the question that follows.

    steps, reached: the ladder
    values: of each segment's property, as far as they are known
    """

    overview: Overview
    steps: list[str]
    reached: list[int]
    subject: Subject
    values: dict[str, list[Any]]


def first_look(questions: Questions, focus: FocusArea, period: Period) -> Look:
    """Measure one side of the product, all users together.

    Raises:
        APIError and its kinds: Mixpanel refuses.
    """
    ladder = FIRST[focus](questions, period)
    properties = Splits((), {})
    if ladder.reached and ladder.reached[0]:
        try:
            properties = splits(questions, ladder.subject["events"][0], period, most_others=_MOST_OTHERS)
        except MixpanelDataError as error:
            questions.notes.append(f"Properties could not be looked at: {error.message[:200]}")
    names = list(properties.names)
    return {
        "overview": {
            "focus_area": focus,
            "period": period.told,
            "findings": ladder.findings + questions.notes,
            "metrics": ladder.metrics,
            "segments": names,
        },
        "steps": ladder.steps,
        "reached": list(ladder.reached),
        "subject": ladder.subject,
        "values": {
            name: [value for value in properties.values[name] if not isinstance(value, str) or fits(value)]
            for name in names
            if name in properties.values
        },
    }


def by_segment(questions: Questions, focus: FocusArea, period: Period, look: Look, name: str) -> SegmentAnalysis:
    """Measure the same for the largest values of a property, and compare each with all others.

    Args:
        look: of the same focus and period
        name: the property

    Raises:
        APIError and its kinds: Mixpanel refuses.
    """
    segments = _measured(questions, focus, period, look, name)
    largest = dict(sorted(segments.items(), key=lambda pair: -pair[1][0])[:_MOST_VALUES])
    finding = find_bottleneck(look["steps"], _whole(look["reached"], segments), {name: largest})
    surely = {one.value for one in (*finding.better, *finding.worse)}
    return {
        "segment_property": name,
        "findings": _compared(name, look["steps"], finding),
        "breakdown": {
            value: {
                "users": counts[0],
                "reached": counts[-1],
                "rate": rate(counts[-1], counts[0]),
                "differs": value in surely,
            }
            for value, counts in largest.items()
        },
    }


def _whole(reached: Sequence[int], segments: Mapping[str, Reached]) -> Sequence[int]:
    """Whom segments are compared with.

    A user on two devices is in both segments, with a part of their doings in each: then segments are compared with the
    other segments, and not with users who are counted whole.
    """
    sums = [sum(counts) for counts in zip(*segments.values(), strict=True)]
    return sums if sums and sums[0] > reached[0] else reached


def _measured(questions: Questions, focus: FocusArea, period: Period, look: Look, name: str) -> Mapping[str, Reached]:
    if focus == "conversion" and look["subject"]["number"]:
        return questions.ask(lambda w: by_property(w, look["subject"]["number"], period, name))
    series = questions.ask(
        lambda w: w.segmentation(look["subject"]["events"][0], on=accessor(name), **period.dates)
    ).series
    labels = sorted(filter(fits, series), key=lambda label: -sum(series[label].values()))[:_MOST_VALUES]
    known = Splits((name,), {name: tuple(look["values"].get(name, ()))})
    measure = AGAIN[focus]
    found: dict[str, Reached] = {}
    for done, label in enumerate(labels):
        questions.call.progress(done, len(labels), f"{name} = {label[:40]}")
        found[label] = measure(questions, period, look["subject"], known.where(name, label))
    return found


def _compared(name: str, steps: Sequence[str], finding: FunnelFinding) -> list[str]:
    said = [
        f"{name} = {one.value}: {percent(one.rate)} % of {one.entered} users reach {steps[-1]}, of all others "
        f"{percent(one.rate_elsewhere)} %."
        for one in sorted((*finding.worse, *finding.better), key=lambda one: one.rate)
    ]
    if len(steps) > 2:
        said += [
            f"Step {weak.step.number}, {weak.step.name}: {percent(weak.rate)} % of {weak.before} users with {name} = "
            f"{weak.value} take it, of all others {percent(weak.rate_elsewhere)} %."
            for weak in finding.weaknesses[:_SHOWN]
        ]
    return said or [f"No value of {name} surely differs from the others."]
