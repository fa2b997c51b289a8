"""The only socket: what goes out, what each kind of answer becomes, and that the secret stays in."""

from __future__ import annotations

import base64
import gzip
import io
import json
import logging
import traceback
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from mixpanel_data import (
    APIError,
    AuthenticationError,
    ConfigError,
    Credentials,
    IncompleteExportError,
    JQLSyntaxError,
    MixpanelAPIClient,
    MixpanelDataError,
    QueryError,
    RateLimitError,
    ServerError,
)
from mixpanel_data.endpoints import ENDPOINTS, Endpoint, rate_of
from tests.support.ports import free_port
from tests.support.scripted_http import Reply, ScriptedServer
from tests.support.virtual_clock import VirtualClock

NAMES, EXPORT = ENDPOINTS["event_names"], ENDPOINTS["export"]
SCHEMA = Endpoint(
    "schema", "GET", "app", "/projects/{project_id}/schemas/{entity_type}/{name}", ("v",), "lexicon", "section 9.4"
)
BASIC = base64.b64encode(b"robot.0a1b2c.mp-service-account:canary/secret+51").decode()


def ask(client: MixpanelAPIClient) -> Any:
    return client.call(NAMES, {"type": "general"})


@pytest.mark.parametrize("row", ENDPOINTS.values(), ids=lambda row: row.name)
def test_every_row_has_its_own_place_and_names_its_source(row: Any) -> None:
    assert row.source.startswith("reference/mixpanel-api.md, section ")
    assert "project_id" not in row.parameters
    assert [other.url("us") for other in ENDPOINTS.values()].count(row.url("us")) == 1


@pytest.mark.parametrize("region", ["us", "eu", "in"])
def test_each_family_has_its_host_in_each_region(region: str) -> None:
    """The public contract's own table (1.6)."""
    prefix, suffix = ("", "") if region == "us" else (f"{region}.", f"-{region}")
    assert ENDPOINTS["segmentation"].url(region) == f"https://{prefix}mixpanel.com/api/query/segmentation"
    assert ENDPOINTS["export"].url(region) == f"https://data{suffix}.mixpanel.com/api/2.0/export"
    assert Endpoint("x", "POST", "engage", "", (), "query", "").url(region) == (
        f"https://{prefix}mixpanel.com/api/2.0/engage"
    )
    assert SCHEMA.url(region, None, {"project_id": 1, "entity_type": "event", "name": "a b/ü?"}) == (
        f"https://{prefix}mixpanel.com/api/app/projects/1/schemas/event/a%20b%2F%C3%BC%3F"
    )


def test_a_base_url_stands_in_for_all_hosts() -> None:
    assert EXPORT.url("eu", "http://127.0.0.1:1/{region}") == "http://127.0.0.1:1/eu/api/2.0/export"
    assert NAMES.url("us", "http://127.0.0.1:1") == "http://127.0.0.1:1/api/query/events/names"


def test_a_request_is_signed_names_its_project_and_carries_the_default_headers(
    server: ScriptedServer, credentials: Credentials
) -> None:
    server.say(Reply(body=b"[]"))
    with MixpanelAPIClient(credentials, base_url=server.url, default_headers={"X-Internal": "yes"}) as client:
        assert client.call(ENDPOINTS["event_counts"], {"event": ["a", "ü"], "unit": "day", "type": None}) == []
    (request,) = server.received
    assert request.path == "/api/query/events"
    assert request.parameters == {"project_id": "4100200", "event": '["a","ü"]', "unit": "day"}
    assert request.headers["authorization"] == f"Basic {BASIC}"
    assert request.headers["x-internal"] == "yes"


def test_a_project_in_the_path_is_not_in_the_query_string(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(Reply(body=b"{}"))
    client.call(SCHEMA, {"v": 2}, path_arguments={"entity_type": "event", "name": "../a"})
    (request,) = server.received
    assert (request.path, request.parameters) == ("/api/app/projects/4100200/schemas/event/..%2Fa", {"v": "2"})


@pytest.mark.parametrize("given", [{}, {"entity_type": "event"}, {"entity_type": "event", "name": "a", "more": 1}])
def test_a_path_argument_too_few_or_too_many_is_a_mistake_of_ours(client: MixpanelAPIClient, given: Any) -> None:
    with pytest.raises(TypeError, match="path arguments"):
        client.call(SCHEMA, {}, path_arguments=given)


SENT = {"where": 'a == "ü"', "ids": ["x", 1], "by": {"id": 7}, "page": 2, "all": False, "none": None}


def test_a_form_holds_text_alone_and_the_project_stays_in_the_query_string(
    client: MixpanelAPIClient, server: ScriptedServer
) -> None:
    server.say(Reply(body=b"[]"))
    client.call(Endpoint("x", "POST", "query", "/x", tuple(SENT), "query", "", sends="form"), SENT)
    (request,) = server.received
    assert (request.method, request.parameters) == ("POST", {"project_id": "4100200"})
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    form = {name: value for name, (value,) in parse_qs(request.body.decode()).items()}
    assert form == {"where": 'a == "ü"', "ids": '["x",1]', "by": '{"id":7}', "page": "2", "all": "false"}


def test_a_json_body_holds_lists_as_text_and_numbers_as_they_are(
    client: MixpanelAPIClient, server: ScriptedServer
) -> None:
    server.say(Reply(body=b"[]"))
    client.call(Endpoint("x", "POST", "engage", "", tuple(SENT), "query", "", sends="json"), SENT)
    (request,) = server.received
    assert (request.path, request.parameters) == ("/api/2.0/engage", {"project_id": "4100200"})
    assert json.loads(request.body) == {
        "where": 'a == "ü"', "ids": '["x",1]', "by": '{"id":7}', "page": 2, "all": False
    }  # fmt: skip


def test_a_refusal_tells_what_was_asked(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(Reply(400, b'{"error": "no"}'))
    with pytest.raises(QueryError) as caught:
        client.call(Endpoint("x", "POST", "query", "/x", tuple(SENT), "query", "", sends="form"), SENT)
    error = caught.value
    assert error.request_method == "POST"
    assert error.request_url == f"{server.url}/api/query/x"
    assert error.request_params == {"project_id": "4100200"}
    assert error.request_body is not None
    assert error.request_body["ids"] == '["x",1]'
    assert error.response_body == '{"error": "no"}'


def test_a_script_that_fails_is_told_with_its_line(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    text = "UserVisiblePreconditionFailedError: Uncaught exception TypeError: a is not a function\n  a()\n  ^\n"
    server.say(Reply(412, json.dumps({"request": "/api/query/jql?project_id=1", "error": text}).encode()))
    row = Endpoint("x", "POST", "query", "/jql", ("script",), "jql", "", sends="form")
    with pytest.raises(JQLSyntaxError) as caught:
        client.call(row, {"script": "a()"})
    error = caught.value
    assert (error.error_type, error.error_message) == ("TypeError", "a is not a function")
    assert (error.script, error.request_path, error.raw_error) == ("a()", "/api/query/jql?project_id=1", text)
    assert error.line_info == "a()\n^"


def test_the_environments_base_url_is_used_when_none_is_given(
    server: ScriptedServer, credentials: Credentials, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("MP_API_BASE_URL", server.url + "/{region}")
    server.say(Reply(body=b"[]"))
    with MixpanelAPIClient(credentials) as client:
        ask(client)
    assert server.received[0].path == "/us/api/query/events/names"


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    server: ScriptedServer, credentials: Credentials, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    server.say(Reply(body=b"[]"))
    with MixpanelAPIClient(credentials, base_url=server.url) as client:
        assert ask(client) == []


@pytest.mark.parametrize("name", ["Authorization", "aUTHORIZATION", "Host"])
def test_default_headers_cannot_sign_for_somebody_else(credentials: Credentials, name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        MixpanelAPIClient(credentials, default_headers={name: "Basic eA=="})


def test_a_parameter_that_the_catalogue_does_not_know_is_a_mistake_of_ours(client: MixpanelAPIClient) -> None:
    with pytest.raises(TypeError, match="colour"):
        client.call(NAMES, {"colour": "red"})


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, b'{"request": "/x", "error": "Invalid credentials"}', AuthenticationError, "Invalid credentials"),
        (400, b'{"error": "Unable to authenticate request"}', AuthenticationError, "Unable to authenticate"),
        (400, b"Unable to authenticate request: project", AuthenticationError, "project"),
        (400, b'{"error": "Error in from_date: invalid date"}', QueryError, "invalid date"),
        (400, b"", QueryError, "HTTP 400"),
        (402, b'{"error": "your plan"}', QueryError, "your plan"),
        (403, b'{"status": "error", "error": "Permission denied"}', QueryError, "Permission denied"),
        (404, b'{"error": {"deep": "er"}}', QueryError, "deep"),
        (412, b"stack", JQLSyntaxError, "stack"),
        (422, b'{"error": "name is too long"}', QueryError, "too long"),
        (500, b'{"error": "An unknown error occurred."}', ServerError, "unknown error"),
        (502, b"<html><head><title>Bad Gateway</title></head></html>", ServerError, "Bad Gateway"),
        (503, b"\xff\xfe\x00", ServerError, "HTTP 503"),
        (302, b"", APIError, "HTTP 302"),
    ],
)
def test_each_status_has_its_error(
    client: MixpanelAPIClient, server: ScriptedServer, status: int, body: bytes, kind: type[APIError], words: str
) -> None:
    server.say(Reply(status, body, {"Location": "http://127.0.0.1:1/elsewhere"} if status == 302 else {}))
    for attempt in (lambda: ask(client), lambda: client.download(EXPORT, {}, io.BytesIO())):
        with pytest.raises(APIError) as caught:
            attempt()
        assert type(caught.value) is kind
        assert caught.value.status_code == status == caught.value.details["status_code"]
        assert words in caught.value.message
        assert caught.value.fix
        assert caught.value.details["request_params"]["project_id"] == "4100200"
        assert json.dumps(caught.value.to_dict())
    assert len(server.received) == 2, "a redirect was followed, or a refusal asked again"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "37"}, 37),
        ({"Retry-After": "999999999999"}, 3600),
        ({"Retry-After": "Sun, 01 Jun 2025 10:01:00 GMT", "Date": "Sun, 01 Jun 2025 10:00:00 GMT"}, 60),
        ({"Retry-After": "Sun, 01 Jun 2025 09:00:00 GMT", "Date": "Sun, 01 Jun 2025 10:00:00 GMT"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({}, None),
    ],
)
def test_a_rate_limit_says_how_long_to_wait(
    client: MixpanelAPIClient, server: ScriptedServer, headers: dict[str, str], seconds: int | None
) -> None:
    server.say(Reply(429, b'{"error": "Query rate limit exceeded"}', headers))
    with pytest.raises(RateLimitError, match="Query rate limit exceeded") as caught:
        ask(client)
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"{", b"\xff", b"[" * 100_000])
def test_a_good_status_with_a_body_that_is_not_json_is_an_api_error(
    client: MixpanelAPIClient, server: ScriptedServer, body: bytes
) -> None:
    server.say(Reply(200, body))
    with pytest.raises(APIError, match="not JSON"):
        ask(client)


def test_an_error_inside_a_good_status_is_an_error(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(Reply(200, b'{"error": "unknown variable"}'))
    with pytest.raises(QueryError, match="unknown variable"):
        ask(client)


def test_no_answer_is_an_http_error_that_names_the_address(credentials: Credentials) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with MixpanelAPIClient(credentials, base_url=url) as client, pytest.raises(MixpanelDataError) as caught:
        ask(client)
    assert f"no answer from {url}" in caught.value.message
    assert caught.value.code == "HTTP_ERROR"


def test_an_answer_that_is_cut_is_an_http_error(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(Reply(200, b'["a', missing=10))
    with pytest.raises(MixpanelDataError) as caught:
        ask(client)
    assert caught.value.code == "HTTP_ERROR"


def test_a_download_keeps_gzip_as_it_came(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    plain = b'{"event": "a"}\n' * 50_000
    packed = gzip.compress(plain[:300_000]) + gzip.compress(plain[300_000:])
    server.say(Reply(200, packed, {"Content-Encoding": "gzip"}))
    target, told = io.BytesIO(), list[int]()
    got = client.download(EXPORT, {"from_date": "2025-06-01"}, target, on_bytes=told.append)
    assert target.getvalue() == packed
    assert (got.gzipped, got.bytes_received, got.bytes_plain) == (True, len(packed), len(plain))
    assert told[-1] == len(packed)
    assert server.received[0].headers["accept-encoding"] == "gzip"


def test_a_download_takes_plain_bytes_too(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(Reply(200, b"abc"))
    target = io.BytesIO()
    got = client.download(EXPORT, {}, target)
    assert (target.getvalue(), got.gzipped, got.bytes_plain) == (b"abc", False, 3)


WHOLE = gzip.compress(bytes(range(256)) * 1000)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"abc", missing=5),
        Reply(200, WHOLE[:-200], {"Content-Encoding": "gzip"}, missing=200),
        Reply(200, WHOLE[:-1], {"Content-Encoding": "gzip"}),
        Reply(200, WHOLE[:-8] + b"\0" * 8, {"Content-Encoding": "gzip"}),
        Reply(200, WHOLE + b"more", {"Content-Encoding": "gzip"}),
        Reply(200, b"not gzip", {"Content-Encoding": "gzip"}),
    ],
    ids=["short", "short gzip", "no end", "wrong checksum", "rubbish behind", "not gzip"],
)
def test_a_broken_download_is_never_taken_for_whole(
    client: MixpanelAPIClient, server: ScriptedServer, reply: Reply
) -> None:
    server.say(reply)
    with pytest.raises(IncompleteExportError, match="broke off") as caught:
        client.download(EXPORT, {}, io.BytesIO())
    assert "nothing was stored" in str(caught.value.fix)


def test_an_encoding_that_was_not_asked_for_is_refused(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(Reply(200, b"abc", {"Content-Encoding": "br"}))
    with pytest.raises(APIError, match="br"):
        client.download(EXPORT, {}, io.BytesIO())


def test_the_secret_is_in_no_text_whatever_the_server_repeats(
    client: MixpanelAPIClient, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.say(Reply(400, f"you sent {BASIC} that is canary/secret+51 or canary%2Fsecret%2B51".encode()))
    with pytest.raises(QueryError) as caught:
        ask(client)
    error = caught.value
    told = "".join(traceback.format_exception(error)) + json.dumps(error.to_dict()) + repr(error) + repr(client)
    told += repr(vars(client)) + caplog.text
    assert "***" in told
    for form in ("canary", "canary%2F", BASIC):
        assert form not in told


def test_any_operation_can_be_asked_and_no_project_is_added(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(Reply(body=b'{"status": "ok"}'))
    url = f"{server.url}/api/app/me?a=1"
    assert client.request("post", url, params={"id[]": [1, 2]}, json_body={"x": [1]}, headers={"X-A": "b"}) == {
        "status": "ok"
    }
    (request,) = server.received
    assert (request.method, request.path, request.parameters) == ("POST", "/api/app/me", {"id[]": "2", "a": "1"})
    assert json.loads(request.body) == {"x": [1]}
    assert request.headers["authorization"] == f"Basic {BASIC}"
    assert request.headers["x-a"] == "b"


@pytest.mark.parametrize(("status", "body", "value"), [(204, b"", None), (201, b"[1]", [1]), (200, b"a\n", "a\n")])
def test_any_good_answer_is_json_or_text_or_nothing(
    client: MixpanelAPIClient, server: ScriptedServer, status: int, body: bytes, value: object
) -> None:
    server.say(Reply(status, body))
    assert client.request("GET", f"{server.url}/api/app/me") == value


def test_a_write_is_sent_again_after_a_429_only(
    server: ScriptedServer, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    VirtualClock(monkeypatch)
    with MixpanelAPIClient(credentials, base_url=server.url) as client:
        server.say(Reply(429), Reply(200, b"1"))
        assert client.request("POST", f"{server.url}/import", json_body=[]) == 1
        server.say(Reply(503))
        with pytest.raises(ServerError):
            client.request("POST", f"{server.url}/import", json_body=[])
        assert len(server.received) == 3
        server.say(Reply(503), Reply(200, b"1"))
        assert client.request("GET", f"{server.url}/api/app/me") == 1


def test_the_base_url_stands_in_for_mixpanels_hosts_in_any_operation(
    server: ScriptedServer, credentials: Credentials
) -> None:
    server.say(Reply(body=b"1"))
    with MixpanelAPIClient(credentials, base_url=server.url + "/{region}") as client:
        client.request("GET", "https://data-eu.mixpanel.com/api/2.0/export?a=%2F")
        client.request("GET", f"{server.url}/us/api/app/me")
        client.request("GET", "https://mixpanel.com/api/query/jql")
    assert [request.path for request in server.received] == [
        "/us/api/2.0/export", "/us/api/app/me", "/us/api/query/jql"
    ]  # fmt: skip
    assert server.received[0].parameters == {"a": "/"}


FOREIGN = [
    "https://example.com/api/app/me",
    "http://mixpanel.com/api/app/me",
    "https://mixpanel.com.example.com/",
    "https://evilmixpanel.com/",
    "https://mixpanel.com:8443/",
    "https://mixpanel.com@example.com/",
    "https://a:b@mixpanel.com/",
    "https://example.com\\@mixpanel.com/",
    "//mixpanel.com/api",
    "/api/app/me",
    "file:///etc/passwd",
    "",
    "http://127.0.0.1:1/api/app/me",
    "https://[/",
]


@pytest.mark.parametrize("url", FOREIGN)
def test_the_credentials_go_to_no_foreign_host(credentials: Credentials, url: str, server: ScriptedServer) -> None:
    sent = list[httpx.Request]()

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    transport = httpx.MockTransport(answer)
    with MixpanelAPIClient(credentials, _transport=transport) as client:
        with pytest.raises(ValueError, match="url"):
            client.request("GET", url)
        for own in ("eu.mixpanel.com", "mixpanel.com"):
            assert client.request("GET", f"https://{own}/api/app/me") is None
    assert [request.url.host for request in sent] == ["eu.mixpanel.com", "mixpanel.com"]
    base = server.url + "/us"
    with MixpanelAPIClient(credentials, base_url=base) as client:
        for foreign in (
            url,
            f"{server.url}/eu/api/app/me",
            f"{server.url}/usx",
            base.replace("127.0.0.1", "localhost"),
        ):
            with pytest.raises(ValueError, match="url"):
                client.request("GET", foreign)
    assert server.received == []


@pytest.mark.parametrize("header", ["Authorization", "host", "Content-Length"])
def test_no_call_can_sign_for_somebody_else(client: MixpanelAPIClient, server: ScriptedServer, header: str) -> None:
    with pytest.raises(ConfigError, match=header):
        client.request("GET", f"{server.url}/api/app/me", headers={header: "x"})
    assert server.received == []


@pytest.mark.parametrize(
    ("path", "rate"),
    [
        ("/api/query/segmentation", "query"),
        ("/us/api/2.0/engage", "query"),
        ("/api/query/jql", "jql"),
        ("/api/2.0/export", "export"),
        ("/api/2.0/export/", "export"),
        ("/api/app/projects/1/schemas/event", "lexicon"),
        ("/api/app/projects/1/bookmarks", "app"),
        ("/import", "app"),
    ],
)
def test_a_call_without_a_row_spends_the_budget_of_its_path(path: str, rate: str) -> None:
    assert rate_of(path) == rate


def test_the_client_is_where_users_of_its_transport_import_it_from(credentials: Credentials) -> None:
    from mixpanel_data._internal import api_client

    assert api_client.MixpanelAPIClient is MixpanelAPIClient
    answers = httpx.MockTransport(lambda request: httpx.Response(200, json=[request.url.host]))
    with MixpanelAPIClient(credentials, _transport=answers) as client:
        # A transport is no network: nobody's budget is spent.
        assert [ask(client) for _ in range(70)] == [["mixpanel.com"]] * 70
        assert client.budget.used("query") is None
