"""`GET /` tells anybody what the node is and speaks, and nothing private."""

from __future__ import annotations

import json

import pytest

from node import Axon, Keypair
from tests.raw_http import RawConnection, ask

from .synapses import Echo


class SecretRoute(Echo):
    pass


@pytest.fixture
def axon(bob: Keypair) -> Axon:
    async def forward(synapse: SecretRoute) -> SecretRoute:
        return synapse

    return Axon(bob, ip="127.0.0.1", port=0).attach(forward)


async def get(axon: Axon, target: str, method: str = "GET") -> tuple[int, bytes]:
    async with axon:
        reply = await ask(axon.port, f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert reply.complete
    return reply.status, reply.body


async def test_it_says_what_the_node_is_and_speaks(axon: Axon, bob: Keypair) -> None:
    status, body = await get(axon, "/")
    page = json.loads(body)
    assert status == 200
    assert set(page) == {"node", "version", "hotkey", "scheme", "protocols", "stream_modes"}
    assert (page["hotkey"], page["scheme"]) == (bob.ss58_address, "sr25519")
    assert page["protocols"] == ["btauth"]
    assert {"frames", "raw"} <= set(page["stream_modes"])


@pytest.mark.parametrize("target", ["/", "/health", "/?routes=1", "/nothing"])
async def test_no_page_names_a_route_a_caller_or_the_software_below(
    axon: Axon, alice: Keypair, target: str
) -> None:
    async with axon:
        reply = await ask(axon.port, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    everything = reply.body + str(reply.headers).encode()
    for private in (b"SecretRoute", alice.ss58_address.encode(), b"aiohttp", b"Python"):
        assert private not in everything


async def test_health_is_for_probes(axon: Axon) -> None:
    assert await get(axon, "/health") == (200, b'{"status": "ok"}')


@pytest.mark.parametrize("target", ["/", "/health"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_other_methods_are_405(axon: Axon, target: str, method: str) -> None:
    async with axon:
        request = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        reply = await ask(axon.port, request.encode())
    assert (reply.status, reply.json()["code"]) == (405, "method_not_allowed")
    assert reply.header("Allow") == "GET, HEAD"


@pytest.mark.parametrize("target", ["/", "/health"])
async def test_head_gives_the_head_alone(axon: Axon, target: str) -> None:
    async with axon, await RawConnection.open(axon.port) as connection:
        await connection.send(f"HEAD {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await connection.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        # The next reply follows at once: there was no body in between.
        await connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await connection.read_reply()).status == 200


async def test_it_is_served_to_anybody_and_stores_nothing(axon: Axon) -> None:
    async with axon:
        for _ in range(3):
            request = b"GET / HTTP/1.1\r\nHost: x\r\nX-Bittensor-Nonce: junk\r\n\r\n"
            assert (await ask(axon.port, request)).status == 200


def test_info_tells_peers_the_external_address(bob: Keypair) -> None:
    inside = Axon(bob, port=9000)
    assert (inside.info().ip, inside.info().port) == ("127.0.0.1", 9000)
    outside = Axon(bob, port=9000, external_ip="192.0.2.7", external_port=9100)
    assert (outside.info().ip, outside.info().port) == ("192.0.2.7", 9100)
    assert outside.info().hotkey == bob.ss58_address
