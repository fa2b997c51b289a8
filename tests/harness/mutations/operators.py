"""OPERATORS: small things that go wrong in a tool, one at a time; each says where it applies and does it.

What is changed is what a tool is given, what it answers, the error that it ends with, or what the library is asked by
it; no source file is. An operator that finds nothing to change in an answer does not apply to it.
"""

import copy
import functools
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import combinations
from typing import Any, Literal
from unittest import mock

from mixpanel_data import Workspace
from mixpanel_data.errors import MixpanelDataError, RateLimitError
from mp_mcp_server.catalogue import TOOLS, ToolSpec

Side = Literal["argument", "answer", "error", "library"]
Tool = Callable[..., Any]
Touch = Callable[[], None]
"""Called whenever something was really changed: a mutation that nothing meets proves nothing."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?!\d)")
_DAYS = {"from_date": 1, "to_date": -1}
_LIMITS = ("limit", "interval_count", "days", "events_to_show")
_SEVERAL_CALLS = ("intelligent", "composed", "interactive")


@dataclass(frozen=True, slots=True)
class Operator:
    """One way to go wrong.

    side: what it changes; an answer that has nothing to be changed is none of its business, while an argument that
        no case gives is a gap
    details: where it applies in a tool, by name: an argument, or one empty word for the tool as a whole
    mutated: the tool's function gone wrong
    around: what else has to be changed while cases run
    """

    name: str
    does: str
    side: Side
    details: Callable[[ToolSpec], Iterable[str]]
    mutated: Callable[[Tool, ToolSpec, str, Touch], Tool]
    around: Callable[[str, Touch], AbstractContextManager[None]] = lambda _detail, _touch: nullcontext()


@dataclass(frozen=True, slots=True)
class Mutant:
    """One operator in one place of one tool."""

    spec: ToolSpec
    operator: Operator
    detail: str

    @property
    def name(self) -> str:
        """`segmentation: ignores an argument (unit)`."""
        return f"{self.spec.name}: {self.what}"

    @property
    def what(self) -> str:
        """The same without the tool."""
        return self.operator.name + (f" ({self.detail})" if self.detail else "")

    def gone_wrong(self, touch: Touch) -> ToolSpec:
        """The tool's row of the catalogue, its function gone wrong."""
        run = self.operator.mutated(self.spec.run, self.spec, self.detail, touch)
        return replace(self.spec, run=functools.wraps(self.spec.run)(run))


def mutants() -> list[Mutant]:
    """Every operator in every place of every tool where it applies."""
    return [
        Mutant(spec, operator, detail) for spec in TOOLS for operator in OPERATORS for detail in operator.details(spec)
    ]


def _everywhere(_spec: ToolSpec) -> Iterable[str]:
    return ("",)


# What a tool is given.


def _optional(spec: ToolSpec) -> Iterator[str]:
    for parameter in spec.parameters:
        if parameter.default is not parameter.empty and parameter.name not in (*_LIMITS, *_DAYS):
            yield parameter.name


def _named(*names: str) -> Callable[[ToolSpec], list[str]]:
    return lambda spec: [parameter.name for parameter in spec.parameters if parameter.name in names]


def _lists(spec: ToolSpec) -> Iterator[str]:
    return (each.name for each in spec.parameters if "list" in str(each.annotation) or each.name == "events")


def _default(spec: ToolSpec, name: str) -> Any:
    return next(parameter.default for parameter in spec.parameters if parameter.name == name)


def _given(change: Callable[[ToolSpec, str, Any], Any]) -> Callable[[Tool, ToolSpec, str, Touch], Tool]:
    """The tool sees another value of one argument."""

    def mutated(run: Tool, spec: ToolSpec, name: str, touch: Touch) -> Tool:
        def wrong(first: Any, **arguments: Any) -> Any:
            if name in arguments:
                value = change(spec, name, copy.deepcopy(arguments[name]))
                if value != arguments[name]:
                    touch()
                    arguments = {**arguments, name: value}
            return run(first, **arguments)

        return wrong

    return mutated


def _shifted(_spec: ToolSpec, name: str, value: Any) -> Any:
    return _moved(value, _DAYS[name])


def _moved(value: Any, days: int) -> Any:
    try:
        return (date.fromisoformat(value) + timedelta(days=days)).isoformat()
    except (TypeError, ValueError):
        return value  # no day at all, or one that a case gets wrong on purpose


def _limited(_spec: ToolSpec, _name: str, value: Any) -> Any:
    if not isinstance(value, int):
        return value
    return value - 1 if value > 1 else value + 1


# What it answers.


def _answered(change: Callable[[Any], Any]) -> Callable[[Tool, ToolSpec, str, Touch], Tool]:
    """The tool answers something else; `change` gives back what it cannot change."""

    def mutated(run: Tool, _spec: ToolSpec, _detail: str, touch: Touch) -> Tool:
        def wrong(first: Any, **arguments: Any) -> Any:
            answer = run(first, **arguments)
            other = change(copy.deepcopy(answer))
            if other != answer:
                touch()
            return other

        return wrong

    return mutated


def _containers(value: Any) -> Iterator[Any]:
    """Every object and list of an answer, the outer ones first."""
    waiting = [value]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, dict | list):
            yield each
            waiting += each.values() if isinstance(each, dict) else each


def _swap(value: dict[str, Any]) -> bool:
    """Two values of a kind change places, in one object."""
    for (one, first), (other, second) in combinations(value.items(), 2):
        if _kind(first) == _kind(second) and first != second:
            value[one], value[other] = second, first
            return True
    return False


def _kind(value: Any) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def _swapped(answer: Any) -> Any:
    if isinstance(answer, dict):
        _swap(answer)
    return answer


def _swapped_inside(answer: Any) -> Any:
    for each in list(_containers(answer))[1:]:
        if isinstance(each, dict) and _swap(each):
            break
    return answer


def _last_lost(answer: Any) -> Any:
    """The longest list or table within the answer is one shorter."""
    inner = [each for each in _containers(answer) if each and (isinstance(each, list) or each is not answer)]
    if inner:
        longest = max(inner, key=len)
        longest.pop() if isinstance(longest, list) else longest.popitem()
    return answer


def _numbers(answer: Any) -> list[tuple[Any, Any]]:
    found = []
    for each in _containers(answer):
        pairs = each.items() if isinstance(each, dict) else enumerate(each)
        found += [(each, key) for key, inner in pairs if _kind(inner) == "number"]
    return found


def _one_more(which: int) -> Callable[[Any], Any]:
    def change(answer: Any) -> Any:
        found = _numbers(answer)
        if found:
            within, key = found[which]
            within[key] += 1
        return answer

    return change


def _flipped(answer: Any) -> Any:
    for each in _containers(answer):
        for key, inner in each.items() if isinstance(each, dict) else ():
            if isinstance(inner, bool):
                each[key] = not inner
                return answer
    return answer


def _days_shifted(answer: Any) -> Any:
    """Every table by day is shifted, as by a time zone that is wrong."""
    for each in list(_containers(answer)):
        if isinstance(each, dict) and each and all(_DAY.match(str(key)) for key in each):
            moved = {_moved(key[:10], 1) + key[10:]: inner for key, inner in each.items()}
            each.clear()
            each.update(moved)
    return answer


# The error that it ends with.


def _failing(change: Callable[[MixpanelDataError, ToolSpec, Touch], Any]) -> Callable[..., Tool]:
    def mutated(run: Tool, spec: ToolSpec, _detail: str, touch: Touch) -> Tool:
        def wrong(first: Any, **arguments: Any) -> Any:
            try:
                return run(first, **arguments)
            except MixpanelDataError as error:
                return change(error, spec, touch)

        return wrong

    return mutated


def _swallowed(_error: MixpanelDataError, spec: ToolSpec, touch: Touch) -> Any:
    touch()
    returned = typing.get_origin(spec.run.__annotations__.get("return")) or spec.run.__annotations__.get("return")
    if returned is list:
        return []
    return {"result": [], "truncated": False} if "result" in typing.get_type_hints(returned) else {}


def _of_no_kind(error: MixpanelDataError, _spec: ToolSpec, touch: Touch) -> Any:
    touch()
    raise MixpanelDataError(error.message, "UNKNOWN_ERROR", error.details) from error


def _impatient(error: MixpanelDataError, _spec: ToolSpec, touch: Touch) -> Any:
    """When to come back is left out where it is told, and made up where it is not."""
    if not isinstance(error, RateLimitError):
        raise error
    touch()
    told = {key: value for key, value in error.details.items() if key != "retry_after"}
    raise MixpanelDataError(error.message, error.code, told) from error


# What the library is asked.


@contextmanager
def _library_asked(names: tuple[str, ...], change: Callable[[str, Any], Any], touch: Touch) -> Iterator[None]:
    """Each call of a Workspace that has one of these arguments has another value of it."""
    with ExitStack() as stack:
        for method in _methods_with(names):
            stack.enter_context(mock.patch.object(Workspace, method, _asking(method, names, change, touch)))
        yield


def _asking(method: str, names: tuple[str, ...], change: Callable[[str, Any], Any], touch: Touch) -> Tool:
    run = getattr(Workspace, method)

    @functools.wraps(run)
    def wrong(*positional: Any, **arguments: Any) -> Any:
        for name in names:
            value = change(name, arguments.get(name))
            if value != arguments.get(name):
                touch()
                arguments[name] = value
        return run(*positional, **arguments)

    return wrong


def _methods_with(names: tuple[str, ...]) -> list[str]:
    found = []
    for name in dir(Workspace):
        each = getattr(Workspace, name)
        if not name.startswith("_") and callable(each) and set(names) & set(each.__code__.co_varnames):
            found.append(name)
    return found


def _computing(spec: ToolSpec) -> Iterable[str]:
    return ("",) if spec.category in _SEVERAL_CALLS else ()


def _as_it_is(run: Tool, _spec: ToolSpec, _detail: str, _touch: Touch) -> Tool:
    return run


OPERATORS: tuple[Operator, ...] = (
    Operator(
        "ignores an argument",
        "the default stands in its place: a filter is dropped, a unit is the usual one",
        "argument",
        _optional,
        _given(lambda spec, name, _value: _default(spec, name)),
    ),
    Operator("shifts a day", "begins a day later, or ends a day earlier", "argument", _named(*_DAYS), _given(_shifted)),
    Operator("changes a limit", "one less, and two for one", "argument", _named(*_LIMITS), _given(_limited)),
    Operator(
        "drops one of several",
        "the last of a list is not asked for",
        "argument",
        _lists,
        _given(lambda _spec, _name, value: value[:-1] if isinstance(value, list) else value),
    ),
    Operator("swaps two keys", "two values of the answer change places", "answer", _everywhere, _answered(_swapped)),
    Operator(
        "swaps two keys inside",
        "two values of an object within the answer change places",
        "answer",
        _everywhere,
        _answered(_swapped_inside),
    ),
    Operator(
        "loses the last", "the longest list or table is one shorter", "answer", _everywhere, _answered(_last_lost)
    ),
    Operator("is off by one", "the first number is one more", "answer", _everywhere, _answered(_one_more(0))),
    Operator("is off by one deep down", "the last number is one more", "answer", _everywhere, _answered(_one_more(-1))),
    Operator("flips a flag", "the first yes is a no", "answer", _everywhere, _answered(_flipped)),
    Operator("labels days wrong", "tables by day are a day late", "answer", _everywhere, _answered(_days_shifted)),
    Operator("swallows errors", "what fails is answered with nothing", "error", _everywhere, _failing(_swallowed)),
    Operator("forgets an error's kind", "every failure is unknown", "error", _everywhere, _failing(_of_no_kind)),
    Operator(
        "forgets when to come back",
        "a spent budget does not say when it is there again",
        "error",
        lambda spec: ("",) if spec.endpoints else (),
        _failing(_impatient),
    ),
    Operator(
        "asks for other days",
        "each question that it puts to the library begins a day later",
        "library",
        _computing,
        _as_it_is,
        lambda _detail, touch: _library_asked(("from_date",), lambda _name, value: _moved(value, 1), touch),
    ),
    Operator(
        "asks without a filter",
        "each question that it puts to the library has no filter",
        "library",
        _computing,
        _as_it_is,
        lambda _detail, touch: _library_asked(
            ("where", "born_where", "return_where"), lambda _name, _value: None, touch
        ),
    ),
)


def by_name() -> Mapping[str, Mutant]:
    """Every mutant by its name."""
    return {mutant.name: mutant for mutant in mutants()}
