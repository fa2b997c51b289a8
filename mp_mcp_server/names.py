"""Names that the project has not: Mixpanel counts an unknown event or property as nothing, and says no word about it.

So these are asked when an answer is empty: what a caller takes for a zero may be a slip of the pen.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mixpanel_data.errors import EventNotFoundError, InvalidArgumentError, MixpanelDataError

if TYPE_CHECKING:  # the catalogue is read as data, without what a Workspace needs
    from mixpanel_data import Workspace

# The library names at most so many events: of a longer list, one that is missing may exist all the same.
_MOST_NAMES = 5000
_MOST_NEAREST = 5
_ALIKE = 0.6


def nearest(meant: str, known: Iterable[str]) -> list[str]:
    """Known names that somebody may have meant, best first, at most 5.

    The same but for case, spaces and signs if there is one; else names that hold it or are written alike.
    """
    wanted, names = _plain(meant), sorted(set(known))
    if same := same_but_for_spelling(meant, names):
        return same[:_MOST_NEAREST]
    holding = sorted((name for name in names if wanted and wanted in _plain(name)), key=len)
    scores = {name: _likeness(wanted, _plain(name)) for name in names}
    alike = sorted((name for name in names if scores[name] >= _ALIKE), key=lambda name: -scores[name])
    return list(dict.fromkeys([*holding, *alike]))[:_MOST_NEAREST]


def _likeness(one: str, other: str) -> float:
    matcher = difflib.SequenceMatcher(None, one, other)
    # The lengths alone bound it: a text of a million letters is like no name, and to compare them all takes a minute.
    bound = matcher.real_quick_ratio()
    return matcher.ratio() if bound >= _ALIKE else bound


def same_but_for_spelling(meant: str, known: Iterable[str]) -> list[str]:
    """Known names that are the same but for case, spaces and signs."""
    wanted = _plain(meant)
    return [name for name in known if wanted and _plain(name) == wanted]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def check_events(workspace: "Workspace", names: Sequence[str]) -> None:
    """Make sure that the project has events of these names.

    Raises:
        EventNotFoundError: it has not; with the nearest names.
    """
    try:
        known = workspace.events()
    except MixpanelDataError:
        return  # an answer is there already; that no more can be said about it must not take it away
    if len(known) >= _MOST_NAMES:
        return
    for name in names:
        if name not in known:
            raise EventNotFoundError(name, nearest(name, known))


def check_property(workspace: "Workspace", event: str, argument: str, name: str) -> None:
    """Make sure that an event has a property of that name; an expression passes.

    Args:
        argument: what the tool calls it

    Raises:
        EventNotFoundError: the project has no such event.
        InvalidArgumentError: the event has no such property; with the nearest names.
    """
    check_events(workspace, [event])
    if '["' in name:
        return
    try:
        known = workspace.properties(event)
    except MixpanelDataError:
        return  # as above
    if known and name not in known:
        near = nearest(name, known)
        meant = f"did you mean {', '.join(near)}? " if near else ""
        raise InvalidArgumentError(
            argument,
            f"{event!r} has had no property {name!r} lately",
            fix=f"{meant}list_properties names those of the event",
        )
