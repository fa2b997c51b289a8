"""Composed: several queries, one answer, no model."""

from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict

from mp_mcp_server.call import Call
from mp_mcp_server.findings import cohorts, goals, health
from mp_mcp_server.questions import Questions
from mp_mcp_server.tools.arguments import Day, Name

Expression = Annotated[str, Field(min_length=1, max_length=2000)]


class CohortComparison(TypedDict):
    """Two cohorts side by side."""

    cohort_a: dict[str, Any]
    cohort_b: dict[str, Any]
    period: dict[str, str]
    comparisons: dict[str, Any]
    statistical_significance: dict[str, Any]
    key_differences: list[str]
    api_calls_used: int
    notes: list[str]
    errors: NotRequired[dict[str, str]]


class ProductHealth(TypedDict):
    """A part is null when its event was not given."""

    period: dict[str, str]
    acquisition: dict[str, Any] | None
    activation: dict[str, Any] | None
    retention: dict[str, Any] | None
    revenue: dict[str, Any] | None
    referral: dict[str, Any] | None
    health_score: dict[str, float]
    events: dict[str, str | None]
    api_calls_used: int
    notes: list[str]


class Investigation(TypedDict):
    """A goal, the questions put for it, and what was found."""

    interpreted_goal: str
    aarrr_category: str
    period: dict[str, str]
    schema_context: dict[str, list[str]]
    questions: list[dict[str, Any]]
    findings: list[dict[str, Any]]
    synthesis: dict[str, Any]
    next_steps: list[str]
    api_calls_used: int
    notes: list[str]


def cohort_comparison(
    call: Call,
    *,
    cohort_a_filter: Expression,
    cohort_b_filter: Expression,
    cohort_a_name: Name = "Cohort A",
    cohort_b_name: Name = "Cohort B",
    from_date: Day | None = None,
    to_date: Day | None = None,
    acquisition_event: Name = "signup",
    compare_dimensions: list[Literal["event_frequency", "retention", "top_events"]] | None = None,
) -> CohortComparison:
    """Compare two groups of new users: who comes back, who does what, and what of it is chance.

    Judged user by user, corrected for the number of questions. About 10 Mixpanel queries.

    Args:
        call: of this tool
        cohort_a_filter: expression for the acquisition event, as properties["plan"] == "pro"
        cohort_b_filter: the other group's
        cohort_a_name: what to call it
        cohort_b_name: what to call it
        from_date: first day of acquisition; else 30 days, retention wants 60
        to_date: last day, inclusive; else the last that is over
        acquisition_event: makes a new user
        compare_dimensions: all when not given

    Returns:
        key_differences in sentences; statistical_significance.compared: corrected p_value and differs for each
        question; comparisons: the figures, retention by week; errors: what could not be asked.

    Raises:
        InvalidArgumentError: a filter that Mixpanel refuses, or an event that is not the project's.

    Source: reference/mixpanel-api.md, sections 7.13 and 10
    """
    questions = Questions(call)
    period = questions.period(from_date, to_date)
    asked = (cohorts.Asked(cohort_a_name, cohort_a_filter), cohorts.Asked(cohort_b_name, cohort_b_filter))
    told = cohorts.comparison(questions, asked, acquisition_event, period, compare_dimensions or cohorts.DIMENSIONS)
    return cast("CohortComparison", told)


def product_health_dashboard(
    call: Call,
    *,
    acquisition_event: Name = "signup",
    activation_event: Name | None = None,
    retention_event: Name | None = None,
    revenue_event: Name | None = None,
    referral_event: Name | None = None,
    from_date: Day | None = None,
    to_date: Day | None = None,
    segment_by: Name | None = None,
) -> ProductHealth:
    """Measure a product's health: new users, activation within 7 days, day 1/7/30 retention, revenue, referral.

    Up to 15 Mixpanel queries, with segment_by 50.

    Args:
        call: of this tool
        acquisition_event: makes a new user
        activation_event: a new user got what they came for
        retention_event: a user came back
        revenue_event: a payment; its amount is found
        referral_event: an invitation
        from_date: first day; else 30 days
        to_date: last day, inclusive; else the last that is over
        segment_by: property; its five largest segments are measured too

    Returns:
        Each part, null without its event: primary_metric (new users; share activated; day 7 retention; sum of money;
        users who invited), metrics with the counts, trend by day, by_segment (_error if it failed), score 1 to 10.

    Raises:
        InvalidArgumentError: an event is not the project's.

    Source: reference/mixpanel-api.md, sections 7.5, 7.9 and 7.13
    """
    questions = Questions(call)
    events = health.Events(acquisition_event, activation_event, retention_event, revenue_event, referral_event)
    told = health.dashboard(questions, events, questions.period(from_date, to_date), segment_by)
    return cast("ProductHealth", told)


def gqm_investigation(
    call: Call,
    *,
    goal: Annotated[str, Field(min_length=1, max_length=500)],
    from_date: Day | None = None,
    to_date: Day | None = None,
    acquisition_event: Name = "signup",
    max_questions: Annotated[int, Field(ge=1, le=8)] = 5,
) -> Investigation:
    """Take a broad goal such as "improve retention" apart into questions, answer each, and sum up.

    Args:
        call: of this tool
        goal: in plain words
        from_date: first day; else 30 days
        to_date: last day, inclusive; else the last that is over
        acquisition_event: makes a new user
        max_questions: each costs a query or two

    Returns:
        aarrr_category, questions, a finding for each (status success or failed), synthesis with key_metrics.

    Source: reference/mixpanel-api.md, section 7
    """
    questions = Questions(call)
    period = questions.period(from_date, to_date)
    told = goals.investigate(questions, goal, period, acquisition_event, max_questions)
    return cast("Investigation", told)
