"""One export call: what is asked, and how its bytes are taken in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from mixpanel_data import arguments
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.errors import IncompleteExportError

if TYPE_CHECKING:
    from datetime import date

    from mixpanel_data.api_client import Download, MixpanelAPIClient
    from mixpanel_data.local.load import Loaded

MAX_LIMIT = 100_000


class Target(Protocol):
    """As much of a file as a download writes to; it is emptied before a new attempt."""

    def write(self, data: bytes, /) -> int: ...
    def flush(self) -> None: ...
    def seekable(self) -> bool: ...
    def tell(self) -> int: ...
    def seek(self, position: int, /) -> int: ...
    def truncate(self, size: int = ..., /) -> int: ...


@dataclass(frozen=True, slots=True)
class Export:
    """Which events are asked for.

    events: only these names; None for all
    """

    client: MixpanelAPIClient
    first: date
    last: date
    events: Sequence[str] | None
    where: str | None
    limit: int | None

    def parameters(self, days: tuple[date, date] | None = None) -> dict[str, Any]:
        """What is sent, for all of the days or for some of them.

        Source: reference/mixpanel-api.md, section 8
        """
        first, last = days or (self.first, self.last)
        return {
            "from_date": first.isoformat(),
            "to_date": last.isoformat(),
            "event": None if self.events is None else list(self.events),
            "where": self.where,
            "limit": self.limit,
            "time_in_ms": True,
        }

    def download(
        self,
        days: tuple[date, date],
        target: Target,
        *,
        plain: bool = False,
        on_bytes: Callable[[int], None] | None = None,
    ) -> Download:
        """Write what these days' export sends to the target; as `MixpanelAPIClient.download`."""
        file = cast("BinaryIO", target)
        return self.client.download(ENDPOINTS["export"], self.parameters(days), file, plain=plain, on_bytes=on_bytes)


def asked(
    client: MixpanelAPIClient,
    *,
    from_date: str,
    to_date: str,
    events: Sequence[str] | None,
    where: str | None,
    limit: int | None,
) -> Export:
    """The export that these arguments describe.

    Raises:
        InvalidArgumentError: a ValueError: one of them is wrong.
    """
    first, last = arguments.day_range(from_date, to_date)
    wanted = None if events is None else arguments.names("events", events)
    if limit is not None:
        arguments.whole("limit", limit, 1, MAX_LIMIT)
    return Export(client, first, last, wanted, where, limit)


def complete(loaded: Loaded, mask: Callable[[str], str]) -> Loaded:
    """What was loaded, with nothing secret in the lines that are shown as they came.

    Args:
        mask: takes secrets out of a text; a proxy's page in the place of events may repeat what it was sent

    Raises:
        IncompleteExportError: it ends with a line that is no event: a failure after the first byte, under a status
            of 200.

    Source: reference/mixpanel-api.md, section 8
    """
    if loaded.last_line is not None:
        raise incomplete(mask(loaded.last_line), loaded.lines)
    return replace(loaded, sample=tuple(mask(line) for line in loaded.sample))


def incomplete(last_line: str, lines: int) -> IncompleteExportError:
    """The error for an export whose last line is no event."""
    return IncompleteExportError(
        f"the export ended with a line that is not an event: {last_line!r}",
        status_code=200,
        details={"lines": lines, "last_line": last_line},
    )
