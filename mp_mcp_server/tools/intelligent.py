"""Intelligent: computed findings, worded by a model where there is one."""

from typing import Annotated, Any, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict

from mp_mcp_server import answering
from mp_mcp_server.call import Call
from mp_mcp_server.findings import drop, funnel
from mp_mcp_server.questions import Questions, known_day
from mp_mcp_server.tools.arguments import Day, Name
from mp_mcp_server.wording import By, Report, Worded, word

Properties = Annotated[list[Name], Field(min_length=1, max_length=20)]

_HINTS = [
    "The finding is computed and complete; only a model's wording is missing.",
    "Put summary and the figures into your own words; take every number from there.",
]


class DropFindings(TypedDict):
    """The finding; where selects a driver's events."""

    drop_confirmed: bool
    drop_percentage: float
    primary_driver: dict[str, Any] | None
    secondary_factors: list[dict[str, Any]]
    recommendations: list[str]
    confidence: str
    caveats: list[str]
    raw_data: dict[str, Any]
    summary: str
    drop_date: str | None
    elsewhere: dict[str, Any] | None


class Diagnosis(TypedDict):
    """status: success, or partial where a model's text could not be read."""

    status: str
    findings: DropFindings
    raw_data: dict[str, Any]
    event: str
    asked: str
    worded_by: By
    api_calls_used: int
    notes: list[str]
    model: NotRequired[str]
    message: NotRequired[str]
    synthesis_text: NotRequired[str]
    analysis_hints: NotRequired[list[str]]


class FunnelReport(TypedDict):
    """Rates are fractions of users."""

    status: str
    executive_summary: str
    overall_conversion_rate: float
    bottleneck: dict[str, Any] | None
    top_performing_segments: list[dict[str, Any]]
    underperforming_segments: list[dict[str, Any]]
    recommendations: list[dict[str, str]]
    raw_data: dict[str, Any]
    funnel: str
    weak_segments: list[dict[str, Any]]
    worded_by: By
    api_calls_used: int
    notes: list[str]
    model: NotRequired[str]
    message: NotRequired[str]
    synthesis_text: NotRequired[str]
    analysis_hints: NotRequired[list[str]]


class Answered(TypedDict):
    """status: success, partial, sampling_unavailable or error; message says why."""

    status: str
    question: str
    notes: list[str]
    answer: NotRequired[str]
    plan: NotRequired[dict[str, Any]]
    results: NotRequired[dict[str, dict[str, Any]]]
    message: NotRequired[str]
    analysis_hints: NotRequired[list[str]]
    planned_by: NotRequired[By]
    worded_by: NotRequired[By]
    model: NotRequired[str]
    api_calls_used: NotRequired[int]


def diagnose_metric_drop(call: Call, *, event: Name, date: Day, dimensions: Properties | None = None) -> Diagnosis:
    """Find out why an event fell: from which day on, by how much, and in which segment of users.

    Tells falls from weekends and chance, and says when there is none. About 30 Mixpanel queries.

    Args:
        call: of this tool
        event: name of the event
        date: the day on which it was seen, give or take three
        dimensions: properties to look at; chosen when not given

    Returns:
        findings.drop_confirmed, drop_date, drop_percentage of the event, primary_driver with its where expression;
        elsewhere, if it fell on another day. raw_data: the week before date, and from it.

    Raises:
        InvalidArgumentError: no such event, or the day is not over.

    Source: reference/mixpanel-api.md, section 7.7
    """
    told: dict[str, Any] = call.once(
        "finding", lambda: drop.diagnose(Questions(call), event, known_day("date", date), dimensions)
    )
    finding: dict[str, Any] = told["findings"]
    shown = {key: value for key, value in finding.items() if key != "recommendations"}
    task = "Put this finding about an event's counts into words for a product team, and say what to look at next."
    worded = word(call, "wording", task, {"event": told["event"], "asked": told["asked"], **shown}, Report)
    if isinstance(worded.report, Report):
        finding = finding | worded.report.model_dump()
    answer = {**told, "findings": finding}
    return cast("Diagnosis", _with_status(answer, worded))


def ask_mixpanel(
    call: Call,
    *,
    question: Annotated[str, Field(min_length=1, max_length=2000)],
    from_date: Day | None = None,
    to_date: Day | None = None,
) -> Answered:
    """Answer one question in plain words, such as "how many users did Purchase last week?".

    Runs at most five read-only queries. Without a model it must name events or funnels.

    Args:
        call: of this tool
        question: in plain words
        from_date: first day; else as the question says, else 30 days
        to_date: last day, inclusive; else the last that is over

    Returns:
        answer, the plan, and results by query, each with a sentence and figures, or an error.

    Source: reference/mixpanel-api.md, section 7
    """
    return cast("Answered", answering.answer(call, question, from_date, to_date))


def funnel_optimization_report(
    call: Call,
    *,
    funnel_id: Annotated[int, Field(ge=1)],
    from_date: Day | None = None,
    to_date: Day | None = None,
    segment_properties: Properties | None = None,
) -> FunnelReport:
    """Find a saved funnel's bottleneck, and which users surely fall short at which step. About 20 Mixpanel queries.

    Args:
        call: of this tool
        funnel_id: from list_funnels
        from_date: first day on which users began; else 30 days
        to_date: last day, inclusive; else the last that is over
        segment_properties: to compare users by; chosen when not given

    Returns:
        bottleneck (stands_out: surely the worst step), weak_segments with the step at which they fall short, the
        costliest first, segments whose whole conversion differs.

    Raises:
        InvalidArgumentError: there is no such funnel.

    Source: reference/mixpanel-api.md, section 7.12
    """

    def compute() -> dict[str, Any]:
        questions = Questions(call)
        return funnel.report(questions, funnel_id, questions.period(from_date, to_date), segment_properties)

    told: dict[str, Any] = call.once("finding", compute)
    task = "Put this finding about a funnel into words for a product team, and say what to do."
    data = {key: value for key, value in told.items() if key not in {"notes", "api_calls_used"}}
    worded = word(call, "wording", task, data, Report)
    if isinstance(worded.report, Report):
        told = told | {"executive_summary": worded.report.summary}
        told["recommendations"] = [
            {"action": action, "priority": "medium", "expected_impact": ""} for action in worded.report.recommendations
        ] or told["recommendations"]
    return cast("FunnelReport", _with_status(told, worded))


def _with_status(told: dict[str, Any], worded: Worded) -> dict[str, Any]:
    answer = {"status": "success", **told, **worded.told}
    if worded.note:
        answer["notes"] = [*told["notes"], worded.note]
    if worded.unparsed is None:
        return answer
    return answer | {
        "status": "partial",
        "message": "A model was asked to word the finding and answered otherwise than asked; the computed words stand.",
        "synthesis_text": worded.unparsed,
        "analysis_hints": _HINTS,
    }
