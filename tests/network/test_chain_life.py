"""When the chain's backend begins and ends, what it needs, and what it keeps to itself."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError

import pytest

from node import Keypair, Peer, errors
from node.network import Hyperparameters, open_network
from node.network import chain_link as link_module
from node.network.chain import ChainNetwork
from node.network.chain_signer import ChainSigner
from tests.network.fake_chain import FakeChain, fake_chain

from .conftest import key
from .stray_threads import no_stray_threads

pytest.importorskip("bittensor")

__all__ = ["no_stray_threads"]

NETUID = 8
ALICE, BOB, ED = key("Alice"), key("Bob"), key("Ed", "ed25519")


@pytest.fixture
def chain() -> Iterator[FakeChain]:
    """A chain with a subnet of two."""
    with fake_chain() as chain:
        chain.register(NETUID, ALICE.ss58_address)
        chain.register(NETUID, ED.ss58_address)
        yield chain


def peer_of(keypair: Keypair) -> Peer:
    return Peer(keypair.ss58_address, "8.8.4.4", 8091)


# Both modes, and the end ------------------------------------------------------------------------


async def test_inside_a_loop_every_method_is_awaited(chain: FakeChain) -> None:
    async with open_network(chain.url) as network:
        assert await network.register(NETUID, ALICE) == 0
        await network.serve(NETUID, ALICE, peer_of(ALICE))
        await network.set_weights(NETUID, ALICE, [1], [1.0])
        graph = await network.metagraph(NETUID)
        assert (graph.axons[0].port, graph.weights(0)) == (8091, [0.0, 1.0])
        chain.advance()
        assert (await graph.sync()).block == 1003
        assert await network.hyperparameters(NETUID) == Hyperparameters()
        with pytest.raises(errors.NotRegistered):
            await network.register(NETUID, BOB)
    with pytest.raises(errors.NetworkError, match="closed"):
        await network.metagraph(NETUID)
    await network.close()


async def test_a_call_that_waits_holds_up_neither_the_loop_nor_the_others(
    chain: FakeChain,
) -> None:
    async with ChainNetwork(chain.url) as network:
        assert await network.register(NETUID, ALICE) == 0
        chain.report("ready")  # and no block
        writing = asyncio.create_task(network.set_weights(NETUID, ALICE, [0], [1.0]))
        started = time.monotonic()
        while not chain.extrinsics:
            await asyncio.sleep(0.01)
        graphs = await asyncio.gather(*(network.metagraph(NETUID) for _ in range(8)))
        assert [graph.n for graph in graphs] == [2] * 8
        assert time.monotonic() - started < 60  # the one that waits may take 120 s
        assert not writing.done()
        await network.close()
        with pytest.raises(errors.NetworkError, match="closed; a block may hold it all the same"):
            await writing


def test_one_connection_serves_all_calls_and_ends(chain: FakeChain) -> None:
    with ChainNetwork(chain.url) as network:
        for _ in range(3):
            network.metagraph(NETUID)
        assert chain.connections == 1
        assert chain.calls["Metadata_metadata_at_version"] == 1
    wait_until(lambda: chain.connections == 0)
    with pytest.raises(errors.NetworkError, match=r"<ChainNetwork ws://.*> is closed"):
        network.metagraph(NETUID)
    network.close()


async def test_a_plain_with_in_a_coroutine_ends_it_too(chain: FakeChain) -> None:
    with ChainNetwork(chain.url) as network:
        assert await network.register(NETUID, ALICE) == 0
    async with asyncio.timeout(20):
        while chain.connections:
            await asyncio.sleep(0.01)


def test_a_network_that_is_forgotten_ends(chain: FakeChain) -> None:
    network = ChainNetwork(chain.url)
    graph = network.metagraph(NETUID)
    del graph, network
    gc.collect()
    wait_until(lambda: chain.connections == 0)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# The SDK ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "advice"),
    [
        (None, "which is not installed; run: pip install 'ganglion\\[chain\\]'"),
        ("10.5.0", "SDK 11, and 10.5.0 is installed; .*pip install 'ganglion\\[chain\\]'"),
    ],
)
def test_the_sdk_must_be_there(
    monkeypatch: pytest.MonkeyPatch, found: str | None, advice: str
) -> None:
    def version(name: str) -> str:
        if found is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(link_module, "version", version)
    with open_network("finney") as network, pytest.raises(errors.ConfigError, match=advice):
        network.metagraph(NETUID)


def test_an_sdk_that_is_broken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> object:
        raise ImportError("no wheel")

    monkeypatch.setattr(link_module, "import_module", broken)
    with open_network("finney") as network, pytest.raises(errors.ConfigError, match="no wheel"):
        network.metagraph(NETUID)


def test_secrets_stay_with_the_keypair(chain: FakeChain, caplog: pytest.LogCaptureFixture) -> None:
    seed = bytes(range(32))
    keypair = Keypair.from_seed(seed)
    chain.register(NETUID, keypair.ss58_address)
    with caplog.at_level(logging.DEBUG), ChainNetwork(chain.url) as network:
        network.serve(NETUID, keypair, peer_of(keypair))
        network.set_weights(NETUID, keypair, [0], [1.0])
    signer = ChainSigner(keypair)
    assert repr(signer) == f"<ChainSigner {keypair.ss58_address}>"
    assert not hasattr(signer, "__dict__")
    said = caplog.text + repr(signer) + repr(network)
    assert "fee" in said
    for secret in (seed.hex(), keypair.secret.private_key.hex()):
        assert secret not in said


def test_what_an_address_keeps_secret_is_not_told(
    chain: FakeChain, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"{chain.url.replace('ws://', 'ws://user:hunter2@')}/hunter2?key=hunter2"
    with caplog.at_level(logging.DEBUG, "node"), ChainNetwork(address) as network:
        network.metagraph(NETUID)
        chain.stop()
        with pytest.raises(errors.NetworkError) as caught:
            network.metagraph(NETUID)
    assert "hunter2" not in f"{caplog.text} {network!r} {network.name} {caught.value}"
