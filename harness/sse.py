"""Server-sent events: bytes in, the data of whole events out."""


class EventStream:
    """Reads a stream as it comes, cut anywhere.

    Lines end in LF, CRLF or CR; several data lines make one datum; comments (pings), other fields and events without
    data are passed over.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []
        self._begun = False

    def feed(self, piece: bytes) -> list[str]:
        """The data of the events that this piece completes, in order."""
        self._rest += piece
        # A CR at the end may be the first half of a CRLF, so it waits for what follows.
        held = self._rest.endswith(b"\r")
        text, self._rest = (self._rest[:-1], b"\r") if held else (self._rest, b"")
        *lines, last = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = last + self._rest
        return [datum for line in lines if (datum := self._line(line)) is not None]

    def end(self) -> list[str]:
        """What the stream's end completes: a line that ended in CR, never half an event."""
        return self.feed(b"\n") if self._rest == b"\r" else []

    def _line(self, raw: bytes) -> str | None:
        line = raw.decode(errors="replace")
        if not self._begun:
            self._begun, line = True, line.removeprefix("\ufeff")
        if not line:
            data, self._data = self._data, []
            return "\n".join(data) if data else None
        field, _, value = line.partition(":")
        if field == "data":
            self._data.append(value.removeprefix(" "))
        return None
