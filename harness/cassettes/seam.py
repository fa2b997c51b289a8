"""vcrpy's seat: where the library's requests are caught, and the only place that knows how vcrpy wants to be spoken to.

vcrpy patches httpx for the whole process. Its own list of recordings is looked through from the front for each request,
takes a file that it cannot read for an empty one, and is written at the end alone; so the deck stands in its place.
"""

import contextlib
import zlib
from collections.abc import Callable, Iterator
from gzip import compress
from typing import Any

from vcr.cassette import Cassette  # type: ignore[import-untyped]
from vcr.patch import PATCHER_NAMES  # type: ignore[import-untyped]

from harness.cassettes import canonical, scrub
from harness.cassettes.deck import Deck, Source
from harness.cassettes.scrub import Credentials
from harness.cassettes.tape import Answer, Asked
from harness.errors import HarnessError

PATCHED = "httpx"
"""The library's; httpx2 is what the server asks a model with, and http.client what the harness asks the server with."""


@contextlib.contextmanager
def caught(deck: Deck, credentials: Credentials, base_url: Callable[[], str | None]) -> Iterator[None]:
    """While in here, every request of httpx in this process goes to the deck.

    Args:
        credentials: the process's own, which are never on a tape
        base_url: what stands in for Mixpanel's hosts
    """
    skipped = tuple(name for name in PATCHER_NAMES if name != PATCHED)
    with _Seat.use(path="the deck", skip_patchers=skipped) as seat:
        seat.sit(_Desk(deck, credentials, base_url))
        yield


class _Desk:
    """Between vcrpy's shapes and ours, and between the account's values and placeholders."""

    def __init__(self, deck: Deck, credentials: Credentials, base_url: Callable[[], str | None]) -> None:
        self._deck, self._credentials, self._base_url = deck, credentials, base_url

    def asked(self, request: Any) -> Asked:
        asked = canonical.asked(
            request.method,
            request.uri,
            request.headers.get("content-type", ""),
            request.body or b"",
            self._base_url(),
        )
        return scrub.asked(asked, self._credentials.away)

    def take(self, request: Any) -> dict[str, Any] | None:
        # Whoever takes decides to whom the answer goes: by the time it comes another case may be on.
        request.source = self._deck.source
        with _failing(request.source):
            request.asked = self.asked(request)
        with _unwritten(request.source):
            answer = request.source.take(request.asked)
        return None if answer is None else _as_response(scrub.answer(answer, self._credentials.back))

    def put(self, request: Any, response: Any) -> None:
        with _failing(request.source):
            body = plain(response["headers"], response["body"]["string"])
        answer = Answer(response["status"]["code"], canonical.kept_headers(response["headers"]), body)
        with _unwritten(request.source):
            request.source.put(request.asked, scrub.answer(answer, self._credentials.away))


class _Seat(Cassette):  # type: ignore[misc]  # vcrpy has no types
    """What vcrpy takes for a cassette."""

    _desk: _Desk

    def sit(self, desk: _Desk) -> None:
        self._desk = desk

    def can_play_response_for(self, request: Any) -> bool:
        """Whether Mixpanel need not be asked; the answer is taken here, so that no two requests take the same."""
        request.response = self._desk.take(request)
        return request.response is not None

    def play_response(self, request: Any) -> Any:
        """The answer that was taken."""
        return request.response

    def append(self, request: Any, response: Any) -> None:
        """What Mixpanel answered, before the library hears of it."""
        self._desk.put(request, response)

    @property
    def write_protected(self) -> bool:
        """Whether a request may be sent is the deck's to say."""
        return False

    def _load(self) -> None:
        """Nothing is vcrpy's to load."""

    def _save(self, *_: Any, **__: Any) -> None:
        """Nothing is left to be saved: what is kept is on disk already."""


@contextlib.contextmanager
def _failing(source: Source) -> Iterator[None]:
    """What goes wrong between the two is told to the case, which nobody may take for a good one then."""
    try:
        yield
    except HarnessError as error:
        source.fail(error)
        raise


@contextlib.contextmanager
def _unwritten(source: Source) -> Iterator[None]:
    """What cannot be kept makes no tape either; what a source refuses otherwise it has counted itself."""
    try:
        yield
    except HarnessError as error:
        if error.code == "NOT_WRITTEN":
            source.fail(error)
        raise


def plain(headers: Any, body: bytes) -> bytes:
    """The body without its compression; every member of it, since an export may have several.

    Raises:
        HarnessError: BODY_UNREADABLE: no scan could see what is in it.
    """
    encoding = ", ".join(
        value for name, each in headers.items() if name.lower() == "content-encoding" for value in each
    )
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise _unreadable(f"it is compressed by {encoding[:40]!r}")
    text, rest = bytearray(), body
    while rest:
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            text += member.decompress(rest)
        except zlib.error:
            raise _unreadable("its gzip stream is damaged") from None
        if not member.eof:
            raise _unreadable("its gzip stream has no end")
        rest = member.unused_data
    return bytes(text)


def _as_response(answer: Answer) -> dict[str, Any]:
    packed = "gzip" in answer.headers.get("content-encoding", "")
    # The time would be in the bytes.
    body = compress(answer.body, compresslevel=1, mtime=0) if packed else answer.body
    headers = {name: [value] for name, value in answer.headers.items()}
    return {
        "status": {"code": answer.status, "message": ""},
        "headers": {**headers, "content-length": [str(len(body))]},
        "body": {"string": body},
    }


def _unreadable(what: str) -> HarnessError:
    return HarnessError(
        "BODY_UNREADABLE",
        f"an answer cannot go on a tape: {what}",
        fix="a case about cut or damaged answers goes to the emulator itself, and has no tape",
    )
