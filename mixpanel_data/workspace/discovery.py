"""What exists in the project; asked for once, then remembered."""

from __future__ import annotations

from typing import Any

from mixpanel_data import credentials as _credentials
from mixpanel_data import discovery
from mixpanel_data.api_client import MixpanelAPIClient
from mixpanel_data.workspace.core import Core


class DiscoveryCalls(Core):
    """Calls that name what there is."""

    _event_names: list[str] | None = None

    def events(self) -> list[str]:
        """The names of the project's events, sorted; asked for once, then remembered.

        Source: reference/mixpanel-api.md, section 7.1
        """
        if self._event_names is None:
            self._event_names = discovery.event_names(self.api)
        return list(self._event_names)

    def clear_discovery_cache(self) -> None:
        """Ask Mixpanel again next time."""
        self._event_names = None

    @staticmethod
    def test_credentials(account: str | None = None) -> dict[str, Any]:
        """Ask Mixpanel one cheap question with the credentials that apply.

        Returns:
            success (True), account (None when from the environment), project_id, region, events_found.

        Raises:
            ConfigError, AccountNotFoundError: nothing to test.
            AuthenticationError, RateLimitError, …: what `MixpanelAPIClient.call` raises.
        """
        credentials = _credentials.resolve(account)
        with MixpanelAPIClient(credentials) as client:
            found = discovery.event_names(client)
        return {
            "success": True,
            "account": credentials.account,
            "project_id": credentials.project_id,
            "region": credentials.region,
            "events_found": len(found),
        }
