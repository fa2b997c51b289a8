"""Where a saved funnel loses its users, and which of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mp_mcp_server.analysis.funnel import FEWEST_USERS, FunnelFinding, Performance, Step, Weakness, find_bottleneck
from mp_mcp_server.expressions import accessor
from mp_mcp_server.properties import splits
from mp_mcp_server.questions import Period, Questions, fits

if TYPE_CHECKING:  # the catalogue is read as data, without what a Workspace needs
    from mixpanel_data import Workspace

MOST_OTHER_PROPERTIES = 12
_SHOWN = 5

Reached = tuple[int, ...]


def report(
    questions: Questions, funnel_id: int, period: Period, segment_properties: Sequence[str] | None
) -> dict[str, Any]:
    """Read a funnel, step by step and segment by segment.

    Args:
        period: the days on which users began
        segment_properties: to compare users by; None: those of the first step with few values

    Returns:
        The contract's keys and more, JSON-ready.

    Raises:
        InvalidArgumentError: there is no such funnel.
        APIError and its kinds: the funnel itself cannot be had; of a property it is a note.
    """
    name = questions.funnel_name(funnel_id)
    whole = questions.ask(lambda w: w.funnel(funnel_id, unit="month", **period.dates))
    steps = [step.event for step in whole.steps]
    reached = tuple(step.count for step in whole.steps)
    if segment_properties is None:
        found = splits(questions, steps[0], period, most_others=MOST_OTHER_PROPERTIES) if steps else None
        properties = found.names if found else ()
    else:
        properties = tuple(dict.fromkeys(segment_properties))
    segments = _segmented(questions, funnel_id, period, properties)
    finding = find_bottleneck(steps or ["nothing"], reached or (0,), _apart(segments))
    return _told(questions, name, period, finding, segments)


def _segmented(
    questions: Questions, funnel_id: int, period: Period, properties: Sequence[str]
) -> dict[str, dict[str, Reached]]:
    answers = questions.ask_all(
        [lambda w, on=name: by_property(w, funnel_id, period, on) for name in properties],  # type: ignore[misc]  # bound early
        "properties looked at",
    )
    found = {}
    for name, answer in zip(properties, answers, strict=True):
        if isinstance(answer, Exception):
            questions.notes.append(f"{name} could not be looked at: {str(answer).partition(chr(10))[0][:200]}")
        else:
            found[name] = answer
    return found


def by_property(workspace: "Workspace", funnel_id: int, period: Period, name: str) -> dict[str, Reached]:
    """Who reached each step, by segment, the periods of the answer added up."""
    found = workspace.funnel(funnel_id, unit="month", on=accessor(name), **period.dates)
    return {label: tuple(step.count for step in steps) for label, steps in found.segments.items() if fits(label)}


def _apart(segments: dict[str, dict[str, Reached]]) -> dict[str, dict[str, Reached]]:
    """Without segments that are the same users under another property: a country of one city is told once."""
    seen: set[Reached] = set()
    apart: dict[str, dict[str, Reached]] = {}
    for name, values in segments.items():
        apart[name] = {
            label: counts for label, counts in values.items() if counts[0] < FEWEST_USERS or counts not in seen
        }
        seen.update(values.values())
    return apart


def _told(
    questions: Questions,
    name: str,
    period: Period,
    finding: FunnelFinding,
    segments: dict[str, dict[str, Reached]],
) -> dict[str, Any]:
    worst = finding.bottleneck
    return {
        "executive_summary": _summary(name, period, finding),
        "overall_conversion_rate": _rate(finding.conversion),
        "bottleneck": None
        if worst is None
        else {
            "step_number": worst.number,
            "step_name": worst.name,
            "drop_percentage": _percent(1 - worst.rate),
            "users_lost": worst.lost,
            "stands_out": finding.stands_out,
        },
        "top_performing_segments": [_performance(one) for one in finding.better[:_SHOWN]],
        "underperforming_segments": [_performance(one) for one in finding.worse[:_SHOWN]],
        "recommendations": _recommendations(finding),
        "raw_data": {
            "steps": [
                {
                    "step_number": step.number,
                    "step_name": step.name,
                    "users": step.reached,
                    "conversion_rate": _rate(step.rate),
                    "users_lost": step.lost,
                }
                for step in finding.steps
            ],
            "segments": {
                key: {
                    label: list(counts)
                    for label, counts in sorted(values.items(), key=lambda pair: -pair[1][0])[: 2 * _SHOWN]
                }
                for key, values in segments.items()
            },
            "period": period.told,
        },
        "funnel": name,
        "weak_segments": [_weakness(one) for one in finding.weaknesses[:_SHOWN]],
        "api_calls_used": questions.used,
        "notes": [
            *questions.notes,
            *_hints(finding),
            "Who began in the last days of the period may still convert; rates are fractions of users.",
        ],
    }


def _performance(one: Performance) -> dict[str, Any]:
    return {
        "segment": one.value,
        "property": one.property,
        "conversion_rate": _rate(one.rate),
        "sample_size": one.entered,
        "conversion_rate_elsewhere": _rate(one.rate_elsewhere),
        "interval": [_rate(end) for end in one.interval],
        "p_value": float(f"{one.p_value:.3g}"),
    }


def _weakness(one: Weakness) -> dict[str, Any]:
    return {
        "segment": one.value,
        "property": one.property,
        "step_number": one.step.number,
        "step_name": one.step.name,
        "conversion_rate": _rate(one.rate),
        "conversion_rate_elsewhere": _rate(one.rate_elsewhere),
        "sample_size": one.before,
        "users_missed": round(one.missed, 1),
        "p_value": float(f"{one.p_value:.3g}"),
    }


def _summary(name: str, period: Period, finding: FunnelFinding) -> str:
    entered, done = finding.steps[0].reached, finding.steps[-1].reached
    worst = finding.bottleneck
    if worst is None:
        return f"Nobody began {name} from {period.first} to {period.last}."
    said = [
        f"From {period.first} to {period.last}, {done} of {entered} users came through {name}.",
        f"That is {_percent(finding.conversion)} %.",
    ]
    if finding.stands_out:
        said.append(f"The bottleneck is step {worst.number}, {worst.name}: {_lost(finding, worst)}.")
    else:
        said.append(f"No step stands out; the worst is step {worst.number}, {worst.name}: {_lost(finding, worst)}.")
    if finding.weaknesses:
        weak = finding.weaknesses[0]
        said.append(
            f"At step {weak.step.number}, {weak.step.name}, users with {weak.property} = {weak.value} fall short most: "
            f"{_percent(weak.rate)} % of {weak.before} take it, of all others {_percent(weak.rate_elsewhere)} %."
        )
    else:
        said.append("No segment surely does better or worse at any step.")
    return " ".join(said)


def _hints(finding: FunnelFinding) -> list[str]:
    if finding.weaknesses or not finding.suspicions:
        return []
    one = finding.suspicions[0]
    return [
        (
            f"Not sure, and may be chance (p = {one.p_value:.2g}, corrected): at step {one.step.number}, "
            f"{one.step.name}, {_percent(one.rate)} % of {one.before} users with {one.property} = {one.value} take it, "
            f"of all others {_percent(one.rate_elsewhere)} %. An earlier from_date brings more users and tells."
        )
    ]


def _recommendations(finding: FunnelFinding) -> list[dict[str, str]]:
    found = [
        {
            "action": f"Find out what keeps users with {weak.property} = {weak.value} from {weak.step.name}.",
            "priority": "high" if number == 0 else "medium",
            "expected_impact": f"About {round(weak.missed)} users more would take that step at the others' rate.",
        }
        for number, weak in enumerate(finding.weaknesses[:3])
    ]
    worst = finding.bottleneck
    if worst is not None and (finding.stands_out or not found):
        found.append(
            {
                "action": f"Look at how users get from {_before(finding, worst)} to {worst.name}.",
                "priority": "high" if finding.stands_out and not found else "medium" if finding.stands_out else "low",
                "expected_impact": f"It is open how many would: {_lost(finding, worst)}.",
            }
        )
    return found


def _before(finding: FunnelFinding, step: Step) -> str:
    return finding.steps[step.number - 2].name


def _lost(finding: FunnelFinding, step: Step) -> str:
    before = _before(finding, step)
    return f"{_percent(1 - step.rate)} % of those who took {before} do not take it ({step.lost} users)"


def _rate(share: float) -> float:
    return round(share, 4)


def _percent(share: float) -> float:
    return round(100 * share, 1)
