"""A suite that is red says why: the layer that differs first, what was not asked for, who tried to leave."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cassettes import steady, tape, written
from harness.cassettes.tape import Answer, Exchange, Interaction, Tape, Varies
from harness.errors import HarnessError
from harness.suite import facts, isolation, run
from harness.suite.case import Case
from harness.suite.cases import CASES
from harness.suite.report import Report
from harness.suite.taped import place
from tests.support.repository import ROOT

TAPES = ROOT / "fixtures" / "cassettes"
NAMED = {case.id: case for case in CASES}
CASE, EVENTS = NAMED["segmentation--the-event-that-falls"], NAMED["list_events--all"]
SAFE = NAMED["safe_large_fetch--confirmed"]
FUNNEL, COUNTS = NAMED["funnel--nobody-began"], NAMED["event_counts--before-there-was-anything"]
WAYS = ("http", "handshake", "copilot", "stdio", "sse")
AGENT = ROOT / "fixtures" / "copilot" / "agent"
Run = Callable[..., Report]


@pytest.fixture
def tapes(tmp_path: Path) -> Path:
    """Some tapes of their own, to be changed."""
    own = tmp_path / "tapes"
    for case in (CASE, EVENTS, SAFE, FUNNEL, COUNTS):
        file = tape.place(own, place(case))
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tape.place(TAPES, place(case)), file)
    return own


@pytest.fixture
def suite(tmp_path: Path, tapes: Path, environment: dict[str, str]) -> Run:
    """Run some cases."""

    def running(cases: tuple[Case, ...] = (CASE, EVENTS), **said: Any) -> Report:
        wish = run.Wish(tapes=tapes, cases=cases, workers=1, **said)
        return run.run(wish, tmp_path / "stage", environment, isolation.guarded("a test"))

    return running


def change(tapes: Path, case: Case, edit: Callable[[Tape], Tape]) -> None:
    written.write(tapes, edit(written.read(tapes, place(case))))


def other_answer(whole: Tape) -> Tape:
    """Mixpanel answers a hundred events more on one day than it did."""
    (one,) = whole.interactions
    body = one.answer.body.replace(b'"2025-06-01":', b'"2025-06-01":1', 1)
    assert body != one.answer.body
    return replace(whole, interactions=(Interaction(one.asked, replace(one.answer, body=body)),))


def other_day(whole: Tape) -> Tape:
    """The server asked for another day than it does."""
    first, *rest = whole.interactions
    query = tuple((name, "2025-06-29" if name == "to_date" else value) for name, value in first.asked.query)
    return replace(whole, interactions=(Interaction(replace(first.asked, query=query), first.answer), *rest))


def one_more(whole: Tape) -> Tape:
    """The server asked once more than it does."""
    elsewhere = replace(whole.interactions[0].asked, url="https://mixpanel.com/api/query/cohorts/list")
    return replace(whole, interactions=(*whole.interactions, Interaction(elsewhere, Answer(200))))


def test_each_red_case_says_which_layer_differs_first(tapes: Path, suite: Run) -> None:
    changes = ((CASE, other_answer), (EVENTS, other_day), (FUNNEL, one_more), (SAFE, asked_nothing))
    for case, edit in changes:
        change(tapes, case, edit)
    # Asked of a client that has no reply to give, and so breaks off.
    silent = replace(SAFE, replies=())
    report = suite((CASE, EVENTS, FUNNEL, COUNTS, SAFE, silent))
    red = {"silent" if each.case == silent else each.case.id: each for each in report.red}
    assert set(red) == {*(case.id for case, _ in changes), "silent"}
    layer = {name: (each.layer.name, each.layer.diff) if each.layer else None for name, each in red.items()}

    name, diff = layer[CASE.id] or ("", ())
    assert name == "mcp"
    assert any(line.startswith("-") and "2025-06-01" in line for line in diff)
    assert "/series/Search" in red[CASE.id].why[0]

    name, diff = layer[EVENTS.id] or ("", ())
    assert (name, [line[:1] for line in diff]) == ("http", ["-", "+"])
    assert "to_date is '2025-06-30', on the tape '2025-06-29'" in red[EVENTS.id].why[0]

    name, diff = layer[FUNNEL.id] or ("", ())
    assert name == "http"
    assert "on its tape and not asked for" in red[FUNNEL.id].why[0]
    assert "cohorts/list" in red[FUNNEL.id].why[0]

    for each in (SAFE.id, "silent"):
        name, diff = layer[each] or ("", ())
        assert (name, {line[:1] for line in diff}) == ("asked back", {"@", "+"}), "it comes before what was answered"
    assert red[SAFE.id].why[0].startswith("what it asked back/0: wanted nothing, as on its tape, found {")
    assert red[SAFE.id].why[1].startswith("/more: wanted ")
    assert "asks once more than the case has replies: This fetch would download" in red["silent"].why[0]


def asked_nothing(whole: Tape) -> Tape:
    """The tool asked nothing before it answered something else."""
    (one,) = another_answer(whole).exchanges
    return replace(whole, exchanges=(replace(one, asked_back=()),))


def test_where_only_what_is_expected_differs_no_layer_does(suite: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {**facts.load(), "segmentation/Search": {}}
    monkeypatch.setattr(facts, "load", lambda: known)
    (red,) = suite((CASE,)).red
    assert red.layer is None


def another_answer(whole: Tape) -> Tape:
    """The tool says on tape that there is more, of which the case expects nothing."""
    (one,) = whole.exchanges
    result = {**one.result, "structuredContent": {**one.result["structuredContent"], "more": [1, {"of": "it"}]}}
    return replace(whole, exchanges=(Exchange(one.call, result),))


def test_an_answer_that_is_otherwise_on_its_tape_alone_is_red_by_every_way_in(tapes: Path, suite: Run) -> None:
    change(tapes, EVENTS, another_answer)
    change(tapes, SAFE, another_question)
    report = suite((EVENTS, SAFE), ways=WAYS)
    told, asked = ([each for each in report.red if each.case == case] for case in (EVENTS, SAFE))
    assert {each.verdict.way for each in told} == set(WAYS)
    for red in told:
        assert red.why == ('/more: wanted [1, {"of": "it"}], as on its tape, found nothing',)
        assert red.layer is not None
        assert red.layer.name == "mcp", "what the copilot was told is otherwise already"
        assert any(line.startswith("-") and "more" in line for line in red.layer.diff)
    assert {each.verdict.way for each in asked} == {*WAYS} - {"handshake"}, "nobody can be asked there"
    for red in asked:
        (why,) = red.why
        assert why.startswith("what it asked back/0/params/message: wanted ")
        assert 'Burn them?", as on its tape, found ' in why
        assert red.layer is not None
        assert red.layer.name == "asked back", "what the copilot was asked is otherwise already"
        assert [line[:1] for line in red.layer.diff if "events from" in line] == ["-", "+"]


def another_question(whole: Tape) -> Tape:
    """The tool asked something else on tape, of which the case expects nothing."""
    (one,) = whole.exchanges
    (question,) = one.asked_back
    message = str(question.params["message"]).replace("Fetch them into events?", "Burn them?")
    assert message != question.params["message"]
    asked = replace(question, params={**question.params, "message": message})
    return replace(whole, exchanges=(replace(one, asked_back=(asked,)),))


def test_what_is_said_to_vary_has_to(tapes: Path, suite: Run) -> None:
    silent = replace(EVENTS, varies=(Varies("/result", "order", "names come as they like"),))
    told = replace(COUNTS, varies=(Varies("/series", "order", "days come as they like"),))
    change(tapes, COUNTS, lambda whole: in_order(replace(whole, varies=told.varies)))
    reds = {red.case.id: red for red in suite((silent, told)).red}
    assert reds[EVENTS.id].why == ("what varies: wanted nothing, as its tape says, found /result",)
    needless = "it declares that /series varies (days come as they like), and it was the same 6 times"
    assert reds[COUNTS.id].why == (needless,)
    assert reds[COUNTS.id].layer is None


def in_order(whole: Tape) -> Tape:
    (one,) = whole.exchanges
    return replace(whole, exchanges=(Exchange(one.call, steady.result(one.result, whole.varies)),))


def test_a_cut_tape_ends_the_run(tapes: Path, suite: Run) -> None:
    file = tape.place(tapes, place(CASE))
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(HarnessError) as error:
        suite((CASE,))
    assert error.value.code in ("TAPE_CUT", "TAPE_UNREADABLE")
    assert len(file.read_bytes()) == 200


def planted(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    """A copilot's client that differs from ours in these places."""
    agent = tmp_path / "copilot" / "agent"
    shutil.copytree(AGENT, agent)
    (agent.parent / "node_modules").symlink_to(AGENT.parent / "node_modules")
    shutil.copy(AGENT.parent / "package.json", agent.parent)
    client = agent / "mcp-client.ts"
    for here, there in changes:
        assert here in client.read_text()
        client.write_text(client.read_text().replace(here, there, 1))
    return agent


def test_a_copilot_that_wants_to_leave_is_red(tmp_path: Path, suite: Run) -> None:
    here = "const tool = definition.name;"
    leaves = "await fetch('http://192.0.2.1/telemetry').catch(() => undefined);"
    report = suite(ways=("copilot",), agent=planted(tmp_path, (here, f"{here} {leaves}")))
    assert report.red == ()
    assert not report.good
    assert report.attempts
    assert all("192.0.2.1" in attempt for attempt in report.attempts)


def test_a_copilot_that_changes_an_answer_is_the_layer_that_differs(tmp_path: Path, suite: Run) -> None:
    here, empties = "return await run().catch(", "then((r: any) => ({ ...r, structuredContent: {} }))"
    asks = "answerTo(this.#toolMs)"
    agent = planted(
        tmp_path,
        (here, f"return await run().{empties}.catch("),
        (asks, f"(r) => {{ r.params.message = 'Go?'; return {asks}(r); }}"),
    )
    reds = suite((CASE, EVENTS, SAFE), ways=("copilot",), agent=agent).red
    layers = {red.case.id: red.layer for red in reds if red.layer}
    assert {name: layer.name for name, layer in layers.items()} == dict.fromkeys(
        (CASE.id, EVENTS.id, SAFE.id), "copilot"
    )
    assert '+  "message": "Go?",' in layers[SAFE.id].diff


def test_no_case_is_of_an_unknown_name() -> None:
    with pytest.raises(HarnessError) as error:
        run.chosen((), ("segmentation--by-browsr",))
    assert "segmentation--by-browser" in error.value.fix
    with pytest.raises(HarnessError) as error:
        run.chosen(("segmentatoin",), ())
    assert "segmentation" in error.value.fix
