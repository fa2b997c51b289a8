"""Claiming the address that the server listens on."""

import socket


class AddressError(Exception):
    """Somebody else listens at the address, or it is not this machine's."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        self.code = "PORT_UNAVAILABLE"
        self.cause = f"cannot listen on {host}:{port}: {reason}"
        self.fix = "end what listens there, or choose another address with --port and --host"
        super().__init__(self.cause)


def listen(host: str, port: int) -> socket.socket:
    """Claim the address now, before the slow imports: connections that come early wait instead of being refused.

    Args:
        host: an address or name of this machine
        port: 0 lets the system choose

    Returns:
        A listening socket; the caller closes it.

    Raises:
        AddressError: the address is not to be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # with the protocol named: asyncio sends small answers at once only on sockets that say they are TCP
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AddressError(host, port, error.strerror or str(error)) from error
    try:
        # connections of a server that just ended linger and are nobody's
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise AddressError(host, port, error.strerror or str(error)) from error
    return listener
