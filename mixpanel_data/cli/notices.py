"""What the library logs while it works, on stderr: waits, retries, what a fetch will cost."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from mixpanel_data.cli import output
from mixpanel_data.cli.session import Globals


class _Notices(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        output.notice(record.getMessage())


@contextmanager
def shown(options: Globals) -> Iterator[None]:
    """Show on stderr what the library logs meanwhile: what matters, with `verbose` all of it, with `quiet` nothing."""
    logger = logging.getLogger("mixpanel_data")
    before = logger.level, logger.propagate
    handler = _Notices()
    logger.setLevel(logging.DEBUG if options.verbose else logging.ERROR if options.quiet else logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
