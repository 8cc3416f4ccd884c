from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from node import Keypair, Peer
from node.dendrite.connector import Connector, Dial


@pytest.fixture
async def peer(alice: Keypair) -> AsyncIterator[Peer]:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    yield Peer(hotkey=alice.ss58_address, ip="127.0.0.1", port=port)
    server.close()
    await server.wait_closed()


async def check_connects(peer: Peer, dial: Dial | None) -> None:
    connector = Connector(dial=dial)
    connection = await connector.connected(peer)
    assert connection.transport is not None
    assert connection.transport.get_extra_info("peername")[1] == peer.port
    connection.close()
    await connection.closed()
    await connector.close()


async def test_without_a_dial_it_is_tcp(peer: Peer) -> None:
    await check_connects(peer, None)


async def test_a_dial_may_leave_it_to_tcp(peer: Peer) -> None:
    asked: list[tuple[str, int]] = []

    async def dial(host: str, port: int) -> None:
        asked.append((host, port))

    await check_connects(peer, dial)
    assert asked == [("127.0.0.1", peer.port)]


async def test_a_socket_of_the_dial_is_used(peer: Peer) -> None:
    made: list[socket.socket] = []

    async def dial(host: str, port: int) -> socket.socket:
        made.append(socket.socket())
        made[0].setblocking(False)
        await asyncio.get_running_loop().sock_connect(made[0], (host, port))
        return made[0]

    await check_connects(peer, dial)
    assert made[0].fileno() == -1


async def test_a_socket_that_can_not_be_used_is_closed(peer: Peer) -> None:
    datagrams = socket.socket(type=socket.SOCK_DGRAM)

    async def dial(host: str, port: int) -> socket.socket:
        return datagrams

    connector = Connector(dial=dial)
    with pytest.raises(ValueError, match="Stream Socket"):
        await connector.connected(peer)
    assert datagrams.fileno() == -1
    await connector.close()
