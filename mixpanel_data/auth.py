"""Credentials, under the module name that users of the library import them from."""

from mixpanel_data.credentials import Credentials

__all__ = ["Credentials"]
