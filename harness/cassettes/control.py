"""The route by which a case is chosen at a host, and which no other server has."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import anyio.to_thread
import pydantic
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from harness.cassettes.tape import Case, Exchange
from harness.errors import HarnessError

if TYPE_CHECKING:
    from fastmcp import FastMCP

PATH = "/_cassettes"

Read = TypeVar("Read")

_CASE: pydantic.TypeAdapter[Case] = pydantic.TypeAdapter(Case)
_EXCHANGES: pydantic.TypeAdapter[list[Exchange]] = pydantic.TypeAdapter(list[Exchange])
_FIX = 'send {"case": ID} to play, {"record": …} with the fields of harness.cassettes.tape.Case to record'


class Controlled(Protocol):
    """As much of a host as the route needs."""

    def begin(self, case: str) -> dict[str, Any]: ...
    def record(self, case: Case) -> dict[str, Any]: ...
    def end(self, exchanges: Sequence[Exchange] | None = None) -> dict[str, Any]: ...
    def state(self) -> dict[str, Any]: ...


def add_control(server: "FastMCP", host: Controlled) -> None:
    """Serve it. What is refused is answered 409, with code, cause and fix."""

    @server.custom_route(f"{PATH}/begin", methods=["POST"])
    async def begin(request: Request) -> Response:
        asked = await _asked(request)
        if "record" in asked:
            return await _answered(lambda: host.record(_read(_CASE, asked["record"])))
        return await _answered(lambda: host.begin(str(asked.get("case"))))

    @server.custom_route(f"{PATH}/end", methods=["POST"])
    async def end(request: Request) -> Response:
        calls = (await _asked(request)).get("calls")
        return await _answered(lambda: host.end(None if calls is None else _read(_EXCHANGES, calls)))

    @server.custom_route(PATH, methods=["GET"])
    async def state(_request: Request) -> Response:
        return await _answered(host.state)


def _read(adapter: pydantic.TypeAdapter[Read], said: object) -> Read:
    try:
        return adapter.validate_python(said)
    except ValueError as error:
        wrong = error.errors(include_input=False)[0] if isinstance(error, pydantic.ValidationError) else None
        where = ".".join(map(str, wrong["loc"])) if wrong else "the case"
        raise HarnessError("BAD_REQUEST", f"{where} is wrong: {wrong['msg'] if wrong else error}", fix=_FIX) from None


async def _asked(request: Request) -> dict[str, Any]:
    # A page in a browser can post to this machine, but not JSON without being asked back.
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return {}
    try:
        asked = await request.json()
    except ValueError:
        return {}
    return asked if isinstance(asked, dict) else {}


async def _answered(deed: Any) -> Response:
    try:
        return JSONResponse(await anyio.to_thread.run_sync(deed))
    except HarnessError as error:
        return JSONResponse(error.to_dict(), status_code=409)
