"""A run of the suite as one page of HTML that needs nothing beside itself: what is red and why, the matrix, times."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from harness.suite.case import Kind
from harness.suite.report import SIGNS, Report, Result, cell, clipped, fields, left, ordered, slowest, times

TEMPLATE = "page.html"
OPEN, FOLDED = 3, 10
"""So many of the red cases are shown whole from the start, and from so many on in one fold: the matrix is never far."""
LINE, SENTENCE, BRIEF = 600, 800, 160


def page(report: Report) -> str:
    """The whole page; whatever comes from an answer is escaped."""
    template = files("harness.suite").joinpath(TEMPLATE).read_text(encoding="utf-8")
    tools = len({result.case.tool for result in report.results})
    parts = {
        "title": "All good" if report.good else f"{len(report.red)} red" if report.red else "Not good",
        "mood": "good" if report.good else "red",
        "scope": f"{tools} tools" if tools != 1 else escape(report.results[0].case.tool),
        "figures": "".join(_figures(report)),
        "head": "".join(f'<th scope="col"><span>{escape(kind.value)}</span></th>' for kind in Kind),
        "rows": "".join(_rows(report)),
        "red": "".join(_troubles(report)),
        "number": f"{len(report.results)}",
        "cases": "".join(_case(result) for result in sorted(report.results, key=lambda each: each.good)),
        "exempt": f"{len(report.exemptions)}",
        "exemptions": "".join(
            f"<tr><td>{escape(each.tool)}</td><td>{escape(each.kind.value)}</td><td>{escape(each.reason)}</td></tr>"
            for each in report.exemptions
        ),
    }
    for name, content in parts.items():
        template = template.replace(f"<!-- {name} -->", content)
    return template


def _figures(report: Report) -> Iterator[str]:
    upstream = sum(result.upstream for result in report.results)
    ways = Counter(result.verdict.way for result in report.results)
    slow = slowest(report)
    told = (
        ("cases", f"{len(report.results)}", False),
        ("red", f"{len(report.red)}", bool(report.red)),
        ("attempts to leave", f"{len(report.attempts)}", bool(report.attempts)),
        ("wall time", f"{report.seconds:.1f} s", False),
        ("slowest", f"{slow.verdict.seconds:.2f} s, {slow.case.id}" if slow else "none", False),
        ("requests to Mixpanel", f"{upstream:,}", False),
        ("ways in", ", ".join(f"{way} {number}" for way, number in ways.items()), False),
        ("from", report.target, False),
        ("network", report.isolation, False),
        ("at", report.at.replace("T", " ").replace("+00:00", " UTC"), False),
    )
    for name, value, bad in told:
        mood = ' class="red"' if bad else ""
        yield f"<div><dt>{escape(name)}</dt><dd{mood}>{escape(value)}</dd></div>"


def _rows(report: Report) -> Iterator[str]:
    exempt = {(each.tool, each.kind): each.reason for each in report.exemptions}
    for tool, row in fields(report).items():
        seconds = sum(result.verdict.seconds for results in row.values() for result in results)
        calls = sum(result.upstream for results in row.values() for result in results)
        yield f'<tr><th scope="row">{escape(tool)}</th>'
        for kind, results in row.items():
            reason = exempt.get((tool, kind))
            yield _field(kind, results, reason)
        yield f'<td class="number">{seconds:.2f} s</td><td class="number">{calls}</td></tr>\n'


def _field(kind: Kind, results: Sequence[Result], reason: str | None) -> str:
    what = cell(results, reason is not None)
    said = reason or ", ".join(f"{result.case.name} by {result.verdict.way}" for result in results) or "no case"
    reds = sum(not result.good for result in results)
    number = f"{reds}/{len(results)}" if reds else len(results) or ""
    red = next((result for result in results if not result.good), None)
    inner = f'<a href="#{escape(_anchor(red))}">{SIGNS[what]}{number}</a>' if red else f"{SIGNS[what]}{number}"
    return f'<td class="{what}" title="{escape(f"{kind.value}: {said}")}">{inner}</td>'


def _troubles(report: Report) -> Iterator[str]:
    if report.good:
        return
    yield "<h2>What is wrong</h2>"
    for where, often in left(report).items():
        yield f'<p class="trouble"><b>Tried to leave this machine:</b> {escape(where)}{times(often)}</p>'
    for name in report.unused:
        yield f'<p class="trouble"><b>Recorded and not asked for:</b> {escape(name)}</p>'
    red = [_trouble(result, shown=number < OPEN) for number, result in enumerate(ordered(report.red))]
    yield from red[:FOLDED]
    if more := red[FOLDED:]:
        yield f"<details><summary>{len(more)} more</summary>{''.join(more)}</details>"


def _trouble(result: Result, *, shown: bool) -> str:
    """Its anchor is within what may be folded: whoever follows a link to it has it unfolded."""
    layer = result.layer
    parts = [
        f'<details class="trouble"{" open" if shown else ""}><summary><b>{escape(result.case.id)}</b> ',
        f"<small>by {escape(result.verdict.way)}, of the kind “{escape(result.case.kind.value)}”</small> ",
        f'<span class="layer">{escape(layer.name)}</span>' if layer else "",
        f'<span class="brief">{escape(clipped(result.why[0], BRIEF))}</span></summary>',
        f'<div id="{escape(_anchor(result))}"><ul>',
        *(f"<li>{escape(clipped(sentence, SENTENCE))}</li>" for sentence in result.why),
        "</ul>",
    ]
    if layer:
        lines = "\n".join(_line(clipped(line, LINE)) for line in layer.diff)
        parts.append(f"<p>First differs in the layer <b>{escape(layer.name)}</b>; - as recorded, + as now:</p>")
        parts.append(f"<pre>{lines}</pre>")
    return "".join((*parts, "</div></details>\n"))


def _line(line: str) -> str:
    kind = {"-": "minus", "+": "plus"}.get(line[:1], "")
    return f'<span class="{kind}">{escape(line)}</span>' if kind else escape(line)


def _case(result: Result) -> str:
    what = "good" if result.good else "red"
    name = escape(result.case.id)
    inner = name if result.good else f'<a href="#{escape(_anchor(result))}">{name}</a>'
    return (
        f'<tr class="{what}"><td>{SIGNS[what]} {what}</td><th scope="row">{inner}</th>'
        f"<td>{escape(result.case.kind.value)}</td><td>{escape(result.verdict.way)}</td><td>{escape(result.case.via)}</td>"
        f'<td class="number">{result.verdict.seconds * 1000:.0f} ms</td>'
        f'<td class="number">{result.upstream}</td><td class="asked">{_asked_back(result)}</td></tr>\n'
    )


def _asked_back(result: Result) -> str:
    """How often the tool asked back, and when that is opened, what and with which answer."""
    if not result.asked_back:
        return ""
    said = "".join(
        f"<li>{escape(each.method)}: {escape(clipped(_words(each.params), SENTENCE))}"
        f" <b>{escape(clipped(_words(each.reply), SENTENCE))}</b></li>"
        for each in result.asked_back
    )
    return f"<details><summary>{len(result.asked_back)}</summary><ol>{said}</ol></details>"


def _words(said: Mapping[str, Any]) -> str:
    """Its text, where the protocol has it say one; else all of it."""
    for each in (*said.get("messages", ()), said):
        content = each.get("content")
        if isinstance(content, Mapping) and isinstance(content.get("text"), str):
            return f"“{content['text']}”"
    return f"“{said['message']}”" if "message" in said else json.dumps(said, ensure_ascii=False)


def _anchor(result: Result) -> str:
    return f"red-{result.verdict.way}-{result.case.id}"
