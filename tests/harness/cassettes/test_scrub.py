"""No secret stays on a tape in any form, a replay's own account fits in its place, and people are nobody at all."""

import base64
import codecs
import html
import json
import re
import time
from urllib.parse import quote, quote_plus, unquote, unquote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cassettes import canonical, scrub, written
from harness.cassettes.tape import Answer, Asked, AskedBack, Exchange, Interaction, ToolCall
from harness.errors import HarnessError
from tests.harness.cassettes.made import URL, tape

SECRET = 'ca/na+ry "§ecret" %&<ö>'
USERNAME = "canary.0a1b2c.mp-service-account"
OURS = scrub.Credentials(USERNAME, SECRET, "2195193")
REPLAY = scrub.Credentials("replay.000000.account", "nobody's secret", scrub.PROJECT_ID)
SURROUNDED = st.text(st.characters(codec="ascii"), max_size=7)


def forms(secret: str) -> list[str]:
    """As an answer could repeat it, written down here anew and not taken from what is tested."""
    plain = [
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        html.escape(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(secret))[3:-3],
        secret.encode().hex(),
        secret.encode().hex().upper(),
        quote(quote(secret, safe=""), safe=""),
    ]
    padded = [f"{'x' * n}{secret}{'y' * m}" for n in range(4) for m in range(3)]
    coded = [code(text.encode()).decode() for text in padded for code in (base64.b64encode, base64.urlsafe_b64encode)]
    return [*plain, *coded, f"Basic {base64.b64encode(f'{USERNAME}:{secret}'.encode()).decode()}"]


def reads(data: bytes, secret: str) -> bool:
    """Whether somebody who tries can read most of a secret there."""
    text = data.decode("utf-8", "replace")
    views = [text, unquote(text), unquote(unquote(text)), unquote_plus(text), html.unescape(text)]
    for _ in range(2):
        views += [codecs.decode(view.encode("ascii", "backslashreplace"), "unicode_escape") for view in views]
    if re.fullmatch("([0-9a-fA-F]{2})+", text):
        views.append(bytes.fromhex(text).decode("utf-8", "replace"))
    for run in re.findall("[A-Za-z0-9+/_-]{8,}", text.removeprefix("Basic ")):
        for start in range(4):
            cut = run[start:][: len(run[start:]) // 4 * 4].replace("-", "+").replace("_", "/")
            views.append(base64.b64decode(cut).decode("utf-8", "replace"))
    return any(secret[2:-2] in view for view in views)


@pytest.mark.parametrize("form", forms(SECRET))
def test_a_secret_is_gone_in_every_form(form: str) -> None:
    cleaned = OURS.away(form.encode())
    assert not reads(cleaned, SECRET), cleaned
    assert b"{{MP_" in cleaned


@given(st.sampled_from(forms(SECRET)), SURROUNDED, SURROUNDED)
@settings(max_examples=100, deadline=None)
def test_it_is_gone_in_the_middle_of_other_text(form: str, before: str, after: str) -> None:
    assert form.encode() not in OURS.away(f"{before}{form}{after}".encode())


def test_the_reader_of_this_test_finds_secrets_that_are_there() -> None:
    assert [form for form in forms(SECRET) if not reads(form.encode(), SECRET)] == []


def test_what_one_account_was_told_the_replays_account_is_told_of_itself() -> None:
    said = f'{{"error": "{USERNAME} may not, {quote(USERNAME)}"}}'.encode()
    on_tape = OURS.away(said)
    assert on_tape == b'{"error": "{{MP_USERNAME}} may not, {{MP_USERNAME}}"}'
    assert REPLAY.back(on_tape) == b'{"error": "replay.000000.account may not, replay.000000.account"}'


def test_both_accounts_ask_the_same_on_tape() -> None:
    def asked(username: str, secret: str) -> Asked:
        body = f"where={quote_plus(secret)}&user={username}".encode()
        return Asked("POST", URL, (("event", username), ("on", secret)), written.FORM, body)

    recorded = scrub.asked(asked(USERNAME, SECRET), OURS.away)
    played = scrub.asked(asked("replay.000000.account", "nobody's secret"), REPLAY.away)
    assert recorded == played
    assert recorded.query == (("event", "{{MP_USERNAME}}"), ("on", "{{MP_SECRET}}"))


def test_a_secret_that_has_to_be_escaped_matches_one_that_has_not() -> None:
    def asked(secret: str) -> Asked:
        return Asked("GET", URL, (("event", json.dumps([secret])), ("on", quote(secret, safe=""))))

    recorded, played = (scrub.asked(asked(SECRET), OURS.away), scrub.asked(asked("nobody's secret"), REPLAY.away))
    assert recorded != played
    assert canonical.key(recorded) == canonical.key(played)
    assert canonical.key(scrub.asked(asked("another"), OURS.away)) != canonical.key(played)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ('{"project_id":2195193}', '{"project_id":3100042}'),
        ("project 2195193.", "project 3100042."),
        ("/projects/2195193/schemas", "/projects/3100042/schemas"),
        ("12195193", "12195193"),
        ("21951930", "21951930"),
        ("id2195193", "id2195193"),
    ],
)
def test_the_project_is_everybodys_wherever_it_stands_alone(text: str, cleaned: str) -> None:
    assert OURS.away(text.encode()) == cleaned.encode()
    assert OURS.back(cleaned.encode()) == text.encode(), "whoever asked is told of a project that is its own"
    assert scrub.Credentials("somebody", "no-secret", scrub.PROJECT_ID).back(cleaned.encode()) == cleaned.encode()


def test_a_secret_too_short_to_be_told_from_text_is_refused() -> None:
    with pytest.raises(HarnessError) as error:
        scrub.Credentials("somebody", "abc", "1")
    assert error.value.code == "SECRET_TOO_SHORT"
    assert "abc" not in str(error.value)


def test_a_secret_that_is_part_of_another_leaves_nothing_of_it_behind() -> None:
    nested = scrub.Credentials("correct-horse-battery", "correct-horse", "1")
    assert nested.away(b"correct-horse-battery correct-horse") == b"{{MP_USERNAME}} {{MP_SECRET}}"
    inner = scrub.Credentials("correct-horse", "correct-horse-battery", "1")
    assert inner.away(b"correct-horse-battery correct-horse") == b"{{MP_SECRET}} {{MP_USERNAME}}"


def test_neither_account_nor_people_show_what_they_know() -> None:
    assert SECRET not in repr(OURS) + repr(scrub.People(SECRET, ""))


PEOPLE = scrub.People("the key", '["asked@example.org"]')


@pytest.mark.parametrize(
    "text",
    [
        "ann.lee+work@mail.example.com",
        '{"$email":"ann@example.co.uk","n":1}',
        "https://x.example/?mail=ann%40example.com&y=1",
        "6f1d0a5c-8a55-4c5e-9d27-1c2f3a4b5c6d",
        "aGVsbG8gd29ybGQgdGhpcyBpcyAxIHRva2Vu",
        "0123456789abcdef0123456789abcdef",
        f"{'a' * 300}@example.com",
    ],
)
def test_what_looks_like_a_person_or_a_token_is_replaced_by_the_same_every_time(text: str) -> None:
    once, again = PEOPLE.away(text.encode()), PEOPLE.away(text.encode())
    assert once == again != text.encode()
    assert PEOPLE.away(once) == once, "cleaning twice is cleaning once"
    assert scrub.People("another key", "").away(text.encode()) != once, "nobody finds out by trying addresses"


@pytest.mark.parametrize(
    "text",
    [
        "asked@example.org",
        "Sign Up",
        "user-000123",
        "2025-06-30T12:00:00",
        "$mp_event_size",
        "a_property_name_that_is_long_and_has_no_digit",
        "12345678901234567890123456789012345",
    ],
)
def test_what_the_case_itself_names_and_what_is_no_secret_stays(text: str) -> None:
    assert PEOPLE.away(text.encode()) == text.encode()


def test_all_of_a_tape_is_cleaned_and_still_matches_itself() -> None:
    session = "0123456789abcdef0123456789abcdef"
    whole = tape(
        Interaction(Asked("GET", URL), Answer(200, {"location": session}, f'{{"session_id":"{session}"}}'.encode())),
        Interaction(Asked("POST", URL, (), written.FORM, f"session_id={session}".encode()), Answer(200)),
    )
    cleaned = scrub.whole(whole, PEOPLE.away)
    assert session not in written.text_of(cleaned)
    told = json.loads(cleaned.interactions[0].answer.body)["session_id"]
    assert cleaned.interactions[1].asked.body == f"session_id={told}".encode()


def test_a_call_and_its_result_are_cleaned_too() -> None:
    exchange = Exchange(ToolCall("segmentation", {"event": SECRET}), {"content": [{"text": f"no {SECRET}"}]})
    cleaned = scrub.exchange(exchange, OURS.away)
    assert scrub.exchange(Exchange(ToolCall("x", {}), {"of": 2195193, "n": 5}), OURS.away).result == {
        "of": 3100042,
        "n": 5,
    }
    assert cleaned == Exchange(
        ToolCall("segmentation", {"event": "{{MP_SECRET}}"}), {"content": [{"text": "no {{MP_SECRET}}"}]}
    )


def test_what_was_asked_back_and_its_reply_are_cleaned_too() -> None:
    asks, says = {"message": f"Is it {SECRET}?"}, {"content": {"text": f"yes, {SECRET}"}}
    exchange = Exchange(ToolCall("x"), {}, (AskedBack("elicitation/create", asks, says),))
    (cleaned,) = scrub.exchange(exchange, OURS.away).asked_back
    assert cleaned.params == {"message": "Is it {{MP_SECRET}}?"}
    assert cleaned.reply == {"content": {"text": "yes, {{MP_SECRET}}"}}


def test_a_megabyte_that_means_harm_takes_no_time() -> None:
    for text in (b"a" * 1_000_000, b"a@" * 500_000, b"a." * 500_000, b"@a.a" * 250_000, b"-1a" * 300_000):
        begun = time.process_time()
        PEOPLE.away(text)
        OURS.away(text)
        assert time.process_time() - begun < 60
