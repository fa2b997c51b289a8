"""Which properties of an event are worth splitting it by: those with a few values that most of its events have."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixpanel_data.errors import QueryError
from mp_mcp_server.expressions import is_labelled
from mp_mcp_server.questions import Period, Questions, script

if TYPE_CHECKING:  # the catalogue is read as data, without what a Workspace needs
    from mixpanel_data import Workspace

# In this order one is taken before another that splits the users alike: the wider place, the system before its brand.
FAMILIAR = ("$os", "$browser", "$device", "mp_country_code", "$region", "$city", "mp_lib")
MOST_VALUES = 20
_SMALLEST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Splits:
    """What an event can be split by.

    names: the familiar ones first, then the others, those that most events have first
    values: of each property that has few: what they are, as JSON knows them
    """

    names: tuple[str, ...]
    values: dict[str, tuple[str | int | float | bool, ...]]

    def where(self, name: str, label: str) -> str:
        """The expression for a segment."""
        return is_labelled(name, label, self.values.get(name, ()))


def splits(questions: Questions, event: str, period: Period, *, most_others: int) -> Splits:
    """Look at an event's properties with one script.

    A project that has no scripts any more is asked for their names instead, and how many values they have is not known.
    A release is what breaks most, so that its version comes before other properties.

    Args:
        most_others: how many besides the familiar ones at most
    """
    try:
        found = questions.ask(lambda workspace: _profile(workspace, event, period))
    except QueryError:
        questions.notes.append("The project runs no scripts, so that properties were chosen by their names alone.")
        names = questions.ask(lambda workspace: workspace.properties(event))
        others = sorted((name for name in names if not name.startswith(("$", "mp_"))), key=_likeliest)
        return Splits((*(name for name in FAMILIAR if name in names), *others[:most_others]), {})
    if not found:
        return Splits((), {})
    total, known = found[0]["total"], found[0]["properties"]
    counts = {key[1:]: entry["count"] for key, entry in known.items()}
    few = {key[1:]: tuple(entry["values"]) for key, entry in known.items() if entry["values"] is not None}
    familiar = [name for name in FAMILIAR if name in counts and _divides(few.get(name), counts[name], total)]
    others = [
        name
        for name, values in few.items()
        if name not in FAMILIAR and counts[name] >= _SMALLEST_SHARE * total and _divides(values, counts[name], total)
    ]
    others.sort(key=lambda name: (_likeliest(name)[0], -counts[name], name))
    return Splits((*familiar, *others[:most_others]), few)


def _profile(workspace: "Workspace", event: str, period: Period) -> list[dict[str, Any]]:
    params = {"event": event, "most": MOST_VALUES, **period.dates}
    return workspace.jql(script("properties"), params).raw


def _divides(values: Sequence[Any] | None, count: int, total: int) -> bool:
    return values is None or len(values) + (count < total) > 1


def _likeliest(name: str) -> tuple[int, str]:
    """Versions of the product, then what the product says of its users and events, then what a library says."""
    plain = name.casefold()
    if "version" in plain and not plain.startswith(("$lib", "mp_")):
        return 0, name
    return 2 if name.startswith(("$", "mp_")) else 1, name
