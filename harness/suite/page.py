"""A run of the suite as one page of HTML that needs nothing beside itself: the matrix, times, what is red and why."""

from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files

from harness.suite.case import Kind
from harness.suite.report import SIGNS, Report, Result, cell, fields

TEMPLATE = "page.html"


def page(report: Report) -> str:
    """The whole page; whatever comes from an answer is escaped."""
    template = files("harness.suite").joinpath(TEMPLATE).read_text(encoding="utf-8")
    parts = {
        "title": "All good" if report.good else f"{len(report.red)} red" if report.red else "Not good",
        "mood": "good" if report.good else "red",
        "figures": "".join(_figures(report)),
        "head": "".join(f'<th scope="col"><span>{escape(kind.value)}</span></th>' for kind in Kind),
        "rows": "".join(_rows(report)),
        "red": "".join(_troubles(report)),
        "cases": "".join(_case(result) for result in report.results),
        "exemptions": "".join(
            f"<tr><td>{escape(each.tool)}</td><td>{escape(each.kind.value)}</td><td>{escape(each.reason)}</td></tr>"
            for each in report.exemptions
        ),
    }
    for name, content in parts.items():
        template = template.replace(f"<!-- {name} -->", content)
    return template


def _figures(report: Report) -> Iterator[str]:
    tools = len({result.case.tool for result in report.results})
    upstream = sum(result.upstream for result in report.results)
    told = (
        ("cases", f"{len(report.results)}"),
        ("red", f"{len(report.red)}"),
        ("tools", f"{tools}"),
        ("wall time", f"{report.seconds:.1f} s"),
        ("requests to Mixpanel", f"{upstream:,}"),
        ("attempts to leave", f"{len(report.attempts)}"),
        ("from", report.target),
        ("network", report.isolation),
        ("at", report.at.replace("T", " ").replace("+00:00", " UTC")),
    )
    for name, value in told:
        yield f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


def _rows(report: Report) -> Iterator[str]:
    exempt = {(each.tool, each.kind): each.reason for each in report.exemptions}
    for tool, row in fields(report).items():
        seconds = sum(result.verdict.seconds for results in row.values() for result in results)
        calls = sum(result.upstream for results in row.values() for result in results)
        yield f'<tr><th scope="row">{escape(tool)}</th>'
        for kind, results in row.items():
            reason = exempt.get((tool, kind))
            yield _field(kind, results, reason)
        yield f'<td class="number">{seconds:.2f} s</td><td class="number">{calls}</td></tr>'


def _field(kind: Kind, results: Sequence[Result], reason: str | None) -> str:
    what = cell(results, reason is not None)
    said = reason or ", ".join(f"{result.case.name} by {result.verdict.way}" for result in results) or "no case"
    reds = sum(not result.good for result in results)
    number = f"{reds}/{len(results)}" if reds else len(results) or ""
    red = next((result for result in results if not result.good), None)
    inner = f'<a href="#{escape(_anchor(red))}">{SIGNS[what]}{number}</a>' if red else f"{SIGNS[what]}{number}"
    return f'<td class="{what}" title="{escape(f"{kind.value}: {said}")}">{inner}</td>'


def _troubles(report: Report) -> Iterator[str]:
    for result in report.red:
        yield f'<article id="{escape(_anchor(result))}"><h3>{escape(result.case.id)} <small>by '
        yield f"{escape(result.verdict.way)}, {escape(result.case.kind.value)}</small></h3><ul>"
        yield "".join(f"<li>{escape(sentence)}</li>" for sentence in result.why)
        yield "</ul>"
        if result.layer:
            yield f"<p>First differs in the layer <b>{escape(result.layer.name)}</b>:</p><pre>"
            yield "\n".join(_line(line) for line in result.layer.diff)
            yield "</pre>"
        yield "</article>"
    for attempt in report.attempts:
        yield f"<article><h3>Tried to leave this machine</h3><p>{escape(attempt)}</p></article>"
    for name in report.unused:
        yield f"<article><h3>Recorded and not asked for</h3><p>{escape(name)}</p></article>"


def _line(line: str) -> str:
    kind = {"-": "minus", "+": "plus"}.get(line[:1], "")
    return f'<span class="{kind}">{escape(line)}</span>' if kind else escape(line)


def _case(result: Result) -> str:
    what = "good" if result.good else "red"
    return (
        f'<tr class="{what}"><td>{SIGNS[what]}</td><td>{escape(result.case.id)}</td>'
        f"<td>{escape(result.case.kind.value)}</td><td>{escape(result.verdict.way)}</td><td>{escape(result.case.via)}</td>"
        f'<td class="number">{result.verdict.seconds * 1000:.0f} ms</td><td class="number">{result.upstream}</td></tr>'
    )


def _anchor(result: Result) -> str:
    return f"red-{result.verdict.way}-{result.case.id}"
