"""A checkout with a tape for each case, and ways in which one of them goes wrong."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from harness.cassettes import launch, tape, written
from harness.cassettes.tape import Answer, Exchange, Recorded, Tape
from harness.suite import facts, taped
from tests.harness.cassettes.made import interaction, recorded
from tests.harness.doctor.bench import Bench
from tests.support.repository import ROOT

Broken = AbstractContextManager[Mapping[str, str | None]]
ODD = "live/segmentation--by-browser"


@contextmanager
def _checkout(bench: Bench, go_wrong: Callable[[Path], object]) -> Iterator[Mapping[str, str | None]]:
    """The bench's directory is a checkout for a while, and one thing is wrong with its tapes."""
    mark, tapes = bench.directory / "harness.toml", bench.directory / launch.TAPES
    tapes.mkdir(parents=True)
    shutil.copy(ROOT / launch.TAPES / facts.FILE, tapes)
    known = facts.load(tapes)
    for case in taped.tape_cases(known):
        calls = tuple(Exchange(call, {"content": []}) for call in case.calls)
        said = (case.replies, case.samples)
        written.write(tapes, Tape(case.id, recorded(), (interaction(),), calls, case.faults, case.varies, *said))
    mark.touch()
    try:
        go_wrong(tapes)
        yield {}
    finally:
        mark.unlink()
        shutil.rmtree(bench.directory / launch.TAPES.parts[0])


def _rewritten(tapes: Path, **changed: object) -> None:
    """The odd tape, with something else of where it comes from."""
    found = written.read(tapes, ODD)
    values = {name: getattr(found.recorded, name) for name in ("at", "target", "clock", "region", "data", "versions")}
    written.write(tapes, replace(found, recorded=Recorded(**(values | changed))))


def cut(bench: Bench) -> Broken:
    """A tape ends before its end."""

    def go_wrong(tapes: Path) -> None:
        file = tape.place(tapes, ODD)
        file.write_bytes(file.read_bytes()[:-20])

    return _checkout(bench, go_wrong)


def missing(bench: Bench) -> Broken:
    """A case has no tape."""
    return _checkout(bench, lambda tapes: tape.place(tapes, ODD).unlink())


def left_over(bench: Bench) -> Broken:
    """A tape has no case."""
    return _checkout(bench, lambda tapes: written.write(tapes, replace(written.read(tapes, ODD), case=f"{ODD}-2")))


def stale(bench: Bench) -> Broken:
    """Live Mixpanel was asked long ago."""
    return _checkout(bench, lambda tapes: _rewritten(tapes, at="2024-01-01T00:00:00+00:00", target="live", data=None))


def mixed(bench: Bench) -> Broken:
    """One tape is of another data set than the rest."""
    return _checkout(bench, lambda tapes: _rewritten(tapes, data={"seed": 2}))


def with_a_token(bench: Bench) -> Broken:
    """An answer brought somebody's token along."""

    def go_wrong(tapes: Path) -> None:
        found = written.read(tapes, ODD)
        token = b'{"data":"ghp_' + b"a1B2" * 10 + b'"}'
        one = replace(found.interactions[0], answer=Answer(200, {"content-type": "application/json"}, token))
        written.write(tapes, replace(found, interactions=(one,)))

    return _checkout(bench, go_wrong)
