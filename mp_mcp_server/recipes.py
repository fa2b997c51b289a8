"""Recipes: how to do a piece of work that comes again and again, with the days filled in. No query is spent."""

from datetime import date, timedelta
from typing import Any


def weekly_review(today: date) -> dict[str, Any]:
    """The seven days before today against the seven before them."""
    return {
        "name": "Weekly review",
        "description": "Compare the last seven days that are over with the seven before them, and say what changed.",
        "current_period": _days(today - timedelta(days=7), today - timedelta(days=1)),
        "comparison_period": _days(today - timedelta(days=14), today - timedelta(days=8)),
        "checklist": [
            _task("Volume", "event_counts", "The most important events over both periods, unit day."),
            _task("Reach", "event_counts", "The same with type unique: did users change, or what they do?"),
            _task("Falls", "diagnose_metric_drop", "For an event that lost more than its usual weekly change."),
            _task("Funnels", "funnel", "Each saved funnel over both periods; list_funnels names them."),
            _task("Retention", "retention", "New users by week; compare weeks of the same age only."),
            _task("Health", "product_health_dashboard", "Marks for the parts of the product the team watches."),
        ],
        "report_template": {
            "headline": "The one change that matters, with its number",
            "metrics": [{"metric": "", "this_week": 0, "last_week": 0, "change_percent": 0.0}],
            "causes": "What was found to lie behind it, or that nothing was",
            "risks": "What to watch next week",
            "actions": [{"action": "", "owner": "", "due": ""}],
        },
    }


def churn_investigation(today: date) -> dict[str, Any]:
    """Ninety days before today: who leaves, when, and what went before."""
    return {
        "name": "Churn investigation",
        "description": "Find out who stops coming, how soon, and what they did or missed before.",
        "analysis_period": _days(today - timedelta(days=90), today - timedelta(days=1)),
        "phases": [
            {
                "phase": 1,
                "name": "Define",
                "goal": "Say what counts as active and after how many quiet days a user is gone.",
                "steps": [
                    _task("Events", "list_events", "Which event means that a user got something out of it?"),
                    _task("Rhythm", "frequency", "How often do users come who stay? Gone is a few times that."),
                ],
            },
            {
                "phase": 2,
                "name": "Measure",
                "goal": "How many leave, and how soon.",
                "steps": [
                    _task("Curve", "retention", "By week over 12 weeks; where does it flatten?"),
                    _task("Trend", "retention", "Do later cohorts of the same age do better or worse?"),
                ],
            },
            {
                "phase": 3,
                "name": "Compare",
                "goal": "Who leaves more than others.",
                "steps": [
                    _task("Groups", "cohort_comparison", "Two groups with a filter each; only sure differences count."),
                    _task("Onboarding", "funnel_optimization_report", "Where do new users stop?"),
                ],
            },
            {
                "phase": 4,
                "name": "Look closely",
                "goal": "What the last days of a user look like.",
                "steps": [
                    _task("Cases", "activity_feed", "Five users who left, five who stayed."),
                    _task("Pattern", "sql", "After safe_large_fetch: the last event before users fall silent."),
                ],
            },
        ],
        "benchmarks": {
            "note": "Orders of magnitude for orientation only; the project's own past is the better measure.",
            "day_1_retention": {"weak": 0.1, "usual": 0.25, "strong": 0.4},
            "day_7_retention": {"weak": 0.04, "usual": 0.12, "strong": 0.25},
            "day_30_retention": {"weak": 0.02, "usual": 0.06, "strong": 0.15},
        },
    }


def _days(first: date, last: date) -> dict[str, str]:
    return {"from_date": first.isoformat(), "to_date": last.isoformat()}


def _task(name: str, tool: str, what: str) -> dict[str, str]:
    return {"name": name, "tool": tool, "what": what}
