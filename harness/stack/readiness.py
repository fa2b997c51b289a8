"""The ladder that proves a service ready: socket, health, handshake, tools, one real call, each on the one below."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from harness import clock, wire
from harness.errors import Exit, HarnessError
from harness.rpc import RpcError, Session, tool_error
from harness.stack.services import Service
from harness.wire import Fault, Place, WireError

FIRST_PAUSE_S, LAST_PAUSE_S = 0.02, 0.25
PROBE_S = 5.0
CALL_S = 30.0
PROBE_TOOL = "list_events"
CREDENTIAL_CODES = ("AUTH", "CREDENTIAL", "CONFIG")


class RungError(Exception):
    """A rung that does not hold.

    code: stable name of the fault
    may_mend: whether it is worth looking again, as with a service that is still starting
    """

    def __init__(
        self, code: str, cause: str, fix: str, *, may_mend: bool = True, exit_code: Exit = Exit.FAILED
    ) -> None:
        super().__init__(cause)
        self.code, self.cause, self.fix, self.may_mend, self.exit_code = code, cause, fix, may_mend, exit_code


@dataclass(slots=True)
class Climb:
    """One way up: the service, its port or where else it is, and what the rungs below have brought."""

    service: Service
    port: Place
    deadline: clock.Deadline | None = None
    session: Session | None = None
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """Host and port."""
        return f"{wire.HOST}:{self.port}" if isinstance(self.port, int) else str(self.port)

    def patience_s(self, most_s: float) -> float:
        """How long one probe may take: no longer than the whole climb has left."""
        return most_s if self.deadline is None else min(most_s, self.deadline.left_s() + LAST_PAUSE_S)


def socket(climb: Climb) -> str:
    """Something listens."""
    wire.connect(climb.port, climb.patience_s(PROBE_S))
    return f"{climb.where} listens"


def health(climb: Climb) -> str:
    """It is our program, and it says that it is well."""
    answer = wire.get(climb.port, climb.service.health, climb.patience_s(PROBE_S)).json_object()
    name = answer.get("name", climb.service.program)
    if name != climb.service.program:
        raise WireError(Fault.OTHER_PROGRAM, f"the program there calls itself {name}, not {climb.service.program}")
    if answer.get("status") != "ok":
        raise WireError(Fault.OTHER_PROGRAM, f"{climb.service.health} answers {str(answer)[:100]}, without status ok")
    return ", ".join(f"{key} {value}" for key, value in answer.items() if isinstance(value, str | int))


def about(climb: Climb) -> str:
    """It describes itself by its name."""
    climb.about = fetch_about(climb.service, climb.port, climb.patience_s(PROBE_S))
    return f"{climb.about.get('name')} {climb.about.get('version', '')}".strip()


def initialize(climb: Climb) -> str:
    """It speaks MCP."""
    climb.session = Session(climb.port, climb.service.path, climb.patience_s(CALL_S))
    info = climb.session.initialize().get("serverInfo", {})
    return f"{info.get('name', 'a server without a name')} {info.get('version', '')}".strip()


def tools(climb: Climb) -> str:
    """It offers tools, the one for the next rung among them."""
    names = [tool.get("name") for tool in _session(climb).tools()]
    if PROBE_TOOL not in names:
        raise WireError(Fault.OTHER_PROGRAM, f"{len(names)} tools, but no {PROBE_TOOL}")
    return f"{len(names)} tools"


def call(climb: Climb) -> str:
    """A real question gets a real answer."""
    result = _session(climb).call(PROBE_TOOL, {})
    _session(climb).close()
    if result.get("isError"):
        error = tool_error(result)
        refused = any(word in error.code.upper() for word in CREDENTIAL_CODES)
        raise RungError(
            error.code,
            f"{PROBE_TOOL}: {error.cause}",
            error.fix,
            may_mend=False,
            exit_code=Exit.CREDENTIALS if refused else Exit.FAILED,
        )
    return f"{PROBE_TOOL} answered"


RUNGS: dict[str, Callable[[Climb], str]] = {
    rung.__name__: rung for rung in (socket, health, about, initialize, tools, call)
}

FIXES: dict[Fault, str] = {
    Fault.REFUSED: "bring it up: harness up",
    Fault.SILENT: "see what it does: harness logs {name}; start again: harness up --fresh",
    Fault.CUT: "see why: harness logs {name}",
    Fault.NOT_HTTP: "see who listens: ss -ltnp 'sport = :{port}'; or set another port: {setting}",
    Fault.REDIRECT: "another server answers on this port; set another port: {setting}",
    Fault.HTML: "another web server answers on this port; set another port: {setting}",
    Fault.OTHER_PROGRAM: "another program answers on this port; set another port: {setting}",
    Fault.STATUS: "see why: harness logs {name}",
}


def climb_rung(climb: Climb, name: str) -> str:
    """Climb one rung; returns what was found there.

    Raises:
        RungError: with the fault's own name, what was seen and what to do
    """
    service = climb.service
    try:
        return RUNGS[name](climb)
    except WireError as error:
        fix = FIXES[error.fault].format(name=service.name, port=climb.port, setting=service.port_setting)
        if not isinstance(climb.port, int):
            fix = f"see to the one at {climb.where}, or leave its address away to start one here"
        raise RungError(error.fault.name, f"{name}: {error.what}", fix) from None
    except RpcError as error:
        raise RungError("PROTOCOL", f"{name}: {error}", f"see why: harness logs {service.name}") from None


def await_ready(
    climb: Climb,
    deadline: clock.Deadline,
    *,
    died: Callable[[], HarnessError | None],
    watch: Callable[[str], None],
    held: Callable[[str], None] = lambda _: None,
) -> None:
    """Climb the whole ladder, waiting at each rung until it holds.

    Args:
        died: the error to end with as soon as the process is gone
        watch: told the name of each rung when it is tried first
        held: told the name of each rung when it holds

    Raises:
        HarnessError: the one from `died`; a rung that cannot mend; NOT_READY (exit 124) at the deadline
    """
    climb.deadline = deadline
    for name in climb.service.ladder:
        watch(name)
        for pause_s in _pauses():
            broken = _broken(climb, name)
            # A process that dies breaks its rungs first, or somebody answers in its place: its own end says more.
            if (ended := died()) is not None:
                raise ended
            if broken is None:
                held(name)
                break
            if not broken.may_mend:
                raise HarnessError(
                    broken.code,
                    f"{climb.service.name} is up, but {broken.cause}",
                    fix=broken.fix,
                    exit_code=broken.exit_code,
                )
            if deadline.left_s() <= pause_s:
                raise HarnessError(
                    "NOT_READY",
                    f"{climb.service.name} was not ready after {deadline.seconds:g} s: {broken.cause}",
                    fix=f"give it longer with --deadline, or see harness logs {climb.service.name}",
                    exit_code=Exit.DEADLINE,
                )
            clock.sleep(pause_s)


def answers(service: Service, port: Place, deadline: clock.Deadline | None) -> bool:
    """Whether a service that was ready before still says that it is well."""
    try:
        climb_rung(Climb(service, port, deadline), "health" if "health" in service.ladder else service.ladder[-1])
    except RungError:
        return False
    return True


def fetch_about(service: Service, port: Place, timeout_s: float = PROBE_S) -> dict[str, Any]:
    """What a service says of itself; may hold a fixture's account, so it is not for keeping.

    Raises:
        WireError
    """
    found = wire.get(port, service.about or "", timeout_s).json_object()
    if found.get("name") != service.program:
        raise WireError(
            Fault.OTHER_PROGRAM, f"the program there calls itself {found.get('name')}, not {service.program}"
        )
    return found


def _broken(climb: Climb, name: str) -> RungError | None:
    try:
        climb_rung(climb, name)
    except RungError as error:
        return error
    return None


def _session(climb: Climb) -> Session:
    if climb.session is None:
        raise RpcError("there is no session yet: the rung `initialize` comes first in the ladder")
    return climb.session


def _pauses() -> Iterator[float]:
    pause_s = FIRST_PAUSE_S
    while True:
        yield pause_s
        # A fiftieth of what has been waited for so far: nobody minds that much more, and it costs next to nothing.
        pause_s = min(LAST_PAUSE_S, pause_s * 1.02)
