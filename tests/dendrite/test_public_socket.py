from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from node import Axon, Dendrite, Keypair, Peer, Synapse
from node.dendrite import public_socket
from node.errors import PeerUnreachable

NAME = "miner.example.com"


class Add(Synapse):
    left: int = 0
    total: int = 0


async def add(synapse: Add) -> Add:
    synapse.total = synapse.left + 1
    return synapse


@pytest.fixture
async def served(axon: Axon) -> AsyncIterator[Peer]:
    async with axon.attach(add):
        yield axon.info()


@pytest.fixture
async def careful(alice: Keypair) -> AsyncIterator[Dendrite]:
    async with Dendrite(alice, allow_private=False) as dendrite:
        yield dendrite


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that the name has; a test puts them in."""
    addresses: list[str] = []
    genuine = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != NAME:
            return genuine(host, port, *args, **options)
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (address, port, 0, 0) if ":" in address else (address, port),
            )
            for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return addresses


def named(peer: Peer) -> Peer:
    return Peer(peer.hotkey, NAME, peer.port)


async def test_a_loopback_address_is_asked_by_default(served: Peer, dendrite: Dendrite) -> None:
    assert (await dendrite(served, Add(left=1))).total == 2


async def test_a_loopback_address_is_refused_before_a_connection(
    alice: Keypair, careful: Dendrite
) -> None:
    connections = 0

    def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.close()

    server = await asyncio.start_server(count, "127.0.0.1", 0)
    async with server:
        peer = Peer(alice.ss58_address, "127.0.0.1", server.sockets[0].getsockname()[1])
        reply = await careful(peer, Add())
        await asyncio.sleep(0.05)
    assert connections == 0
    assert reply.dendrite.status_code == 503
    assert "it leads to a loopback address" in reply.dendrite.status_message


async def test_the_page_of_a_peer_is_refused_too(served: Peer, alice: Keypair) -> None:
    async with Dendrite(alice, allow_private=False, protocols=("btauth", "synapse")) as careful:
        with pytest.raises(PeerUnreachable, match="leads to a loopback address"):
            await careful.call(
                Peer(served.hotkey, served.ip, served.port), Add(), raise_errors=True
            )


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["127.0.0.1", "127.0.0.2", "::1"]])
async def test_a_public_name_of_a_private_address_is_refused(
    served: Peer, careful: Dendrite, resolves: list[str], addresses: list[str]
) -> None:
    resolves += addresses
    with pytest.raises(PeerUnreachable, match="leads to a loopback address"):
        await careful.call(named(served), Add(), raise_errors=True)


async def test_a_name_of_several_kinds_of_private_addresses_is_refused(
    served: Peer, careful: Dendrite, resolves: list[str]
) -> None:
    resolves += ["169.254.169.254", "127.0.0.1"]
    with pytest.raises(PeerUnreachable):
        await careful.call(named(served), Add(), raise_errors=True)


async def test_a_private_address_among_others_is_passed_over(
    served: Peer, careful: Dendrite, resolves: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves += ["127.0.0.9", "127.0.0.1"]
    monkeypatch.setattr(
        public_socket,
        "why_unroutable",
        lambda host: "a loopback address" if host == "127.0.0.9" else None,
    )
    assert (await careful(named(served), Add(left=1))).total == 2


async def test_a_name_may_lead_anywhere_where_that_is_allowed(
    served: Peer, dendrite: Dendrite, resolves: list[str]
) -> None:
    resolves.append("127.0.0.1")
    assert (await dendrite(named(served), Add(left=1))).total == 2
