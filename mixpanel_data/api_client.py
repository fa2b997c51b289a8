"""The only socket to Mixpanel: sign, send, and turn what comes back into a value or an error.

Read from top to bottom it is the life of a request: `call`, `download` and `request`, each some attempts
(`mixpanel_data.retry`) of which each is charged (`mixpanel_data.budget`); `_open`, which sends; the checks of an
answer. What becomes of a refusal is in `mixpanel_data.refusals`.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import logging
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeVar

import httpx

from mixpanel_data import budget as _budget
from mixpanel_data import clock, interrupts
from mixpanel_data import credentials as _credentials
from mixpanel_data.asked import Asked, callers_headers, check_length, of_row
from mixpanel_data.endpoints import rate_of
from mixpanel_data.errors import (
    APIError,
    IncompleteExportError,
    InvalidArgumentError,
    MixpanelDataError,
    QueryError,
    RateLimitError,
)
from mixpanel_data.gzip_check import GzipCheck
from mixpanel_data.refusals import LONGEST_ERROR_BODY, Refusal
from mixpanel_data.retry import Retries
from mixpanel_data.wires import Wire, Wires

if TYPE_CHECKING:
    import ssl

    from mixpanel_data.credentials import Credentials
    from mixpanel_data.endpoints import Endpoint

T = TypeVar("T")

LONGEST_CONNECT_S = 30.0
TIMEOUT_S, EXPORT_TIMEOUT_S = 120.0, 600.0
# Mixpanel takes five questions at once; who fetches with more connections makes them anew.
_MOST_IDLE = 8

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)

_NOT_JSON = object()

_log = logging.getLogger("mixpanel_data")


@dataclass(frozen=True, slots=True)
class Download:
    """What arrived.

    gzipped: whether the bytes in the target are one or more gzip members, else plain
    bytes_received: as they came over the wire
    bytes_plain: after decompression
    """

    gzipped: bool
    bytes_received: int
    bytes_plain: int


@dataclass(slots=True)
class Sent:
    """How many requests went out, each attempt by itself."""

    requests: int = 0


_counting: ContextVar[Sent | None] = ContextVar("counting", default=None)


class MixpanelAPIClient:
    """Calls Mixpanel's HTTP API for one project with one service account. For any number of threads.

    Args:
        credentials: whose account, which project, which region
        timeout: seconds without a byte before a query is given up; None takes MP_TIMEOUT_S, else 120
        export_timeout: the same for an export, whose first byte may take long; None takes MP_TIMEOUT_S, else 600
        max_retries: how often a failed request is tried again, at most; `mixpanel_data.retry` says which failures are
        default_headers: sent with every request; Authorization and the framing headers are not among them
        base_url: in place of all of Mixpanel's hosts; None takes MP_API_BASE_URL, else Mixpanel
        rate_limits: what the project may ask, as `mixpanel_data.budget` reads it; None takes MP_RATE_LIMITS, else what
            Mixpanel documents, and `off` where a transport stands in for the network. Clients of the same project
            spend the same budget.
        max_wait_s: the longest wait for the budget or for what a Retry-After says; a longer one is a RateLimitError at
            once, before anything is sent
        on_wait: told of each wait before it begins: the seconds, at most, and why; may be set later. The logger
            `mixpanel_data` hears of it too, as a warning where it takes a second and nobody is told
        transport, _transport: an httpx transport in place of the network, for tests

    Redirects are not followed: the credentials go to the host that was configured and to no other.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        timeout: float | None = None,
        export_timeout: float | None = None,
        max_retries: int = 3,
        _transport: httpx.BaseTransport | None = None,
        default_headers: Mapping[str, str] | None = None,
        base_url: str | None = None,
        rate_limits: str | None = None,
        max_wait_s: float = 120.0,
        on_wait: Callable[[float, str], None] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if max_retries < 0:
            raise InvalidArgumentError("max_retries", f"{max_retries} is negative", fix="take 0 to ask once")
        self._credentials = credentials
        self._base_url = (
            _credentials.checked_base_url(base_url, "base_url") if base_url else _credentials.api_base_url()
        )
        said = _credentials.timeout_s()
        self._timeout_s = timeout or said or TIMEOUT_S
        self._export_timeout_s = export_timeout or said or EXPORT_TIMEOUT_S
        self._retries = Retries(max_retries, max_wait_s)
        self.on_wait = on_wait
        self._answered, self._closing = False, interrupts.Ending()
        transport = transport or _transport
        self._budget = _budget.shared(
            f"{self._at or f'{self.region}.mixpanel.com'}/{self.project_id}",
            rate_limits or (_credentials.rate_limits() if transport is None else _budget.OFF),
            _credentials.redis_url(),
        )
        self._waiting = _budget.Waiting(self._say, self._sleep, max_wait_s)
        headers = {"User-Agent": "mixpanel-data", "Accept": "application/json", **callers_headers(default_headers)}

        def connect() -> httpx.Client:
            return httpx.Client(
                auth=httpx.BasicAuth(credentials.username, credentials.secret.get_secret_value()),
                headers=headers,
                follow_redirects=False,
                limits=httpx.Limits(max_connections=1),
                transport=transport,
                # A proxy of the environment cannot reach this machine's own loopback.
                trust_env=not _is_loopback(self._base_url),
                verify=_trusted(),
            )

        # A transport that somebody gave is one for all, and is closed with the client alone.
        self._wires = Wires(connect, most_idle=_MOST_IDLE if transport is None else sys.maxsize)

    def __repr__(self) -> str:
        return f"MixpanelAPIClient(project_id={self.project_id!r}, region={self.region!r})"

    @property
    def project_id(self) -> str:
        return self._credentials.project_id

    @property
    def region(self) -> str:
        return self._credentials.region

    @property
    def budget(self) -> _budget.Budget:
        """What the project may still ask; looking at it spends nothing."""
        return self._budget

    def call(
        self,
        endpoint: Endpoint,
        parameters: Mapping[str, Any],
        *,
        path_arguments: Mapping[str, object] | None = None,
    ) -> Any:
        """The decoded JSON of one operation.

        Args:
            endpoint: a row of ENDPOINTS
            parameters: what to send, in the query string, a form or a JSON body, as the row says; None is left out,
                lists and objects go as JSON text, booleans as true/false
            path_arguments: what the row's path leaves open, project_id aside

        Raises:
            RateLimitError: Mixpanel refused, or the budget did, in which case nothing was sent.
            AuthenticationError, JQLSyntaxError, QueryError, ServerError, APIError: by status.
            MixpanelDataError: code HTTP_ERROR, when there was no answer.

        Source: reference/mixpanel-api.md, sections 3 and 4
        """
        asked = self._asked(endpoint, parameters, path_arguments or {})
        return self._try(asked, lambda: self._json(asked))

    def download(
        self,
        endpoint: Endpoint,
        parameters: Mapping[str, Any],
        target: BinaryIO,
        *,
        plain: bool = False,
        on_bytes: Callable[[int], None] | None = None,
    ) -> Download:
        """Write an export's bytes to `target` as they arrive: gzip as gzip, unparsed.

        A download that breaks off is begun anew: the target is cut back to where it stood before, so that it never
        holds the bytes of two attempts. A target that cannot seek is written once.

        Args:
            target: an open binary file
            plain: write the text that the gzip bytes stand for instead of them
            on_bytes: told the number of bytes received so far, now and then; it falls when the download begins anew

        Raises:
            IncompleteExportError: the body ended early, or its gzip stream is cut or damaged.
            Else as `call`.

        Source: reference/mixpanel-api.md, section 8
        """
        asked = replace(self._asked_export(endpoint, parameters), reads=target.seekable())
        start = target.tell() if asked.reads else None

        def attempt() -> Download:
            if start is not None:
                target.seek(start)
                target.truncate()
            return self._download(asked, target, plain=plain, on_bytes=on_bytes)

        return self._try(asked, attempt)

    @contextmanager
    def stream(self, endpoint: Endpoint, parameters: Mapping[str, Any]) -> Iterator[Iterator[bytes]]:
        """The text of an export as it arrives, in pieces that end anywhere; leaving the `with` ends the answer.

        Until the answer begins, a failed request is tried again. After that nothing is: what was handed out once would
        be handed out twice.

        Raises:
            IncompleteExportError: from the iterator: the body ended early, or its gzip stream is cut or damaged.
            Else as `call`.

        Source: reference/mixpanel-api.md, section 8
        """
        asked = self._asked_export(endpoint, parameters)
        with ExitStack() as stack:
            response = self._try(asked, lambda: stack.enter_context(self._open(asked)))
            yield (text for text, _ in self._export(response, asked, self._gzip_check(response, asked)))

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        json_body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Any operation of Mixpanel's, signed, charged and tried again as every other; no project_id is added.

        Args:
            method: GET, POST, …; only a GET or HEAD is sent again after a failure that is not a 429
            url: at a host of Mixpanel's, or below the base URL, which stands in for Mixpanel's hosts here too: the
                credentials go nowhere else
            params: added to the query string; a list repeats its name, None is left out

        Returns:
            The decoded JSON, None for an empty answer, else its text.

        Raises:
            InvalidArgumentError: a ValueError: the URL is a foreign one.
            Else as `call`.
        """
        verb, place = method.upper(), httpx.URL(self._own(url))
        given = check_length({name: value for name, value in (params or {}).items() if value is not None})
        asked = Asked(
            verb,
            str(place.copy_merge_params(given) if given else place),
            rate_of(place.path),
            self._timeout_s if timeout is None else timeout,
            {},
            json=json_body,
            headers=callers_headers(headers),
            reads=verb in {"GET", "HEAD"},
        )
        return self._try(asked, lambda: self._whatever(asked))

    def mask(self, text: str) -> str:
        """The text without the account's secret: for words of an answer that are shown as they came."""
        return self._credentials.mask(text)

    @staticmethod
    @contextmanager
    def counted() -> Iterator[Sent]:
        """Count the requests that this thread sends for the length of a `with`."""
        sent = Sent()
        token = _counting.set(sent)
        try:
            yield sent
        finally:
            _counting.reset(token)

    def close(self) -> None:
        """Close the connections, and end the requests and waits that go on; closing twice is fine."""
        self._closing.press()
        self._wires.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _at(self) -> str | None:
        return self._base_url.replace("{region}", self.region) if self._base_url else None

    def _asked(self, endpoint: Endpoint, parameters: Mapping[str, Any], path_arguments: Mapping[str, object]) -> Asked:
        return of_row(
            endpoint,
            parameters,
            path_arguments,
            project_id=self.project_id,
            region=self.region,
            base_url=self._base_url,
            timeout_s=self._timeout_s,
        )

    def _asked_export(self, endpoint: Endpoint, parameters: Mapping[str, Any]) -> Asked:
        return replace(
            self._asked(endpoint, parameters, {}),
            timeout_s=self._export_timeout_s,
            headers={"Accept-Encoding": "gzip"},
        )

    def _own(self, url: str) -> str:
        """The URL, if the credentials may go there; where a base URL stands in for Mixpanel's hosts, there."""
        try:
            asked = httpx.URL(url)
        except (httpx.InvalidURL, TypeError) as error:
            raise InvalidArgumentError("url", "it is not a URL", fix="take one of Mixpanel's") from error
        own = httpx.URL(self._at or "https://mixpanel.com")
        below = asked.path.startswith(own.path.rstrip("/") + "/")
        same = below and (asked.scheme, asked.host, asked.port) == (own.scheme, own.host, own.port)
        mixpanels = asked.scheme == "https" and asked.port is None and f".{asked.host}".endswith(".mixpanel.com")
        if asked.userinfo or not (mixpanels or same):
            raise InvalidArgumentError(
                "url",
                f"the credentials do not go to {asked.scheme}://{asked.host}",
                fix="take an https URL of Mixpanel's" + (f", or one below {self._at}" if self._at else ""),
            )
        return str(asked) if same or not self._at else self._at + asked.raw_path.decode()

    def _try(self, asked: Asked, attempt: Callable[[], T]) -> T:
        return self._retries.run(attempt, reads=asked.reads, pause=self._pause)

    def _json(self, asked: Asked) -> Any:
        with self._open(asked) as response:
            body = self._read(response, asked)
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = _NOT_JSON
        # Raised outside of the handler: a parser's error holds the whole text.
        if answer is _NOT_JSON:
            raise self._refusal(response, asked, body).as_error(APIError, "the answer is not JSON")
        # Older endpoints put their errors inside a 200.
        if isinstance(answer, dict) and isinstance(answer.get("error"), str) and "data" not in answer:
            refusal = self._refusal(response, asked, body)
            raise refusal.as_error(QueryError, refusal.text)
        return answer

    def _whatever(self, asked: Asked) -> Any:
        with self._open(asked) as response:
            body = self._read(response, asked)
        try:
            return json.loads(body) if body else None
        except (ValueError, RecursionError):
            return body.decode("utf-8", "replace")

    def _download(
        self, asked: Asked, target: BinaryIO, *, plain: bool, on_bytes: Callable[[int], None] | None
    ) -> Download:
        received = 0
        with self._open(asked) as response:
            gzip = self._gzip_check(response, asked)
            for text, chunk in self._export(response, asked, gzip):
                received += len(chunk)
                target.write(text if plain else chunk)
                if on_bytes is not None:
                    on_bytes(received)
        target.flush()
        return Download(gzip is not None and not plain, received, received if gzip is None else gzip.plain)

    def _gzip_check(self, response: httpx.Response, asked: Asked) -> GzipCheck | None:
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"gzip", "x-gzip", "identity", ""}:
            raise self._refusal(response, asked).as_error(
                APIError, f"the export came in an encoding that was not asked for: {encoding}"
            )
        return GzipCheck() if "gzip" in encoding else None

    def _export(self, response: httpx.Response, asked: Asked, gzip: GzipCheck | None) -> Iterator[tuple[bytes, bytes]]:
        """The body as it arrives: each time the text, and the bytes that it came in."""
        received, broken = 0, None
        try:
            for chunk in response.iter_raw():
                received += len(chunk)
                yield (chunk if gzip is None else gzip.feed(chunk)), chunk
        except (httpx.RequestError, zlib.error) as error:
            broken = _plainly(error)
        else:
            broken = None if gzip is None or gzip.is_complete else "its gzip stream has no end"
        if broken:
            raise self._refusal(response, asked).as_error(
                IncompleteExportError, f"the export broke off after {received} bytes ({broken})"
            )

    @contextmanager
    def _open(self, asked: Asked) -> Iterator[httpx.Response]:
        """One attempt: charged, sent, and answered well; its body has still to be read."""
        with self._budget.spend(asked.rate, self._waiting) as charge, self._wires.one() as wire:
            response = self._send(wire, asked, charge)
            try:
                if not response.is_success:
                    self._refuse(response, asked, charge)
                yield response
            finally:
                response.close()

    def _send(self, wire: Wire, asked: Asked, charge: _budget.Charge) -> httpx.Response:
        request = wire.http.build_request(
            asked.method,
            asked.url,
            params=asked.query or None,
            data=asked.form,
            json=asked.json,
            headers=asked.headers,
            timeout=httpx.Timeout(asked.timeout_s, connect=min(asked.timeout_s, LONGEST_CONNECT_S)),
        )
        sent = _counting.get() or Sent()
        sent.requests += 1
        try:
            response = wire.send(request)
        except httpx.RequestError as error:
            failure = self._no_answer(error, asked)
            if isinstance(error, _NEVER_SENT):
                sent.requests -= 1
                charge.give_back()
        else:
            self._answered = True
            return response
        # Raised outside of the handler: the frames below hold the request with its Authorization header.
        raise failure

    def _refuse(self, response: httpx.Response, asked: Asked, charge: _budget.Charge) -> None:
        try:
            self._refusal(response, asked, _error_body(response)).raise_by_status()
        except RateLimitError as error:
            # What Mixpanel refuses it does not count.
            charge.give_back()
            if error.retry_after:
                self._budget.refused(asked.rate, error.retry_after)
            raise

    def _read(self, response: httpx.Response, asked: Asked) -> bytes:
        try:
            return response.read()
        except httpx.RequestError as error:
            failure = self._no_answer(error, asked)
        raise failure

    def _refusal(self, response: httpx.Response, asked: Asked, body: bytes = b"") -> Refusal:
        return Refusal(response, body, asked.body, self._credentials.mask)

    def _no_answer(self, error: httpx.RequestError, asked: Asked) -> MixpanelDataError:
        """The error of a request that was not answered; `details["transient"]` is whether it may be otherwise now."""
        transient = not isinstance(error, httpx.TimeoutException | httpx.UnsupportedProtocol)
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
            transient = self._answered
        url = asked.url.partition("?")[0]
        return MixpanelDataError(
            self._credentials.mask(f"no answer from {url} ({_plainly(error)})"),
            "HTTP_ERROR",
            {"request_method": asked.method, "request_url": self._credentials.mask(url), "transient": transient},
            fix="ask again, for fewer days at once, or let MP_TIMEOUT_S be more seconds"
            if isinstance(error, httpx.ReadTimeout)
            else "check the network, the region, and MP_API_BASE_URL if it is set",
        )

    def _pause(self, seconds: float, why: str) -> None:
        self._say(seconds, why)
        self._sleep(seconds)

    def _say(self, seconds: float, why: str) -> None:
        tell = self.on_wait
        _log.log(logging.INFO if tell or seconds < 1 else logging.WARNING, "waiting %.1f s: %s", seconds, why)
        if tell:
            tell(seconds, why)

    def _sleep(self, seconds: float) -> None:
        woken, here = threading.Event(), interrupts.current()
        try:
            with self._closing.heard_by(woken.set), here.heard_by(woken.set):
                if seconds:
                    clock.sleep(seconds, woken)
            self._closing.check()
        except interrupts.Ended:
            # Else it is the work of this thread that is to end.
            if not here.over.done():
                raise MixpanelDataError(
                    "the client was closed while a call waited", fix="close it when all calls are back"
                ) from None
        here.check()


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates are believed. To read them takes 30 ms, so that is done once and not for every client."""
    return httpx.create_ssl_context()


def _is_loopback(base_url: str | None) -> bool:
    host = httpx.URL(base_url.replace("{region}", "us")).host if base_url else ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _plainly(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _error_body(response: httpx.Response) -> bytes:
    body = b""
    try:
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) >= LONGEST_ERROR_BODY:
                break
    except httpx.RequestError:
        # The status says what happened; how its text broke off does not matter.
        return body
    return body
