"""With a network, only registered callers are served, by their permits and stake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from node import Axon, Dendrite, Keypair, open_network
from node.errors import ConfigError
from tests.raw_http import ask, signed_request

from .synapses import Echo

NETUID = 8


class Served:
    """Texts that reached the forward."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def forward(self, synapse: Echo) -> Echo:
        self.texts.append(synapse.text)
        return synapse


@pytest.fixture
def served() -> Served:
    return Served()


@pytest.fixture
def name(tmp_path: Path) -> str:
    return f"local:{tmp_path / 'registry.db'}"


async def make(name: str, served: Served, bob: Keypair, **options: Any) -> Axon:
    """Register Bob's node and return its axon on that network."""
    network = open_network(name)
    await network.register(NETUID, bob)
    await network.close()
    axon = Axon(bob, ip="127.0.0.1", port=0, network=name, netuid=NETUID, **options)
    return axon.attach(served.forward)


async def register(name: str, keypair: Keypair, **standing: Any) -> None:
    network = open_network(name)
    await network.register(NETUID, keypair)
    if standing:
        await network.set_stake(NETUID, keypair.ss58_address, **standing)  # type: ignore[attr-defined]
    await network.close()


async def test_an_unregistered_caller_gets_403_with_the_reason(
    name: str, served: Served, bob: Keypair, dendrite: Dendrite
) -> None:
    async with await make(name, served, bob) as axon:
        reply = await dendrite(axon.info(), Echo(text="stranger"))
    assert reply.is_blacklist
    assert "not registered on netuid 8" in (reply.dendrite.status_message or "")
    assert served.texts == []


async def test_an_unregistered_caller_is_served_where_allowed(
    name: str, served: Served, bob: Keypair, dendrite: Dendrite
) -> None:
    async with await make(name, served, bob, allow_non_registered=True) as axon:
        assert (await dendrite(axon.info(), Echo(text="stranger"))).is_success


async def test_a_registered_caller_is_served(
    name: str, served: Served, bob: Keypair, alice: Keypair, dendrite: Dendrite
) -> None:
    await register(name, alice)
    async with await make(name, served, bob) as axon:
        assert (await dendrite(axon.info(), Echo(text="alice"))).is_success
        assert axon.metagraph is not None
        assert axon.metagraph.uid_of(alice.ss58_address) is not None


async def test_a_caller_that_registers_later_is_served_soon(
    name: str, served: Served, bob: Keypair, alice: Keypair, dendrite: Dendrite
) -> None:
    import asyncio

    async with await make(name, served, bob) as axon:
        assert (await dendrite(axon.info(), Echo(text="early"))).is_blacklist
        await register(name, alice)
        await asyncio.sleep(1.1)  # strangers can force a refresh once a second, no more
        assert (await dendrite(axon.info(), Echo(text="later"))).is_success
    assert served.texts == ["later"]


async def test_a_claim_to_a_registered_key_needs_its_signature(
    name: str, served: Served, bob: Keypair, alice: Keypair
) -> None:
    await register(name, alice)
    mallory = Keypair.from_uri("//Mallory")
    async with await make(name, served, bob) as axon:
        forged = signed_request(mallory, axon.hotkey, "/Echo", b'{"text": "x"}').set(
            "X-Bittensor-Hotkey", alice.ss58_address
        )
        reply = await ask(axon.port, forged)
    assert (reply.status, reply.json()["code"]) == (401, "bad_signature")
    assert served.texts == []


@pytest.mark.parametrize(
    ("rules", "standing", "status"),
    [
        ({"force_validator_permit": True}, {}, 403),
        ({"force_validator_permit": True}, {"validator_permit": True}, 200),
        ({"minimum_stake": 100.0}, {"stake": 99.5}, 403),
        ({"minimum_stake": 100.0}, {"stake": 100.0}, 200),
    ],
)
async def test_permit_and_stake_are_asked_for_where_wanted(
    name: str,
    served: Served,
    bob: Keypair,
    alice: Keypair,
    dendrite: Dendrite,
    rules: dict[str, Any],
    standing: dict[str, Any],
    status: int,
) -> None:
    await register(name, alice, **(standing or {"stake": 1.0}))
    async with await make(name, served, bob, **rules) as axon:
        reply = await dendrite(axon.info(), Echo(text="x"))
    assert reply.dendrite.status_code == status
    if status == 403:
        word = "permit" if "force_validator_permit" in rules else "stake of 100"
        assert word in (reply.dendrite.status_message or "")
        assert served.texts == []


@pytest.mark.parametrize("rules", [{"force_validator_permit": True}, {"minimum_stake": 1.0}])
async def test_a_stranger_let_in_does_not_pass_for_a_permit_or_stake(
    name: str, served: Served, bob: Keypair, dendrite: Dendrite, rules: dict[str, Any]
) -> None:
    async with await make(name, served, bob, allow_non_registered=True, **rules) as axon:
        reply = await dendrite(axon.info(), Echo(text="x"))
    # Documented: the rules are about listed callers; who is let in unlisted is let in.
    assert reply.is_success


async def test_without_a_network_every_verified_caller_is_served(
    axon: Axon, served: Served
) -> None:
    axon.attach(served.forward)
    async with axon, Dendrite(Keypair.generate()) as anybody:
        assert (await anybody(axon.info(), Echo(text="x"))).is_success


@pytest.mark.parametrize("half", [{"network": "local"}, {"netuid": 8}])
def test_half_a_network_is_refused(bob: Keypair, half: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="together"):
        Axon(bob, **half)
