"""Whether a gzip stream is whole, looked at while it passes."""

from __future__ import annotations

import zlib


class GzipCheck:
    """Follows a gzip stream to its end, so that a cut or damaged one is never taken for whole."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._begun = False
        self.plain = 0

    def feed(self, chunk: bytes) -> bytes:
        """The text that these bytes complete."""
        texts = []
        while chunk:
            if self._member.eof:
                # Gzip members may follow one another; together they are one text.
                self._member = zlib.decompressobj(wbits=31)
            self._begun = True
            texts.append(self._member.decompress(chunk))
            chunk = self._member.unused_data
        text = texts[0] if len(texts) == 1 else b"".join(texts)
        self.plain += len(text)
        return text

    @property
    def is_complete(self) -> bool:
        return self._member.eof or not self._begun
