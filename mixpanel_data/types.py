"""The results, under the module name that users of the library import them from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mixpanel_data
from mixpanel_data import errors

if TYPE_CHECKING:
    from mixpanel_data import *  # noqa: F403 -- whatever is public there, so that a new result is here at once

_ELSEWHERE = {*errors.__all__, "Credentials", "MixpanelAPIClient", "Workspace", "__version__"}

__all__ = [name for name in mixpanel_data.__all__ if name not in _ELSEWHERE]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(mixpanel_data, name)
