"""mp-mcp-server with its requests to Mixpanel on tape: `python -m harness.cassettes.host`, in the server's place.

    python -m harness.cassettes.host --play fixtures/cassettes --shelf -- --transport http --port 8200
    python -m harness.cassettes.host --record SESSION -- --transport http --port 8200

What stands behind `--` is the server's own. A case is chosen by a route that only this program has, and cases come one
after the other: what patches httpx does so for the whole process. More at once take more of these.

    POST /_cassettes/begin  {"case": "live/segmentation--example"}
    POST /_cassettes/end    {}
    GET  /_cassettes

This is the one module that may know the server and the library from inside.
"""

import argparse
import contextlib
import json
import logging
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from harness.cassettes import canonical, guarded, making, scrub, tape, written
from harness.cassettes.control import add_control
from harness.cassettes.deck import Closed, Deck, Player, Recorder, Shelf, Source
from harness.cassettes.guard import Guard
from harness.cassettes.journal import Session
from harness.cassettes.limits import Allowance
from harness.cassettes.seam import caught
from harness.cassettes.stores import LEFT, emptied
from harness.cassettes.tape import Case, Exchange, Tape
from harness.cassettes.virtual import Standing
from harness.errors import Exit, HarnessError
from harness.stack import processes
from mixpanel_data import ConfigError, budget, clock
from mixpanel_data.credentials import Credentials, api_base_url, resolve
from mp_mcp_server import server as servers
from mp_mcp_server.middleware import CachingMiddleware, create_caching_middleware, rate_limiting
from mp_mcp_server.results import Results
from mp_mcp_server.settings import Settings
from mp_mcp_server.workspaces import Workspaces

if TYPE_CHECKING:
    from fastmcp import FastMCP


@dataclass(frozen=True, slots=True)
class Mode:
    """What a host does with requests.

    tapes: where the tapes are that it plays
    session: what it records into; None where it only plays
    """

    tapes: Path
    session: Session | None = None


class Host:
    """The case that is on, and everything that must not outlive it.

    Args:
        mode: whether it may record
        credentials: the process's own
        stores: an empty directory for the databases of cases, one after the other
    """

    def __init__(self, mode: Mode, credentials: Credentials, stores: Path) -> None:
        secret = credentials.secret.get_secret_value()
        self._mode, self._stores = mode, stores
        self._of_children = stores / LEFT
        self._account = credentials
        self._away = scrub.Credentials(credentials.username, secret, credentials.project_id)
        self._people_key = secret
        self._servers: list[FastMCP] = []
        self._workspaces: list[_Fresh] = []
        self._results: list[Results] = []
        self._cases = 0
        self._recorder: Recorder | None = None
        self._recording: Case | None = None
        self._playing: Tape | None = None
        self.case: str | None = None
        self._between: Source = Closed()
        self.deck, self.guard, self.clock = Deck(self._between), Guard(), Standing(clock.sleep)
        self._kept_text = ""
        self._about = mode.session.about() if mode.session else None
        self._known = mode.session.known() if mode.session else {}
        self._sent = mode.session.sent() if mode.session and self._about and self._about.target == "live" else None
        if mode.session is None and credentials.project_id != scrub.PROJECT_ID:
            raise HarnessError(
                "OTHER_PROJECT",
                f"tapes are of project {scrub.PROJECT_ID}, and the server is to ask {credentials.project_id}",
                fix=f"set MP_PROJECT_ID to {scrub.PROJECT_ID}",
                exit_code=Exit.USAGE,
            )

    def begin(self, case: str) -> dict[str, Any]:
        """Play a case: its tape in, its clock, nothing in memory, an empty database.

        Raises:
            HarnessError: CASE_IS_ON; or the tape is missing, cut or unreadable
        """
        self._must_be_closed()
        found = written.read(self._mode.tapes, case)
        self._fresh(case)
        self.clock.set(_instant(found.recorded.clock), skips=True)
        self._playing, self.deck.source = found, Player(found)
        return {"case": case, "clock": found.recorded.clock, "interactions": len(found.interactions)}

    def record(self, case: Case) -> dict[str, Any]:
        """Record a case, or go on with it.

        Raises:
            HarnessError: CASE_IS_ON, NOT_RECORDING
        """
        self._must_be_closed()
        session, about = self._mode.session, self._about
        if session is None or about is None:
            raise HarnessError("NOT_RECORDING", "this host plays tapes and records none", fix="start one with --record")
        self._fresh(case.id)
        self.clock.set(_instant(about.clock), skips=about.target != "live")
        self._recording = case
        told = [[each.to_dict() for each in case.replies or ()], case.samples]
        self._kept_text = json.dumps([*(dict(call.arguments) for call in case.calls), *told], ensure_ascii=False)
        self._recorder = Recorder(
            session.journal(case.id, apart=bool(case.faults)),
            known={} if case.faults else self._known,
            accidents=bool(case.faults),
            allow=Allowance(self._sent).ask if self._sent else None,
        )
        self.deck.source = self._recorder
        return {"case": case.id, "clock": about.clock, "interactions": len(self._recorder.interactions)}

    def end(self, exchanges: Sequence[Exchange] | None = None) -> dict[str, Any]:
        """The case is over.

        Args:
            exchanges: of a case that was recorded and is good: its tape is made of them and of what was asked; of one
                that was played: they are held against its tape

        Returns:
            The deck's report, with the waits that were skipped and the attempts to leave the machine; of a case that
            was played, with its exchanges as a tape would keep them.
        """
        report = asdict(self.deck.source.report())
        recorder, recording, playing, case = self._recorder, self._recording, self._playing, self.case
        self.deck.source, self._recorder, self.case = self._between, None, None
        slept = self.clock.slept
        self.clock.set(self.clock.instant, skips=self.clock.skips)
        self._recording = self._playing = None
        if recorder is not None and recording is not None and exchanges is not None:
            written.write(self._mode.tapes, self._tape(recording, recorder, exchanges))
            if self._mode.session is not None:
                self._known = self._mode.session.known()
        if playing is not None and exchanges is not None:
            report["exchanges"] = [asdict(each) for each in making.kept(exchanges, playing.varies, self._plain)]
        return {"case": case, **report, "slept": slept, "attempts_to_leave": len(self.attempts())}

    def state(self) -> dict[str, Any]:
        """Which case is on, and what was tried that may not be."""
        return {
            "case": self.case,
            "records": self._mode.session is not None,
            "clock": self.clock.now().isoformat(),
            "between_cases": asdict(self._between.report()),
            "attempts_to_leave": self.attempts(),
        }

    def attempts(self) -> list[str]:
        """Where this process, and what it started, tried to go beyond the machine."""
        return [*self.guard.attempts, *guarded.read(self._of_children)]

    def shelve(self) -> None:
        """Play all tapes of the commonest clock at once, while no case is on.

        Raises:
            HarnessError: a tape is cut or unreadable; TAPES_MISSING
        """
        tapes = [written.read(self._mode.tapes, case) for case in tape.found(self._mode.tapes)]
        if not tapes:
            raise HarnessError(
                "TAPES_MISSING", f"there is no tape in {self._mode.tapes}", fix="record some: harness record"
            )
        ((instant, _),) = Counter(each.recorded.clock for each in tapes).most_common(1)
        self.clock.set(_instant(instant), skips=True)
        self.deck.source = self._between = Shelf(each for each in tapes if each.recorded.clock == instant)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """In the library's and the server's place for as long as this lasts."""
        with contextlib.ExitStack() as stack:
            for name in ("now", "epoch", "monotonic", "sleep"):
                stack.enter_context(_in_place(clock, name, getattr(self.clock, name)))
            stack.enter_context(_in_place(rate_limiting, "anyio", _Anyio(self.clock)))
            stack.enter_context(_in_place(servers, "Workspaces", self._make_workspaces))
            stack.enter_context(_in_place(servers, "Results", self._make_results))
            stack.enter_context(_in_place(servers, "build", self._building(servers.build)))
            stack.enter_context(caught(self.deck, self._away, self._base_url))
            if self._mode.session is None:
                stack.enter_context(self._guarded())
            yield

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Nothing of this process leaves the machine, nor of the one that it has SQL run by."""
        _end_sql()
        with guarded.children(self._of_children):
            self.guard.on = True
            try:
                yield
            finally:
                self.guard.on = False
                _end_sql()

    def _tape(self, case: Case, recorder: Recorder, exchanges: Sequence[Exchange]) -> Tape:
        if self._about is None:
            raise AssertionError("a tape is made of a session")
        people = scrub.People(self._people_key, self._kept_text).away if self._about.target == "live" else bytes
        return making.tape_of(case, self._about, recorder.interactions, exchanges, (self._plain, people))

    def _plain(self, text: bytes) -> bytes:
        """Without the account, and with Mixpanel's own address."""
        return self._away.away(canonical.told(self._base_url())(text))

    def _fresh(self, case: str) -> None:
        """Nothing of an earlier case: neither what server and library remember, nor what was spent, nor any table."""
        self._cases += 1
        self.case = case
        old, new = self._stores / str(self._cases - 1), self._stores / str(self._cases)
        new.mkdir(mode=0o700)
        for workspaces in self._workspaces:
            workspaces.start_over(new / "store.db")
        for results in self._results:
            results.clear()
        with budget._lock:
            budget._budgets.clear()
        for server in self._servers:
            server.middleware[:] = [
                create_caching_middleware() if isinstance(each, CachingMiddleware) else each
                for each in server.middleware
            ]
        if old.exists():
            shutil.rmtree(old)

    def _must_be_closed(self) -> None:
        if self.case is not None:
            raise HarnessError(
                "CASE_IS_ON", f"{self.case} is on, and a host has one case at a time", fix="POST /_cassettes/end first"
            )

    def _make_workspaces(self, *arguments: Any) -> "_Fresh":
        made = _Fresh(*arguments)
        if made.is_the_users:
            # What somebody fetches from a shelf is no business of the store that is theirs.
            (self._stores / "0").mkdir(mode=0o700, exist_ok=True)
            made.start_over(self._stores / "0" / "store.db")
        self._workspaces.append(made)
        return made

    def _make_results(self, *arguments: Any) -> Results:
        made = Results(*arguments)
        self._results.append(made)
        return made

    def _building(self, build: Any) -> Any:
        def with_control(*arguments: Any, **options: Any) -> "FastMCP":
            server: FastMCP = build(*arguments, **options)
            self._servers.append(server)
            add_control(server, self)
            return server

        return with_control

    def _base_url(self) -> str | None:
        url = api_base_url()
        return url.replace("{region}", self._account.region) if url else None


class _Fresh(Workspaces):
    """The server's Workspace, which can be another one from now on."""

    @property
    def is_the_users(self) -> bool:
        """Whether it would be the library's own for the project."""
        return self._settings.db is None

    def start_over(self, db: Path) -> None:
        self.close()
        self._settings = replace(self._settings, db=db)


class _Anyio:
    """`anyio` as the server's wait for the budget sees it."""

    to_thread = anyio.to_thread

    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    async def sleep(self, seconds: float) -> None:
        if self._standing.skips:
            self._standing.skip(seconds)
            seconds = 0
        await anyio.sleep(seconds)


@contextlib.contextmanager
def hosted(tapes: Path, session: Session | None = None, stores: Path | None = None) -> Iterator[Host]:
    """A host within this process: `build` of the server, called in here, makes a server whose requests are on tape.

    Args:
        tapes: where the tapes are
        session: what to record into; None to play
        stores: where the databases of cases are, nobody else's; a session has a place of its own, and where neither is
            said it is one that is made for it

    Raises:
        HarnessError: CREDENTIALS_MISSING, OTHER_PROJECT, SECRET_TOO_SHORT
    """
    try:
        credentials = resolve()
    except ConfigError as error:
        raise HarnessError(
            "CREDENTIALS_MISSING", error.message, fix=str(error.fix), exit_code=Exit.CREDENTIALS
        ) from None
    with emptied(session.directory / "stores" if session else stores) as place:
        host = Host(Mode(tapes, session), credentials, place)
        with host.entered():
            yield host


def build(settings: Settings | None = None) -> "FastMCP":
    """The server within `hosted`."""
    return servers.build(settings)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server; as `mp_mcp_server.cli.main`, whose exit status this is."""
    words = list(sys.argv[1:] if argv is None else argv)
    own, others = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    options = _parser().parse_args(own)
    session = Session(options.record) if options.record else None
    try:
        # The server passes a signal on when it has served to its end: that must not be the end of what tidies up.
        with (
            contextlib.suppress(KeyboardInterrupt),
            processes.ending_by_signal(),
            hosted(session.tapes if session else options.play, session, options.stores) as host,
        ):
            if options.shelf:
                host.shelve()
            from mp_mcp_server import cli

            # It tells each request with its URL, and somebody may have asked for a secret by its value.
            logging.getLogger("vcr").setLevel(logging.WARNING)
            if options.case is None:
                return cli.main(others)
            host.begin(options.case)
            try:
                return cli.main(others)
            finally:
                if options.report:
                    written.replace(options.report, json.dumps(host.end() | {"attempts": host.attempts()}).encode())
    except HarnessError as error:
        sys.stderr.write(f"mp-mcp-server: {error.code}: {error.cause}; fix: {error.fix}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="harness.cassettes.host", description=(__doc__ or "").splitlines()[0])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--play", metavar="DIR", type=Path, help="play the tapes in there")
    which.add_argument("--record", metavar="SESSION", type=Path, help="record into a session that was begun")
    parser.add_argument("--shelf", action="store_true", help="with --play: all good tapes at once, while no case is on")
    parser.add_argument("--case", metavar="ID", help="with --play: the case that is on, for a server without HTTP")
    parser.add_argument("--stores", metavar="DIR", type=Path, help="with --play: its own directory, emptied first")
    parser.add_argument("--report", metavar="FILE", type=Path, help="with --case: where its report goes at the end")
    return parser


def _end_sql() -> None:
    """What runs SQL is started by the first query and serves all others; another one comes to be when it is gone."""
    confine: Any = sys.modules.get("mixpanel_data.local.confine")
    if confine is not None:
        confine.end()


def _instant(text: str) -> datetime:
    return clock.parse_instant(text)


@contextlib.contextmanager
def _in_place(of: object, name: str, value: object) -> Iterator[None]:
    before = getattr(of, name)
    setattr(of, name, value)
    try:
        yield
    finally:
        setattr(of, name, before)


if __name__ == "__main__":
    sys.exit(main())
