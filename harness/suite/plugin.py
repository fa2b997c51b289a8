"""pytest's usual habits for recordings: `-p harness.suite.plugin`, then `--record-mode` and `-m recorded`.

A test is recorded where one of its parameters is a case that a tape can hold. With `--record-mode=missing` the
tapes that are not there, or whose case has changed, are recorded before the first test runs; with `rewrite` those of
all tools that are selected are. Recording is for one process: with workers only `none` is allowed.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.suite.case import Case

if TYPE_CHECKING:
    from harness.cassettes.record import Outcome

MODES = ("none", "missing", "rewrite")
OPTION = "--record-mode"


def pytest_addoption(parser: pytest.Parser) -> None:
    """What can be said on the command line."""
    group = parser.getgroup("recordings")
    group.addoption(OPTION, choices=MODES, default="none", help="which tapes are recorded before tests run")
    group.addoption("--record-tapes", type=Path, default=None, help="where tapes are, fixtures/cassettes when unset")


def pytest_configure(config: pytest.Config) -> None:
    """Names the marker; refuses to record in several processes at once."""
    config.addinivalue_line("markers", "recorded: plays a tape")
    workers = getattr(config.option, "numprocesses", None) or getattr(config, "workerinput", None)
    if config.getoption(OPTION) != "none" and workers:
        raise pytest.UsageError(f"{OPTION}: recordings are made by one process; leave out -n, or record with -n 0")


def case_of(item: pytest.Item) -> Case | None:
    """The case that a test is of, if a tape can hold it."""
    values = getattr(getattr(item, "callspec", None), "params", {}).values()
    return next((value for value in values if isinstance(value, Case) and value.via == "tape"), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what plays a tape."""
    for item in items:
        if case_of(item) is not None:
            item.add_marker("recorded")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Record, where that is asked for, what the selected tests will play.

    Raises:
        pytest.UsageError: a case has no tape afterwards.
    """
    mode = session.config.getoption(OPTION)
    cases = tuple(dict.fromkeys(case.id for item in session.items if (case := case_of(item)) is not None))
    if mode == "none" or not cases or session.config.option.collectonly:
        return
    made = _recorded(session.config, set(cases), rewrite=mode == "rewrite")
    if made.bad:
        said = "\n".join(f"  {case}: {why}" for case, why in made.bad.items())
        raise pytest.UsageError(f"{OPTION}={mode}: not recorded:\n{said}")


def _recorded(config: pytest.Config, names: set[str], *, rewrite: bool) -> "Outcome":
    from harness.cassettes import launch, record
    from harness.settings import load
    from harness.suite import facts, taped
    from harness.suite.cases import CASES

    settings = load()
    ours = taped.tape_cases(facts.load(), [case for case in CASES if case.id in names])
    wish = record.Wish(
        tapes=config.getoption("--record-tapes") or config.rootpath / launch.TAPES,
        only=tuple(sorted({case.tool for case in ours})) if rewrite else (),
        caller=taped.caller(),
        cache_dir=settings.values.emulator.cache_dir,
    )
    tell = config.get_terminal_writer().line
    directory = settings.state_dir / "recording"
    return record.record(wish, ours, directory, settings.environment, show=lambda _: None, tell=tell)
