"""`mp-mcp-server`: parse, claim the port, build, serve."""

import argparse
import contextlib
import gc
import logging
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mp_mcp_server.address import AddressError, listen

if TYPE_CHECKING:  # usage questions are answered without what it needs
    from mp_mcp_server.settings import Settings

_DESCRIPTION = "Mixpanel for MCP clients: live queries, raw events into a local store, SQL over it."

_SWITCH_S = 0.001


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server.

    Args:
        argv: arguments without the program's name; those of the process when left out

    Returns:
        The exit status: 0 served and ended, 1 could not start (one line on stderr says code, cause and fix).
        Wrong options end the process with 2.
    """
    options = _parser().parse_args(argv)
    _log_to_stderr()
    # A thread that takes rows in keeps the interpreter for so long before another one gets it; it needs it often.
    sys.setswitchinterval(_SWITCH_S)
    if options.account is not None and (refusal := _account_refusal(options.account)):
        return _refuse(*refusal)
    if options.transport == "stdio":
        return _serve_stdio(options)
    try:
        listener = listen(options.host, options.port)
    except AddressError as error:
        return _refuse(error.code, error.cause, error.fix)
    return _serve_http(options, listener)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mp-mcp-server", description=_DESCRIPTION)
    parser.add_argument(
        "--transport",
        choices=("stdio", "http", "sse"),
        default="stdio",
        help="stdio for a client that starts the server itself; http is streamable HTTP at /mcp; sse at /sse for "
        "older clients (default: %(default)s)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address for http and sse (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8200, help="port for http and sse; 0: any (default: %(default)s)")
    parser.add_argument(
        "--account", metavar="NAME", help="a configured account (default: environment, then default one)"
    )
    parser.add_argument(
        "--db", metavar="PATH", type=Path, help="file of the local store (default: one for each project)"
    )
    parser.add_argument(
        "--stateful",
        action="store_true",
        help="http: keep a session for each client of the handshake era, so that it can be asked back",
    )
    parser.add_argument(
        "--session-idle",
        metavar="SECONDS",
        type=_seconds,
        default=1800.0,
        help="with --stateful: how long a session that nobody uses is kept (default: %(default).0f)",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import mixpanel_data

        sys.stdout.write(f"mp-mcp-server version {mixpanel_data.__version__}\n")
        parser.exit()


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; ports are 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds; take a whole one from 1 to 86400")
    return float(text)


def _account_refusal(name: str) -> tuple[str, str, str] | None:
    """Code, cause and fix if the account cannot be used; whether Mixpanel accepts it is asked by the first call."""
    from mixpanel_data import ConfigError
    from mixpanel_data.credentials import resolve

    try:
        resolve(name)
    except ConfigError as error:
        return error.code, error.message, error.fix or "name a configured account, or set the four MP_ variables"
    return None


def _serve_http(options: argparse.Namespace, listener: socket.socket) -> int:
    with contextlib.closing(listener):
        with kept():
            settings = _settings(options)
            if settings is None:
                return 1

            from mp_mcp_server.server import application, build
            from mp_mcp_server.serving import serve

            _calm_fastmcp()
            app = application(build(settings), options.transport, settings)
        host, port = listener.getsockname()[:2]
        path = "sse" if options.transport == "sse" else "mcp"
        logging.getLogger(__name__).info(
            "listening on http://%s:%s/%s", f"[{host}]" if ":" in host else host, port, path
        )
        serve(app, listener)
    return 0


def _serve_stdio(options: argparse.Namespace) -> int:
    with kept():
        settings = _settings(options)
        if settings is None:
            return 1

        from mp_mcp_server.piped import serve_piped
        from mp_mcp_server.server import build

        _calm_fastmcp()
        server = build(settings)
    serve_piped(server)
    return 0


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """What is imported and built in here stays, so it is never searched for garbage.

    It is a hundred thousand objects: searching them takes a seventh of the start, and later a pause in every call.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _settings(options: argparse.Namespace) -> "Settings | None":
    """From the command line and the environment; None, and a line on stderr, where they are wrong."""
    from mixpanel_data import ConfigError
    from mp_mcp_server.settings import Settings

    try:
        return Settings(
            account=options.account, db=options.db, stateful=options.stateful, session_idle_s=options.session_idle
        )
    except ConfigError as error:
        _refuse(error.code, error.message, error.fix or "correct that, or unset it")
        return None


def _log_to_stderr() -> None:
    """One plain format for everybody's log; stdout belongs to the protocol."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for talkative in ("httpx", "mcp"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    # What the format does not say is not looked up for each line; most of all the frame that wrote it.
    logging._srcfile = None  # Python's own HOWTO, "Optimization", names it
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _calm_fastmcp() -> None:
    """Take away the handlers that fastmcp gives itself on import, so that a line is logged once and in our format."""
    logger = logging.getLogger("fastmcp")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    logger.propagate = True
    logger.setLevel(logging.WARNING)


def _refuse(code: str, cause: str, fix: str) -> int:
    print(f"mp-mcp-server: {code}: {cause}; fix: {fix}", file=sys.stderr)  # noqa: T201 - the rim for people
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
