"""`record`, `drift`: put on tape what a target answers, and ask whether it still does."""

import re
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from harness.commands import begin
from harness.errors import Exit, HarnessError

if TYPE_CHECKING:
    from harness.settings import Settings

app = typer.Typer()

_AGE = re.compile(r"([0-9]{1,5})d?")


@app.command()
def record(
    target: Annotated[Literal["emulator", "live"], typer.Option(help="What is asked.")] = "emulator",
    only: Annotated[
        list[str] | None, typer.Option(help="A tool whose cases are recorded anew; may be repeated.")
    ] = None,
    stale: Annotated[str | None, typer.Option(help="Record tapes anew that are older, such as 90d.")] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be asked, and ask nothing.")] = False,
    anew: Annotated[bool, typer.Option("--anew", help="Forget what a stopped recording has asked.")] = False,
    tapes: Annotated[Path | None, typer.Option(help="Where tapes are put, fixtures/cassettes when unset.")] = None,
    json: begin.Json = False,
) -> None:
    """Put on tape what the emulator or live Mixpanel answers."""
    from harness import output
    from harness.cassettes import plan
    from harness.cassettes import record as recording
    from harness.cassettes.journal import Session
    from harness.suite import facts, taped

    settings = begin.settings()
    wish = recording.Wish(
        tapes=_tapes(tapes, settings),
        target=target,
        only=tuple(only or ()),
        older_than=_age(stale),
        anew=anew,
        cache_dir=settings.values.emulator.cache_dir,
        caller=taped.answering,
    )
    directory = settings.state_dir / "recording"
    cases = taped.tape_cases(facts.load())
    if dry_run:
        found = recording.planned(wish, cases, Session(directory / "session"))
        output.show(_plan_value(found), plan.text(found), json=json)
        return

    tell = _teller(json=json)
    made = recording.record(
        wish, cases, directory, settings.environment, show=lambda found: tell(plan.text(found)), tell=tell
    )
    text = f"{len(made.recorded)} tapes in {wish.tapes}; {made.sent} requests sent, {made.known} known already"
    output.show(made.to_dict(), text, json=json)
    if made.bad:
        raise typer.Exit(Exit.FAILED)


@app.command()
def drift(
    target: Annotated[Literal["emulator", "live"], typer.Option(help="What is asked.")] = "emulator",
    only: Annotated[list[str] | None, typer.Option(help="A tool whose tapes are asked for; may be repeated.")] = None,
    sample: Annotated[int, typer.Option(min=1, help="How many tapes.")] = 5,
    seed: Annotated[int | None, typer.Option(help="Which tapes; those of the day when unset, others tomorrow.")] = None,
    *,
    tapes: Annotated[Path | None, typer.Option(help="Where tapes are, fixtures/cassettes when unset.")] = None,
    json: begin.Json = False,
) -> None:
    """Ask again for some of what is on tape; say what is otherwise."""
    from dataclasses import asdict

    from harness import clock, output
    from harness.cassettes import drift as drifting
    from harness.suite import taped

    settings = begin.settings()
    asked, changes = drifting.drift(
        _tapes(tapes, settings),
        settings.state_dir / "recording",
        settings.environment,
        target=target,
        sample=sample,
        seed=clock.now().toordinal() if seed is None else seed,
        only=only or (),
        cache_dir=settings.values.emulator.cache_dir,
        caller=taped.answering,
        tell=_teller(json=json),
    )
    text = "\n".join([*map(str, changes), f"{len(asked)} tapes asked for again, {len(changes)} differences"])
    output.show({"asked": asked, "changes": [asdict(each) for each in changes]}, text, json=json)
    if changes:
        raise typer.Exit(Exit.FAILED)


def _tapes(said: Path | None, settings: "Settings") -> Path:
    from harness.cassettes import launch

    return said.resolve() if said else (settings.root or Path.cwd()) / launch.TAPES


def _teller(*, json: bool) -> Callable[[str], object]:
    """Lines for a person on standard error; nothing for a program."""
    return (lambda _text: None) if json else (lambda text: sys.stderr.write(text + "\n"))


def _age(text: str | None) -> timedelta | None:
    if text is None:
        return None
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise HarnessError("BAD_AGE", f"{text!r} is no age", fix="give days, such as 90d", exit_code=Exit.USAGE)
    return timedelta(days=int(found[1]))


def _plan_value(found: Any) -> dict[str, Any]:
    return {
        "target": found.target,
        "record": [
            {"case": each.case.id, "why": each.why, "requests": len(each.questions), "guessed": each.guessed}
            for each in found.record
        ],
        "keep": list(found.keep),
        "impossible": dict(found.impossible),
        "requests": dict(found.spends),
        "merged": found.merged,
        "hours": found.hours,
    }
