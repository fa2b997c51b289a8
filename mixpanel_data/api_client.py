"""The only socket to Mixpanel: sign, send, and turn what comes back into a value or an error.

Read from top to bottom it is the life of a request: `call` and `download`, `_open`, the checks of an answer, the
mapping of refusals (reference/mixpanel-api.md, section 4), and the small readers of bodies and headers.
"""

from __future__ import annotations

import ipaddress
import json
import re
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, Self

import httpx

from mixpanel_data import clock
from mixpanel_data import credentials as _credentials
from mixpanel_data.errors import (
    APIError,
    AuthenticationError,
    ConfigError,
    IncompleteExportError,
    MixpanelDataError,
    QueryError,
    RateLimitError,
    ServerError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mixpanel_data.credentials import Credentials
    from mixpanel_data.endpoints import Endpoint

LONGEST_RETRY_AFTER_S = 3600
LONGEST_ERROR_BODY = 64 * 1024
LONGEST_QUOTE = 500

# Headers that say who asks, where to, and how the body is framed: not a caller's to set.
_OURS = frozenset({"authorization", "host", "content-length", "transfer-encoding", "accept-encoding"})


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


class MixpanelAPIClient:
    """Calls Mixpanel's HTTP API for one project with one service account.

    Args:
        credentials: whose account, which project, which region
        timeout: seconds without a byte before a query is given up
        export_timeout: the same for an export, whose first byte may take long
        default_headers: sent with every request; Authorization and the framing headers are not among them
        base_url: in place of all of Mixpanel's hosts; None takes MP_API_BASE_URL, else Mixpanel
        transport: an httpx transport in place of the network, for tests

    Redirects are not followed: the credentials go to the host that was configured and to no other.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        timeout: float = 120.0,
        export_timeout: float = 600.0,
        default_headers: Mapping[str, str] | None = None,
        base_url: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._credentials = credentials
        self._base_url = (
            _credentials.checked_base_url(base_url, "base_url") if base_url else _credentials.api_base_url()
        )
        self._export_timeout = export_timeout
        headers = dict(default_headers or {})
        if refused := sorted(name for name in headers if name.lower() in _OURS):
            raise ConfigError(
                f"default_headers cannot set {', '.join(refused)}",
                fix="leave it out; the credentials sign every request",
            )
        self._http = httpx.Client(
            auth=httpx.BasicAuth(credentials.username, credentials.secret.get_secret_value()),
            headers={"User-Agent": "mixpanel-data", "Accept": "application/json", **headers},
            timeout=timeout,
            follow_redirects=False,
            transport=transport,
            # A proxy of the environment cannot reach this machine's own loopback.
            trust_env=not _is_loopback(self._base_url),
        )

    def __repr__(self) -> str:
        return f"MixpanelAPIClient(project_id={self.project_id!r}, region={self.region!r})"

    @property
    def project_id(self) -> str:
        return self._credentials.project_id

    @property
    def region(self) -> str:
        return self._credentials.region

    def call(self, endpoint: Endpoint, parameters: Mapping[str, Any]) -> Any:
        """The decoded JSON of one operation.

        Args:
            endpoint: a row of ENDPOINTS
            parameters: what to send; None is left out, lists go as JSON text, booleans as true/false

        Raises:
            AuthenticationError, RateLimitError, QueryError, ServerError, APIError: by status.
            MixpanelDataError: code HTTP_ERROR, when there was no answer.

        Source: reference/mixpanel-api.md, sections 3 and 4
        """
        with self._open(endpoint, parameters) as response:
            try:
                response.read()
            except httpx.RequestError as error:
                raise self._no_answer(error, endpoint) from error
            refusal = self._refusal(response, response.content)
            try:
                answer = json.loads(response.content)
            except (ValueError, RecursionError) as error:
                raise refusal.as_error(APIError, "the answer is not JSON") from error
        # Older endpoints put their errors inside a 200.
        if isinstance(answer, dict) and isinstance(answer.get("error"), str) and "data" not in answer:
            raise refusal.as_error(QueryError, refusal.text)
        return answer

    def download(
        self,
        endpoint: Endpoint,
        parameters: Mapping[str, Any],
        target: BinaryIO,
        *,
        on_bytes: Callable[[int], None] | None = None,
    ) -> Download:
        """Write an export's bytes to `target` as they arrive: gzip as gzip, unparsed.

        Args:
            target: an open binary file
            on_bytes: told the number of bytes received so far, now and then

        Raises:
            IncompleteExportError: the body ended early, or its gzip stream is cut or damaged.
            Else as `call`.

        Source: reference/mixpanel-api.md, section 8
        """
        received = 0
        with self._open(endpoint, parameters, timeout=self._export_timeout, encoding="gzip") as response:
            encoding = response.headers.get("content-encoding", "identity").strip().lower()
            refusal = self._refusal(response)
            if encoding not in {"gzip", "x-gzip", "identity", ""}:
                raise refusal.as_error(APIError, f"the export came in an encoding that was not asked for: {encoding}")
            gzip = _GzipCheck() if "gzip" in encoding else None
            try:
                for chunk in response.iter_raw():
                    received += len(chunk)
                    target.write(chunk)
                    if gzip is not None:
                        gzip.feed(chunk)
                    if on_bytes is not None:
                        on_bytes(received)
            except (httpx.RequestError, zlib.error) as error:
                raise refusal.as_error(
                    IncompleteExportError, f"the export broke off after {received} bytes ({_plainly(error)})"
                ) from error
            if gzip is not None and not gzip.is_complete:
                raise refusal.as_error(
                    IncompleteExportError, f"the export broke off after {received} bytes (its gzip stream has no end)"
                )
        target.flush()
        return Download(gzip is not None, received, received if gzip is None else gzip.plain)

    def close(self) -> None:
        """Close the connections; closing twice is fine."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _open(
        self,
        endpoint: Endpoint,
        parameters: Mapping[str, Any],
        *,
        timeout: float | None = None,
        encoding: str | None = None,
    ) -> Iterator[httpx.Response]:
        if unknown := sorted(set(parameters) - set(endpoint.parameters)):
            raise TypeError(f"{endpoint.name} has no parameter {', '.join(unknown)}")
        request = self._http.build_request(
            endpoint.method,
            endpoint.url(self.region, self._base_url),
            params={"project_id": self.project_id, **_as_sent(parameters)},
            headers={} if encoding is None else {"Accept-Encoding": encoding},
            timeout=httpx.USE_CLIENT_DEFAULT if timeout is None else timeout,
        )
        try:
            response = self._http.send(request, stream=True)
        except httpx.RequestError as error:
            raise self._no_answer(error, endpoint) from error
        try:
            if response.status_code != 200:
                self._refusal(response, _error_body(response)).raise_by_status()
            yield response
        finally:
            response.close()

    def _refusal(self, response: httpx.Response, body: bytes = b"") -> _Refusal:
        return _Refusal(response, self._credentials.mask, body)

    def _no_answer(self, error: httpx.RequestError, endpoint: Endpoint) -> MixpanelDataError:
        url = endpoint.url(self.region, self._base_url)
        return MixpanelDataError(
            f"no answer from {url} ({_plainly(error)})",
            "HTTP_ERROR",
            {"request_method": endpoint.method, "request_url": url},
            fix="check the network, the region, and MP_API_BASE_URL if it is set",
        )


class _Refusal:
    """An answer that is not what was asked for, ready to be raised; holds nothing secret."""

    def __init__(self, response: httpx.Response, mask: Callable[[str], str], body: bytes) -> None:
        self._response = response
        self._body = mask(body[:LONGEST_ERROR_BODY].decode("utf-8", "replace"))

    @property
    def text(self) -> str:
        """The server's own words, one short line."""
        return _in_short(self._body) or f"HTTP {self._response.status_code} without a text"

    def as_error(self, kind: type[APIError], message: str, fix: str | None = None) -> APIError:
        return kind(message, status_code=self._response.status_code, details=self._details(), fix=fix)

    def raise_by_status(self) -> NoReturn:
        """Source: reference/mixpanel-api.md, section 4.2"""
        status, text = self._response.status_code, self.text
        if status == 401 or (status == 400 and "unable to authenticate request" in text.lower()):
            raise self.as_error(AuthenticationError, f"authentication failed: {text}")
        if status == 429:
            raise RateLimitError(
                f"rate limited: {text}", retry_after=_retry_after(self._response), details=self._details()
            )
        if status >= 500:
            raise self.as_error(ServerError, f"Mixpanel server error (HTTP {status}): {text}")
        if status >= 400:
            raise self.as_error(
                QueryError, f"query error (HTTP {status}): {text}", _FIXES.get(status, "correct what the text names")
            )
        raise self.as_error(
            APIError,
            f"HTTP {status} where an answer was expected",
            "check the region, and MP_API_BASE_URL if it is set",
        )

    def _details(self) -> dict[str, Any]:
        request = self._response.request
        return {
            "response_body": self._body or None,
            "request_method": request.method,
            "request_url": str(request.url.copy_with(query=None)),
            "request_params": dict(request.url.params),
        }


_FIXES = {
    400: "correct the parameter that the text names",
    402: "this project's plan does not include the API",
    403: "give the service account access to the project, or ask for a range within the plan's history",
    404: "check the id or name that was asked for",
}


class _GzipCheck:
    """Follows a gzip stream to its end, so that a cut or damaged one is never taken for whole."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._begun = False
        self.plain = 0

    def feed(self, chunk: bytes) -> None:
        while chunk:
            if self._member.eof:
                # Gzip members may follow one another; together they are one text.
                self._member = zlib.decompressobj(wbits=31)
            self._begun = True
            self.plain += len(self._member.decompress(chunk))
            chunk = self._member.unused_data

    @property
    def is_complete(self) -> bool:
        return self._member.eof or not self._begun


def _is_loopback(base_url: str | None) -> bool:
    host = httpx.URL(base_url.replace("{region}", "us")).host if base_url else ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _as_sent(parameters: Mapping[str, Any]) -> dict[str, str]:
    sent: dict[str, str] = {}
    for name, value in parameters.items():
        if isinstance(value, str):
            sent[name] = value
        elif value is not None:
            sent[name] = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return sent


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


def _in_short(body: str) -> str:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    text = body
    if isinstance(document, dict):
        error = document.get("error", document.get("message", document))
        text = error if isinstance(error, str) else json.dumps(error, ensure_ascii=False)
    elif body.lstrip()[:1] == "<":
        title = re.search(r"<title[^>]*>(.*?)</title>", body, re.IGNORECASE | re.DOTALL)
        text = f"an HTML page: {title[1]}" if title else "an HTML page"
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + " …"


def _retry_after(response: httpx.Response) -> int | None:
    """Whole seconds from a Retry-After of either form, at most an hour; None when there is none that makes sense."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(int(text), LONGEST_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(text)
        # Against the server's own clock where it says it: ours may be pinned.
        sent = response.headers.get("date")
        seconds = (at - (parsedate_to_datetime(sent) if sent else clock.now())).total_seconds()
    except (ValueError, TypeError):
        return None
    return max(0, min(round(seconds), LONGEST_RETRY_AFTER_S))
