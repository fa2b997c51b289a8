"""What can go wrong alike for every tool: at Mixpanel, or with an argument that nobody takes."""

from collections.abc import Iterator, Mapping
from typing import Any

from harness.suite.case import Case, Exemption, Fault, Kind
from harness.suite.expect import ANY, Fails
from harness.suite.reasons import ASKS_NOTHING
from mp_mcp_server.catalogue import TOOLS, ToolSpec

FAULTS: tuple[tuple[Kind, str, Fault, Fails, bool], ...] = (
    (
        Kind.UNAUTHORIZED,
        "unauthorized",
        Fault("status", 401),
        Fails("AUTH_FAILED", cause="authentication failed", fix="MP_USERNAME"),
        True,
    ),
    (Kind.FORBIDDEN, "forbidden", Fault("status", 403), Fails("QUERY_FAILED", cause="403"), True),
    (
        Kind.RATE_LIMITED,
        "rate-limited",
        Fault("rate_limited", "seconds"),
        Fails("RATE_LIMITED", cause="rate limited", fix="again after", retry_after_s=ANY),
        True,
    ),
    (
        Kind.RATE_LIMITED_SILENT,
        "rate-limited-without-a-hint",
        Fault("rate_limited", "absent"),
        Fails("RATE_LIMITED", cause="rate limited", fix="wait", retry_after_s=None),
        True,
    ),
    (Kind.SERVER_ERROR, "server-error", Fault("status", 503), Fails("SERVER_ERROR", cause="503", fix="again"), True),
    (Kind.MALFORMED, "malformed", Fault("malformed_line", 1), Fails("API_ERROR", fix="again"), True),
    (Kind.TIMEOUT, "time-out", Fault("stall", 0), Fails("HTTP_ERROR", cause="no answer", fix="again"), False),
)
"""Kind, case name, what goes wrong, what must come of it, and whether a tape can hold it."""


NARROWED: Mapping[str, Mapping[str, Any]] = {"fetch_profiles": {"output_properties": ["plan"]}}
"""An answer that goes wrong is on tape all the same, and is no better proof for being long."""


def working(spec: ToolSpec) -> dict[str, Any]:
    """Arguments that would work if nothing went wrong."""
    return {**spec.example, **NARROWED.get(spec.name, {})}


SKIPS_LINES = ("fetch_events", "stream_events")
"""An export with a broken line is not a broken answer: the line is left out and counted."""


EXPORTS = ("fetch_events", "fetch_profiles", "stream_events")
BROKEN_OFF = Fails("EXPORT_INCOMPLETE", cause="broke off", fix="again")
"""What a silent Mixpanel comes to where rows were to stream in."""


def _cases() -> Iterator[Case]:
    for spec in TOOLS:
        yield Case(
            spec.name,
            "an-argument-it-does-not-take",
            Kind.WRONG_ARGUMENT,
            (Fails("INVALID_ARGUMENT", cause="no_such_argument is not an argument", fix=spec.name),),
            {**spec.example, "no_such_argument": 1},
        )
        if spec.endpoints:
            for kind, name, fault, error, on_tape in FAULTS:
                if kind is Kind.MALFORMED and spec.name in SKIPS_LINES:
                    continue
                silent = kind is Kind.TIMEOUT and spec.name in EXPORTS
                yield Case(
                    spec.name,
                    name,
                    kind,
                    (BROKEN_OFF if silent else error,),
                    working(spec),
                    fault=fault,
                    via="tape" if on_tape else "emulator-fault",
                )


CASES: tuple[Case, ...] = tuple(_cases())
EXEMPTIONS: tuple[Exemption, ...] = tuple(
    Exemption(spec.name, kind, ASKS_NOTHING) for spec in TOOLS if not spec.endpoints for kind, *_ in FAULTS
)
