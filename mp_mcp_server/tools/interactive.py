"""Interactive: tools that ask the person at the client before they go on.

What was asked of Mixpanel before a question goes through `call.once`: where a client keeps no session, the tool runs
again from the top with the answer.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Literal, NotRequired, TypeVar, cast

from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from mixpanel_data.errors import InvalidArgumentError, MixpanelDataError, TableExistsError
from mp_mcp_server.call import Answer, Call
from mp_mcp_server.findings import guided, volume
from mp_mcp_server.findings.guided import Overview, SegmentAnalysis
from mp_mcp_server.findings.ladders import FOCUS_AREAS, FocusArea
from mp_mcp_server.findings.volume import Estimation
from mp_mcp_server.questions import Period, Questions
from mp_mcp_server.tools.arguments import Day, Names, Table
from mp_mcp_server.tools.fetch import EventsFetch

Form = TypeVar("Form", bound=BaseModel)
TimePeriod = Literal["last_7_days", "last_30_days", "last_90_days", "custom"]

_PERIODS: Mapping[str, int] = {"last_7_days": 7, "last_30_days": 30, "last_90_days": 90}
# An export takes no larger limit, and a fetch in one go no more days.
_MOST_EVENTS, _MOST_DAYS = 100_000, 100
_EVENTS_TABLE, _WORKERS = "events", 4


def _a_day_or_nothing(text: str) -> str:
    return TypeAdapter(Day).validate_python(text.strip()) if text.strip() else ""


class FetchConfirmation(BaseModel):
    """May it be fetched?"""

    proceed: bool = Field(title="Fetch", description="Download these events")
    reduce_scope: bool = Field(
        default=False, title="Fetch fewer", description="Stop at the new limit; without one, at the threshold"
    )
    new_limit: int = Field(
        default=0, ge=0, le=_MOST_EVENTS, title="New limit", description="Fetch at most so many events; 0 sets no limit"
    )


class AnalysisChoice(BaseModel):
    """What to look at, and when."""

    focus_area: FocusArea = Field(title="Focus", description="What to look at")
    time_period: TimePeriod = Field(default="last_30_days", title="Period", description="Which days")
    custom_start: Annotated[str, AfterValidator(_a_day_or_nothing)] = Field(
        default="", title="First day", description="YYYY-MM-DD, for a custom period"
    )
    custom_end: Annotated[str, AfterValidator(_a_day_or_nothing)] = Field(
        default="", title="Last day", description="YYYY-MM-DD, for a custom period"
    )


class SegmentChoice(BaseModel):
    """Which property to compare users by."""

    segment_index: int = Field(ge=0, title="Property", description="Its number in the list")
    investigate_further: bool = Field(default=True, title="Compare", description="No ends the analysis here")


class GuidedAnalysis(TypedDict):
    """status: completed; without a focus declined, cancelled or elicitation_unavailable."""

    status: str
    workflow_steps: list[str]
    message: NotRequired[str]
    focus_area: NotRequired[str]
    period: NotRequired[dict[str, str]]
    initial_analysis: NotRequired[Overview]
    segment_analysis: NotRequired[SegmentAnalysis]
    available_segments: NotRequired[list[str]]
    suggestions: NotRequired[list[str]]
    focus_options: NotRequired[list[str]]
    example: NotRequired[dict[str, str]]


class SafeFetch(TypedDict):
    """status: completed, partial, declined, cancelled, elicitation_unavailable, error."""

    status: str
    message: str
    estimated_count: int
    estimation: Estimation
    actual_count: NotRequired[int]
    table_name: NotRequired[str]


def guided_analysis(
    call: Call,
    *,
    focus_area: FocusArea | None = None,
    time_period: TimePeriod | None = None,
    from_date: Day | None = None,
    to_date: Day | None = None,
) -> GuidedAnalysis:
    """Analyse one side of the product step by step, asking the user what to look at. Use it when the goal is vague.

    Args:
        focus_area: the user is asked when not given
        time_period: last_30_days when not given
        from_date: first day of a custom period
        to_date: last day, inclusive

    Returns:
        findings of all users, then by a property that the user chooses; rates are fractions.

    Source: reference/mixpanel-api.md, sections 7.12 to 7.14
    """
    steps: list[str] = []
    if focus_area is None:
        choice = _asked(call, "choice", "What shall be looked at, and when?", AnalysisChoice)
        steps.append(f"choose a focus: {choice.outcome}")
        if choice.form is None:
            return _no_focus(steps, choice.outcome)
        focus_area = choice.form.focus_area
        if time_period is None and not (from_date or to_date):
            time_period = choice.form.time_period
            from_date, to_date = choice.form.custom_start or None, choice.form.custom_end or None
            if time_period != "custom":  # a form sends what was left in its fields too
                from_date = to_date = None
    else:
        steps.append("choose a focus: given")
    _check_period(time_period, from_date, to_date)
    steps.append(f"choose a period: {'given' if time_period or from_date or to_date else 'the last 30 days'}")

    questions = Questions(call)
    focus = focus_area
    period = _period(call, questions, from_date, to_date, _PERIODS.get(time_period or "last_30_days", 30))
    look = call.once("look", lambda: guided.first_look(questions, focus, period))
    segments = look["overview"]["segments"]
    steps.append("look at all users: computed")
    told: GuidedAnalysis = {
        "status": "completed",
        "workflow_steps": steps,
        "focus_area": focus,
        "period": period.told,
        "initial_analysis": look["overview"],
        "suggestions": [*_NEXT[focus]],
    }
    if not segments:
        return told
    numbered = "\n".join(f"{number}: {name}" for number, name in enumerate(segments))
    findings = "\n".join(look["overview"]["findings"])
    which = _asked(call, "segment", f"{findings}\n\nCompare users by which property?\n{numbered}", SegmentChoice)
    steps.append(f"choose a segment: {which.outcome}")
    if which.form is None or not which.form.investigate_further:
        return told | {"available_segments": segments}
    if which.form.segment_index >= len(segments):
        raise InvalidArgumentError(
            "segment_index",
            f"the list has no number {which.form.segment_index}",
            fix=f"answer with 0 to {len(segments) - 1}",
        )
    name = segments[which.form.segment_index]
    told["segment_analysis"] = guided.by_segment(questions, focus, period, look, name)
    steps.append(f"compare by {name}: computed")
    return told


_NEXT: Mapping[FocusArea, tuple[str, ...]] = {
    "conversion": (
        "funnel_optimization_report compares all segments of a saved funnel at once.",
        "cohort_comparison tells what users do who come through.",
    ),
    "retention": (
        "retention by week over 12 weeks shows where the curve flattens.",
        "cohort_comparison tells whether two groups differ in how they come back.",
    ),
    "engagement": (
        "frequency shows on how many days or in how many hours users are active.",
        "diagnose_metric_drop finds the day, the size and the segment of a fall.",
    ),
    "revenue": (
        "funnel_optimization_report tells where users are lost on the way to the payment.",
        "product_health_dashboard sets revenue beside acquisition and retention.",
    ),
}


def _no_focus(steps: list[str], outcome: str) -> GuidedAnalysis:
    if outcome == "declined":
        return {"status": "declined", "workflow_steps": steps, "message": "The user wants no analysis."}
    if outcome == "cancelled":
        message = "The question what to look at was closed without an answer."
        return {"status": "cancelled", "workflow_steps": steps, "message": message}
    return {
        "status": "elicitation_unavailable",
        "workflow_steps": steps,
        "focus_options": list(FOCUS_AREAS),
        "message": "The user cannot be asked here. Ask them yourself, and call again with a focus_area.",
        "example": {"focus_area": "conversion", "time_period": "last_30_days"},
    }


def _check_period(time_period: TimePeriod | None, from_date: str | None, to_date: str | None) -> None:
    if time_period == "custom" and not from_date:
        raise InvalidArgumentError("from_date", "a custom period has no first day", fix="give from_date as YYYY-MM-DD")
    if time_period not in (None, "custom") and (from_date or to_date):
        raise InvalidArgumentError(
            "time_period",
            f"{time_period} and days of its own contradict each other",
            fix="leave out time_period, or the days",
        )


def safe_large_fetch(
    call: Call,
    *,
    from_date: Day | None = None,
    to_date: Day | None = None,
    events: Names | None = None,
    table: Table | None = None,
    confirmation_threshold: Annotated[int, Field(ge=0)] = 100_000,
    proceed: bool = False,
) -> SafeFetch:
    """Count events first, then download them into a local table; the user is asked when they are many.

    Where the user cannot be asked, nothing above the threshold is fetched unless proceed is true.

    Args:
        from_date: first day; 30 days when not given
        to_date: last day, inclusive
        events: only events of these names
        table: new local table, "events" when not given
        confirmation_threshold: ask above so many
        proceed: true only when the user has agreed already

    Returns:
        estimated_count before, actual_count stored.

    Raises:
        EventNotFoundError: there is no such event.
        TableExistsError: the table is there already.
    """
    questions = Questions(call)
    name = table or _EVENTS_TABLE
    # one with gaps is what an earlier fetch could not finish, and the same fetch fills it
    if any(known.name == name and not known.gaps for known in call.workspace.tables()):
        raise TableExistsError(name)
    period = _period(call, questions, from_date, to_date)
    estimation = call.once("estimate", lambda: _estimated(questions, period, events))
    count = estimation["estimated_count"]
    told: SafeFetch = {"status": "completed", "message": "", "estimated_count": count, "estimation": estimation}
    limit: int | None = None
    if count > confirmation_threshold and not proceed:
        what = f"{count:,} events from {period.first} to {period.last}, about {estimation['avg_per_day']:,} a day"
        answer = _asked(
            call, "confirmation", f"This fetch would download {what}. Fetch them into {name}?", FetchConfirmation
        )
        if answer.form is None or not answer.form.proceed:
            return told | _not_fetched(answer, what, confirmation_threshold)
        limit = answer.form.new_limit or None
        if limit is None and answer.form.reduce_scope:
            limit = max(1, min(confirmation_threshold, _MOST_EVENTS))
    # People may take their time with one thread of the interactive tools each; who fetches, waits among the fetches.
    call.go_on_as("fetch")
    return told | _fetched(call, period, events, name, limit, expected=count)


def _estimated(questions: Questions, period: Period, events: list[str] | None) -> Estimation:
    """The count; never sure where days are another thing to it than to the export, which differ at both ends then.

    Source: reference/mixpanel-api.md, section 5.1
    """
    found = volume.estimate(questions, period, events)
    if found["confidence"] == "high" and not questions.counts_utc_days():
        found["confidence"] = "medium"
    return found


def _not_fetched(answer: Answer[FetchConfirmation], what: str, threshold: int) -> SafeFetch:
    if answer.outcome == "unavailable":
        message = (
            f"Nothing was fetched: it would be {what}, more than {threshold:,}, and the user cannot be asked here. Ask "
            "them yourself, then call again with proceed=true; or name fewer days or events."
        )
        return cast("SafeFetch", {"status": "elicitation_unavailable", "message": message})
    if answer.outcome == "cancelled":
        message = f"Nothing was fetched: the question about {what} was closed without an answer."
        return cast("SafeFetch", {"status": "cancelled", "message": message})
    message = f"Nothing was fetched: the user said no to {what}."
    return cast("SafeFetch", {"status": "declined", "message": message})


def _fetched(
    call: Call, period: Period, events: list[str] | None, name: str, limit: int | None, *, expected: int
) -> SafeFetch:
    """Fetch the period: many days in parallel, or up to a limit piece by piece."""
    parallel = limit is None and len(period.days) > _MOST_DAYS
    pieces = [period] if parallel else _pieces(period)
    stored, told = 0, None
    try:
        for number, piece in enumerate(pieces):
            left = None if limit is None else limit - stored
            if left == 0:
                break
            wanted = {"events": events, "where": None, "limit": left}
            days = piece.from_date, piece.to_date
            fetch = EventsFetch(call, name, *days, wanted, number > 0, left or (expected if len(pieces) == 1 else None))
            told = fetch.in_parallel(_WORKERS) if parallel else fetch.in_sequence()
            stored += told["row_count"]
            if told["status"] != "completed":
                break
    except MixpanelDataError as error:
        # a fetch that breaks off may have stored its first days, and has noted how to go on behind them
        steps = [*getattr(error, "__notes__", []), *([error.fix] if error.fix else [])]
        message = f"{error.code}: {'; '.join([error.message, *steps])}"
        count = sum(known.row_count for known in call.workspace.tables() if known.name == name)
        return cast("SafeFetch", {"status": "error", "message": message, "actual_count": count, "table_name": name})
    status = told["status"] if told else "completed"
    if told is not None and "message" in told:
        message = f"fetch_events: {told['message']}"
    else:
        message = f"{stored:,} events are in {name}" + (f", the limit of {limit:,}." if stored == limit else ".")
    return cast("SafeFetch", {"status": status, "message": message, "actual_count": stored, "table_name": name})


def _pieces(period: Period) -> list[Period]:
    """The period in parts that are not too long for a fetch in one go."""
    step = timedelta(days=_MOST_DAYS)
    starts = [period.first + number * step for number in range(-(-len(period.days) // _MOST_DAYS))]
    return [Period(start, min(start + step - timedelta(days=1), period.last)) for start in starts]


def _period(call: Call, questions: Questions, from_date: str | None, to_date: str | None, days: int = 30) -> Period:
    """The days asked about; the same ones when the tool runs again, also behind midnight."""
    told = call.once("period", lambda: questions.period(from_date, to_date, days=days).told)
    return Period(date.fromisoformat(told["from"]), date.fromisoformat(told["to"]))


def _asked(call: Call, key: str, message: str, form: type[Form]) -> Answer[Form]:
    """As `call.ask`; an answer that does not fit says which field, and what would be right."""
    try:
        return call.ask(key, message, form)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
    field = str(wrong["loc"][0]) if wrong["loc"] else key
    raise InvalidArgumentError(field, f"the answer to the question does not fit: {wrong['msg']}", fix="answer it again")
