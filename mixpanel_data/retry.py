"""Which failures are tried again, and after how long; by package `tenacity`, whose only home this is.

| what happened | tried again |
| --- | --- |
| 429 | always: Mixpanel refused and did nothing |
| 502, 503 | reads: a gateway's hiccup |
| the connection broke, before or within the answer | reads |
| nobody answers at the address | only after it has answered before: else it is the address that is wrong |
| no answer in time, 504 | never: it would take too long again, and each try is charged |
| 500 and every other refusal | never: Mixpanel answers some wrong questions so, and each try is charged |

All of ENDPOINTS are reads, JQL too: a script cannot change anything. The wait is what Retry-After says, else 1, 2, 4 …
seconds, at most 60, and up to a tenth more, so that those who were refused together do not come back together.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from mixpanel_data.errors import IncompleteExportError, MixpanelDataError, RateLimitError, ServerError

T = TypeVar("T")

LONGEST_BACKOFF_S = 60.0
JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how patiently.

    at_most: tries after the first one
    longest_wait_s: what is told to be a longer wait is not waited for: the error says how long it is
    """

    at_most: int
    longest_wait_s: float

    def run(self, attempt: Callable[[], T], *, reads: bool, pause: Callable[[float, str], None]) -> T:
        """What an attempt returns, the first that succeeds; else the last one's error.

        Args:
            reads: whether it does no harm to do it twice
            pause: waits so many seconds, and is told why
        """

        def wait(state: RetryCallState) -> None:
            pause(state.upcoming_sleep, f"{_error(state)}; then try {state.attempt_number + 1} of {self.at_most + 1}")

        return Retrying(
            stop=stop_after_attempt(self.at_most + 1),
            retry=retry_if_exception(lambda error: self._is_worth_it(error, reads=reads)),
            wait=_wait_s,
            before_sleep=wait,
            sleep=lambda _seconds: None,  # `wait` has waited: it alone knows why
            reraise=True,
        )(attempt)

    def _is_worth_it(self, error: BaseException, *, reads: bool) -> bool:
        if not isinstance(error, MixpanelDataError) or _retry_after(error) > self.longest_wait_s:
            return False
        if isinstance(error, RateLimitError):
            # What our own budget refuses has been waited for already.
            return error.details.get("sent") is not False
        transient = (
            isinstance(error, IncompleteExportError)
            or (isinstance(error, ServerError) and error.status_code in {502, 503})
            or error.details.get("transient") is True
        )
        return reads and transient


def _wait_s(state: RetryCallState) -> float:
    told = _retry_after(_error(state))
    backoff = wait_exponential(multiplier=1, max=LONGEST_BACKOFF_S)(state)
    return told or backoff * (1 + random.uniform(0, JITTER))  # noqa: S311 -- it spreads waits and guards nothing


def _retry_after(error: BaseException | None) -> float:
    told = error.details.get("retry_after") if isinstance(error, MixpanelDataError) else None
    return float(told or 0)


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
