"""`logs`: what the services wrote, with known issues marked as they pass, and logs from anywhere."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import begin
from harness.errors import Exit, HarnessError

if TYPE_CHECKING:
    from pathlib import Path

    from harness.settings import Settings

app = typer.Typer()


@app.command()
def logs(
    service: Annotated[
        str | None,
        typer.Argument(help="Which service; all when none is named.", autocompletion=begin.names_beginning),
    ] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("-n", min=0, help="How many of the last lines of each service.")] = 50,
    scan: Annotated[
        str | None, typer.Option(metavar="FILE", help="Look for known issues in this log instead; - is standard input.")
    ] = None,
    json: begin.Json = False,
) -> None:
    """Show what the services of the last run wrote, known issues marked."""
    if scan is not None:
        _scan(scan, json=json)
        return
    from harness import output
    from harness.doctor import known_issues
    from harness.doctor.known_issues.text import mark_text
    from harness.progress import Lines
    from harness.stack import logs as written
    from harness.stack.look import without_a_log
    from harness.stack.plan import check_names

    settings = begin.settings()
    state, elsewhere = begin.state(settings), of_others(settings)
    check_names(begin.services(), [service] if service else [])
    chosen = [service] if service else [each.name for each in begin.services()]
    there = chosen if follow else [name for name in chosen if elsewhere.get(name, state.log(name)).exists()]
    removed = [name for name in without_a_log(state) if name in chosen and name not in elsewhere]
    if removed and there and not json:
        Lines(sys.stderr).note(f"removed while its service runs: the log of {', '.join(removed)}")
    if not there and removed:
        raise HarnessError(
            "LOG_REMOVED",
            f"the log of {', '.join(removed)} was removed while it runs, and what it writes is lost",
            fix="begin a new one: harness restart " + " ".join(removed),
        )
    if not there:
        raise HarnessError(
            "NO_LOGS", "nothing was started here yet", fix="start it: harness up", exit_code=Exit.NOT_RUNNING
        )
    marks, told = known_issues.scan(), set[tuple[str, str]]()
    begun = written.last(state, there, lines, elsewhere)
    for lines_of in (begun, written.follow(state, there, elsewhere=elsewhere) if follow else ()):
        for name, line in lines_of:
            found = marks.feed(name, line + "\n")
            texts = [output.log_text(name, line, there)]
            for each in found:
                key = (each.issue.id, each.weight.value)
                texts.append(mark_text(each, again=key in told))
                told.add(key)
            issues = [{"id": each.issue.id, "weight": each.weight.value} for each in found]
            output.show({"service": name, "line": line, "issues": issues}, "\n".join(texts), json=json)


def of_others(settings: "Settings") -> "dict[str, Path]":
    """The logs of services that somebody else started, by service."""
    return {name: path for name, path in settings.values.logs if path is not None}


def _scan(name: str, *, json: bool) -> None:
    from harness import output
    from harness.doctor.known_issues import Weight
    from harness.doctor.known_issues.text import findings_text
    from harness.doctor.log_scan import scan_file

    found = scan_file(name)
    faults = sum(finding.weight is Weight.FAULT for finding in found)
    report = {"log": name, "faults": faults, "findings": [finding.to_dict() for finding in found]}
    output.show(report, findings_text(found), json=json)
    raise typer.Exit(Exit.FAILED if faults else Exit.GOOD)
