"""The chain's backend with the real SDK, on a chain that is not the real one.

What is shown and what is not is in docs/decisions/0011-chain.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node import Keypair, Peer, Wallet, errors
from node.keys import ss58_encode
from node.network import Hyperparameters, Network, open_network
from node.network.chain import ChainNetwork
from tests.network.fake_chain import Axon, FakeChain, fake_chain

from .conftest import key
from .stray_threads import no_stray_threads

pytest.importorskip("bittensor")

__all__ = ["no_stray_threads"]

NETUID = 8
ALICE, BOB, ED = key("Alice"), key("Bob"), key("Ed", "ed25519")
PUBLIC_IP = "8.8.4.4"


@pytest.fixture
def chain() -> Iterator[FakeChain]:
    """A chain with a subnet of two: Alice, who has stake and a permit, and Ed."""
    with fake_chain() as chain:
        chain.register(
            NETUID, ALICE.ss58_address, BOB.ss58_address, stake=1000.5, validator_permit=True
        )
        chain.register(NETUID, ED.ss58_address, incentive=0.75)
        yield chain


@pytest.fixture
def network(chain: FakeChain) -> Iterator[ChainNetwork]:
    with ChainNetwork(chain.url) as network:
        yield network


def peer_of(keypair: Keypair, ip: str = PUBLIC_IP, port: int = 8091, version: int = 3) -> Peer:
    return Peer(keypair.ss58_address, ip, port, version=version)


# Registering ------------------------------------------------------------------------------------


def test_it_is_a_network(network: ChainNetwork, chain: FakeChain) -> None:
    assert isinstance(network, Network)
    assert network.name == chain.url
    assert repr(network) == f"<ChainNetwork {chain.url}>"


def test_opening_does_nothing() -> None:
    network = open_network("ws://127.0.0.1:1")
    network.close()
    assert isinstance(network, ChainNetwork)


def test_a_registered_hotkey_has_its_uid(network: ChainNetwork) -> None:
    assert network.register(NETUID, ALICE) == 0
    assert network.register(NETUID, ED.public_half()) == 1


def test_nobody_is_registered_and_no_tao_spent(
    network: ChainNetwork, chain: FakeChain, tmp_path: Path
) -> None:
    wallet = Wallet("my wallet", "hot", tmp_path).create()
    address = wallet.hotkey.ss58_address
    advice = (
        f"hotkey {address} is not registered on netuid {NETUID} of {chain.url}; registering costs "
        f"TAO, so it is left to you: btcli subnets register --netuid {NETUID} --network {chain.url}"
        f" --wallet 'my wallet' --wallet-hotkey hot --wallet-path {tmp_path}"
    )
    calls: tuple[Callable[[], object], ...] = (
        lambda: network.register(NETUID, wallet),
        lambda: network.serve(NETUID, wallet, peer_of(wallet.hotkey)),
        lambda: network.set_weights(NETUID, wallet, [0], [1.0]),
    )
    for call in calls:
        with pytest.raises(errors.NotRegistered) as caught:
            call()
        assert str(caught.value) == advice
    with pytest.raises(errors.NotRegistered, match=f"--wallet NAME --hotkey {BOB.ss58_address}$"):
        network.register(NETUID, BOB)
    with pytest.raises(errors.NotRegistered, match="not registered on netuid 9 "):
        network.register(9, ALICE)
    assert chain.extrinsics == []


def test_the_public_half_of_a_wallet_is_enough_to_ask(
    network: ChainNetwork, chain: FakeChain, tmp_path: Path
) -> None:
    wallet = Wallet(path=tmp_path).create()
    chain.register(NETUID, wallet.hotkey.ss58_address)
    wallet.hotkey_path.unlink()
    assert network.register(NETUID, Wallet(path=tmp_path)) == 2


# Reading ----------------------------------------------------------------------------------------


def test_a_metagraph_has_what_the_chain_says(network: ChainNetwork, chain: FakeChain) -> None:
    chain.subnet(NETUID).neurons[1].last_update = 990
    chain.subnet(NETUID).neurons[1].weights = [(0, 65535), (1, 65535)]
    graph = network.metagraph(NETUID)
    assert (graph.netuid, graph.network, graph.n, graph.block) == (NETUID, chain.url, 2, 1000)
    assert graph.hotkeys == [ALICE.ss58_address, ED.ss58_address]
    assert graph.coldkeys == [BOB.ss58_address, ss58_encode(bytes(32))]
    assert graph.stake == [1000.5, 0.0]
    assert graph.validator_permit == [True, False]
    assert graph.incentive == [0.0, pytest.approx(0.75, abs=1e-4)]
    assert graph._snapshot.last_update == [0, 990]
    assert (graph.weights(0), graph.weights(1)) == ([0.0, 0.0], [0.5, 0.5])
    assert graph.uid_of(ED.ss58_address) == 1
    assert [axon.is_serving for axon in graph.axons] == [False, False]


def test_a_metagraph_is_synced(network: ChainNetwork, chain: FakeChain) -> None:
    graph = network.metagraph(NETUID)
    chain.advance(5)
    chain.register(NETUID, BOB.ss58_address)
    assert graph.n == 2
    assert graph.sync() is graph
    assert (graph.n, graph.block) == (3, 1005)


def test_an_unknown_subnet_has_no_neurons(network: ChainNetwork) -> None:
    assert network.metagraph(9).n == 0
    with pytest.raises(errors.NetworkError, match="there is no netuid 9 on ws://127"):
        network.hyperparameters(9)


def test_hyperparameters_are_the_chains(network: ChainNetwork, chain: FakeChain) -> None:
    assert network.hyperparameters(NETUID) == Hyperparameters()
    rules = chain.subnet(NETUID).rules
    rules.tempo, rules.weights_rate_limit, rules.min_allowed_weights = 99, 100, 8
    rules.max_weights_limit, rules.commit_reveal_weights_enabled = 455, True
    assert network.hyperparameters(NETUID) == Hyperparameters(
        tempo=99,
        weights_rate_limit=100,
        min_allowed_weights=8,
        max_weight_limit=455 / 65535,
        commit_reveal=True,
    )


@pytest.mark.parametrize("netuid", [-1, 65536, "8", True])
def test_a_netuid_is_one(network: ChainNetwork, netuid: int) -> None:
    with pytest.raises(errors.ConfigError, match="netuid is a whole number"):
        network.metagraph(netuid)


# Hostile records --------------------------------------------------------------------------------


def test_one_bad_axon_does_not_hide_the_others(
    network: ChainNetwork, chain: FakeChain, caplog: pytest.LogCaptureFixture
) -> None:
    good = int.from_bytes(bytes([8, 8, 4, 4]))
    axons = {
        "an IPv4 address over 32 bits": Axon(1, 1, 2**32 + 5, 80, 4),
        "no type": Axon(1, 1, good, 80, 9),
        "no address": Axon(1, 1, 0, 80, 4),
        "no port": Axon(1, 1, good, 0, 4),
        "a private address": Axon(1, 1, (10 << 24) + 1, 80, 4),
        "a good one": Axon(1, 7, good, 80, 4),
        "a good IPv6 one": Axon(1, 1, 0x20014860486000000000000000008888, 65535, 6),
    }
    for number, axon in enumerate(axons.values()):
        chain.register(NETUID, key(f"Hostile{number}").ss58_address, axon=axon)
    with caplog.at_level(logging.WARNING, "node"):
        listed = network.metagraph(NETUID).axons[2:]
        again = network.metagraph(NETUID)
    serving = {
        name: peer.endpoint if peer.is_serving else ""
        for name, peer in zip(axons, listed, strict=True)
    }
    assert {name: shown for name, shown in serving.items() if shown} == {
        "a good one": "8.8.4.4:80",
        "a good IPv6 one": "[2001:4860:4860::8888]:65535",
    }
    assert (listed[5].version, listed[5].protocols, again.n) == (7, (), 9)
    (record,) = caplog.records
    text = record.getMessage()
    assert "uid 2: its axon can't be used" in text
    assert "uid 3: its axon can't be used: the address type 9 is not 4 or 6" in text
    assert "uid 4" not in text


def test_the_vacant_key_is_nobodys(network: ChainNetwork, chain: FakeChain) -> None:
    chain.register(NETUID, ss58_encode(bytes(32)), stake=5.0)
    graph = network.metagraph(NETUID)
    assert graph.n == 3
    assert graph.uid_of_key(bytes(32)) is None


# Serving ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("keypair", [ALICE, ED], ids=["sr25519", "ed25519"])
def test_an_axon_is_published(network: ChainNetwork, chain: FakeChain, keypair: Keypair) -> None:
    uid = network.register(NETUID, keypair)
    network.serve(NETUID, keypair, peer_of(keypair))
    axon = chain.subnet(NETUID).neurons[uid].axon
    assert axon == Axon(1001, 3, 0x08080404, 8091, 4, 4, 0, 0)
    (extrinsic,) = chain.extrinsics
    assert (extrinsic.hotkey, extrinsic.scheme) == (keypair.ss58_address, keypair.scheme)
    listed = network.metagraph(NETUID).axons[uid]
    assert (listed.endpoint, listed.version, listed.protocols) == ("8.8.4.4:8091", 3, ())


def test_ipv6_is_published(network: ChainNetwork) -> None:
    network.serve(NETUID, ALICE, peer_of(ALICE, "2001:4860:4860::8888"))
    assert network.metagraph(NETUID).axons[0].endpoint == "[2001:4860:4860::8888]:8091"


def test_what_is_listed_is_not_written_again(network: ChainNetwork, chain: FakeChain) -> None:
    for _ in range(3):
        network.serve(NETUID, ALICE, peer_of(ALICE), ttl_s=60)
    assert len(chain.extrinsics) == 1
    for changed in (
        peer_of(ALICE, port=8092),
        peer_of(ALICE, port=8092, version=4),
        peer_of(ALICE, "8.8.8.8", 8092, 4),
    ):
        network.serve(NETUID, ALICE, changed)
    assert len(chain.extrinsics) == 4


def test_port_0_takes_it_back(network: ChainNetwork, chain: FakeChain) -> None:
    gone = peer_of(ALICE, "0.0.0.0", 0)
    network.serve(NETUID, ALICE, gone)
    assert chain.extrinsics == []
    network.serve(NETUID, ALICE, peer_of(ALICE))
    assert network.metagraph(NETUID).axons[0].is_serving
    for _ in range(2):
        network.serve(NETUID, ALICE, gone)
    assert not network.metagraph(NETUID).axons[0].is_serving
    assert len(chain.extrinsics) == 2


@pytest.mark.parametrize(
    ("peer", "advice"),
    [
        (peer_of(BOB), "hotkey is"),
        (peer_of(ALICE, "miner.example.org"), "addresses and no names such as miner.example.org"),
        (peer_of(ALICE, "0.0.0.0"), "nobody can send to"),
        (peer_of(ALICE, "10.1.2.3"), "private address"),
        (peer_of(ALICE, "127.0.0.1"), "loopback"),
    ],
)
def test_an_axon_that_nobody_reaches_is_not_published(
    network: ChainNetwork, chain: FakeChain, peer: Peer, advice: str
) -> None:
    with pytest.raises(errors.ConfigError, match=advice):
        network.serve(NETUID, ALICE, peer)
    with pytest.raises(errors.ConfigError):
        network.serve(NETUID, ALICE, peer_of(ALICE), ttl_s=0)
    assert not chain.calls


def test_private_addresses_may_be_allowed(chain: FakeChain) -> None:
    with open_network(chain.url, allow_private=True) as network:
        network.serve(NETUID, ALICE, peer_of(ALICE, "10.1.2.3"))
        assert network.metagraph(NETUID).axons[0].endpoint == "10.1.2.3:8091"
    with open_network(chain.url) as network:
        assert not network.metagraph(NETUID).axons[0].is_serving


@pytest.mark.parametrize(
    ("ip", "reason"),
    [
        ("127.0.0.1", r"InvalidIpAddress \(check the argument"),
        ("8.8.8.8", r"ServingRateLimitExceeded \(wait for the rate-limit window"),
    ],
)
def test_what_the_chain_refuses_is_told(chain: FakeChain, ip: str, reason: str) -> None:
    chain.subnet(NETUID).rules.serving_rate_limit = 50
    with ChainNetwork(chain.url, allow_private=True) as network:
        network.serve(NETUID, ALICE, peer_of(ALICE))
        with pytest.raises(
            errors.NetworkError, match=f"refused to publish the axon of uid 0 on netuid 8: {reason}"
        ):
            network.serve(NETUID, ALICE, peer_of(ALICE, ip))
        assert network.metagraph(NETUID).axons[0].ip == PUBLIC_IP


def test_a_public_half_can_not_serve(network: ChainNetwork) -> None:
    with pytest.raises(errors.WalletError, match="can't sign"):
        network.serve(NETUID, ALICE.public_half(), peer_of(ALICE))


# Weights ----------------------------------------------------------------------------------------


def test_weights_are_set(network: ChainNetwork, chain: FakeChain) -> None:
    network.set_weights(NETUID, ED, [0, 1], [1.0, 3.0])
    assert chain.weights(NETUID, ED.ss58_address) == {0: 21845, 1: 65535}
    graph = network.metagraph(NETUID)
    assert graph.weights(1) == pytest.approx([0.25, 0.75], abs=1e-4)
    assert graph.incentive == [0.0, pytest.approx(0.75, abs=1e-4)]
    assert graph._snapshot.last_update == [0, 1001]


def test_weights_are_committed_where_they_are_hidden(
    network: ChainNetwork, chain: FakeChain
) -> None:
    chain.subnet(NETUID).rules.commit_reveal_weights_enabled = True
    network.set_weights(NETUID, ALICE, [0, 1], [1.0, 3.0])
    (commit,) = chain.subnet(NETUID).commits
    assert (commit.hotkey, commit.version) == (ALICE.ss58_address, 4)
    assert commit.reveal_round > 30_000_000
    assert len(commit.ciphertext) > 100
    assert network.metagraph(NETUID).weights(0) == [0.0, 0.0]


def test_weights_are_fitted_to_the_largest_share(network: ChainNetwork, chain: FakeChain) -> None:
    chain.register(NETUID, BOB.ss58_address)
    chain.subnet(NETUID).rules.max_weights_limit = 32768
    network.set_weights(NETUID, ALICE, [0, 1, 2], [8.0, 1.0, 1.0])
    assert network.metagraph(NETUID).weights(0) == pytest.approx([0.5, 0.25, 0.25], abs=1e-3)


def test_the_version_of_a_validator_is_said(network: ChainNetwork, chain: FakeChain) -> None:
    chain.subnet(NETUID).rules.weights_version = 7
    with pytest.raises(errors.NetworkError, match=r"refused to set .*: IncorrectWeightVersionKey"):
        network.set_weights(NETUID, ALICE, [0], [1.0])
    network.set_weights(NETUID, ALICE, [0], [1.0], version_key=7)
    assert chain.weights(NETUID, ALICE.ss58_address) == {0: 65535}


@pytest.mark.parametrize(
    ("rules", "uids", "reason"),
    [
        ({}, [0, 7], "there is no uid 7 on netuid 8"),
        ({"min_allowed_weights": 3}, [0, 1], "requires at least 3 weights; only 2"),
        ({"needs_permit": True}, [0, 1], "refused to set .*: NeuronNoValidatorPermit"),
        ({"weights_rate_limit": 100}, [0, 1], "were last set 1 blocks ago; the rate limit is 100"),
    ],
)
def test_weights_that_the_chain_would_not_take_are_told(
    network: ChainNetwork, chain: FakeChain, rules: dict[str, int], uids: list[int], reason: str
) -> None:
    network.set_weights(NETUID, ED, [0], [1.0])
    chain.advance()
    vars(chain.subnet(NETUID).rules).update(rules)
    with pytest.raises(errors.NetworkError, match=reason):
        network.set_weights(NETUID, ED, uids, [1.0] * len(uids))
    assert chain.weights(NETUID, ED.ss58_address) == {0: 65535}


@pytest.mark.parametrize(
    ("uids", "weights"),
    [([], []), ([0], []), ([0, 0], [1, 1]), ([0], [float("nan")]), ([0], [-1]), ([0], [0])],
)
def test_weights_that_are_none_are_refused_unasked(
    network: ChainNetwork, chain: FakeChain, uids: list[int], weights: list[float]
) -> None:
    with pytest.raises(errors.ConfigError):
        network.set_weights(NETUID, ALICE, uids, weights)
    assert not chain.calls
