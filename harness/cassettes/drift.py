"""Whether a target still answers as it does on tape: the same requests again, and what is otherwise in the answers.

Where the target serves the very data that a tape is of, every value counts. Elsewhere values move, and what counts is
which fields there are and of which types; objects whose members are all alike are taken for tables by name or by day,
whose names are data.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.cassettes import canonical, scrub, tape, written
from harness.cassettes.journal import About, Session
from harness.cassettes.record import live_credentials
from harness.cassettes.studio import Caller, Studio, account_of, plainly, take_case
from harness.cassettes.tape import Answer, Case, Interaction, Tape, Target
from harness.errors import Exit, HarnessError

What = Literal["added", "removed", "retyped", "changed", "status", "asked", "not asked"]

IGNORED: Mapping[str, str] = {
    "header date": "it is the time of the answer",
    "header retry-after": "it is what is left of somebody's hour",
    "/computed_at": "it is the time of the answer",
    "/timestamp": "the same",
}
"""What may differ, by where it stands, with the reason; nothing else may."""

_MOST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between a tape and what is answered now.

    where: a JSON pointer into the answer, `*` for each item of a list or a table; or `status`, or a header
    """

    case: str
    request: str
    where: str
    what: What
    on_tape: str
    now: str

    def __str__(self) -> str:
        told = {"added": self.now, "removed": self.on_tape}.get(self.what, f"{self.on_tape} on tape, {self.now} now")
        return f"{self.case}: {self.request}: {self.where or '/'} {self.what}: {told}"


def compare(old: Tape, new: Tape, *, same_data: bool) -> list[Change]:
    """What is otherwise in a new recording of the same case.

    Args:
        same_data: whether both are of the same data, so that values count
    """
    here, there = _by_key(_without_ids(old)), _by_key(_without_ids(new))
    found: list[Change] = []
    for key in here.keys() | there.keys():
        before, now = here.get(key, []), there.get(key, [])
        if len(before) != len(now):
            request = canonical.shown((before or now)[0].asked)
            what: What = "asked" if len(now) > len(before) else "not asked"
            found.append(Change(old.case, request, "", what, f"{len(before)} times", f"{len(now)} times"))
        for one, other in zip(before, now, strict=False):
            found += _of_answers(old.case, one, other, same_data=same_data)
    return sorted(found, key=lambda change: (change.request, change.where))


def drift(
    tapes: Path,
    directory: Path,
    environment: Mapping[str, str],
    *,
    target: Target = "emulator",
    sample: int = 5,
    seed: int = 0,
    only: Collection[str] = (),
    cache_dir: Path | None = None,
    caller: Caller = plainly,
    tell: Callable[[str], object],
) -> tuple[list[str], list[Change]]:
    """Ask a target again for some of what is on tape; no tape is changed.

    Args:
        directory: private to recordings
        sample: how many tapes, chosen by the seed; live Mixpanel's budget is spent as by a recording
        only: tools

    Returns:
        Which cases were asked again, and what is otherwise.

    Raises:
        HarnessError: TAPES_MISSING; RATE_LIMITED: the budget is spent; what the services say
    """
    chosen = _sample(tapes, target, only, sample, seed)
    about = _about(chosen[0], target, environment)
    session = Session(directory / "drift")
    found: list[Change] = []
    with Studio(directory / "studio", environment).opened() as studio:
        session.begin(about)
        try:
            if target == "live":
                emulator, credentials = None, live_credentials(environment)
            else:
                cache = ("--cache-dir", str(cache_dir)) if cache_dir else ()
                emulator, said = studio.emulator(*_options(chosen[0]), *cache)
                credentials = account_of(said)
            host = studio.host(session.directory, credentials, emulator.url if emulator else None)
            for old in chosen:
                new = _asked_again(old, session, lambda case: take_case(host, case, emulator, caller))
                changes = compare(old, new, same_data=about.data is not None and about.data == old.recorded.data)
                tell(f"{old.case}: {len(changes) or 'nothing'} otherwise")
                found += changes
        finally:
            session.forget()
    return [each.case for each in chosen], found


def _asked_again(old: Tape, session: Session, take: Callable[[Case], dict[str, Any]]) -> Tape:
    category, _, rest = old.case.partition("/")
    tool, _, name = rest.partition("--")
    *before, last = (each.call for each in old.exchanges)
    report = take(
        Case(category, tool, name, last.arguments, tuple(before), old.faults, old.varies, old.replies, old.samples)
    )
    if report["stopped"]:
        raise HarnessError("RATE_LIMITED", str(report["stopped"]["cause"]), fix="ask again in an hour")
    return written.read(session.tapes, old.case)


def _sample(tapes: Path, target: Target, only: Collection[str], sample: int, seed: int) -> list[Tape]:
    every = [written.read(tapes, case) for case in tape.found(tapes)]
    fit = [
        each
        for each in every
        if each.interactions
        and each.exchanges
        and (not only or each.exchanges[-1].call.tool in only)
        and not (target == "live" and each.faults)
        and (target == "live" or each.recorded.target == "emulator")
    ]
    if not fit:
        raise HarnessError(
            "TAPES_MISSING", f"no tape in {tapes} can be compared with {target}", fix="record some: harness record"
        )
    # All in one session, which has one clock and one data set.
    ((common, _),) = Counter(map(_kind, fit)).most_common(1)
    fit = [each for each in fit if _kind(each) == common]
    return random.Random(seed).sample(fit, min(sample, len(fit)))  # noqa: S311 -- which tapes, and no secret


def _kind(each: Tape) -> tuple[str, str]:
    return each.recorded.clock, json.dumps(each.recorded.data, sort_keys=True)


def _about(of: Tape, target: Target, environment: Mapping[str, str]) -> About:
    if target == "live":
        return About("live", of.recorded.clock, live_credentials(environment)["MP_REGION"])
    data = None if of.recorded.data is None else dict(of.recorded.data)
    return About("emulator", of.recorded.clock, of.recorded.region, data)


def _options(of: Tape) -> Sequence[str]:
    options = (of.recorded.data or {}).get("options")
    if not isinstance(options, str):
        raise HarnessError(
            "TAPE_WITHOUT_DATA",
            f"the tape of {of.case} does not say with which options its emulator was started",
            fix="record it anew: harness record",
            exit_code=Exit.USAGE,
        )
    return options.split()


def _without_ids(of: Tape) -> Tape:
    """The tape with a number in the place of each id that was made up, also where a request repeats it."""
    return scrub.whole(of, canonical.made_up(of.interactions))


def _by_key(of: Tape) -> dict[str, list[Interaction]]:
    found: dict[str, list[Interaction]] = {}
    for each in of.interactions:
        found.setdefault(canonical.key(each.asked), []).append(each)
    return found


def _of_answers(case: str, old: Interaction, new: Interaction, *, same_data: bool) -> Iterator[Change]:
    request = canonical.shown(old.asked)
    before, now = old.answer, new.answer
    if before.status != now.status:
        yield Change(case, request, "status", "status", str(before.status), str(now.status))
    parts = [(f"header {name}", before.headers.get(name), now.headers.get(name)) for name in _names(before, now)]
    for where, one, other in parts:
        if one != other and where not in IGNORED:
            what: What = "added" if one is None else "removed" if other is None else "changed"
            yield Change(case, request, where, what, str(one), str(other))
    look = _values if same_data else _shapes
    for where, kind, one, other in look(_document(before), _document(now), ""):
        if where not in IGNORED:
            yield Change(case, request, where, kind, _short(one), _short(other))


_Found = Iterator[tuple[str, What, Any, Any]]
_ABSENT = object()


def _values(old: Any, new: Any, where: str) -> _Found:
    """Every difference, value by value."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**old, **new}:
            yield from _values(old.get(name, _ABSENT), new.get(name, _ABSENT), f"{where}/{_escaped(name)}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _values(one, other, f"{where}/{number}")
    elif old is _ABSENT or new is _ABSENT:
        yield where, "added" if old is _ABSENT else "removed", old, new
    elif _type(old) != _type(new):
        yield where, "retyped", old, new
    elif old != new:
        yield where, "changed", old, new


def _shapes(old: Any, new: Any, where: str) -> _Found:
    """Differences in which fields there are, and of which types."""
    if isinstance(old, dict) and isinstance(new, dict):
        if old.keys() != new.keys() and _is_table(old) and _is_table(new):
            yield from _shapes(list(old.values()), list(new.values()), where)
            return
        for name in {**old, **new}:
            yield from _shapes(old.get(name, _ABSENT), new.get(name, _ABSENT), f"{where}/{_escaped(name)}")
    elif isinstance(old, list) and isinstance(new, list):
        # One of each side stands for all; a list that is empty says nothing of its items.
        if old and new:
            yield from _shapes(_merged(old), _merged(new), f"{where}/*")
    elif old is _ABSENT or new is _ABSENT:
        yield where, "added" if old is _ABSENT else "removed", old, new
    elif _type(old) != _type(new) and None not in (old, new):
        yield where, "retyped", old, new


def _is_table(value: dict[str, Any]) -> bool:
    """Whether all members are alike, so that their names are data: days, events, values of a property."""
    return len({_type(each) for each in value.values()}) <= 1


def _merged(items: list[Any]) -> Any:
    """All fields of the items, if they are objects; else the first one."""
    objects = [each for each in items if isinstance(each, dict)]
    return {name: value for each in reversed(objects) for name, value in each.items()} if objects else items[0]


def _document(answer: Answer) -> Any:
    text = answer.body.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass  # an export's lines, or no JSON at all
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        return text


def _type(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(type(value).__name__)
    return "number" if isinstance(value, int | float) else type(value).__name__


def _names(before: Answer, now: Answer) -> list[str]:
    return sorted({*before.headers, *now.headers})


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _short(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"
