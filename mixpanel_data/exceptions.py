"""The errors, under the module name that users of the library import them from."""

from mixpanel_data.errors import *  # noqa: F403 -- the whole tree, so that a new error is public at once
from mixpanel_data.errors import __all__  # noqa: F401 -- the same names are this module's
