"""The HTTP client, under the module name that users of its `_transport` import it from."""

from mixpanel_data.api_client import MixpanelAPIClient

__all__ = ["MixpanelAPIClient"]
