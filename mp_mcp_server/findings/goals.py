"""A goal taken apart into questions that the data answers: goal, question, metric."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from math import fsum
from typing import Any, Literal

from mixpanel_data.errors import MixpanelDataError
from mp_mcp_server.analysis.health import growth
from mp_mcp_server.expressions import accessor
from mp_mcp_server.findings.health import MONEY
from mp_mcp_server.properties import splits
from mp_mcp_server.questions import Period, Questions, fits

Category = Literal["acquisition", "activation", "retention", "revenue", "referral"]

# Beginnings of the words that speak of a category; where two are spoken of equally, the first is meant.
_WORDS: dict[Category, tuple[str, ...]] = {
    "revenue": ("revenue", "monetiz", "monetis", "purchas", "buy", "pay", "sales", "sell", "order", "ltv", "subscri"),
    "referral": ("refer", "invit", "viral", "share", "recommend", "word of mouth"),
    "activation": ("activat", "onboard", "first", "convert", "conversion", "aha", "adopt"),
    "retention": ("retention", "retain", "churn", "come back", "return", "engag", "stick", "loyal", "habit", "active"),
    "acquisition": ("acqui", "sign up", "signup", "new user", "traffic", "growth", "grow", "campaign", "attract"),
}
# What the events of a category are usually called.
_EVENT_WORDS: dict[Category, tuple[str, ...]] = {
    "revenue": ("purchase", "order", "payment", "paid", "subscri", "checkout", "buy"),
    "referral": ("invite", "refer", "share"),
}
_NEXT: dict[Category, str] = {
    "acquisition": "Compare groups of new users with cohort_comparison: which source brings users who stay?",
    "activation": "Look at the saved funnel with funnel_optimization_report: which step loses whom?",
    "retention": "Compare groups with cohort_comparison: who comes back more than others?",
    "revenue": "Look at the way to the payment with funnel_optimization_report.",
    "referral": "Compare invited users with others with cohort_comparison.",
}
_MOST_TOLD = 50
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Question:
    """run: the finding's figures, with a sentence under `answer`"""

    text: str
    query_type: str
    context: str
    run: Callable[[], dict[str, Any]]


def category_of(goal: str) -> Category:
    """Which part of the funnel a goal is about; retention where no word tells."""
    text = " ".join(goal.casefold().replace("_", " ").split())
    hits = {
        category: sum(re.search(rf"\b{word}", text) is not None for word in words) for category, words in _WORDS.items()
    }
    return max(hits, key=lambda category: hits[category]) if any(hits.values()) else "retention"


def investigate(questions: Questions, goal: str, period: Period, acquisition_event: str, most: int) -> dict[str, Any]:
    """Answer as many questions for a goal as were asked for.

    Returns:
        The contract's keys, JSON-ready; a question that fails is a finding with status failed.

    Raises:
        InvalidArgumentError: the project has no such acquisition event.
    """
    category = category_of(goal)
    born = questions.event(acquisition_event, "acquisition_event")
    funnels = questions.ask(lambda w: w.funnels())
    plan = _Plan(questions, period, born, {one.funnel_id: one.name for one in funnels})
    asked = plan.questions(category)[:most]
    findings = [_found(question) for question in asked]
    answered = [found for found in findings if found["status"] == "success"]
    following = [_NEXT[category]] + (
        ["Questions failed: their error says why; ask them again."] if len(answered) < len(findings) else []
    )
    return {
        "interpreted_goal": f"{goal.strip()}: what do the data say about {category}?",
        "aarrr_category": category,
        "period": period.told,
        "schema_context": {
            "available_events": questions.events()[:_MOST_TOLD],
            "available_funnels": [one.name for one in funnels][:_MOST_TOLD],
        },
        "questions": [{"question": one.text, "query_type": one.query_type, "context": one.context} for one in asked],
        "findings": findings,
        "synthesis": {
            "goal": goal,
            "category": category,
            "questions_answered": len(answered),
            "questions_failed": len(findings) - len(answered),
            "key_metrics": [found["result"]["answer"] for found in answered],
            "next_steps": following,
        },
        "next_steps": following,
        "api_calls_used": questions.used,
        "notes": questions.notes,
    }


def _found(question: _Question) -> dict[str, Any]:
    told: dict[str, Any] = {"question": question.text, "query_type": question.query_type}
    try:
        return told | {"status": "success", "result": question.run(), "error": None}
    except MixpanelDataError as error:
        return told | {"status": "failed", "result": None, "error": f"{error.code}: {error.message[:300]}"}


class _Plan:
    def __init__(self, questions: Questions, period: Period, born: str, funnels: dict[int, str]) -> None:
        self._questions, self._period, self._born, self._funnels = questions, period, born, funnels
        self._busy = questions.busiest(period, without=born, most=4) or [born]

    def questions(self, category: Category) -> list[_Question]:
        """All that there is to ask for a category, the most telling first."""
        born, busy = self._born, self._busy
        how_many, back = self._count(born), self._back(busy[0])
        if category == "acquisition":
            return [how_many, *self._split(born), back, self._within_a_week(busy[0])]
        if category == "activation":
            return [*(self._within_a_week(event) for event in busy[:3]), *self._through(), how_many, back]
        if category == "retention":
            return [back, self._active(busy[0]), self._often(busy[0]), how_many, *self._split(busy[0])]
        event = next(
            (e for word in _EVENT_WORDS[category] for e in self._questions.events() if word in e.casefold()), None
        )
        if event is None:
            return [*self._through(), how_many, back, self._active(busy[0])]
        money = [self._sum(event)] if category == "revenue" else []
        return [*money, self._count(event), self._within_a_week(event), *self._split(event), *self._through(), back]

    def _count(self, event: str) -> _Question:
        def run() -> dict[str, Any]:
            series = self._questions.ask(lambda w: w.event_counts([event], **self._period.dates)).series[event]
            total, change = int(sum(series.values())), growth(list(series.values()))
            said = f"{event} happened {total} times, {round(total / len(series), 1)} a day; {_change(change)}."
            return {"answer": said, "total": total, "growth": _rounded(change)}

        return _Question(f"How often does {event} happen, and does it grow?", "event_counts", event, run)

    def _split(self, event: str) -> list[_Question]:
        def question(name: str) -> _Question:
            def run() -> dict[str, Any]:
                found = self._questions.ask(lambda w: w.segmentation(event, on=accessor(name), **self._period.dates))
                sums = {label: int(sum(counts.values())) for label, counts in found.series.items()}
                shown = ((label, count) for label, count in sums.items() if fits(label))
                largest = dict(sorted(shown, key=lambda pair: -pair[1])[:_SHOWN])
                total = sum(sums.values())
                told = ", ".join(f"{label} ({_percent(n, total)} %)" for label, n in largest.items())
                return {"answer": f"{event} by {name}: {told}.", "total": total, "segments": largest}

            return _Question(f"Who does {event}, by {name}?", "segmentation", f"{event} by {name}", run)

        try:
            known = splits(self._questions, event, self._period, most_others=3)
        except MixpanelDataError:
            return [question("$os")]
        own = [name for name in known.names if not name.startswith(("$", "mp_"))]
        return [question(name) for name in [*own[:1], *known.names[:1]]]

    def _back(self, event: str) -> _Question:
        def run() -> dict[str, Any]:
            last = min(self._period.last, self._questions.last_day() - timedelta(days=15))
            if last < self._period.first:
                return {"answer": "Nobody of the period has had two whole weeks yet.", "users": 0}
            asked = Period(self._period.first, last)
            cohorts = self._questions.ask(
                lambda w: w.retention(
                    born_event=self._born, return_event=event, unit="week", interval_count=2, **asked.dates
                )
            ).cohorts
            users = sum(one.size for one in cohorts)
            returned = sum(round(one.retention[1] * one.size) for one in cohorts if len(one.retention) > 1)
            said = (
                f"{returned} of {users} users came back with {event} in the second week: {_percent(returned, users)} %."
            )
            return {"answer": said, "users": users, "returned": returned, "rate": _share(returned, users)}

        text = f"How many come back with {event} in the second week after {self._born}?"
        return _Question(text, "retention", f"{self._born} → {event}", run)

    def _within_a_week(self, event: str) -> _Question:
        def run() -> dict[str, Any]:
            last = min(self._period.last, self._questions.last_day() - timedelta(days=8))
            if last < self._period.first:
                return {"answer": "Nobody of the period has had a whole week yet.", "users": 0}
            asked = Period(self._period.first, last)
            cohorts = self._questions.ask(
                lambda w: w.retention(
                    born_event=self._born, return_event=event, unit="week", interval_count=1, **asked.dates
                )
            ).cohorts
            users = sum(one.size for one in cohorts)
            did = sum(round(one.retention[0] * one.size) for one in cohorts if one.retention)
            said = f"Of {users} users, {did} did {event} within a week of {self._born}: {_percent(did, users)} %."
            return {"answer": said, "users": users, "did": did, "rate": _share(did, users)}

        text = f"How many do {event} within a week of {self._born}?"
        return _Question(text, "retention", f"{self._born} → {event}", run)

    def _active(self, event: str) -> _Question:
        def run() -> dict[str, Any]:
            found = self._questions.ask(lambda w: w.event_counts([event], type="unique", **self._period.dates))
            daily = list(found.series[event].values())
            mean, change = fsum(daily) / len(daily), growth(daily)
            said = f"{round(mean, 1)} users a day do {event}; {_change(change)}."
            return {"answer": said, "users_per_day": round(mean, 2), "growth": _rounded(change)}

        return _Question(f"How many users a day do {event}, and are they growing?", "event_counts", event, run)

    def _often(self, event: str) -> _Question:
        def run() -> dict[str, Any]:
            found = self._questions.ask(
                lambda w: w.frequency(event=event, unit="week", addiction_unit="day", **self._period.dates)
            ).data
            users = sum(counts[0] for counts in found.values() if counts)
            thrice = sum(counts[2] for counts in found.values() if len(counts) > 2)
            said = f"In a week with {event}, users do it on three days or more in {_percent(thrice, users)} % of cases."
            return {"answer": said, "user_weeks": users, "three_days_or_more": thrice, "share": _share(thrice, users)}

        return _Question(f"On how many days of a week do users do {event}?", "frequency", event, run)

    def _through(self) -> list[_Question]:
        def question(funnel_id: int, name: str) -> _Question:
            def run() -> dict[str, Any]:
                found = self._questions.ask(lambda w: w.funnel(funnel_id, unit="month", **self._period.dates))
                if not found.steps:
                    return {"answer": f"Nobody began {name}.", "users": 0}
                first, last = found.steps[0], found.steps[-1]
                worst = min(found.steps[1:], key=lambda step: step.conversion_rate, default=first)
                said = (
                    f"{last.count} of {first.count} users came through {name}, {_percent(last.count, first.count)} %; "
                    f"the hardest step is {worst.event}, which {round(100 * worst.conversion_rate, 1)} % take."
                )
                return {"answer": said, "users": first.count, "rate": round(found.conversion_rate, 4)}

            return _Question(f"How many come through {name}?", "funnel", f"funnel {funnel_id}", run)

        return [question(funnel_id, name) for funnel_id, name in list(self._funnels.items())[:2]]

    def _sum(self, event: str) -> _Question:
        def run() -> dict[str, Any]:
            there = {name.casefold(): name for name in self._questions.ask(lambda w: w.properties(event))}
            usual = next((there[name] for name in MONEY if name in there), None)
            if usual is None:
                return {"answer": f"No property of {event} looks like a sum of money.", "property": None}
            found = self._questions.ask(lambda w: w.segmentation_sum(event, on=accessor(usual), **self._period.dates))
            total = round(fsum(found.results.values()), 2)
            change = growth([float(value) for _, value in sorted(found.results.items())])
            said = f"{usual} of {event} comes to {total}; {_change(change)}."
            return {"answer": said, "property": usual, "sum": total, "growth": _rounded(change)}

        return _Question(f"What does {event} bring in?", "segmentation_sum", event, run)


def _change(change: float | None) -> str:
    if change is None:
        return "none in the first half of the period, only in the second"
    if abs(change) < 0.005:
        return "the second half of the period is like the first"
    return f"{abs(round(100 * change, 1))} % {'more' if change > 0 else 'less'} in the second half than in the first"


def _rounded(change: float | None) -> float | None:
    return None if change is None else round(change, 4)


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
