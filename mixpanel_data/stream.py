"""Events as they arrive, nothing stored."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.errors import InvalidArgumentError
from mixpanel_data.export import incomplete

if TYPE_CHECKING:
    from mixpanel_data.export import Export

_LARGEST_SECONDS = 100_000_000_000
_LONGEST_SAMPLE = 200
_LOG = logging.getLogger("mixpanel_data")


def transform_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """The row that an exported event makes.

    Args:
        event: as the export writes it; `time` in seconds or milliseconds

    Returns:
        event_name, event_time (an aware datetime, UTC), distinct_id (empty for an event without a user), insert_id
        (derived from the event where it has none) and properties (everything else).

    Raises:
        InvalidArgumentError: a ValueError: it is not an event.

    Source: reference/mixpanel-api.md, section 8
    """
    name, given = event.get("event"), event.get("properties")
    if not isinstance(name, str) or not isinstance(given, Mapping):
        raise InvalidArgumentError("event", "it has no name or no properties", fix="give an object of the export")
    properties = dict(given)
    ms = _milliseconds(properties.pop("time", None))
    distinct_id = _text(properties.pop("distinct_id", None))
    insert_id = _text(properties.pop("$insert_id", None)) or _derived(name, ms, distinct_id, properties)
    return {
        "event_name": name,
        "event_time": datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000),
        "distinct_id": distinct_id,
        "insert_id": insert_id,
        "properties": properties,
    }


def stream_events(
    export: Export, *, raw: bool, on_skipped: Callable[[int], None] | None = None
) -> Iterator[dict[str, Any]]:
    """Source: reference/mixpanel-api.md, section 8"""
    skipped = _Skipped(export.client.mask)
    with export.client.stream(ENDPOINTS["export"], export.parameters()) as texts:
        for line in _lines(texts):
            event = _event(line)
            if event is None:
                skipped.note(line)
                if on_skipped is not None:
                    on_skipped(skipped.number)
                continue
            skipped.last = None
            yield event[0] if raw else event[1]
    skipped.tell()


class _Skipped:
    """Lines that are no event; the last line being one means that the export is not whole."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        self.number = 0
        self.last: bytes | None = None
        self._mask = mask

    def note(self, line: bytes) -> None:
        self.number += 1
        self.last = line
        _LOG.warning("a line of the export is not an event, and is skipped: %r", self._shown(line))

    def tell(self) -> None:
        if self.last is not None:
            raise incomplete(self._shown(self.last), self.number)
        if self.number:
            _LOG.warning("%d lines of the export were skipped", self.number)

    def _shown(self, line: bytes) -> str:
        # Masked before it is cut: half a secret is one no mask would know.
        return self._mask(line.strip()[: 64 * _LONGEST_SAMPLE].decode("utf-8", "replace"))[:_LONGEST_SAMPLE]


def _lines(texts: Iterator[bytes]) -> Iterator[bytes]:
    """Whole lines that are not blank: cut at the newline byte alone, and wherever the pieces end."""
    rest = b""
    for text in texts:
        *lines, rest = (rest + text).split(b"\n")
        yield from (line for line in lines if line.strip())
    if rest.strip():
        yield rest


def _event(line: bytes) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The event of a line, as it came and as a row; None when it is not one."""
    try:
        event = json.loads(line)
        return (event, transform_event(event)) if isinstance(event, dict) else None
    except (ValueError, RecursionError):
        return None


def _milliseconds(time: object) -> int:
    try:
        number = float(time) if isinstance(time, int | float | str) and not isinstance(time, bool) else None
        if number is not None:
            ms = round(number if abs(number) > _LARGEST_SECONDS else number * 1000)
            datetime.fromtimestamp(ms // 1000, UTC)
            return ms
    except (ValueError, OverflowError, OSError):
        pass  # no number, or of no day
    raise InvalidArgumentError("time", f"{time!r} is not a time", fix="give seconds or milliseconds since 1970")


def _text(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return _json(value)


def _derived(name: str, ms: int, distinct_id: str, properties: Mapping[str, Any]) -> str:
    said = {key: value for key, value in properties.items() if key != "mp_processing_time_ms"}
    text = "\x1f".join((name, str(ms), distinct_id, _json(said)))
    return f"derived-{hashlib.md5(text.encode('utf-8', 'surrogatepass'), usedforsecurity=False).hexdigest()}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
