"""What live Mixpanel may be asked within an hour, and how much of it a recording has spent.

Source: reference/mixpanel-api.md, section 12
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from harness.cassettes.journal import HOUR_S, Sent
from harness.cassettes.tape import Asked
from mixpanel_data.endpoints import rate_of

PER_HOUR: Mapping[str, int] = {"query": 60, "export": 60}
"""By kind of call; scripts count as queries. What else there is has no limit that a recording comes near."""

AT_ONCE = 5
COUNTS_AS: Mapping[str, str] = {"jql": "query"}


def kind(url: str) -> str:
    """Which of the hour's budgets a request spends; a name without a limit where it spends none."""
    rate = rate_of(urlsplit(url).path)
    return COUNTS_AS.get(rate, rate)


class Allowance:
    """Says of each request whether the hour has room for it.

    Args:
        sent: what was sent so far, by this process and by those before it
    """

    def __init__(self, sent: Sent) -> None:
        self._sent = sent

    def ask(self, asked: Asked) -> dict[str, Any] | None:
        """None where the request may go, which is then counted; else why not, and when there is room again."""
        spends = kind(asked.url)
        most = PER_HOUR.get(spends)
        if most is not None:
            lately = self._sent.within_the_hour([spends])
            if len(lately) >= most:
                again = datetime.fromtimestamp(lately[-most] + HOUR_S, UTC)
                return {
                    "cause": f"this hour's {most} {spends} calls are spent; there is room again at {again:%H:%M} UTC",
                    "until": again.isoformat(timespec="seconds"),
                }
        self._sent.note(spends)
        return None
