"""Connections in memory: what an axon is given to serve, and how a dendrite dials."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from node import Axon, Dendrite, Keypair, Peer
from node.errors import PeerTimeout, PeerUnreachable
from node.testing.memory import Switchboard, memory_address, socket_pair
from protocols import StreamPrompting
from tests.functional.open_sockets import open_sockets
from tests.testing.synapses import TEXT

ADDRESS = ("127.77.0.1", 1)


async def words(synapse: StreamPrompting) -> AsyncIterator[str]:
    for word in synapse.messages[0].split(" "):
        yield word + " "
        await asyncio.sleep(0)


async def endless(synapse: StreamPrompting) -> AsyncIterator[str]:
    while True:
        yield "x" * 65_536


@pytest.fixture
def memory_axon(bob: Keypair) -> Axon:
    ip, port = ADDRESS
    return Axon(bob, ip=ip, port=port)


@pytest.fixture
async def switchboard(memory_axon: Axon) -> Switchboard:
    switchboard = Switchboard()
    switchboard.plug(ADDRESS, memory_axon.accept)
    return switchboard


def prompt() -> StreamPrompting:
    return StreamPrompting(messages=[TEXT])


async def test_a_stream_goes_through_a_pair_of_sockets_and_no_port_is_taken(
    memory_axon: Axon, switchboard: Switchboard, alice: Keypair
) -> None:
    before = open_sockets()
    memory_axon.attach(words)
    await memory_axon.start(listen=False)
    assert open_sockets() == before
    assert memory_axon.info().endpoint == "127.77.0.1:1"
    async with Dendrite(alice, dial=switchboard.dial) as dendrite:
        for _ in range(3):
            stream = dendrite.stream(memory_axon, prompt(), raise_errors=True)
            final = await stream.final()
            assert final.completion == TEXT + " "
        assert (await stream).receipt is not None
        assert open_sockets() == before + 2, "one connection was kept alive and used again"
    await memory_axon.stop()
    assert open_sockets() == before


async def test_a_forward_sees_no_address_of_a_caller_in_memory(
    memory_axon: Axon, switchboard: Switchboard, alice: Keypair
) -> None:
    seen = []

    async def look(synapse: StreamPrompting) -> AsyncIterator[str]:
        seen.append((synapse.dendrite.ip, synapse.dendrite.hotkey, synapse.axon.ip))
        yield "x"

    memory_axon.attach(look)
    await memory_axon.start(listen=False)
    async with Dendrite(alice, dial=switchboard.dial) as dendrite:
        assert (await dendrite.call(memory_axon, prompt())).is_success
    await memory_axon.stop()
    assert seen == [(None, alice.ss58_address, "127.77.0.1")]


async def test_stop_drains_what_runs_and_refuses_what_comes(
    memory_axon: Axon, switchboard: Switchboard, alice: Keypair
) -> None:
    go = asyncio.Event()

    async def wait(synapse: StreamPrompting) -> AsyncIterator[str]:
        yield "a"
        await go.wait()
        yield "b"

    memory_axon.attach(wait)
    await memory_axon.start(listen=False)
    async with Dendrite(alice, dial=switchboard.dial) as dendrite:
        stream = await dendrite.stream(memory_axon, prompt(), raise_errors=True)
        chunks = stream.chunks()
        assert await anext(chunks) == "a"
        stopping = asyncio.create_task(memory_axon.stop())
        await asyncio.sleep(0.01)
        with pytest.raises(PeerUnreachable, match="connection refused"):
            await dendrite.call(memory_axon, prompt(), raise_errors=True)
        assert not stopping.done()
        go.set()
        assert [chunk async for chunk in chunks] == ["b"]
        await stopping


async def test_a_reader_that_stops_reading_holds_the_writer_back(
    memory_axon: Axon, switchboard: Switchboard, alice: Keypair
) -> None:
    sent = 0

    async def count(synapse: StreamPrompting) -> AsyncIterator[str]:
        nonlocal sent
        while True:
            sent += 1
            yield "x" * 65_536

    memory_axon.attach(count)
    await memory_axon.start(listen=False)
    async with Dendrite(alice, dial=switchboard.dial) as dendrite:
        stream = await dendrite.stream(memory_axon, prompt())
        held = -1
        while held != sent:
            held = sent
            await asyncio.sleep(0.3)
        assert 0 < sent < 100
        await stream.aclose()
    await memory_axon.stop()


async def test_an_axon_closes_a_socket_that_it_can_not_serve(memory_axon: Axon) -> None:
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    await memory_axon.start(listen=False)
    with pytest.raises(ValueError, match="Stream Socket"):
        await memory_axon.accept(datagrams)
    await memory_axon.stop()
    assert datagrams.fileno() == -1


async def test_an_axon_that_is_not_started_closes_what_it_is_given(memory_axon: Axon) -> None:
    near, far = socket_pair()
    with near, pytest.raises(ConnectionRefusedError):
        await memory_axon.accept(far)
    assert far.fileno() == -1


async def test_an_axon_may_listen_and_take_sockets_at_once(bob: Keypair, alice: Keypair) -> None:
    switchboard = Switchboard()
    async with Axon(bob, ip="127.0.0.1", port=0).attach(words) as axon:
        peer = Peer(bob.ss58_address, *ADDRESS)
        switchboard.plug(ADDRESS, axon.accept)
        async with Dendrite(alice, dial=switchboard.dial) as dendrite:
            for one in (axon.info(), peer):
                final = await dendrite.call(one, prompt(), raise_errors=True)
                assert final.completion == TEXT + " "


async def test_an_error_of_dial_is_an_unreachable_peer(alice: Keypair, bob: Keypair) -> None:
    async def dial(host: str, port: int) -> socket.socket | None:
        raise OSError(113, "no route")

    peer = Peer(bob.ss58_address, *ADDRESS)
    async with Dendrite(alice, dial=dial) as dendrite:
        with pytest.raises(PeerUnreachable, match="no route to host"):
            await dendrite.call(peer, prompt(), raise_errors=True)


async def test_a_dial_that_hangs_meets_the_connect_deadline(alice: Keypair, bob: Keypair) -> None:
    async def dial(host: str, port: int) -> socket.socket | None:
        await asyncio.sleep(60)
        return None

    peer = Peer(bob.ss58_address, *ADDRESS)
    async with Dendrite(alice, dial=dial, connect=0.05) as dendrite:
        with pytest.raises(PeerTimeout) as raised:
            await dendrite.call(peer, prompt(), raise_errors=True)
    assert raised.value.phase == "connect"


async def test_a_socket_that_can_not_be_used_is_closed(alice: Keypair, bob: Keypair) -> None:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    async def dial(host: str, port: int) -> socket.socket | None:
        return made

    peer = Peer(bob.ss58_address, *ADDRESS)
    async with Dendrite(alice, dial=dial) as dendrite:
        with pytest.raises(ValueError, match="Stream Socket"):
            await dendrite.call(peer, prompt(), raise_errors=True)
    assert made.fileno() == -1


async def test_the_switchboard_knows_its_own_addresses_only() -> None:
    switchboard = Switchboard()
    taken: list[socket.socket] = []

    async def accept(sock: socket.socket) -> None:
        taken.append(sock)

    async def fail(sock: socket.socket) -> None:
        sock.close()
        raise ConnectionRefusedError

    assert await switchboard.dial(*ADDRESS) is None
    switchboard.plug(ADDRESS, accept)
    assert await switchboard.dial("127.77.0.1", 2) is None
    near = await switchboard.dial(*ADDRESS)
    assert near is not None
    with near, taken[0]:
        near.send(b"x")
        assert taken[0].recv(9) == b"x"
    switchboard.unplug(ADDRESS)
    with pytest.raises(ConnectionRefusedError):
        await switchboard.dial(*ADDRESS)
    switchboard.plug(ADDRESS, fail)
    before = open_sockets()
    with pytest.raises(ConnectionRefusedError):
        await switchboard.dial(*ADDRESS)
    assert open_sockets() == before


def test_every_peer_in_memory_has_a_loopback_address_of_its_own(bob: Keypair) -> None:
    addresses = [memory_address(index) for index in range(4096)]
    assert len({ip for ip, _ in addresses}) == 4096
    assert all(Peer(bob.ss58_address, *one).is_serving for one in addresses)
    assert all(ip.startswith("127.77.") for ip, _ in addresses)
