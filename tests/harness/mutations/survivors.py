"""SURVIVORS: mutants that no case notices, each with the reason why none should."""

from collections.abc import Mapping

_AT_ONCE = "how many are under way at once changes no request and no answer, only the time that all of them take"
_GROUPS = "the data set has no group profiles; tests/mixpanel_data/test_profiles.py looks at how a group key is sent"

SURVIVORS: Mapping[str, str] = {
    "fetch_events: ignores an argument (workers)": _AT_ONCE,
    "fetch_profiles: ignores an argument (workers)": _AT_ONCE,
    "fetch_profiles: ignores an argument (group_id)": _GROUPS,
    "stream_profiles: ignores an argument (group_id)": _GROUPS,
}
