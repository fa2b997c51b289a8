"""The façade: what it takes, what it opens when, and what it says about itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mixpanel_data import (
    AuthenticationError,
    ConfigError,
    DatabaseNotFoundError,
    MixpanelAPIClient,
    Workspace,
)
from tests.support.emulator import Emulator
from tests.support.scripted_http import Reply, ScriptedServer
from tests.support.stores import file_of


def test_a_slice_through_every_layer(live_workspace: Workspace, emulator: Emulator) -> None:
    result = live_workspace.fetch_events(from_date="2025-06-01", to_date="2025-06-30")
    june = sum(
        live_workspace.segmentation(event, from_date="2025-06-01", to_date="2025-06-30").total
        for event in live_workspace.events()
    )
    assert live_workspace.sql_scalar("select count(*) from events") == result.rows == june > 0
    assert live_workspace.select("select count(*) as n from events").to_dict()["rows"] == [[june]]
    info = live_workspace.info()
    assert (info.project_id, info.region, info.account, info.tables) == (
        str(emulator.about["project"]["id"]),
        emulator.about["project"]["region"],
        None,
        ("events",),
    )
    assert info.size_mb == round(file_of(live_workspace).stat().st_size / 1e6, 3)
    assert json.dumps(info.to_dict())
    assert json.dumps([table.to_dict() for table in live_workspace.tables()])
    assert json.dumps(result.to_dict())


def test_wrong_credentials_are_refused_by_the_emulator(
    emulator: Emulator, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {**emulator.environment, "MP_SECRET": "canary"}.items():
        environment.setenv(name, value)
    with Workspace(path=tmp_path / "store.db") as workspace:
        with pytest.raises(AuthenticationError) as caught:
            workspace.events()
        with pytest.raises(AuthenticationError):
            workspace.fetch_events(from_date="2025-06-01", to_date="2025-06-02")
    assert "canary" not in json.dumps(caught.value.to_dict()) + repr(workspace)
    environment.setenv("MP_SECRET", emulator.environment["MP_SECRET"])
    with Workspace(project_id="1", path=tmp_path / "store.db") as workspace, pytest.raises(AuthenticationError):
        workspace.events()


def test_credentials_are_tested_by_one_question(
    emulator: Emulator, environment: pytest.MonkeyPatch, live_workspace: Workspace
) -> None:
    before = emulator.requests()
    assert Workspace.test_credentials() == {
        "success": True,
        "account": None,
        "project_id": emulator.environment["MP_PROJECT_ID"],
        "region": "us",
        "events_found": len(live_workspace.events()),
    }
    assert len(emulator.requests_since(before)) == 2


def test_api_headers_reach_mixpanel(server: ScriptedServer, environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "MP_USERNAME": "robot",
        "MP_SECRET": "x",
        "MP_PROJECT_ID": "42",
        "MP_REGION": "eu",
        "MP_API_BASE_URL": server.url,
    }.items():
        environment.setenv(name, value)
    server.say(Reply(body=b"[]"))
    with Workspace(api_headers={"X-Internal": "yes"}) as workspace:
        workspace.events()
        assert file_of(workspace) == tmp_path / "home" / ".mp" / "data" / "42.db"
        assert not file_of(workspace).exists(), "asking Mixpanel does not touch the database"
    assert server.received[0].headers["x-internal"] == "yes"


def test_a_store_opens_without_credentials(workspace: Workspace, tmp_path: Path) -> None:
    workspace.sql("create table t as select 1 as i")
    with Workspace.open(str(file_of(workspace))) as reader:
        assert reader.sql_scalar("from t") == 1
        assert reader.info().to_dict()["project_id"] is None
        for ask in (reader.events, lambda: reader.fetch_events(from_date="2025-06-01", to_date="2025-06-01")):
            with pytest.raises(ConfigError, match="no Mixpanel credentials"):
                ask()
    with pytest.raises(FileNotFoundError) as caught:
        Workspace.open(tmp_path / "none.db")
    assert isinstance(caught.value, DatabaseNotFoundError)


def test_before_the_first_fetch_there_are_no_tables_and_no_file(workspace: Workspace) -> None:
    assert workspace.tables() == []
    assert workspace.info().size_mb is None
    with pytest.raises(DatabaseNotFoundError) as caught:
        workspace.select("select 1")
    assert "fetch" in str(caught.value.fix)
    assert not file_of(workspace).exists()


def test_a_table_that_the_user_dropped_is_not_listed(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(Reply(body=b'{"event": "a", "properties": {"time": 1748779200}}\n'))
    workspace.fetch_events("one", from_date="2025-06-01", to_date="2025-06-01")
    workspace.fetch_events("two", from_date="2025-06-01", to_date="2025-06-01")
    workspace.sql("drop table one; insert into two from two")
    assert [(table.name, table.row_count) for table in workspace.tables()] == [("two", 2)]
    workspace.fetch_events("one", from_date="2025-06-01", to_date="2025-06-01")
    assert [table.name for table in workspace.tables()] == ["one", "two"]


def test_fetched_at_is_an_instant(
    workspace: Workspace, server: ScriptedServer, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("MP_NOW", "2025-06-30T12:00:00+02:00")
    server.say(Reply(body=b""))
    workspace.fetch_events(from_date="2025-06-01", to_date="2025-06-01")
    assert workspace.tables()[0].fetched_at == datetime(2025, 6, 30, 10, tzinfo=UTC)


def test_closing_twice_is_fine_and_gives_everything_back(client: MixpanelAPIClient, tmp_path: Path) -> None:
    workspace = Workspace(path=tmp_path / "store.db", _api_client=client)
    workspace.connection.execute("create table t as select 1 as i")
    workspace.close()
    workspace.close()
    with Workspace.open(tmp_path / "store.db") as reader:
        assert reader.select("from t").rows == ((1,),)
