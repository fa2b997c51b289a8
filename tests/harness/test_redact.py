"""Secrets are taken out of texts: by value in every form, by the name before them, and then by value again."""

import base64
import html
import json
import shlex
import string
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.redact import MASK, Redactor, names_a_secret, secrets_of

CANARY = "C4n/ry+s3cret="
SECRETS = st.text(
    st.characters(codec="utf-8", exclude_characters="\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"), min_size=6, max_size=40
)
AROUND = st.text(string.ascii_letters + " ", max_size=7)


def in_base64(secret: str, before: str, after: str) -> str:
    return base64.b64encode(f"{before}{secret}{after}".encode()).decode()


FORMS: dict[str, Callable[[str], str]] = {
    "plain": lambda secret: secret,
    "json": json.dumps,
    "json-wide": lambda secret: json.dumps(secret, ensure_ascii=False),
    "json-in-json": lambda secret: json.dumps(json.dumps({"value": secret})),
    "percent": quote,
    "percent-all": lambda secret: quote(secret, safe=""),
    "percent-lower": lambda secret: quote(secret, safe="").replace("%2F", "%2f"),
    "form": quote_plus,
    "percent-twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "html": html.escape,
    "shell": shlex.quote,
    "python": repr,
    "hex": lambda secret: secret.encode().hex(),
    "base64": lambda secret: in_base64(secret, "", ""),
    "base64-url": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=40)
@given(secret=SECRETS.filter(lambda text: text == text.strip() and text not in MASK))
@example(secret=CANARY)
@example(secret="0000 0")
@example(secret="äöü€ 'quoted\" \\ back")
def test_a_known_secret_is_taken_out_in_every_form(form: str, secret: str) -> None:
    redactor = Redactor([secret])
    written = FORMS[form](secret)
    cleaned = redactor.text(f"before {written} after")
    assert cleaned.startswith("before ")
    assert cleaned.endswith(" after")
    assert written not in cleaned
    assert redactor.left_in(cleaned.encode(errors="replace")) == 0


@given(secret=st.text(string.ascii_letters + string.digits + "+/=-_", min_size=8), before=AROUND, after=AROUND)
def test_in_base64_it_is_found_wherever_it_begins(secret: str, before: str, after: str) -> None:
    redactor = Redactor([secret])
    packed = in_base64(secret, before + ":", after)
    cleaned = redactor.text(f"Authorized by {packed} today")
    assert cleaned == f"Authorized by {MASK} today"


@pytest.mark.parametrize(
    "line",
    [
        f"MP_SECRET={CANARY}",
        f"export MP_SECRET='{CANARY}'",
        f'"secret": "{CANARY}"',
        f'{{\\"secret\\": \\"{CANARY}\\"}}',
        f"{{'api_key': '{CANARY}'}}",
        f"Authorization: Basic {CANARY}",
        f"authorization: bearer {CANARY}",
        f"x-api-key: {CANARY}",
        f"password = {CANARY}",
        f"--token {CANARY} --port 1",
        f"--token={CANARY}",
        f"GET /path?token={CANARY}",
        f"https://user:{CANARY.replace('/', '-')}@host/path",
        f"redis://:{CANARY.replace('/', '-')}@host:6379/0",
        f"Cookie: theme=dark; sid={CANARY}; x=y",
        f"set-cookie: sid={CANARY}; HttpOnly",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789",
    ],
)
def test_an_unknown_secret_is_found_by_its_name_or_shape(line: str) -> None:
    cleaned = Redactor().text(line)
    assert MASK in cleaned
    for secret in (CANARY, CANARY.replace("/", "-"), "dozjgNryP4J3", "abcdefghijkl"):
        assert secret not in cleaned


def test_what_is_cleaned_once_stays_as_it_is() -> None:
    redactor = Redactor([CANARY])
    once = redactor.text(f"Cookie: a={CANARY}\nMP_SECRET={CANARY} secret: x api_key={CANARY}&y=1")
    assert redactor.text(once) == once


@pytest.mark.parametrize(
    "line", ["token expired", "the password is wrong", "39 tools", "the keyboard: big", "a secret leaked"]
)
def test_prose_stays_readable(line: str) -> None:
    assert Redactor().text(line) == line


def test_a_secret_that_a_name_gives_away_is_then_found_without_it() -> None:
    redactor = Redactor()
    redactor.learn(f"starting with password={CANARY}&mode=fast")
    assert redactor.text(f"wrong login for {CANARY}!") == f"wrong login for {MASK}!"
    redactor.learn("session_key: 'pa55 with blanks'")
    assert redactor.text("said pa55 with blanks twice") == f"said {MASK} twice"


def test_a_key_block_is_taken_out_even_without_its_beginning() -> None:
    body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7\n"
    whole = f"x -----BEGIN RSA PRIVATE KEY-----\n{body}-----END RSA PRIVATE KEY----- y"
    assert Redactor().text(whole) == f"x {MASK} y"
    assert "MIIEvQ" not in Redactor().text(f"{body}-----END PRIVATE KEY-----\nnext")


def test_values_of_telling_names_and_keys_are_left_out() -> None:
    value = {
        "api_key": "abc",
        "rows": [{"password": "x1"}, {"name": f"a {CANARY}"}],
        CANARY: 3,
        "tokens": 5,
        "none": None,
    }
    assert Redactor([CANARY]).value(value) == {
        "api_key": MASK, "rows": [{"password": MASK}, {"name": f"a {MASK}"}], MASK: 3, "tokens": 5, "none": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["MP_SECRET", "OPENAI_API_KEY", "apiKey", "GH_TOKEN", "Set-Cookie", "AUTHORIZATION", "DB_PASSWORD"]
)
def test_names_of_secrets_are_known(name: str) -> None:
    assert names_a_secret(name)


@pytest.mark.parametrize("name", ["MP_USERNAME", "MP_REGION", "KEYBOARD", "MONKEY", "HARNESS_MCP_PORT", "PATH", "PWD"])
def test_other_names_are_not(name: str) -> None:
    assert not names_a_secret(name)


def test_an_environment_gives_its_secrets_and_the_passwords_in_its_addresses() -> None:
    environment = {
        "MP_SECRET": "s1",
        "PATH": "/bin",
        "HTTPS_PROXY": "http://me:pr0xy@host:3128",
        "MP_REDIS_URL": "redis://:r3dis@h",
    }
    assert secrets_of(environment) == {"s1", "pr0xy", "r3dis"}


def test_no_secret_is_in_its_repr() -> None:
    assert CANARY not in repr(Redactor([CANARY]))


HOSTILE = [
    "secret" * 42_500, "key " * 62_500, "a" * 250_000, "://" * 82_500, "basic " * 42_500, "eyJ" * 82_500,
    "secret='" * 31_250, "-----BEGIN KEY-----" * 12_500, "A" * 250_000 + "-", "token" + " " * 250_000,
    "://" + "a" * 250_000, "cookie:" * 35_000, "\\" * 250_000, 'secret\\\\\\"' * 25_000, "eyJaaaaaaaa." * 20_000,
]  # fmt: skip


@pytest.mark.parametrize("line", HOSTILE, ids=lambda line: line[:12])
def test_no_line_takes_for_ever(line: str) -> None:
    began = time.process_time()
    redactor = Redactor([CANARY])
    redactor.text(line)
    redactor.learn(line)
    # A pattern that backs up would take hours for a line of this length.
    assert time.process_time() - began < 60
