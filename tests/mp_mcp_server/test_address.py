"""The address that the server listens on is claimed at once, and small answers leave it without delay."""

import asyncio
import errno
import os
import socket

import pytest

from mp_mcp_server.address import AddressError, listen


def test_a_connection_sends_small_answers_at_once() -> None:
    """Nagle's algorithm off, or each answer in two pieces waits 40 ms for the client's acknowledgement."""

    async def nodelay() -> int:
        with listen("127.0.0.1", 0) as listener:
            accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

            def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                connection: socket.socket = writer.get_extra_info("socket")
                accepted.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                writer.close()

            async with await asyncio.start_server(greet, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                found = await accepted
                writer.close()
                await writer.wait_closed()
            return found

    assert asyncio.run(nodelay()) != 0


def test_a_taken_port_is_refused_with_what_to_do() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressError) as refused:
            listen("127.0.0.1", port)
    assert refused.value.code == "PORT_UNAVAILABLE"
    assert str(port) in refused.value.cause
    assert os.strerror(errno.EADDRINUSE) in refused.value.cause
    assert "--port" in refused.value.fix


def test_an_address_that_cannot_be_read_is_refused_in_the_systems_words() -> None:
    with pytest.raises(socket.gaierror) as known:
        socket.getaddrinfo("::1%no-such-interface", 0)
    with pytest.raises(AddressError) as refused:
        listen("::1%no-such-interface", 0)
    assert str(known.value.strerror) in refused.value.cause
    assert "Errno" not in refused.value.cause
