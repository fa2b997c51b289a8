"""Answers that are not what was asked for, as errors: by status, and in the service's own words.

Source: reference/mixpanel-api.md, section 4
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NoReturn

from mixpanel_data import clock
from mixpanel_data.errors import (
    APIError,
    AuthenticationError,
    Exchange,
    JQLSyntaxError,
    QueryError,
    RateLimitError,
    ServerError,
)

if TYPE_CHECKING:
    import httpx

LONGEST_RETRY_AFTER_S = 3600
LONGEST_ERROR_BODY = 64 * 1024
LONGEST_QUOTE = 500

_FIXES = {
    400: "correct the parameter that the text names",
    402: "this project's plan does not include the API",
    403: "give the service account access to the project, or ask for a range within the plan's history",
    404: "check the id or name that was asked for",
}


class Refusal:
    """An answer that is not what was asked for, ready to be raised; holds nothing secret.

    Args:
        response: its status and headers, and the request that it answers
        body: what of the answer has been read
        sent: the fields of the request's body, None where it had none
        mask: takes the secret out of a text
    """

    def __init__(
        self, response: httpx.Response, body: bytes, sent: Mapping[str, Any] | None, mask: Callable[[str], str]
    ) -> None:
        self._response, self._sent, self._mask = response, sent, mask
        # A little more is masked than is kept, so that no part of a secret is left at the end.
        self._body = mask(body[: LONGEST_ERROR_BODY + 4096].decode("utf-8", "replace"))[:LONGEST_ERROR_BODY]

    @property
    def text(self) -> str:
        """The server's own words, one short line."""
        return _in_short(self._body) or f"HTTP {self._response.status_code} without a text"

    def as_error(self, kind: type[APIError], message: str) -> APIError:
        """An error of that kind that says what was asked and answered."""
        return kind(message, status_code=self._response.status_code, **self._exchange())

    def raise_by_status(self) -> NoReturn:
        """Source: reference/mixpanel-api.md, section 4.2"""
        status, text, known = self._response.status_code, self.text, self._exchange()
        if status == 401 or (status == 400 and "unable to authenticate request" in text.lower()):
            raise AuthenticationError(f"authentication failed: {text}", status_code=status, **known)
        if status == 429:
            raise RateLimitError(f"rate limited: {text}", retry_after=self._retry_after(), **known)
        if status == 412:
            raise self._of_script(known)
        if status >= 500:
            wait = self._retry_after()
            raise ServerError(
                f"Mixpanel server error (HTTP {status}): {text}",
                status_code=status,
                details={} if wait is None else {"retry_after": wait},
                **known,
            )
        if status >= 400:
            fix = _FIXES.get(status, "correct what the text names")
            raise QueryError(f"query error (HTTP {status}): {text}", status_code=status, fix=fix, **known)
        raise APIError(
            f"HTTP {status} where an answer was expected",
            status_code=status,
            fix="check the region, and MP_API_BASE_URL if it is set",
            **known,
        )

    def _of_script(self, known: Exchange) -> JQLSyntaxError:
        document = _document(self._body)
        script = (known.get("request_body") or {}).get("script")
        text, path = (document.get("error"), document.get("request")) if isinstance(document, dict) else (None, None)
        return JQLSyntaxError(
            text if isinstance(text, str) else self._body,
            script if isinstance(script, str) else None,
            path if isinstance(path, str) else None,
            **known,
        )

    def _exchange(self) -> Exchange:
        request = self._response.request
        return {
            "response_body": self._body or None,
            "request_method": request.method,
            "request_url": self._mask(str(request.url.copy_with(query=None))),
            "request_params": {name: self._mask(value) for name, value in request.url.params.items()},
            "request_body": None if self._sent is None else self._masked(dict(self._sent)),
        }

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._mask(value)
        if isinstance(value, dict):
            return {name: self._masked(inner) for name, inner in value.items()}
        return [self._masked(inner) for inner in value] if isinstance(value, list | tuple) else value

    def _retry_after(self) -> int | None:
        """Whole seconds from a Retry-After of either form, at most an hour; None where it makes no sense."""
        text = self._response.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            # Ten digits are beyond the bound already, and a longer number need not be read.
            return min(int(text[:10]), LONGEST_RETRY_AFTER_S)
        try:
            at = parsedate_to_datetime(text).timestamp()
            # Against the server's own clock where it says it.
            sent = self._response.headers.get("date")
            now = parsedate_to_datetime(sent).timestamp() if sent else clock.epoch()
        except (ValueError, TypeError, OverflowError):
            return None
        return max(0, min(round(at - now), LONGEST_RETRY_AFTER_S))


def _document(body: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _in_short(body: str) -> str:
    document, text = _document(body), body
    if isinstance(document, dict):
        error = document.get("error", document.get("message", document))
        text = error if isinstance(error, str) else json.dumps(error, ensure_ascii=False)
    elif body.lstrip()[:1] == "<":
        title = re.search(r"<title[^>]*>(.*?)</title>", body, re.IGNORECASE | re.DOTALL)
        text = f"an HTML page: {title[1]}" if title else "an HTML page"
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + " …"
