"""What exists: names of events."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mixpanel_data import clock
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.errors import APIError, QueryError

if TYPE_CHECKING:
    from mixpanel_data.api_client import MixpanelAPIClient

MOST_NAMES = 5000
EARLIEST_DAY = "2000-01-01"


def event_names(client: MixpanelAPIClient) -> list[str]:
    """Every event name of the project, sorted; at most 5000, the most frequent ones.

    Without dates the service names only the last 31 days' events, so all days are asked for. A plan with a shorter
    history refuses that and says how many days it has; those are asked for then.

    Source: reference/mixpanel-api.md, sections 7.1 and 14 (9)
    """
    asked: dict[str, Any] = {"type": "general", "limit": MOST_NAMES}
    today = clock.today()
    try:
        answer = client.call(
            ENDPOINTS["event_names"], {**asked, "from_date": EARLIEST_DAY, "to_date": today.isoformat()}
        )
    except QueryError as error:
        history = re.search(r"exceeds (\d{1,5}) days into the past", error.message)
        if error.status_code != 403 or history is None:
            raise
        first = today - timedelta(days=int(history[1]))
        answer = client.call(
            ENDPOINTS["event_names"], {**asked, "from_date": first.isoformat(), "to_date": today.isoformat()}
        )
    if not isinstance(answer, list) or not all(isinstance(name, str) for name in answer):
        raise APIError("the answer of events/names is not a list of names", status_code=200)
    return sorted(set(answer))
