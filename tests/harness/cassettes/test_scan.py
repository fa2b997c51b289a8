"""What must not be published is found wherever tapes are, and told without being repeated."""

import base64
import re
from pathlib import Path

import pytest

from harness.cassettes import launch, scan, written
from harness.cassettes.tape import Answer, Asked, Interaction, found
from tests.harness.cassettes.made import URL, interaction, tape
from tests.harness.cassettes.test_scrub import SECRET, forms
from tests.support.repository import ROOT

SHAPED = {
    "a private key": "-----BEGIN RSA PRIVATE KEY-----",
    "a JSON web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "an Authorization header": "authorization: Bearer abcdefgh12345678",
    "Basic credentials": "Basic bG9jYWw6bG9jYWwtc2VjcmV0",
    "a key of AWS": "AKIAABCDEFGHIJKLMNOP",
    "a token of GitHub": "ghp_" + "a1" * 20,
    "a token of Slack": "xoxb-1234567890-abcdef",
    "a key of a model": "sk-" + "proj1234567890abcdefgh",
    "a key of Google": "AIza" + "a" * 35,
    "a service account of Mixpanel": "reader.0a1b2c.mp-service-account",
    "a cookie": "Set-Cookie: a=b",
    "a URL with a password": "https://me:pass@mixpanel.com/",
}


def test_everything_that_is_committed_is_clean() -> None:
    files = scan.everything(ROOT / launch.TAPES)
    assert [str(found) for found in scan.scan(files)] == []


OF_THE_MOMENT = re.compile(
    r"127\.0\.0\.1|localhost:|result://[A-Za-z0-9_-]{12}|\"duration_seconds\": [^0]|^      date: ", re.MULTILINE
)


def test_nothing_of_the_machine_and_the_moment_of_a_recording_is_on_a_tape_and_none_is_too_long_to_read() -> None:
    files = found(ROOT / launch.TAPES)
    texts = {case: file.read_text() for case, file in files.items()}
    assert {case: OF_THE_MOMENT.findall(text) for case, text in texts.items() if OF_THE_MOMENT.search(text)} == {}
    assert {case for case, text in texts.items() if len(text.encode()) > 250_000} == set()
    assert sum(len(text.encode()) for text in texts.values()) <= 4_000_000


def test_every_shape_has_a_secret_here() -> None:
    assert set(SHAPED) == set(scan.SHAPES)


@pytest.mark.parametrize("what", SHAPED)
@pytest.mark.parametrize("packed", [False, True])
def test_every_shape_is_found_also_within_base64(what: str, packed: bool, tmp_path: Path) -> None:
    secret = SHAPED[what]
    body = b"\xff" + secret.encode() if packed else f'{{"said":"{secret}"}}'.encode()
    file = written.write(tmp_path, tape(interaction(1), interaction(2, body)))
    found = scan.scan([file])
    assert [each.what for each in found if what in each.what], found
    assert all(secret not in str(each) for each in found)
    line = file.read_text().splitlines()[found[0].line - 1]
    assert ("base64" if packed else secret) in line


@pytest.mark.parametrize("form", forms(SECRET)[:-1])
def test_a_canary_is_found_in_every_form(form: str, tmp_path: Path) -> None:
    file = tmp_path / "anything.txt"
    file.write_text(f"first line\n…{form}…\n")
    found = scan.scan([file], canaries=[SECRET])
    assert {each.line for each in found} == {2}
    assert scan.scan([file]) == [], "which no shape would have found"


def test_a_person_is_found_on_a_tape_from_live_mixpanel_and_invented_ones_are_not(tmp_path: Path) -> None:
    body = Interaction(Asked("GET", URL), Answer(200, {}, b'["ann@example.com","person-0a@example.invalid"]'))
    live = written.write(tmp_path / "live", tape(body, target="live", data=None))
    emulated = written.write(tmp_path / "emulated", tape(body))
    assert [each.what for each in scan.scan([live])] == ["an e-mail address from live Mixpanel"]
    assert scan.scan([emulated]) == []


def test_the_hook_names_file_and_line_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MP_SECRET", SECRET)
    bad, good = tmp_path / "bad.yaml", tmp_path / "good.yaml"
    bad.write_text(f"x: {base64.b64encode(SECRET.encode()).decode()}")
    good.write_text("x: 1")
    assert scan.main([str(bad), str(good)]) == 1
    said = capsys.readouterr().out
    assert f"{bad}:1: a given secret, written as base64+0" in said
    assert SECRET not in said
    assert scan.main([str(good)]) == 0
    assert scan.main([str(tmp_path / "gone")]) == 2
    assert scan.main([str(tmp_path)]) == 1, "a directory is all that is in it"
