"""What every network does alike, with and without an event loop.

A test that not every backend can pass asks the backend what it can; nothing else is told apart.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from node import Keypair, Metagraph, Peer, errors
from node.keys import ss58_encode
from node.network import Hyperparameters, Network

from .backends import BACKENDS, Backend
from .conftest import key

ALICE, BOB, CHARLIE = key("Alice"), key("Bob"), key("Charlie")
NETUID = 8
# An address that every network lists: others could reach it.
HOST = "93.184.215.14"


def peer_of(keypair: Keypair, port: int = 8091, **more: Any) -> Peer:
    return Peer(keypair.ss58_address, HOST, port, **more)


class Driver:
    """Calls a network's methods with or without a running loop, and returns their results.

    With one, the loop is the same for all calls, as in a program.
    """

    def __init__(self, network: Network, runner: asyncio.Runner | None) -> None:
        self.network = network
        self._runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: self.result(getattr(self.network, name), *args, **kwargs)

    def result(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._runner is None:
            found = method(*args, **kwargs)
            assert not inspect.isawaitable(found)
            return found

        async def inside() -> Any:
            return await method(*args, **kwargs)

        return self._runner.run(inside())

    def sync(self, metagraph: Metagraph) -> Metagraph:
        found: Metagraph = self.result(metagraph.sync)
        return found


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    return BACKENDS[request.param](request)


@pytest.fixture(params=["plain", "loop"])
def network(request: pytest.FixtureRequest, backend: Backend) -> Iterator[Any]:
    """A `Driver` of the backend; typed Any, as networks' methods are."""
    network = backend.open()
    if request.param == "plain":
        yield Driver(network, None)
        network.close()
        return
    with asyncio.Runner() as runner:
        driver = Driver(network, runner)
        yield driver
        driver.result(network.close)


@pytest.fixture
def three(backend: Backend) -> list[Keypair]:
    """Alice, Bob and Charlie, with the uids 0, 1 and 2."""
    pairs = [ALICE, BOB, CHARLIE]
    assert [backend.join(NETUID, pair) for pair in pairs] == [0, 1, 2]
    return pairs


def test_it_is_a_network(network: Any, backend: Backend) -> None:
    assert isinstance(network.network, Network)
    assert network.network.name
    assert network.network.name in network.metagraph(NETUID).network


def test_an_unknown_subnet_is_empty(network: Any) -> None:
    graph = network.metagraph(61)
    assert (graph.n, graph.hotkeys, graph.axons, graph.incentive) == (0, [], [], [])
    assert graph.uid_of(ALICE.ss58_address) is None


def test_uids_count_from_zero_and_nobody_serves_at_first(
    network: Any, three: list[Keypair]
) -> None:
    graph = network.metagraph(NETUID)
    assert graph.uids == [0, 1, 2]
    assert graph.hotkeys == [pair.ss58_address for pair in three]
    assert [axon.is_serving for axon in graph.axons] == [False] * 3
    assert graph.stake == [0.0] * 3
    assert graph.validator_permit == [False] * 3
    assert graph.uid_of(ss58_encode(BOB.public_key, 0)) == 1


def test_registering_again_gives_the_same_uid(network: Any, three: list[Keypair]) -> None:
    assert [network.register(NETUID, pair) for pair in reversed(three)] == [2, 1, 0]
    assert network.metagraph(NETUID).n == 3


def test_who_has_no_uid_gets_one_or_is_told_how(
    network: Any, backend: Backend, three: list[Keypair]
) -> None:
    newcomer = key("Dave")
    if backend.gives_uids:
        assert network.register(NETUID, newcomer) == 3
        assert network.register(NETUID + 1, newcomer) == 0
    else:
        with pytest.raises(errors.NotRegistered, match=newcomer.ss58_address):
            network.register(NETUID, newcomer)
    assert network.metagraph(NETUID).uid_of(ALICE.ss58_address) == 0


def test_what_is_served_is_listed(network: Any, backend: Backend, three: list[Keypair]) -> None:
    peer = peer_of(BOB, 9000, protocols=("epistula", "btauth"), version=3, capacity={"Echo": 4})
    network.serve(NETUID, BOB, peer)
    graph = network.metagraph(NETUID)
    assert [axon.is_serving for axon in graph.axons] == [False, True, False]
    listed = graph.axons[1]
    if backend.keeps_records:
        assert listed == peer
    assert (listed.hotkey, listed.ip, listed.port, listed.version) == (peer.hotkey, HOST, 9000, 3)


def test_an_ipv6_address_is_listed(network: Any, three: list[Keypair]) -> None:
    network.serve(NETUID, ALICE, Peer(ALICE.ss58_address, "2606:2800:21f:cb07::1", 9000))
    assert network.metagraph(NETUID).axons[0].url == "http://[2606:2800:21f:cb07::1]:9000"


def test_the_last_address_counts_and_port_zero_takes_it_back(
    network: Any, three: list[Keypair]
) -> None:
    graph = network.metagraph(NETUID)
    for port in (9001, 9002, 9003):
        network.serve(NETUID, ALICE, peer_of(ALICE, port))
        assert network.sync(graph).axons[0].port == port
    network.serve(NETUID, ALICE, Peer(ALICE.ss58_address, "0.0.0.0", 0))
    assert not network.sync(graph).axons[0].is_serving


def test_who_is_not_registered_can_not_serve_or_judge(network: Any, three: list[Keypair]) -> None:
    stranger = key("Mallory")
    calls: list[Callable[[], Any]] = [
        lambda: network.serve(NETUID, stranger, peer_of(stranger)),
        lambda: network.set_weights(NETUID, stranger, [0], [1.0]),
    ]
    for call in calls:
        with pytest.raises(errors.NotRegistered) as caught:
            call()
        assert stranger.ss58_address in str(caught.value)
        assert "register" in str(caught.value)


@pytest.mark.parametrize(
    ("peer", "reason"),
    [
        (peer_of(BOB), "but the wallet's is"),
        (Peer(ALICE.ss58_address, "0.0.0.0", 8091), "nobody can send to"),
    ],
)
def test_an_address_that_helps_nobody_is_refused(
    network: Any, three: list[Keypair], peer: Peer, reason: str
) -> None:
    with pytest.raises(errors.ConfigError, match=reason):
        network.serve(NETUID, ALICE, peer)
    assert not network.metagraph(NETUID).axons[0].is_serving


def test_a_private_address_is_refused_where_many_machines_meet(
    network: Any, backend: Backend, three: list[Keypair]
) -> None:
    peer = Peer(ALICE.ss58_address, "192.168.1.2", 8091)
    if backend.name == "local":
        network.serve(NETUID, ALICE, peer)
        assert network.metagraph(NETUID).axons[0] == peer
    else:
        with pytest.raises(errors.ConfigError, match="which others can't reach"):
            network.serve(NETUID, ALICE, peer)


def test_an_address_lasts_as_long_as_it_is_said_to(
    network: Any, backend: Backend, three: list[Keypair]
) -> None:
    if not backend.keeps_records:
        network.serve(NETUID, ALICE, peer_of(ALICE), 60.0)  # a chain keeps what it is told
        assert network.metagraph(NETUID).axons[0].is_serving
        return
    network.serve(NETUID, ALICE, peer_of(ALICE), 60.0)
    network.serve(NETUID, BOB, peer_of(BOB))
    graph = network.metagraph(NETUID)
    backend.clock.ahead_ns += 59 * 10**9
    assert network.sync(graph).axons[0].is_serving
    backend.clock.ahead_ns += 2 * 10**9
    assert [axon.is_serving for axon in network.sync(graph).axons] == [False, True, False]
    assert graph.uid_of(ALICE.ss58_address) == 0
    network.serve(NETUID, ALICE, peer_of(ALICE), 60.0)
    assert network.sync(graph).axons[0].is_serving
    backend.clock.ahead_ns += 2 * 3600 * 10**9
    assert network.sync(graph).axons[1].is_serving == (backend.default_ttl_s is None)


@pytest.mark.parametrize("ttl_s", [0.0, -1.0, math.nan, math.inf])
def test_a_time_that_is_none_is_refused(network: Any, three: list[Keypair], ttl_s: float) -> None:
    with pytest.raises(errors.ConfigError, match="ttl_s"):
        network.serve(NETUID, ALICE, peer_of(ALICE), ttl_s)


def test_weights_are_scaled_and_replace_the_last_ones(
    network: Any, backend: Backend, three: list[Keypair]
) -> None:
    backend.endow(NETUID, ALICE, 1000.0, True)
    network.set_weights(NETUID, ALICE, [2, 1], [3, 1])
    graph = network.metagraph(NETUID)
    assert graph.weights(0) == pytest.approx([0.0, 0.25, 0.75], abs=1e-4)
    network.set_weights(NETUID, ALICE, [1], [7])
    assert network.sync(graph).weights(0) == pytest.approx([0.0, 1.0, 0.0])
    assert graph.weights(1) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("uids", "weights", "error"),
    [
        ([0, 1], [1.0], errors.ConfigError),
        ([], [], errors.ConfigError),
        ([0, 0], [1, 1], errors.ConfigError),
        ([0], [-1], errors.ConfigError),
        ([0], [math.nan], errors.ConfigError),
        ([0], [0.0], errors.ConfigError),
        (["0"], [1], errors.ConfigError),
        ([0, 3], [1, 1], errors.NetworkError),
        ([-1], [1], errors.NetworkError),
        ([10**30], [1], errors.NetworkError),
    ],
)
def test_weights_that_are_none_are_refused(
    network: Any, three: list[Keypair], uids: Any, weights: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        network.set_weights(NETUID, ALICE, uids, weights)
    assert network.metagraph(NETUID).weights(0) == [0.0] * 3


def test_stake_and_permits_are_listed(network: Any, backend: Backend, three: list[Keypair]) -> None:
    graph = network.metagraph(NETUID)
    backend.endow(NETUID, BOB, 12.5, True)
    network.sync(graph)
    assert graph.stake == [0.0, 12.5, 0.0]
    assert graph.validator_permit == [False, True, False]


def test_two_networks_on_one_registry_agree(
    network: Any, backend: Backend, three: list[Keypair]
) -> None:
    network.serve(NETUID, CHARLIE, peer_of(CHARLIE))
    network.set_weights(NETUID, BOB, [0, 2], [1, 1])
    mine = network.metagraph(NETUID)
    with backend.open() as other:
        theirs = other.metagraph(NETUID)
    for name in ("n", "hotkeys", "coldkeys", "axons", "stake", "incentive", "last_update"):
        assert getattr(mine, name) == getattr(theirs, name)
    assert mine.weights(1) == theirs.weights(1)


def test_a_metagraph_is_a_snapshot_until_it_is_synced(
    network: Any, backend: Backend, three: list[Keypair]
) -> None:
    graph = network.metagraph(NETUID)
    before = graph.hotkeys
    backend.join(NETUID, key("Eve"))
    assert graph.hotkeys is before
    assert graph.n == 3
    assert network.sync(graph) is graph
    assert graph.n == 4


def test_blocks_do_not_go_back(network: Any, backend: Backend, three: list[Keypair]) -> None:
    graph = network.metagraph(NETUID)
    blocks = [graph.block]
    for _ in range(3):
        backend.clock.ahead_ns += 12 * 10**9
        blocks.append(network.sync(graph).block)
    assert blocks == sorted(blocks)
    assert all(0 <= update <= graph.block for update in graph.last_update)


def test_there_are_rules_for_weights(network: Any, three: list[Keypair]) -> None:
    rules = network.hyperparameters(NETUID)
    assert isinstance(rules, Hyperparameters)
    assert rules.tempo > 0
    assert 0 < rules.max_weight_limit <= 1


@pytest.mark.parametrize("netuid", [-1, 2**16, True, "8", 8.0])
def test_a_netuid_that_is_none_is_refused(network: Any, netuid: Any) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: network.register(netuid, ALICE),
        lambda: network.metagraph(netuid),
        lambda: network.serve(netuid, ALICE, peer_of(ALICE)),
        lambda: network.set_weights(netuid, ALICE, [0], [1]),
        lambda: network.hyperparameters(netuid),
    ]
    for call in calls:
        with pytest.raises(errors.ConfigError, match="netuid"):
            call()


def test_a_public_half_can_write_nothing(network: Any, three: list[Keypair]) -> None:
    half = Keypair.from_address(ALICE.ss58_address)
    with pytest.raises(errors.WalletError):
        network.serve(NETUID, half, peer_of(ALICE))
    with pytest.raises(errors.WalletError):
        network.set_weights(NETUID, half, [0], [1])
    assert not network.metagraph(NETUID).axons[0].is_serving


def test_after_closing_it_says_so(network: Any, three: list[Keypair]) -> None:
    graph = network.metagraph(NETUID)
    network.close()
    network.close()
    calls: list[Callable[[], Any]] = [
        lambda: network.metagraph(NETUID),
        lambda: network.register(NETUID, ALICE),
        lambda: network.sync(graph),
    ]
    for call in calls:
        with pytest.raises(errors.NetworkError, match="closed"):
            call()
    assert graph.n == 3


async def test_many_calls_at_once(backend: Backend) -> None:
    pairs = [key(f"at-once-{number}") for number in range(6)]
    async with asyncio.timeout(60), backend.open() as network:
        for pair in pairs:
            await asyncio.to_thread(backend.join, NETUID, pair)
        await asyncio.gather(*(network.serve(NETUID, pair, peer_of(pair)) for pair in pairs))
        graphs = await asyncio.gather(*(network.metagraph(NETUID) for _ in range(12)))
    assert {tuple(graph.hotkeys) for graph in graphs} == {
        tuple(pair.ss58_address for pair in pairs)
    }
    assert all(axon.is_serving for graph in graphs for axon in graph.axons)


async def test_both_ways_of_leaving_inside_a_loop(backend: Backend) -> None:
    with backend.open() as plain:
        assert (await plain.metagraph(NETUID)).n == 0
    async with backend.open() as network:
        assert (await network.metagraph(NETUID)).n == 0
    with pytest.raises(errors.NetworkError, match="closed"):
        await network.metagraph(NETUID)
