"""A client that does not read its reply is cut off in time, and one that reads slowly is not."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from node import Axon, Keypair
from tests.functional.synapses import Echo
from tests.raw_http import RawConnection, signed_request

from .serving import no_request_in_hand

LENGTH = 8 * 2**20
BODY = b'{"text": "hello"}'


async def connect_narrow(axon: Axon) -> RawConnection:
    """Connect over loopback with little room in the kernel, which else holds some megabytes."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.socket()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        near.setblocking(False)
        await loop.sock_connect(near, listener.getsockname())
        listener.setblocking(False)
        far, _ = await loop.sock_accept(listener)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    await axon.accept(far)
    return RawConnection(*await asyncio.open_connection(sock=near, limit=4096))


def long_request(alice: Keypair, axon: Axon) -> bytes:
    return signed_request(alice, axon.hotkey, "/Echo", BODY).encode()


def closing(request: bytes) -> bytes:
    return request.replace(b"Content-Type", b"Connection: close\r\nContent-Type")


def answering(bob: Keypair, length: int = LENGTH, **options: float) -> tuple[Axon, asyncio.Event]:
    """Return an axon of long replies, and what is set when one is made."""
    made = asyncio.Event()

    async def echo(synapse: Echo) -> Echo:
        synapse.answer = "x" * length
        made.set()
        return synapse

    return Axon(bob, ip="127.0.0.1", port=0, **options).attach(echo), made  # type: ignore[arg-type]


async def received(connection: RawConnection, pause_s: float = 0.0) -> int:
    """Read to the end and return how many bytes came."""
    count = 0
    try:
        while data := await connection.reader.read(2**16):
            count += len(data)
            await asyncio.sleep(pause_s)
    except ConnectionError:
        pass
    return count


async def test_a_client_that_reads_nothing_is_cut_off(bob: Keypair, alice: Keypair) -> None:
    axon, made = answering(bob, stall_s=0.5)
    async with axon, await connect_narrow(axon) as connection:
        await connection.send(long_request(alice, axon))
        await asyncio.wait_for(made.wait(), 10)
        await no_request_in_hand()
        assert await asyncio.wait_for(received(connection), 10) < LENGTH


async def test_a_client_that_reads_slowly_gets_its_whole_reply(
    bob: Keypair, alice: Keypair
) -> None:
    axon, _ = answering(bob, stall_s=1.5)
    async with axon, await connect_narrow(axon) as connection:
        await connection.send(closing(long_request(alice, axon)))
        began = time.monotonic()
        assert await asyncio.wait_for(received(connection, 0.005), 60) > LENGTH
        assert time.monotonic() - began > 1.5, "too fast to show anything"


@pytest.mark.parametrize("closes", [True, False])
async def test_what_is_left_after_a_request_is_cut_off_too(
    bob: Keypair, alice: Keypair, closes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transport that is closed keeps its socket until the client has taken all."""
    monkeypatch.setattr("node.axon.server._KEEPALIVE_S", 0.2)
    axon, _ = answering(bob, length=50_000, stall_s=0.5)
    async with axon, await connect_narrow(axon) as connection:
        request = long_request(alice, axon)
        if closes:
            request = closing(request)
        await connection.send(request)
        await until_no_socket_is_left(axon)


async def until_no_socket_is_left(axon: Axon) -> None:
    async with asyncio.timeout(15):
        while axon._server._runner.server.connections:  # type: ignore[union-attr]
            await asyncio.sleep(0.01)


async def test_a_stop_cuts_off_who_reads_nothing_when_its_grace_is_over(
    bob: Keypair, alice: Keypair
) -> None:
    axon, made = answering(bob)
    await axon.start()
    async with await connect_narrow(axon) as connection:
        await connection.send(long_request(alice, axon))
        await asyncio.wait_for(made.wait(), 10)
        await asyncio.sleep(0.1)
        await asyncio.wait_for(axon.stop(grace_s=0.2), 15)
        assert await asyncio.wait_for(received(connection), 10) < LENGTH


async def test_a_stop_lets_a_slow_client_read_to_the_end(bob: Keypair, alice: Keypair) -> None:
    axon, made = answering(bob)
    await axon.start()
    async with await connect_narrow(axon) as connection:
        await connection.send(long_request(alice, axon))
        await asyncio.wait_for(made.wait(), 10)
        stopping = asyncio.create_task(axon.stop(grace_s=60))
        assert await asyncio.wait_for(received(connection, 0.001), 60) > LENGTH
        await stopping
