"""One ASGI application on one listening socket, until it is told to stop; then it is gone within two seconds."""

import logging
import os
import socket
import threading
from types import FrameType

import uvicorn
from sse_starlette.sse import AppStatus
from starlette.types import ASGIApp

logger = logging.getLogger(__name__)

# calls in flight may finish for so long; a call in a worker thread cannot be stopped and would hold the process
_GRACE_S = 1
_GONE_AFTER_S = 1.5

# Longer than clients and proxies keep a connection that nobody uses (nginx: 60 s): else one that is closed here in the
# moment in which they take it up again loses their call.
_KEPT_ALIVE_S = 75


def serve(application: ASGIApp, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM, then let calls in flight finish for a second."""
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=_GRACE_S,
        timeout_keep_alive=_KEPT_ALIVE_S,
    )
    # else an answer that is being worked on is cut off at once, and the grace is for nothing
    AppStatus.enable_automatic_graceful_drain = False
    _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop gracefully, and make sure that it is the end.

        A tool that waits for Mixpanel sits in a thread that nobody can cancel, and the interpreter would wait for it.
        What it was writing is safe: the store changes in transactions, and a spool without its owner is swept.
        """
        last_resort = threading.Timer(_GONE_AFTER_S, self._leave, args=[sig])
        last_resort.daemon = True
        last_resort.start()
        super().handle_exit(sig, frame)

    @staticmethod
    def _leave(sig: int) -> None:
        logger.warning("a call did not end in time and was left behind")
        logging.shutdown()
        os._exit(128 + sig)
