"""pytest's usual habits for recordings: `-p harness.suite.plugin`, then `--record-mode` and `-m recorded`.

A test plays the tape of a case that is one of its parameters, or that its marker names:
`@pytest.mark.recorded("list_events--all")`. It gets the server with that tape in it from the fixture `taped_server`,
which fails it for a request that is not on the tape and for one on the tape that was not made.

Nothing is recorded while tests run. What `--record-mode` asks for is recorded before the first of them, by one process.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError, nearest
from harness.suite.case import Case

if TYPE_CHECKING:
    from fastmcp import FastMCP

    from harness.cassettes.host import Host
    from harness.cassettes.record import Outcome

MODES = {
    "none": "play, and record nothing",
    "once": "record tapes that are not there",
    "new_episodes": "also those whose case has changed",
    "all": "all that selected tests play, anew",
    "rewrite": "the same as all",
}
"""As vcrpy and pytest-recording call them; a tape is recorded whole, so an old one does not get new requests added."""
OPTION = "--record-mode"
MARKER = "recorded"


def pytest_addoption(parser: pytest.Parser) -> None:
    """What can be said on the command line."""
    group = parser.getgroup("recordings")
    said = "; ".join(f"{mode}: {what}" for mode, what in MODES.items())
    group.addoption(OPTION, choices=tuple(MODES), default="none", help=f"what is recorded before tests run. {said}")
    group.addoption(
        "--record-tapes", type=Path, default=None, metavar="DIR", help="where tapes are, fixtures/cassettes when unset"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Names the marker; refuses to record in several processes at once."""
    config.addinivalue_line("markers", f"{MARKER}(case): plays the tape of the case; set by itself on tests of a case")
    workers = getattr(config.option, "numprocesses", None) or getattr(config, "workerinput", None)
    if config.getoption(OPTION) != "none" and workers:
        raise pytest.UsageError(f"{OPTION}: recordings are made by one process; leave out -n, or record with -n 0")


def case_of(item: pytest.Item) -> Case | None:
    """The case that a test plays the tape of; None where it plays none.

    Raises:
        pytest.UsageError: its marker names no case, or one that no tape can hold.
    """
    marker = item.get_closest_marker(MARKER)
    if marker is not None and marker.args:
        return _named(item, str(marker.args[0]))
    values = getattr(getattr(item, "callspec", None), "params", {}).values()
    return next((value for value in values if isinstance(value, Case) and value.via == "tape"), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what plays a tape."""
    for item in items:
        if case_of(item) is not None and item.get_closest_marker(MARKER) is None:
            item.add_marker(MARKER)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Record, where that is asked for, what the selected tests will play.

    Raises:
        pytest.UsageError: a case has no tape afterwards.
    """
    mode = session.config.getoption(OPTION)
    if mode == "none" or session.config.option.collectonly:
        return
    cases = {case.id: case for item in session.items if (case := case_of(item)) is not None}
    if not cases:
        return
    with _told(f"{OPTION}={mode}"):
        bad = _recorded(session.config, list(cases.values()), mode).bad
    if bad:
        said = "\n".join(f"  {case}: {why}" for case, why in bad.items())
        raise pytest.UsageError(f"{OPTION}={mode}: not recorded:\n{said}")


@pytest.fixture(scope="module")
def tape_host(pytestconfig: pytest.Config) -> "Iterator[tuple[Host, FastMCP]]":
    """A host within this process, with nobody's account, and the one server in it."""
    from harness.cassettes import launch
    from harness.cassettes.host import build, hosted

    with pytest.MonkeyPatch.context() as patch:
        for name, value in launch.play_environment().items():
            if value is None:
                patch.delenv(name, raising=False)
            else:
                patch.setenv(name, value)
        with hosted(_tapes(pytestconfig)) as host:
            yield host, build()


@pytest.fixture
def taped_server(request: pytest.FixtureRequest, tape_host: "tuple[Host, FastMCP]") -> "Iterator[FastMCP]":
    """The MCP server with the tape of the test's case as its Mixpanel, an empty store, and the recording's clock."""
    from harness.suite.taped import place

    case = case_of(request.node)
    if case is None:
        pytest.fail(
            f"taped_server: this test is of no case that is on tape;"
            f" fix: name one, @pytest.mark.{MARKER}(CASE), or have a Case among its parameters",
            pytrace=False,
        )
    host, server = tape_host
    try:
        host.begin(place(case))
    except HarnessError as error:
        missing = f"pytest {OPTION}=once" if error.code == "TAPE_MISSING" else error.fix
        pytest.fail(f"{error.code}: {error.cause}; fix: {missing}", pytrace=False)
    try:
        yield server
    finally:
        report = host.end()
    wrong = [*report["misses"], *(f"on its tape and not asked for: {each}" for each in report["unused"])]
    wrong += [f"tried to leave this machine: {host.attempts()[-1]}"] if report["attempts_to_leave"] else []
    if wrong:
        fix = f"mend what asks otherwise than it did, or, if it is meant, record anew: pytest {OPTION}=all"
        pytest.fail("\n".join((*wrong, f"fix: {fix}")), pytrace=False)


def _named(item: pytest.Item, name: str) -> Case:
    from harness.suite.cases import CASES

    known = {case.id: case for case in CASES}
    if name not in known:
        raise pytest.UsageError(f"{item.nodeid}: there is no case {name!r}; fix: {nearest(name, sorted(known))}")
    if known[name].via != "tape":
        raise pytest.UsageError(
            f"{item.nodeid}: no tape can hold {name}; fix: name another case, or run it: harness suite --case {name}"
        )
    return known[name]


def _tapes(config: pytest.Config) -> Path:
    from harness.cassettes import launch

    said: Path | None = config.getoption("--record-tapes")
    return said.resolve() if said else config.rootpath / launch.TAPES


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except HarnessError as error:
        last = "".join(f"\n  {line}" for line in error.log[-3:])
        raise pytest.UsageError(f"{what}: {error.code}: {error.cause}; fix: {error.fix}{last}") from None


def _recorded(config: pytest.Config, cases: list[Case], mode: str) -> "Outcome":
    from harness.cassettes import record, tape
    from harness.settings import load
    from harness.suite import facts, taped

    settings, tapes = load(), _tapes(config)
    ours = taped.tape_cases(facts.load(), cases)
    if mode == "once":
        ours = tuple(case for case in ours if not tape.place(tapes, case.id).exists())
    wish = record.Wish(
        tapes=tapes,
        only=tuple(sorted({case.tool for case in ours})) if mode in ("all", "rewrite") else (),
        caller=taped.answering,
        cache_dir=settings.values.emulator.cache_dir,
    )
    tell = config.get_terminal_writer().line
    directory = settings.state_dir / "recording"
    return record.record(wish, ours, directory, settings.environment, show=lambda _: None, tell=tell)
