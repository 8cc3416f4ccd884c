from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from pathlib import Path

import pytest
from blockbuster import BlockBuster

import node
import node.compat as bt
from node.axon.dialects import DIALECTS
from node.compat.chain import Outcome
from node.errors import ConfigError, NetworkError, RouteError, WalletNotFound

from .synapses import Double, Letters, double, spell

NETUID = 8


def port_is_open(axon: bt.Axon) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", axon.port)) == 0


def test_it_serves_from_synchronous_code_and_leaves_nothing(
    axon: bt.Axon, dendrite: bt.Dendrite
) -> None:
    before = threading.enumerate()
    assert axon.attach(double).attach(forward_fn=spell).start() is axon
    assert (axon.started, port_is_open(axon)) == (True, True)
    assert dendrite.query(axon, Double(x=4)) == 8
    assert dendrite.query(axon, Letters(text="abc")) == "abc"
    assert axon.stop() is axon
    assert (axon.started, port_is_open(axon)) == (False, False)
    assert threading.enumerate() == before
    axon.stop()


def test_its_worker_threads_have_ended_when_stop_returns(
    miner_key: bt.Keypair, dendrite: bt.Dendrite
) -> None:
    together = threading.Barrier(20)

    def forward(synapse: Double) -> Double:
        together.wait(10)
        return double(synapse)

    axon = bt.axon(wallet=miner_key, ip="127.0.0.1", port=0, max_workers=20)
    before = threading.enumerate()
    axon.attach(forward).start()
    assert dendrite.query([axon] * 20, Double(x=1)) == [2] * 20
    axon.stop()
    assert threading.enumerate() == before


def test_it_can_be_started_twice_and_again_after_a_stop(
    axon: bt.Axon, dendrite: bt.Dendrite
) -> None:
    axon.attach(double).start().start()
    port = axon.port
    axon.stop()
    axon.start()
    assert axon.port == port
    assert dendrite.query(axon, Double(x=1)) == 2


async def test_it_can_be_started_inside_a_running_loop(
    axon: bt.Axon, dendrite: bt.Dendrite, no_blocking_calls: BlockBuster
) -> None:
    no_blocking_calls.deactivate()
    axon.attach(double).start()
    async with dendrite:
        assert await dendrite(axon, Double(x=4)) == 8
    axon.stop()
    assert not port_is_open(axon)


def test_a_port_that_is_taken_comes_out_of_start(axon: bt.Axon, miner_key: bt.Keypair) -> None:
    axon.start()
    second = bt.axon(wallet=miner_key, ip="127.0.0.1", port=axon.port)
    before = threading.enumerate()
    with pytest.raises(ConfigError, match=f"port {axon.port} on 127.0.0.1 is already in use"):
        second.start()
    assert not second.started
    assert threading.enumerate() == before
    second.stop()


# Where forwards and hooks run -------------------------------------------------------------------


def test_async_forwards_run_in_the_axons_loop_and_sync_ones_beside_it(
    axon: bt.Axon, dendrite: bt.Dendrite
) -> None:
    names: list[str] = []

    class Other(Double):
        pass

    async def in_loop(synapse: Double) -> Double:
        await asyncio.sleep(0)
        names.append(threading.current_thread().name)
        return synapse

    def beside(synapse: Other) -> Other:
        names.append(threading.current_thread().name)
        return synapse

    # Annotations as text, with a name of this function only.
    axon.attach(in_loop).attach(beside).start()
    dendrite.query(axon, Double(x=1))
    dendrite.query(axon, Other(x=1))
    assert names[0].startswith("axon ")
    assert names[1].startswith("forward")


def test_hooks_see_the_verified_caller_and_the_whole_request(
    axon: bt.Axon, dendrite: bt.Dendrite, caller_key: bt.Keypair
) -> None:
    seen: list[tuple[str, str | None, int]] = []

    def blacklist(synapse: Double) -> tuple[bool, str]:
        seen.append(("blacklist", synapse.dendrite.hotkey, synapse.x))
        return synapse.x == 0, "nothing to double"

    async def priority(synapse: Double) -> float:
        seen.append(("priority", synapse.dendrite.hotkey, synapse.x))
        return 1.0

    def verify(synapse: Double) -> None:
        seen.append(("verify", synapse.dendrite.hotkey, synapse.x))
        if synapse.x < 0:
            raise ValueError

    axon.attach(
        forward_fn=double, blacklist_fn=blacklist, priority_fn=priority, verify_fn=verify
    ).start()
    replies = [dendrite.query(axon, Double(x=x), deserialize=False) for x in (3, 0, -1)]
    assert [reply.dendrite.status_code for reply in replies] == [200, 403, 401]
    assert replies[1].is_blacklist
    assert replies[1].dendrite.status_message == "nothing to double"
    assert seen[:3] == [
        (hook, caller_key.ss58_address, 3) for hook in ("verify", "blacklist", "priority")
    ]


def test_a_forward_with_a_wrong_annotation_is_refused_when_it_is_attached(axon: bt.Axon) -> None:
    def bare(synapse):  # type: ignore[no-untyped-def]
        return synapse

    with pytest.raises(RouteError, match="annotate its parameter 'synapse'"):
        axon.attach(bare)


def test_a_forward_may_stop_its_own_axon(axon: bt.Axon, dendrite: bt.Dendrite) -> None:
    async def last(synapse: Double) -> Double:
        axon.stop()
        return double(synapse)

    axon.attach(last).start()
    assert dendrite.query(axon, Double(x=2)) == 4
    end = time.monotonic() + 5
    while any(thread.name.startswith("axon ") for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert (axon.started, port_is_open(axon)) == (False, False)


def test_every_axon_answers_the_ping(axon: bt.Axon, dendrite: bt.Dendrite) -> None:
    axon.start()
    assert dendrite.query(axon).is_success


# Settings ---------------------------------------------------------------------------------------


def test_settings_come_from_arguments_the_config_and_the_defaults(miner_key: bt.Keypair) -> None:
    config = bt.config()
    config.axon.port, config.axon.ip, config.axon.max_workers = 9001, "127.0.0.1", 3
    config.axon.external_ip, config.axon.external_port = "1.2.3.4", 9002
    axon = bt.axon(wallet=miner_key, config=config)
    assert (axon.ip, axon.port, axon.full_address) == ("127.0.0.1", 9001, "127.0.0.1:9001")
    assert (axon.external_ip, axon.external_port) == ("1.2.3.4", 9002)
    assert axon.native._max_workers == 3
    given = bt.axon(miner_key, config, 9003, "127.0.0.2", "5.6.7.8", 9004, 4)
    assert (given.ip, given.port, given.native._max_workers) == ("127.0.0.2", 9003, 4)
    assert (given.external_ip, given.external_port) == ("5.6.7.8", 9004)
    plain = bt.axon(wallet=miner_key)
    assert (plain.ip, plain.port, plain.external_ip) == ("0.0.0.0", 8091, "127.0.0.1")
    assert plain.config.axon.port == 8091


def test_it_takes_every_protocol_unless_told_otherwise(miner_key: bt.Keypair) -> None:
    assert bt.axon(miner_key).native.protocols == tuple(DIALECTS)
    config = bt.config()
    config.axon.protocols = ("btauth",)
    assert bt.axon(miner_key, config).native.protocols == ("btauth",)
    assert bt.axon(miner_key, protocols=["synapse"]).native.protocols == ("synapse",)


def test_any_argument_of_the_librarys_axon_can_be_given(miner_key: bt.Keypair) -> None:
    assert bt.axon(miner_key, grace_s=0.5, max_queue=2).native.grace_s == 0.5
    with pytest.raises(ConfigError, match="max_queue"):
        bt.axon(miner_key, max_queue=-1)
    with pytest.raises(TypeError, match="gracs_s"):
        bt.axon(miner_key, gracs_s=1)


def test_the_wallet_is_the_configs_by_default(home: Path) -> None:
    with pytest.raises(WalletNotFound):
        bt.axon()
    wallet = bt.wallet(name="cold").create_if_non_existent(False)
    config = bt.config()
    config.wallet.name = "cold"
    axon = bt.axon(config=config)
    assert axon.wallet.hotkey == wallet.hotkey
    assert axon.info().hotkey == wallet.hotkey.ss58_address
    assert axon.info().coldkey == wallet.coldkeypub.ss58_address
    assert json.loads(axon.to_string())["hotkey"] == axon.info().hotkey


def test_its_info_is_an_axon_info(axon: bt.Axon, miner_key: bt.Keypair) -> None:
    info = axon.start().info()
    assert isinstance(info, bt.AxonInfo)
    assert (info.ip, info.port, info.ip_type) == ("127.0.0.1", axon.port, 4)
    assert (info.hotkey, info.coldkey, info.is_serving) == (miner_key.ss58_address, "", True)
    assert isinstance(axon.native, node.Axon)
    assert repr(axon) == f"<Axon {info.hotkey} on 127.0.0.1:{axon.port}, started>"


# Publishing -------------------------------------------------------------------------------------


def test_serve_publishes_at_once_or_when_the_port_is_known(
    axon: bt.Axon, miner_key: bt.Keypair
) -> None:
    subtensor = bt.subtensor("local")
    assert axon.serve(netuid=NETUID, subtensor=subtensor) is axon
    assert subtensor.metagraph(NETUID).n == 0
    axon.start()
    assert subtensor.metagraph(NETUID).axons == [axon.info()]
    axon.stop()
    fixed = bt.axon(wallet=miner_key, port=8124)
    fixed.serve(netuid=NETUID)
    assert subtensor.metagraph(NETUID).axons[0].port == 8124


def test_what_can_not_be_published_comes_out_of_serve(miner_key: bt.Keypair) -> None:
    class Full(bt.Subtensor):
        def serve_axon(self, netuid: int, axon: object, **options: object) -> Outcome:
            return Outcome(False, "the subnet is full")

    with pytest.raises(NetworkError, match="the subnet is full"):
        bt.axon(wallet=miner_key, port=8124).serve(NETUID, Full("local"))
