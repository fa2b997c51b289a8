"""A question in plain words: planned, asked, answered; what the plan may do is held by `planning`."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from math import fsum
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from mixpanel_data.errors import MixpanelDataError
from mp_mcp_server.analysis.health import growth
from mp_mcp_server.call import ModelError, Prompt, Spoken
from mp_mcp_server.planning import (
    LONGEST_NAME,
    METHODS,
    MOST_DAYS,
    ActivityFeed,
    EventCounts,
    Funnel,
    Known,
    Plan,
    PropertyCounts,
    Retention,
    Segmentation,
    by_names,
    days_named,
    events_named,
    on,
    plan_task,
)
from mp_mcp_server.questions import Dates, Period, Questions, fits
from mp_mcp_server.wording import Reply, cut_to_fit, json_object, word

if TYPE_CHECKING:  # the catalogue is read as data, without what a Workspace needs
    from mixpanel_data import FunnelInfo
    from mp_mcp_server.call import Call

_MOST_NAMES = 150
_MOST_FUNNELS = 40
_MOST_PROPERTIES = 60
_MOST_PROMPT = 12_000
_SHOWN_SEGMENTS = 20
_SHOWN_CELLS = 240
_SHOWN_EVENTS = 50
_TOLD = 5
_WIDTHS = {"day": 1, "week": 7, "month": 30}

HINTS = [
    "Name events as list_events spells them, funnels as list_funnels does.",
    'Add what to do with them: "how many users", "by country", "retention", and the days.',
    "Or take the tools themselves: event_counts, segmentation, retention, funnel.",
]

Series = Mapping[str, Mapping[str, float]]


def answer(call: "Call", question: str, from_date: str | None, to_date: str | None) -> dict[str, Any]:
    """Answer a question with at most five queries.

    Returns:
        The contract's keys for each status, JSON-ready.

    Raises:
        InputRequired: the client's model answers with the next call.
        APIError and its kinds: the project's events cannot be had; of a planned query it is in its result.
    """
    context: dict[str, Any] = call.once("context", lambda: _context(call, question, from_date, to_date))
    notes: list[str] = list(context["notes"])
    plan, by, message = _planned(call, question, context, notes)
    if message is not None:
        return {"status": "error", "message": message, "question": question, "notes": notes}
    if plan is None:
        said = "No model is there to plan with, and the question names no event and no funnel of the project."
        hints = [*HINTS, f"The project's events are {', '.join(map(repr, context['prompt']['events'][:20]))}."]
        return {
            "status": "sampling_unavailable",
            "message": said,
            "question": question,
            "analysis_hints": hints,
            "notes": notes,
        }
    shown = plan.model_dump(mode="json")
    found: dict[str, Any] = call.once("results", lambda: _run(call, plan))
    results: dict[str, Any] = found["results"]
    told = {"question": question, "plan": shown, "results": results, "planned_by": by}
    counted = {"api_calls_used": context["api_calls_used"] + found["api_calls_used"]}
    sentences = [result["answer"] for result in results.values() if "answer" in result]
    errors = [result["error"] for result in results.values() if "error" in result]
    notes += found["notes"]
    if not sentences:
        message = f"Each query of the plan failed: {errors[0]}"
        return {"status": "error", "message": message, **told, "notes": notes, **counted}
    computed = " ".join([*sentences, *(f"One query failed: {error}" for error in errors)])
    task = "Answer the question from the results of the queries, in a few sentences for a product team."
    worded = word(call, "answer", task, {"question": question, "results": results}, Reply)
    text = worded.report.answer if isinstance(worded.report, Reply) else computed
    notes += [worded.note] if worded.note else []
    done = {"status": "success", "answer": text, **told, **worded.told, "notes": notes, **counted}
    if not worded.failed and worded.unparsed is None:
        return done
    return done | {
        "status": "partial",
        "message": "A model was asked to word the answer and gave none that can be used; the computed one stands.",
        "analysis_hints": ["Each result has a sentence under answer and its figures beside it."],
    }


def _context(call: "Call", question: str, from_date: str | None, to_date: str | None) -> dict[str, Any]:
    questions = Questions(call)
    events = [name for name in questions.events() if len(name) <= LONGEST_NAME]
    funnels = questions.ask(lambda w: w.funnels())
    named = events_named(question, events)
    properties = questions.ask(lambda w: w.properties(named[0])) if named else []
    properties = [name for name in properties if len(name) <= LONGEST_NAME]
    days = days_named(question, questions.last_day()) if from_date is None and to_date is None else None
    period = Period(*days) if days else questions.period(from_date, to_date)
    if len(period.days) > MOST_DAYS:
        period = Period(period.last - timedelta(days=MOST_DAYS - 1), period.last)
        questions.notes.append(f"Only {MOST_DAYS} days are asked for at once: those from {period.first} on.")
    return {
        "prompt": {
            "events": [_short(name) for name in [*named, *(one for one in events if one not in named)][:_MOST_NAMES]],
            "funnels": [{"funnel_id": one.funnel_id, "name": _short(one.name)} for one in funnels[:_MOST_FUNNELS]],
            "properties": [_short(name) for name in properties[:_MOST_PROPERTIES]],
            "default_range": period.dates,
            "last_whole_day": questions.last_day().isoformat(),
        },
        "named": named,
        "properties": properties[: 4 * _MOST_PROPERTIES],
        "api_calls_used": questions.used,
        "notes": questions.notes,
    }


def _planned(
    call: "Call", question: str, context: dict[str, Any], notes: list[str]
) -> tuple[Plan | None, str, str | None]:
    """The plan, who made it, and why a model's plan is not run."""
    prompt = Prompt(plan_task(), cut_to_fit({"question": question, **context["prompt"]}, _MOST_PROMPT))
    spoken: Spoken | None = None
    try:
        spoken = call.sample("plan", prompt)
    except ModelError as error:
        notes.append(f"A model was asked to plan and failed: {str(error)[:200]}")
    if spoken is None:
        return _by_names(call, question, context), "computed", None
    try:
        plan = Plan.model_validate_json(json_object(spoken.text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the text"
        allowed = ", ".join(METHODS)
        message = f"The model's plan is not run: {where}: {first['msg'][:200]}. Allowed methods are {allowed}."
        return None, spoken.by, message
    return plan, spoken.by, None


def _by_names(call: "Call", question: str, context: dict[str, Any]) -> Plan | None:
    days = context["prompt"]["default_range"]
    funnels: list[FunnelInfo] = call.workspace.funnels()
    known = Known(context["named"], funnels, context["properties"])
    return by_names(question, known, Period(date.fromisoformat(days["from_date"]), date.fromisoformat(days["to_date"])))


def _run(call: "Call", plan: Plan) -> dict[str, Any]:
    questions = Questions(call)
    results: dict[str, Any] = {}
    for number, query in enumerate(plan.queries):
        try:
            result = _RUNS[query.method](questions, query.params)
        except MixpanelDataError as error:
            result = {"error": f"{error.code}: {error.message[:300]}" + (f" ({error.fix[:300]})" if error.fix else "")}
        results[f"query_{number}_{query.method}"] = result
    return {"results": results, "api_calls_used": questions.used, "notes": questions.notes}


def _segmentation(questions: Questions, asked: Segmentation) -> dict[str, Any]:
    event = questions.event(asked.event)
    found = questions.ask(
        lambda w: w.segmentation(
            event,
            from_date=asked.from_date,
            to_date=asked.to_date,
            on=on(asked.segment_property),
            unit=asked.unit,
            where=asked.where,
        )
    )
    totals = _totals(found.series)
    said = f"{event} happened {_number(found.total)} times from {asked.from_date} to {asked.to_date}"
    if asked.segment_property is None:
        return {"answer": f"{said}{_trend(found.series)}.", "total": found.total, **_series(found.series)}
    return {
        "answer": f"{said}; by {asked.segment_property}: {_largest(totals, found.total)}.",
        "total": found.total,
        "totals": totals,
        **_series(found.series),
    }


def _event_counts(questions: Questions, asked: EventCounts) -> dict[str, Any]:
    events = list(dict.fromkeys(questions.event(name, "events") for name in asked.events))
    dates: Dates = {"from_date": asked.from_date, "to_date": asked.to_date}
    found = questions.ask(lambda w: w.event_counts(events, type=asked.type, unit=asked.unit, **dates)).series
    span = f"from {asked.from_date} to {asked.to_date}"
    if asked.type == "unique":
        # users of several buckets are the same ones: they do not add up
        users = {name: _users(questions, name, dates) for name in events}
        told = "; ".join(f"{count} users did {name}" for name, count in users.items())
        return {"answer": f"{told} {span}.", "users": users, **_series(found)}
    if asked.type == "average":
        means = {name: round(fsum(counts.values()) / max(len(counts), 1), 3) for name, counts in found.items()}
        told = "; ".join(f"{name} {mean} times a user and {asked.unit}" for name, mean in means.items())
        return {"answer": f"{told}, {span}.", "means": means, **_series(found)}
    totals = _totals(found)
    told = "; ".join(f"{name} happened {_number(totals[name])} times{_trend({name: found[name]})}" for name in totals)
    return {"answer": f"{told} ({span}).", "totals": totals, **_series(found)}


def _property_counts(questions: Questions, asked: PropertyCounts) -> dict[str, Any]:
    event = questions.event(asked.event)
    found = questions.ask(
        lambda w: w.property_counts(
            event,
            asked.property_name,
            from_date=asked.from_date,
            to_date=asked.to_date,
            type=asked.type,
            unit=asked.unit,
            limit=asked.limit,
        )
    ).series
    totals = _totals(found)
    said = f"{event} by {asked.property_name} from {asked.from_date} to {asked.to_date}"
    return {
        "answer": f"{said}: {_largest(totals, sum(totals.values()))}.",
        "totals": totals,
        **_series(found),
    }


def _retention(questions: Questions, asked: Retention) -> dict[str, Any]:
    born = questions.event(asked.born_event, "born_event")
    back = questions.event(asked.return_event, "return_event")
    found = questions.ask(
        lambda w: w.retention(
            born_event=born,
            return_event=back,
            from_date=asked.from_date,
            to_date=asked.to_date,
            born_where=asked.born_where,
            return_where=asked.return_where,
            unit=asked.unit,
            interval_count=asked.interval_count,
        )
    ).cohorts
    width, whole = _WIDTHS[asked.unit], questions.last_day()
    rates = []
    for interval in range(asked.interval_count):
        # a cohort counts where its last user has had the whole interval
        old = [
            one
            for one in found
            if min(date.fromisoformat(one.date) + timedelta(days=width - 1), date.fromisoformat(asked.to_date))
            <= whole - timedelta(days=width * (interval + 1) + 1)
            and len(one.retention) > interval
        ]
        users = sum(one.size for one in old)
        if users:
            returned = sum(round(one.retention[interval] * one.size) for one in old)
            rates.append(
                {asked.unit: interval, "users": users, "returned": returned, "rate": round(returned / users, 4)}
            )
    if not rates:
        return {"answer": f"Nobody who did {born} has had a whole {asked.unit} since.", "intervals": []}
    told = ", ".join(f"{asked.unit} {one[asked.unit]} {round(100 * one['rate'], 1)} %" for one in rates[:_TOLD])
    said = (
        f"Of {rates[0]['users']} users who did {born} from {asked.from_date} to {asked.to_date}, came back with {back}"
    )
    return {"answer": f"{said}: {told}; later ones of those who had the time.", "intervals": rates}


def _funnel(questions: Questions, asked: Funnel) -> dict[str, Any]:
    name = questions.funnel_name(asked.funnel_id)
    found = questions.ask(
        lambda w: w.funnel(asked.funnel_id, from_date=asked.from_date, to_date=asked.to_date, unit=asked.unit)
    )
    steps = [
        {"step": step.event, "users": step.count, "conversion_rate": round(step.conversion_rate, 4)}
        for step in found.steps
    ]
    if not steps or not found.steps[0].count:
        return {"answer": f"Nobody began {name} from {asked.from_date} to {asked.to_date}.", "steps": steps}
    worst = min(found.steps[1:], key=lambda step: step.conversion_rate, default=found.steps[0])
    said = (
        f"{found.steps[-1].count} of {found.steps[0].count} users came through {name} from {asked.from_date} to "
        f"{asked.to_date}: {round(100 * found.conversion_rate, 1)} %. The hardest step is {worst.event}: "
        f"{round(100 * worst.conversion_rate, 1)} % take it."
    )
    return {"answer": said, "conversion_rate": round(found.conversion_rate, 4), "steps": steps}


def _activity_feed(questions: Questions, asked: ActivityFeed) -> dict[str, Any]:
    found = questions.ask(
        lambda w: w.activity_feed([asked.distinct_id], from_date=asked.from_date, to_date=asked.to_date)
    ).events
    counts: dict[str, int] = {}
    for event in found:
        counts[event.event] = counts.get(event.event, 0) + 1
    said = f"{asked.distinct_id} did {len(found)} things from {asked.from_date} to {asked.to_date}"
    return {
        "answer": f"{said}: {_largest(_ranked(counts), None)}." if found else f"{said}.",
        "total": len(found),
        "totals": _ranked(counts),
        "last_events": [{"event": event.event, "time": str(event.time)} for event in found[-_SHOWN_EVENTS:]],
    }


_RUNS: Mapping[str, Callable[[Questions, Any], dict[str, Any]]] = {
    "segmentation": _segmentation,
    "event_counts": _event_counts,
    "property_counts": _property_counts,
    "retention": _retention,
    "funnel": _funnel,
    "activity_feed": _activity_feed,
}


def _users(questions: Questions, event: str, dates: Dates) -> int:
    """Exactly so many: each is born once in a period, so that the cohorts add up."""
    cohorts = questions.ask(
        lambda w: w.retention(born_event=event, return_event=event, unit="month", interval_count=1, **dates)
    ).cohorts
    return sum(one.size for one in cohorts)


def _series(series: Series) -> dict[str, Any]:
    """As many whole segments as fit, the largest first."""
    kept: dict[str, dict[str, float]] = {}
    cells = 0
    for label in _totals(series):
        cells += len(series[label])
        if cells > _SHOWN_CELLS:
            break
        kept[label] = dict(series[label])
    return {"series": kept} | ({"truncated": True} if len(kept) < len(series) else {})


def _totals(series: Series) -> dict[str, float]:
    return _ranked({label: round(fsum(counts.values()), 4) for label, counts in series.items()})


def _ranked(counts: Mapping[str, float]) -> dict[str, float]:
    shown = ((label, count) for label, count in counts.items() if fits(label))
    ordered = sorted(shown, key=lambda pair: (-pair[1], pair[0]))[:_SHOWN_SEGMENTS]
    return {label: _number(count) for label, count in ordered}


def _number(value: float) -> float:
    return int(value) if value == int(value) else value


def _largest(totals: Mapping[str, float], whole: float | None) -> str:
    def share(count: float) -> str:
        return f" ({round(100 * count / whole, 1)} %)" if whole else ""

    return ", ".join(f"{label} {count}{share(count)}" for label, count in list(totals.items())[:_TOLD]) or "nothing"


def _trend(series: Series) -> str:
    counts = [value for _, value in sorted(next(iter(series.values()), {}).items())]
    change = growth(counts) if len(counts) >= 4 else 0.0
    if change is None:
        return ", none in the first half, only in the second"
    if abs(change) < 0.005:
        return ""
    return f", {abs(round(100 * change, 1))} % {'more' if change > 0 else 'less'} in the second half than in the first"


def _short(name: str) -> str:
    return name[:100]
