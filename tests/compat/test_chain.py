from __future__ import annotations

import asyncio
import copy
from pathlib import Path

import numpy as np
import pytest
from blockbuster import BlockBuster

import node.compat as bt
from node import Peer
from node.compat import rows
from node.errors import ConfigError, NetworkError, NotRegistered
from node.network.local import LocalNetwork
from tests.network.fake_chain import fake_chain

NETUID = 8


@pytest.fixture
def registry(home: Path) -> LocalNetwork:
    """The local network with Alice, who has stake and a permit, and Bob, who serves."""
    network = LocalNetwork(home / "ganglion" / "local.db")
    for name in ("Alice", "Bob"):
        network.register(NETUID, key(name).native)
    network.set_stake(NETUID, key("Alice").ss58_address, 1000.0, validator_permit=True)
    network.serve(NETUID, key("Bob").native, Peer(key("Bob").ss58_address, "127.0.0.1", 8091))
    return network


def key(name: str) -> bt.Keypair:
    return bt.Keypair.create_from_uri(f"//{name}")


# Metagraph --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("registry")
def test_a_metagraph_is_read_when_it_is_made() -> None:
    graph = bt.metagraph(netuid=NETUID, network="local", sync=True, lite=True)
    assert graph.hotkeys == [key("Alice").ss58_address, key("Bob").ss58_address]
    assert (graph.n, graph.n.item(), len(graph), graph.block.item()) == (2, 2, 2, graph.block)
    assert graph.uids.tolist() == [0, 1]
    assert graph.S.tolist() == graph.stake.tolist() == graph.total_stake.tolist() == [1000.0, 0.0]
    assert graph.alpha_stake is graph.tao_stake is graph.S
    assert graph.validator_permit.tolist() == [True, False]
    assert (graph.netuid, graph.network, graph.chain_endpoint) == (NETUID, "local", "local")
    assert graph.active.tolist() == [1, 1]
    assert graph.weights.tolist() == []
    assert repr(graph) == f"metagraph(netuid:8, n:2, block:{graph.block}, network:local)"


@pytest.mark.usefixtures("registry")
def test_axons_have_what_old_code_reads() -> None:
    graph = bt.metagraph(NETUID)
    idle, serving = graph.axons
    assert (idle.is_serving, serving.is_serving) == (False, True)
    assert (serving.hotkey, serving.ip, serving.port) == (
        key("Bob").ss58_address,
        "127.0.0.1",
        8091,
    )
    assert graph.addresses[1] == serving.ip_str() == "/ipv4/127.0.0.1:8091"
    assert serving.coldkey == graph.coldkeys[1] == ""


@pytest.mark.usefixtures("registry")
def test_rows_are_neurons() -> None:
    alice, bob = bt.metagraph(NETUID).neurons
    assert (alice.uid, alice.netuid, alice.hotkey) == (0, NETUID, key("Alice").ss58_address)
    assert (alice.stake, alice.total_stake, alice.validator_permit) == (1000.0, 1000.0, True)
    assert bob.axon_info.is_serving
    assert (bob.incentive, bob.last_update) == (0.0, 0)


@pytest.mark.usefixtures("registry")
def test_what_only_a_chain_works_out_is_zero() -> None:
    graph = bt.metagraph(NETUID)
    for column in (graph.R, graph.T, graph.C, graph.Tv, graph.D, graph.E):
        assert column.tolist() == [0.0, 0.0]
    assert graph.C is graph.consensus
    assert graph.Tv is graph.validator_trust


@pytest.mark.usefixtures("registry")
def test_the_line_that_every_old_miner_logs_can_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for numpy in (np, None):
        monkeypatch.setattr(rows, "np", numpy)
        graph = bt.metagraph(NETUID)
        line = (
            f"{graph.block.item()} {graph.S[0].item()} {graph.R[0]} {graph.T[0]} {graph.C[0]} "
            f"{graph.I[0]} {graph.E[0]:.2f} {float(graph.S[0])} {graph.uids.tolist()}"
        )
        assert line.endswith(" 0.0 0.0 0.0 0.0 0.00 1000.0 [0, 1]")


def test_it_can_be_synced_later_and_again(registry: LocalNetwork) -> None:
    graph = bt.metagraph(NETUID, sync=False)
    assert (graph.n, graph.hotkeys, graph.uids.tolist(), graph.axons) == (0, [], [], [])
    graph.sync()
    assert graph.n == 2
    registry.register(NETUID, key("Charlie").native)
    other = bt.subtensor("local")
    graph.sync(subtensor=other)
    assert (graph.n, graph.subtensor) == (3, other)


def test_weights_are_read_unless_it_is_lite(registry: LocalNetwork) -> None:
    registry.set_weights(NETUID, key("Alice").native, [1, 0], [3.0, 1.0])
    graph = bt.metagraph(NETUID, lite=False)
    assert graph.W.tolist() == [[0.25, 0.75], [0.0, 0.0]]
    assert graph.incentive.tolist() == graph.I.tolist() == [0.25, 0.75]
    graph.sync(lite=True)
    assert graph.W.tolist() == []


@pytest.mark.usefixtures("registry")
def test_a_copy_is_of_its_own() -> None:
    graph = bt.metagraph(NETUID)
    clone = copy.deepcopy(graph)
    clone.axons[1].port = 1
    clone.hotkeys.clear()
    assert (graph.axons[1].port, len(graph.hotkeys)) == (8091, 2)
    assert clone.subtensor is graph.subtensor
    clone.sync()
    assert clone.axons == graph.axons


@pytest.mark.usefixtures("registry")
def test_only_now_can_be_read() -> None:
    with pytest.raises(ValueError, match="tells of now only, not of block 5"):
        bt.metagraph(NETUID).sync(block=5)
    with pytest.raises(ValueError, match="tells of now only"):
        bt.subtensor("local").metagraph(NETUID, block=5)


def test_a_metagraph_reads_inside_a_running_loop_too(
    registry: LocalNetwork, no_blocking_calls: BlockBuster
) -> None:
    no_blocking_calls.deactivate()

    async def read() -> None:
        graph = bt.metagraph(NETUID)
        registry_size = graph.n
        graph.sync()
        assert graph.n == registry_size == 2
        assert bt.subtensor("local").is_hotkey_registered(key("Bob").ss58_address, NETUID)

    asyncio.run(read())


# Subtensor --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("registry")
def test_a_subtensor_answers() -> None:
    with bt.subtensor(network="local") as subtensor:
        graph = subtensor.metagraph(NETUID)
        assert (graph.n, graph.subtensor) == (2, subtensor)
        assert subtensor.metagraph(netuid=NETUID, lite=False).W.tolist() == [[0.0, 0.0]] * 2
        assert subtensor.block == subtensor.get_current_block() == graph.block
        assert subtensor.get_current_block().item() == graph.block  # type: ignore[attr-defined]
        bob, nobody = key("Bob").ss58_address, key("Nobody").ss58_address
        assert subtensor.is_hotkey_registered(hotkey_ss58=bob, netuid=NETUID) is True
        assert subtensor.is_hotkey_registered(hotkey_ss58=bob, netuid=9) is False
        assert subtensor.is_hotkey_registered_on_subnet(nobody, NETUID) is False
        assert subtensor.get_uid_for_hotkey_on_subnet(bob, netuid=NETUID) == 1
        assert subtensor.get_uid_for_hotkey_on_subnet(nobody, netuid=NETUID) is None
        assert (subtensor.network, subtensor.chain_endpoint) == ("local", "local")
        assert (subtensor.min_allowed_weights(NETUID), subtensor.max_weight_limit(NETUID)) == (1, 1)
        assert repr(subtensor) == "<Subtensor local>"
        assert copy.deepcopy(subtensor) is subtensor
    with pytest.raises(NetworkError, match="closed"):
        subtensor.get_current_block()


def test_weights_are_set_by_lists_and_arrays(registry: LocalNetwork) -> None:
    subtensor = bt.subtensor("local")
    outcome = subtensor.set_weights(
        wallet=key("Alice"), netuid=NETUID, uids=np.array([0, 1]), weights=np.array([1.0, 3.0]),
        wait_for_inclusion=False, wait_for_finalization=False, version_key=3,
    )  # fmt: skip
    success, message = outcome
    assert (success, message, bool(outcome)) == (True, "Success", True)
    assert registry.metagraph(NETUID).incentive == [0.25, 0.75]


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("name", "uids", "weights", "reason"),
    [
        ("Nobody", [0], [1.0], "not registered"),
        ("Alice", [7], [1.0], "no uid 7"),
        ("Alice", [0], [0.0], "no uid has a weight"),
    ],
)
def test_what_can_not_be_written_is_told_or_raised(
    name: str, uids: list[int], weights: list[float], reason: str
) -> None:
    subtensor = bt.subtensor("local")
    outcome = subtensor.set_weights(key(name), NETUID, uids, weights)
    assert not outcome
    assert reason in outcome.message
    with pytest.raises((NetworkError, ConfigError), match=reason):
        subtensor.set_weights(key(name), NETUID, uids, weights, raise_error=True)


def test_an_option_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match="no option 'wait_for_inclusoin'"):
        bt.subtensor("local").set_weights(key("Alice"), 8, [0], [1.0], wait_for_inclusoin=True)


@pytest.mark.parametrize("method", ["register", "burned_register"])
def test_registering_gives_a_uid(method: str, home: Path) -> None:
    wallet = bt.wallet().create_if_non_existent(False)
    subtensor = bt.subtensor("local")
    assert getattr(subtensor, method)(wallet=wallet, netuid=NETUID)
    assert getattr(subtensor, method)(wallet, NETUID).success
    graph = subtensor.metagraph(NETUID)
    assert graph.hotkeys == [wallet.hotkey.ss58_address]
    assert graph.coldkeys == [wallet.coldkeypub.ss58_address]


def test_serving_registers_on_a_local_network_and_publishes_where() -> None:
    wallet = bt.wallet().create_if_non_existent(False)
    axon = bt.axon(wallet=wallet, port=8123, external_ip="1.2.3.4")
    subtensor = bt.subtensor("local")
    assert subtensor.serve_axon(netuid=NETUID, axon=axon, wait_for_finalization=True)
    (listed,) = subtensor.metagraph(NETUID).axons
    assert (listed.ip, listed.port, listed.is_serving) == ("1.2.3.4", 8123, True)
    assert listed == axon.info()
    assert listed.coldkey == wallet.coldkeypub.ss58_address


def test_what_only_a_chain_knows_is_told_in_one_sentence() -> None:
    subtensor = bt.subtensor("local")
    assert not hasattr(subtensor, "get_balance")
    with pytest.raises(AttributeError, match=r"subtensor.get_balance asks a chain.* has metagraph"):
        subtensor.get_balance("x")
    with pytest.raises(ConfigError, match="there is no mock"):
        bt.MockSubtensor(8)


def test_a_network_that_is_none_is_told() -> None:
    for make in (lambda: bt.subtensor("finey"), lambda: bt.metagraph(NETUID, network="finey")):
        with pytest.raises(ConfigError, match="did you mean 'finney'"):
            make()


@pytest.mark.parametrize("network", ["finney", "test"])
def test_a_chain_is_not_asked_before_it_is_needed(network: str) -> None:
    subtensor = bt.subtensor(network)
    graph = bt.metagraph(NETUID, network=network, sync=False)
    assert (subtensor.network, graph.network, graph.n) == (network, network, 0)


def test_a_chain_answers_old_code() -> None:
    alice = key("Alice")
    with fake_chain() as chain:
        chain.register(NETUID, alice.ss58_address, stake=7.0)
        with bt.subtensor(chain.url) as subtensor:
            assert subtensor.get_uid_for_hotkey_on_subnet(alice.ss58_address, NETUID) == 0
            assert subtensor.set_weights(alice, NETUID, [0], [1.0])
            graph = subtensor.metagraph(NETUID, lite=False)
        assert (graph.S.tolist(), graph.W.tolist()) == ([7.0], [[1.0]])
        outcome = bt.subtensor(chain.url).register(key("Bob"), NETUID)
        assert not outcome
        assert "btcli subnets register" in outcome.message


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], "local"),
        (["--subtensor.network", "local:a.db"], "local:a.db"),
        (["--subtensor.chain_endpoint", "local:b.db"], "local:b.db"),
        (["--subtensor.network", "local:a.db", "--subtensor.chain_endpoint", "x"], "local:a.db"),
    ],
)
def test_a_config_names_the_network(flags: list[str], expected: str) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    # As the streaming tutorial's miner has it: a default that leads elsewhere.
    parser.add_argument("--subtensor.network", default="local")
    parser.add_argument("--subtensor.chain_endpoint", default="wss://elsewhere:443")
    bt.subtensor.add_args(parser)
    config = bt.config(parser, args=flags)
    for subtensor in (bt.subtensor(config=config), bt.subtensor(config)):
        assert subtensor.network == subtensor.chain_endpoint == expected
    assert bt.subtensor("local:c.db", config).network == "local:c.db"


def test_the_environment_names_the_default_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANGLION_SUBTENSOR_NETWORK", "local:env.db")
    assert bt.subtensor().network == "local:env.db"
    assert bt.metagraph(NETUID, sync=False).network == "local:env.db"


def test_a_registration_is_asked_for_where_the_network_is_not_local(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axon = bt.axon(wallet=key("Bob"), port=8123, ip="127.0.0.1")
    subtensor = bt.subtensor("local")
    subtensor.register(key("Alice"), NETUID)
    subtensor.network = "redis"
    outcome = subtensor.serve_axon(NETUID, axon)
    assert "not registered" in outcome.message
    with pytest.raises(NotRegistered):
        subtensor.serve_axon(NETUID, axon, raise_error=True)
