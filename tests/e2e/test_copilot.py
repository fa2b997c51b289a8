"""The reference copilot in front of the real server: its answers are the data's, and its faults say what they are."""

import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from fixtures.dataset import truths
from fixtures.dataset.truths import Truths
from mp_mcp_server.catalogue import TOOLS
from mp_mcp_server.wording import not_in
from tests.e2e.conftest import DATA_SET
from tests.mp_mcp_server.conftest import Server, environment, running_server
from tests.support import brute_force
from tests.support.copilot import Chat, Copilot, lines_of, running_copilot
from tests.support.emulator import Emulator, running_emulator
from tests.support.faults import going_wrong
from tests.support.ports import free_port

pytestmark = pytest.mark.e2e

# The clock stands at the end of the last day, which is not over therefore.
YESTERDAY = (DATA_SET.last_day - timedelta(days=1)).isoformat()
NOW = {"MP_NOW": DATA_SET.last_day.isoformat()}


@dataclass(frozen=True)
class Pair:
    """A copilot and the MCP server behind it, which asks the copilot's model."""

    copilot: Copilot
    server: Server


@pytest.fixture(scope="module")
def truth() -> Truths:
    return truths(DATA_SET.seed, DATA_SET.users, DATA_SET.days, DATA_SET.last_day)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Iterator[Emulator]:
    size = ("--seed", str(DATA_SET.seed), "--users", str(DATA_SET.users), "--days", str(DATA_SET.days))
    days = ("--last-day", DATA_SET.last_day.isoformat(), "--now", DATA_SET.last_day.isoformat())
    log = tmp_path_factory.mktemp("emulator") / "log"
    with running_emulator(log, *size, *days, cache_dir=cache_dir) as running:
        yield running


def server_environment(emulator: Emulator, home: Path, copilot_port: int) -> dict[str, str]:
    model = {"MP_LLM_BASE_URL": f"http://127.0.0.1:{copilot_port}/v1", "MP_LLM_MODEL": "copilot", "MP_LLM_API_KEY": "k"}
    return environment(home, **emulator.environment, **NOW, **model)


@pytest.fixture(scope="module")
def pair(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    home = tmp_path_factory.mktemp("pair")
    port = free_port()
    with (
        running_server(
            server_environment(emulator, home, port), "--transport", "http", "--db", str(home / "store.db")
        ) as server,
        running_copilot(home / "log", port, server.url, **NOW, COPILOT_ENDPOINT_KEY="k") as copilot,
    ):
        yield Pair(copilot, server)


def test_it_says_who_it_is_and_which_tools_it_merged(pair: Pair) -> None:
    about = pair.copilot.about()
    assert {spec.name for spec in TOOLS} <= set(about["tools"])
    assert about["collisions"] == [
        {
            "name": "list_events",
            "kept": "mixpanel_data",
            "renamed": "team_calendar__list_events",
            "server": "team_calendar",
        }
    ]
    assert about["timeouts_ms"] == {"tool": 600_000, "body": 600_000, "headers": 600_000, "connect": 30_000}
    assert about["model"] == {"kind": "planner", "id": "mixpanel-copilot-planner"}
    assert about["mcp_url"] == pair.server.url
    log = pair.copilot.said()
    assert re.search(rf"^\[MCP mixpanel_data\] Got {len(TOOLS)} tools: list_events, ", log, re.MULTILINE), log
    assert "Warning" not in log


def test_the_drop_is_found_with_its_day_its_size_and_its_segment(pair: Pair, truth: Truths) -> None:
    drop = truth.metric_drop
    assert drop is not None
    chat = pair.copilot.ask(f"Why did {drop.event} fall?")
    assert chat.whole
    findings = chat.value("diagnose_metric_drop")["findings"]
    assert findings["drop_date"] == drop.day
    assert {one["property"]: one["value"] for one in findings["primary_driver"]["conditions"]} == drop.segment
    assert drop.day in chat.text
    assert all(value in chat.text for value in drop.segment.values())
    assert f"{100 * drop.realised_share:.1f} %" in chat.text


def test_the_funnels_bottleneck_is_found_with_its_segment(pair: Pair, truth: Truths) -> None:
    bottleneck = truth.funnel_bottleneck
    assert bottleneck is not None
    names = {one["funnel_id"]: one["name"] for one in pair.copilot.ask("list_funnels").value("list_funnels")["result"]}
    chat = pair.copilot.ask(f"Where do users drop out of the {names[bottleneck.funnel_id]} funnel?")
    assert chat.calls[-1] == ("funnel_optimization_report", {"funnel_id": bottleneck.funnel_id})
    report = chat.value("funnel_optimization_report")
    assert report["bottleneck"]["step_name"] == bottleneck.step
    ((name, value),) = bottleneck.segment.items()
    assert f"{name} = {value}" in chat.text
    assert bottleneck.step in chat.text


def test_yesterdays_top_events_are_those_that_were_generated(pair: Pair, raw_events: list[dict[str, Any]]) -> None:
    chat = pair.copilot.ask("What were yesterday's top events?")
    day = date.fromisoformat(YESTERDAY)
    counts = Counter(one["event"] for one in raw_events if brute_force.day_of(one) == day.isoformat())
    told = re.findall(r"^\d+\. (.+): (\d+)$", chat.text, re.MULTILINE)
    assert [(name, int(count)) for name, count in told][:3] == sorted(counts.items(), key=lambda one: -one[1])[:3]
    assert len(told) == 10
    assert {name: int(count) for name, count in told}.items() <= counts.items()


@pytest.mark.parametrize(
    ("question", "tool"),
    [
        ("diagnose_metric_drop event={event} date={day}", "diagnose_metric_drop"),
        ("funnel_optimization_report funnel_id={funnel}", "funnel_optimization_report"),
        ("ask_mixpanel question=How many {event} yesterday?", "ask_mixpanel"),
    ],
    ids=lambda text: text.partition(" ")[0],
)
def test_the_servers_tools_speak_with_the_copilots_voice(pair: Pair, truth: Truths, question: str, tool: str) -> None:
    drop, bottleneck = truth.metric_drop, truth.funnel_bottleneck
    assert drop is not None
    assert bottleneck is not None
    names = {"event": drop.event, "day": drop.day, "funnel": bottleneck.funnel_id}
    answer = pair.copilot.ask(question.format(**names)).value(tool)
    assert (answer["status"], answer["worded_by"]) == ("success", "endpoint"), answer
    assert answer["model"] == "mixpanel-copilot-planner"
    said = answer.get("answer") or answer.get("executive_summary") or answer["findings"]["summary"]
    assert said.startswith("In short: ")
    assert not_in(said, {key: value for key, value in answer.items() if key != "answer"} | {"asked": drop.day}) == []


def test_a_question_that_names_nothing_is_planned_by_the_copilots_model(
    pair: Pair, raw_events: list[dict[str, Any]]
) -> None:
    answer = pair.copilot.ask("ask_mixpanel question=What was done most often yesterday?").value("ask_mixpanel")
    assert (answer["status"], answer["planned_by"], answer["worded_by"]) == ("success", "endpoint", "endpoint"), answer
    counted = {name: n for one in answer["results"].values() for name, n in one["totals"].items()}
    (day,) = {query["params"]["from_date"] for query in answer["plan"]["queries"]}
    assert counted == Counter(one["event"] for one in raw_events if brute_force.day_of(one) == day)


def test_the_model_endpoint_wants_its_key_and_no_stranger(pair: Pair) -> None:
    url = f"{pair.copilot.url}/v1/chat/completions"
    body = {"model": "x", "messages": [{"role": "user", "content": "hello"}]}
    with httpx.Client(trust_env=False, timeout=30) as http:
        assert http.post(url, json=body).status_code == 401
        key = {"Authorization": "Bearer k"}
        assert http.post(url, json=body, headers=key).json()["choices"][0]["message"]["role"] == "assistant"
        refused = http.post(url, json={"messages": []}, headers=key)
        assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")
        assert http.post(url, json=body, headers=key | {"Origin": "http://example.com"}).status_code == 403
        assert http.post(url, json=body, headers=key | {"Host": "example.com"}).status_code == 421


def test_requests_that_make_no_sense_are_answered_with_what_would(pair: Pair) -> None:
    with httpx.Client(trust_env=False, timeout=30, base_url=pair.copilot.url) as http:
        for answer, status in [
            (http.post("/api/chat", json={"messages": []}), 400),
            (http.post("/api/chat", content=b"{", headers={"content-type": "application/json"}), 400),
            (http.post("/api/chat", content=b"{}", headers={"content-type": "text/plain"}), 400),
            (http.post("/api/chat", json={"messages": "x" * 3_000_000}), 413),
            (http.post("/api/chat/answer", json={"id": "0" * 8, "action": "accept"}), 400),
            (http.get("/api/chat"), 405),
            (http.get("/page/../package.json"), 404),
            (http.get("/page/..%2fpackage.json"), 404),
            (http.get("/nothing"), 404),
        ]:
            assert answer.status_code == status, answer.text
            assert answer.json()["fix"]


@pytest.mark.parametrize(
    ("action", "outcome"),
    [("accept", "success"), ("decline", "declined"), ("cancel", "cancelled")],
)
def test_a_tool_that_asks_back_is_answered_by_the_person(pair: Pair, action: str, outcome: str) -> None:
    questions: list[dict[str, Any]] = []

    def react(chunk: dict[str, Any]) -> None:
        if chunk["type"] != "data-ask":
            return
        question = chunk["data"]
        questions.append(question)
        choice: dict[str, Any] = (
            {"focus_area": "engagement"} if "focus_area" in question["schema"]["properties"] else {}
        )
        if "segment_index" in question["schema"]["properties"]:
            choice = {"segment_index": 0, "investigate_further": False}
        pair.copilot.answer(question, action, **choice)

    chat = pair.copilot.ask("Guide me through an analysis", react)
    assert chat.whole
    assert questions[0]["tool"] == "guided_analysis"
    assert "focus_area" in questions[0]["schema"]["required"]
    answer = chat.value("guided_analysis")
    assert answer["status"] == outcome if action != "accept" else answer["focus_area"] == "engagement", answer
    assert len(questions) == (1 if action != "accept" else 2)
    over = [chunk["data"]["id"] for chunk in chat.chunks if chunk["type"] == "data-ask-over"]
    assert over == [question["id"] for question in questions]


def test_what_destroys_is_agreed_to_first(pair: Pair) -> None:
    def decline(chunk: dict[str, Any]) -> None:
        if chunk["type"] == "data-ask":
            pair.copilot.answer(chunk["data"], "decline")

    assert pair.copilot.ask("drop_all_tables", decline).value("drop_all_tables")["code"] == "NOT_AGREED"


def test_an_error_of_a_tool_comes_with_its_cause_and_its_fix(pair: Pair, truth: Truths) -> None:
    chat = pair.copilot.ask(f"segmentation event=Serch from_date={YESTERDAY} to_date={YESTERDAY}")
    answer = chat.output("segmentation")
    assert answer["isError"]
    failed = answer["structuredContent"]
    assert failed["code"] == "EVENT_NOT_FOUND"
    assert "Search" in failed["fix"]
    assert chat.text == f"{failed['cause']}\n\nWhat to do: {failed['fix']}"


def slow(path: str = "*/segmentation*", ms: int = 60_000) -> dict[str, Any]:
    return {"kind": "latency", "value": ms, "path": path}


SLOW = f"segmentation event=Search from_date={YESTERDAY} to_date={YESTERDAY} unit=hour"


def test_a_passed_deadline_says_that_it_is_one(pair: Pair, emulator: Emulator, tmp_path: Path) -> None:
    with (
        going_wrong(emulator, slow()),
        running_copilot(tmp_path / "log", free_port(), pair.server.url, **NOW, COPILOT_TOOL_MS="400") as copilot,
    ):
        failed = copilot.ask(SLOW).value("segmentation")
    assert (failed["code"], "0.4 s" in failed["cause"]) == ("TOOL_DEADLINE", True)


def test_a_time_out_of_the_network_ends_the_call_and_is_told(pair: Pair, emulator: Emulator, tmp_path: Path) -> None:
    # The client library's own call would never settle: the server's first sign of life comes after 15 s. What comes
    # before the call has to be answered within the time-out, too, by a machine that is busy.
    with (
        going_wrong(emulator, slow()),
        running_copilot(tmp_path / "log", free_port(), pair.server.url, **NOW, COPILOT_SILENCE_MS="8000") as copilot,
    ):
        failed = copilot.ask(SLOW).value("segmentation")
    assert failed["code"] in {"UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"}, failed
    assert "time-out" in failed["cause"]


def test_a_model_that_does_not_answer_is_told(pair: Pair, tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/v1"
    model = {"OPENAI_BASE_URL": nowhere, "OPENAI_API_KEY": "sk-hidden", "OPENAI_MODEL": "m"}
    with running_copilot(tmp_path / "log", free_port(), pair.server.url, **NOW, **model) as copilot:
        assert copilot.about()["model"] == {"kind": "openai-compatible", "id": "m"}
        chat = copilot.ask("hello")
        assert [error for error in chat.errors if nowhere.removesuffix("/v1") in error and "OPENAI_BASE_URL" in error]
        assert "sk-hidden" not in copilot.said() + str(chat.chunks)


def test_who_cancels_is_heard_at_once_and_the_next_question_works(pair: Pair, emulator: Emulator) -> None:
    question = f"retention born_event=Search from_date={YESTERDAY} to_date={YESTERDAY}"
    body = {"messages": [{"role": "user", "parts": [{"type": "text", "text": question}]}]}
    with going_wrong(emulator, slow("*/retention*")), httpx.Client(timeout=60, trust_env=False) as http:
        with http.stream("POST", f"{pair.copilot.url}/api/chat", json=body) as answer:
            lines = lines_of(answer)  # held: when it goes, the connection does
            next(line for line in lines if "tool-input-available" in line)
        # the tool itself is silent for a minute
        assert pair.copilot.ask("list_funnels").value("list_funnels")["result"]


def test_the_server_killed_under_way_is_told_and_the_next_question_works(
    emulator: Emulator, tmp_path: Path, truth: Truths
) -> None:
    port = free_port()
    env = server_environment(emulator, tmp_path, port)
    at = ("--transport", "http", "--port", str(free_port()), "--db", str(tmp_path / "store.db"))
    with ExitStack() as stack:
        first = stack.enter_context(running_server(env, *at))
        copilot = stack.enter_context(running_copilot(tmp_path / "log", port, first.url, **NOW))

        def kill(chunk: dict[str, Any]) -> None:
            if chunk["type"] == "tool-input-available" and chunk["toolName"] == "segmentation":
                first.process.send_signal(signal.SIGKILL)
                first.process.wait()

        with going_wrong(emulator, slow()):
            chat = copilot.ask(SLOW, kill)
        failed = chat.value("segmentation")
        assert failed["code"] in {"MCP_UNREACHABLE", "MCP_LOST"}
        assert "harness up" in failed["fix"]
        assert failed["cause"] in chat.text
        down = copilot.ask("Which funnels are there?")
        assert down.whole
        assert len(down.errors) == 1
        assert "harness up" in down.errors[0]
        assert copilot.about()["servers"][0]["connected"] is False
        with running_server(env, *at) as again:
            assert again.url == first.url
            assert copilot.ask("Which funnels are there?").value("list_funnels")["result"]
            assert copilot.about()["servers"][0]["reconnects"] >= 1


def test_sigterm_ends_it_before_its_chats_are_over_and_they_say_so(
    pair: Pair, emulator: Emulator, tmp_path: Path
) -> None:
    with (
        going_wrong(emulator, slow()),
        running_copilot(tmp_path / "log", free_port(), pair.server.url, **NOW) as copilot,
    ):

        def end(chunk: dict[str, Any]) -> None:
            if chunk["type"] == "tool-input-available":
                copilot.process.terminate()

        chat = copilot.ask(SLOW.replace("hour", "week"), end)
        assert copilot.process.wait(timeout=90) == 0
    assert any("was ended while it answered" in error for error in chat.errors), chat.chunks
    assert not any(chunk["type"] == "tool-output-available" for chunk in chat.chunks)


def test_questions_at_once_share_one_connection(pair: Pair) -> None:
    before = pair.copilot.about()["servers"][0]
    chats: list[Chat] = []
    threads = [threading.Thread(target=lambda: chats.append(pair.copilot.ask("list_events"))) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert [len(chat.value("list_events")["result"]) for chat in chats] == [14] * 32
    assert pair.copilot.about()["servers"][0]["connects"] == before["connects"]


def test_settings_that_make_no_sense_are_refused_with_a_fix(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:1/mcp"
    with (
        pytest.raises(AssertionError, match=r"exit status 2[\s\S]*MP_NOW[\s\S]*fix: "),
        running_copilot(tmp_path / "log", free_port(), nowhere, MP_NOW="soon"),
    ):
        pass
