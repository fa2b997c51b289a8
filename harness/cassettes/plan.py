"""What a recording would ask, before it asks: which cases, which requests, what is merged, and how many hours it takes.

What a case asks is known from its old tape. Where there is none it is guessed from the tool's row in the catalogue:
each of its operations once.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from harness.cassettes import canonical, limits
from harness.cassettes.tape import Case, Tape, Target, ToolCall
from mixpanel_data.endpoints import ENDPOINTS
from mp_mcp_server.catalogue import TOOLS

PER_HOUR = limits.PER_HOUR


@dataclass(frozen=True, slots=True)
class Question:
    """A request that a case will make.

    key: the same for requests that mean the same; of a guess, its own
    spends: which of the hour's budgets
    """

    key: str
    what: str
    spends: str


@dataclass(frozen=True, slots=True)
class Planned:
    """A case that is to be recorded.

    why: in a few words
    guessed: whether its questions are those of an old tape, or of the catalogue
    """

    case: Case
    why: str
    questions: tuple[Question, ...]
    guessed: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    keep: cases whose tapes are good
    impossible: cases that the target cannot be asked for, with the reason
    merged: requests that another case of the plan, or what was asked already, answers
    spends: requests to send, by the budget that they spend
    hours: full hours that must pass before the last one may be sent, at 60 an hour; none for the emulator
    """

    target: Target
    record: tuple[Planned, ...]
    keep: tuple[str, ...]
    impossible: Mapping[str, str]
    merged: int
    spends: Mapping[str, int]
    hours: int


def plan(
    cases: Sequence[Case],
    tapes: Mapping[str, Tape],
    *,
    target: Target,
    only: Collection[str] = (),
    older_than: timedelta | None = None,
    now: datetime,
    answered: Collection[str] = (),
    guess: Callable[[Case], Sequence[Question]],
) -> Plan:
    """Which cases are to be recorded, and what that costs.

    Args:
        tapes: those that there are, by their case's id
        only: tools; their cases are recorded whatever their tapes are like, and no others
        older_than: tapes of that age are recorded anew
        answered: keys of requests that a recording that was stopped has answers to
        guess: what a case without a tape may ask
    """
    record: list[Planned] = []
    keep: list[str] = []
    impossible: dict[str, str] = {}
    for case in cases:
        if only and case.tool not in only:
            continue
        old = tapes.get(case.id)
        why = _why(case, old, asked_for=bool(only), older_than=older_than, now=now)
        if why is None:
            keep.append(case.id)
        elif case.faults and target == "live":
            impossible[case.id] = "live Mixpanel does not fail on demand"
        else:
            known = () if old is None else _of_tape(old)
            record.append(Planned(case, why, tuple(known or guess(case)), guessed=not known))
    spends, merged = _counted(record, answered)
    hours = max(((n - 1) // PER_HOUR[kind] for kind, n in spends.items() if n and kind in PER_HOUR), default=0)
    return Plan(target, tuple(record), tuple(keep), impossible, merged, spends, hours if target == "live" else 0)


def guess(case: Case) -> Sequence[Question]:
    """What a case without a tape may ask: each operation of each of its tools, once."""
    specs = {spec.name: spec for spec in TOOLS}
    found = []
    for call in case.calls:
        for name in specs[call.tool].endpoints if call.tool in specs else ():
            key = json.dumps([name, call.tool, dict(call.arguments)], sort_keys=True)
            found.append(Question(key, name, limits.kind(ENDPOINTS[name].url("us"))))
    return found


def text(found: Plan) -> str:
    """The plan for a person."""
    lines = [f"{len(found.record)} cases to record from {found.target}, {len(found.keep)} tapes are good"]
    width = max(map(len, [*(each.case.id for each in found.record), *found.impossible]), default=0)
    for each in found.record:
        about = "about " if each.guessed else ""
        n = len(each.questions)
        lines.append(f"  {each.case.id:<{width}}  {about}{n} request{'' if n == 1 else 's'}: {each.why}")
    lines += [f"  {case:<{width}}  not from {found.target}: {why}" for case, why in found.impossible.items()]
    if found.record:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(found.spends.items())) or "none"
        lines.append(f"requests to send: {kinds}; {found.merged} more are answered by those")
    if found.hours:
        lines.append(
            f"at 60 an hour and {limits.AT_ONCE} at once that takes more than {found.hours} h:"
            " it stops when an hour's budget is spent, and goes on with the same command"
        )
    return "\n".join(lines)


def _why(case: Case, old: Tape | None, *, asked_for: bool, older_than: timedelta | None, now: datetime) -> str | None:
    if old is None:
        return "it has no tape"
    if asked_for:
        return "it is asked for"
    otherwise = {
        "its calls are others than on its tape": [_plain(each.call) for each in old.exchanges]
        != [_plain(each) for each in case.calls],
        "what goes wrong in it is otherwise on its tape": list(map(dict, old.faults)) != list(map(dict, case.faults)),
        "what varies in its answer is otherwise on its tape": old.varies != case.varies,
        "what its client has to say is otherwise on its tape": _said(old) != _said(case),
    }
    if any(otherwise.values()):
        return next(why for why, differs in otherwise.items() if differs)
    if older_than is not None and now - datetime.fromisoformat(old.recorded.at) > older_than:
        return f"its tape is of {old.recorded.at[:10]}"
    return None


def _said(by: Tape | Case) -> str:
    """What the client answers where it is asked back; a text, so that a list is one however Python holds it."""
    replies = None if by.replies is None else [each.to_dict() for each in by.replies]
    return json.dumps([replies, by.samples], sort_keys=True)


def _plain(call: ToolCall) -> tuple[str, str]:
    return call.tool, json.dumps(dict(call.arguments), sort_keys=True)


def _of_tape(old: Tape) -> tuple[Question, ...]:
    asked = (each.asked for each in old.interactions)
    return tuple(Question(canonical.key(a), urlsplit(a.url).path, limits.kind(a.url)) for a in asked)


def _counted(record: Sequence[Planned], answered: Collection[str]) -> tuple[dict[str, int], int]:
    seen, spends, merged = set(answered), Counter[str](), 0
    for each in record:
        for question in each.questions:
            if not each.case.faults and question.key in seen:
                merged += 1
                continue
            if not each.case.faults:
                seen.add(question.key)
            spends[question.spends] += 1
    return dict(spends), merged
