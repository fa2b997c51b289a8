"""A canary in the place of each secret: nothing that leaves the server tells it, and each mask is needed for that.

Every row of the table provokes what one mask guards and hands over all that was said there. With the mask in place the
canary is not in it; with that mask alone taken away it is, so that a mask that is lost turns its row red, and a row
that could not fail would be red as well.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastmcp import Client, FastMCP
from mcp.shared.exceptions import MCPError

from mixpanel_data import MixpanelDataError, Workspace
from mixpanel_data.refusals import Refusal
from mp_mcp_server.model_endpoint import Endpoint
from mp_mcp_server.server import Settings, application, build
from mp_mcp_server.workspaces import Workspaces
from tests.mixpanel_data.test_secrets import CANARY, ECHO, USERNAME, assert_silent
from tests.mp_mcp_server.conftest import environment, running_server
from tests.support.scripted_http import Reply, ScriptedServer, scripted_server

pytestmark = pytest.mark.anyio

ACCOUNT = {"MP_USERNAME": USERNAME, "MP_SECRET": CANARY, "MP_PROJECT_ID": "4100200", "MP_REGION": "us"}
KEY = "canary-key-of-the-model"
DAYS: dict[str, object] = {"from_date": "2025-06-01", "to_date": "2025-06-10"}
NAMES = Reply(200, b'["Purchase"]')
ECHOED = Reply(400, json.dumps({"error": ECHO}).encode())


@dataclass(frozen=True)
class Scene:
    """A server whose Mixpanel repeats whatever it is sent, and whose log is kept."""

    mixpanel: ScriptedServer
    monkeypatch: pytest.MonkeyPatch
    log: pytest.LogCaptureFixture
    db: Path

    def server(self) -> FastMCP:
        return build(Settings(db=self.db))

    async def call(self, tool: str, **arguments: object) -> str:
        """All that a call answers, in both its forms."""
        async with Client(self.server()) as client:
            answer = await client.call_tool(tool, arguments, raise_on_error=False)
        texts = [getattr(block, "text", "") for block in answer.content]
        return "\n".join([*texts, json.dumps(answer.structured_content, ensure_ascii=False)])

    def raising(self, error: Exception) -> None:
        """Let the library fail in a way of its own, below all masks but the server's."""

        def broken(_workspace: Workspace) -> list[str]:
            raise error

        self.monkeypatch.setattr(Workspace, "events", broken)


@pytest.fixture
def scene(
    no_credentials: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> Iterator[Scene]:
    caplog.set_level(logging.WARNING, logger="httpx")  # as the command line sets it: it logs URLs
    caplog.set_level(logging.INFO)
    with scripted_server() as mixpanel:
        mixpanel.say(ECHOED)
        for name, value in (ACCOUNT | {"MP_API_BASE_URL": mixpanel.url, "MP_RATE_LIMITS": "off"}).items():
            monkeypatch.setenv(name, value)
        yield Scene(mixpanel, monkeypatch, caplog, tmp_path / "store.db")


# ── what each mask guards ────────────────────────────────────────────────────────────────────────────────────────────


async def error_inside_a_finding(scene: Scene) -> str:
    scene.mixpanel.say(NAMES, ECHOED)
    return await scene.call("product_health_dashboard", acquisition_event="Purchase", **DAYS)


async def error_inside_an_investigation(scene: Scene) -> str:
    scene.mixpanel.say(NAMES, Reply(200, b"[]"), ECHOED)
    return await scene.call("gqm_investigation", goal="more revenue", acquisition_event="Purchase", **DAYS)


async def words_of_an_unforeseen_error(scene: Scene) -> str:
    scene.raising(RuntimeError(ECHO))
    return await scene.call("list_events")


async def traceback_in_the_log(scene: Scene) -> str:
    scene.raising(RuntimeError(ECHO))
    await scene.call("list_events")
    assert "Traceback" in scene.log.text
    return scene.log.text


async def details_of_a_foreseen_error(scene: Scene) -> str:
    scene.raising(MixpanelDataError("it failed", "QUERY_FAILED", details={"sent": [ECHO], CANARY: 1}))
    return await scene.call("list_events")


async def advice_of_a_foreseen_error(scene: Scene) -> str:
    scene.raising(MixpanelDataError("it failed", "QUERY_FAILED", fix=f"leave out {ECHO}"))
    return await scene.call("list_events")


async def words_of_a_wrong_argument(scene: Scene) -> str:
    scene.raising(ValueError(f"{CANARY} is no name"))
    return await scene.call("list_events")


async def error_of_a_tool_that_converses(scene: Scene) -> str:
    scene.raising(RuntimeError(ECHO))
    return await scene.call("ask_mixpanel", question="How many Purchase?")


async def error_around_a_tool(scene: Scene) -> str:
    def broken(*_: object) -> float:
        raise RuntimeError(ECHO)

    scene.monkeypatch.setattr(Workspaces, "wait_s", broken)
    answer = await scene.call("list_events")
    assert "UNEXPECTED_ERROR" in answer
    return answer


async def key_of_the_model(scene: Scene) -> str:
    for name, value in {"BASE_URL": scene.mixpanel.url, "MODEL": "far", "API_KEY": KEY}.items():
        scene.monkeypatch.setenv(f"MP_LLM_{name}", value)
    scene.raising(RuntimeError(f"sent {KEY}"))
    return await scene.call("list_events")


async def refusal_of_the_model(scene: Scene) -> str:
    with scripted_server() as model:
        model.say(Reply(401, json.dumps({"error": f"bad key {KEY}"}).encode()))
        for name, value in {"BASE_URL": model.url, "MODEL": "far", "API_KEY": KEY}.items():
            scene.monkeypatch.setenv(f"MP_LLM_{name}", value)
        scene.mixpanel.say(NAMES, Reply(200, b"[]"), Reply(200, b"{}"), ECHOED)
        answer = await scene.call("ask_mixpanel", question="How many Purchase?", **DAYS)
    assert "HTTP 401" in answer
    return answer


async def reading_of_a_resource(scene: Scene) -> str:
    scene.raising(RuntimeError(ECHO))
    async with Client(scene.server()) as client:
        with pytest.raises(MCPError) as refused:
            await client.read_resource("schema://events")
    return refused.value.error.message + json.dumps(refused.value.error.data, ensure_ascii=False)


async def arguments_in_the_audit(scene: Scene) -> str:
    await scene.call("segmentation", event="Purchase", where=CANARY, **DAYS)
    return scene.log.text


async def readiness(scene: Scene) -> str:
    def broken(*_: object, **__: object) -> object:
        raise RuntimeError(ECHO)

    scene.monkeypatch.setattr("mixpanel_data.api_client.MixpanelAPIClient.request", broken)
    app = application(scene.server(), "http")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get("/ready")
    assert answer.status_code == 503
    return answer.text


# ── the masks, and how each is taken away ────────────────────────────────────────────────────────────────────────────

Off = Callable[[pytest.MonkeyPatch], None]


def without_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workspaces, "mask", lambda _workspaces, text: text)


def without_the_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    masked = Refusal.__init__

    def unmasked(refusal: Refusal, response: httpx.Response, body: bytes, sent: object, _mask: object) -> None:
        masked(refusal, response, body, sent, str)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(Refusal, "__init__", unmasked)


def without_that_of_the_models_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Endpoint, "_shown", lambda _endpoint, body: body.decode())


Said = Callable[[Scene], Awaitable[str]]
GUARDED: tuple[tuple[Said, Off], ...] = (
    (error_inside_a_finding, without_the_librarys),
    (error_inside_an_investigation, without_the_librarys),
    (words_of_an_unforeseen_error, without_the_servers),
    (traceback_in_the_log, without_the_servers),
    (details_of_a_foreseen_error, without_the_servers),
    (advice_of_a_foreseen_error, without_the_servers),
    (words_of_a_wrong_argument, without_the_servers),
    (error_of_a_tool_that_converses, without_the_servers),
    (error_around_a_tool, without_the_servers),
    (key_of_the_model, without_the_servers),
    (refusal_of_the_model, without_that_of_the_models_refusals),
    (reading_of_a_resource, without_the_servers),
    (arguments_in_the_audit, without_the_servers),
    (readiness, without_the_servers),
)
rows = pytest.mark.parametrize(("said", "off"), GUARDED, ids=lambda one: one.__name__)


@rows
async def test_nothing_that_leaves_the_server_tells_a_secret(scene: Scene, said: Said, off: Off) -> None:
    told = await said(scene)
    assert_silent(told)
    assert_silent(scene.log.text)


@rows
async def test_and_each_mask_is_what_keeps_it(scene: Scene, said: Said, off: Off) -> None:
    off(scene.monkeypatch)
    assert "canary" in await said(scene)


def test_settings_that_are_printed_hold_no_key(scene: Scene) -> None:
    for name, value in {"BASE_URL": "http://127.0.0.1:9", "MODEL": "far", "API_KEY": KEY}.items():
        scene.monkeypatch.setenv(f"MP_LLM_{name}", value)
    scene.monkeypatch.setenv("MP_STATE_KEY", f"{KEY}-of-more-than-32-bytes")
    settings = Settings()
    assert_silent(repr(settings) + str(vars(type(settings))) + repr(settings.model) + repr(settings.state_key))


async def test_a_process_tells_it_nowhere(scene: Scene, tmp_path: Path) -> None:
    """Over a real connection: tools, resources, prompts, progress, probes, the log on stderr and the command line."""
    variables = ACCOUNT | {"MP_API_BASE_URL": scene.mixpanel.url, "MP_RATE_LIMITS": "off"}
    said: list[str] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        said.append(f"{done} {total} {message}")

    with running_server(environment(tmp_path, **variables), "--transport", "http", "--db", str(tmp_path / "s")) as run:
        async with Client(run.url, progress_handler=progress) as client:
            tools, prompts = await client.list_tools(), await client.list_prompts()
            said += [repr(tools), repr(prompts), repr(await client.list_resources())]
            said += [repr(await client.list_resource_templates())]
            said += [repr(await client.get_prompt(prompt.name)) for prompt in prompts]
            for reply in (ECHOED, Reply(200, ECHO.encode())):
                scene.mixpanel.say(NAMES, reply)
                for tool, arguments in CALLS.items():
                    said.append(repr(await client.call_tool(tool, arguments, raise_on_error=False)))
                for uri in ("schema://cohorts", "users://someone/journey"):
                    with pytest.raises(MCPError) as refused:
                        await client.read_resource(uri)
                    said.append(f"{refused.value.error}")
        said += [httpx.get(f"{run.base}/{probe}", timeout=30).text for probe in ("health", "ready")]
        said.append(Path(f"/proc/{run.process.pid}/cmdline").read_text(errors="replace"))
    log = "".join(run.log)
    assert "mp_mcp_server.audit" in log
    assert '"where": "***"' in log, "it was logged, and could have been told"
    assert_silent("\n".join([*said, log]))
    assert any("***" in text for text in said)


ASKED: dict[str, object] = {"event": "Purchase", **DAYS}
CALLS: dict[str, dict[str, object]] = {
    "list_events": {},
    "segmentation": {**ASKED, "where": CANARY},
    "fetch_events": DAYS,
    "stream_events": DAYS,
    "diagnose_metric_drop": {"event": "Purchase", "date": "2025-06-08"},
    "ask_mixpanel": {"question": "How many Purchase?", **DAYS},
    "gqm_investigation": {"goal": "more revenue", "acquisition_event": "Purchase", **DAYS},
    "safe_large_fetch": DAYS,
    "guided_analysis": {"focus_area": "conversion", **DAYS},
    "nothing": {CANARY: CANARY},
}
