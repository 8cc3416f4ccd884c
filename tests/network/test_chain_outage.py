"""What the chain's backend does when its node is gone, silent or talks nonsense, and after it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from node import Peer, errors
from node.network.chain import ChainNetwork
from tests.network.fake_chain import FakeChain, fake_chain

from .conftest import key
from .stray_threads import no_stray_threads

pytest.importorskip("bittensor")

__all__ = ["no_stray_threads"]

NETUID = 8
ALICE = key("Alice")
# What a call may take beyond its own deadline, on a machine that is busy; without one of a test's
# own, it may take 20 s to connect, 30 s to read and 120 s to write.
SLACK_S = 15.0


@pytest.fixture
def chain() -> Iterator[FakeChain]:
    with fake_chain() as chain:
        chain.register(NETUID, ALICE.ss58_address)
        yield chain


@pytest.fixture
def network(chain: FakeChain) -> Iterator[ChainNetwork]:
    with ChainNetwork(chain.url, connect_timeout_s=60, read_timeout_s=60) as network:
        yield network


def limit(network: ChainNetwork, seconds: float) -> None:
    """Give each of its calls so long from now on."""
    network._connect_timeout_s = network._read_timeout_s = network._write_timeout_s = seconds


def check_fails(work: Callable[[], Any], text: str, within_s: float = 1.0) -> None:
    started = time.monotonic()
    with pytest.raises(errors.NetworkError, match=text):
        work()
    assert time.monotonic() - started < within_s + SLACK_S


def test_a_node_that_is_not_there_is_told_and_comes(
    network: ChainNetwork, chain: FakeChain
) -> None:
    chain.stop()
    for _ in range(2):
        check_fails(
            lambda: network.metagraph(NETUID), r"^ws://127.* can't be reached: .*refused|111"
        )
    chain.start()
    assert network.metagraph(NETUID).n == 1


def test_a_node_that_goes_between_calls_is_found_again(
    network: ChainNetwork, chain: FakeChain
) -> None:
    graph = network.metagraph(NETUID)
    for _ in range(3):
        chain.stop()
        check_fails(graph.sync, "can't be reached")
        assert graph.n == 1
        chain.start()
        chain.advance()
        assert graph.sync().block == chain.block


def test_a_restart_between_calls_is_not_noticed(network: ChainNetwork, chain: FakeChain) -> None:
    network.metagraph(NETUID)
    chain.stop()
    chain.start()
    assert network.metagraph(NETUID).n == 1


def test_a_node_that_goes_in_the_middle_of_a_call_is_told(chain: FakeChain) -> None:
    with ChainNetwork(chain.url, read_timeout_s=60) as network:
        network.metagraph(NETUID)
        chain.silence("state_call")
        stopper = threading.Timer(0.2, chain.stop)
        stopper.start()
        check_fails(lambda: network.metagraph(NETUID), "can't be reached")
        stopper.join()
        chain.silence()
        chain.start()
        assert network.metagraph(NETUID).n == 1


@pytest.mark.parametrize("when", ["connecting", "connected"])
def test_a_silent_node_is_not_waited_for(
    network: ChainNetwork, chain: FakeChain, when: str
) -> None:
    if when == "connected":
        network.metagraph(NETUID)
    chain.silence("*")
    limit(network, 0.5)
    for _ in range(2):
        check_fails(lambda: network.metagraph(NETUID), r"gave no answer within 0\.5 s$")
    chain.silence()
    limit(network, 60)
    assert network.metagraph(NETUID).n == 1


async def test_an_outage_inside_a_loop_holds_nothing_up(chain: FakeChain) -> None:
    async with ChainNetwork(chain.url) as network:
        graph = await network.metagraph(NETUID)
        chain.silence("*")
        limit(network, 0.5)
        ticks: list[float] = []
        ticker = asyncio.create_task(tick(ticks))
        results = await asyncio.gather(*(graph.sync() for _ in range(4)), return_exceptions=True)
        ticker.cancel()
        assert {type(result) for result in results} == {errors.NetworkError}
        assert len(ticks) > 6  # where four calls that block the loop leave room for one between two
        chain.silence()
        limit(network, 60)
        chain.advance()
        assert (await graph.sync()).block == chain.block


async def tick(ticks: list[float]) -> None:
    while True:
        ticks.append(time.monotonic())
        await asyncio.sleep(0.01)


async def test_a_call_that_is_cancelled_leaves_the_others_be(chain: FakeChain) -> None:
    async with ChainNetwork(chain.url) as network:
        await network.metagraph(NETUID)
        chain.silence("state_call")
        waiting = asyncio.create_task(network.metagraph(NETUID))
        while chain.calls["SubnetInfoRuntimeApi_get_metagraph"] < 2:
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        chain.silence()
        assert await network.register(NETUID, ALICE) == 0


def test_closing_does_not_wait_for_a_silent_node(chain: FakeChain) -> None:
    network = ChainNetwork(chain.url)
    network.metagraph(NETUID)
    chain.silence("*")
    outcome: list[Exception] = []

    def read() -> None:
        try:
            network.metagraph(NETUID)
        except errors.NetworkError as error:
            outcome.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    while chain.calls["SubnetInfoRuntimeApi_get_metagraph"] < 1:
        time.sleep(0.01)
    started = time.monotonic()
    network.close()
    reader.join()
    assert time.monotonic() - started < SLACK_S
    assert "was closed" in str(outcome[0])


def test_closing_does_not_wait_for_a_connection(chain: FakeChain) -> None:
    chain.silence("*")
    network = ChainNetwork(chain.url)
    failed = threading.Event()

    def read() -> None:
        with pytest.raises(errors.NetworkError, match="closed"):
            network.metagraph(NETUID)
        failed.set()

    reader = threading.Thread(target=read)
    reader.start()
    while not chain.connections:
        time.sleep(0.01)
    network.close()
    reader.join()
    assert failed.is_set()


# Nodes that answer --------------------------------------------------------------------------------


def test_an_error_of_the_node_is_told(network: ChainNetwork, chain: FakeChain) -> None:
    network.metagraph(NETUID)
    chain.fail("state_call", {"code": 4003, "message": "Client error: \x1b[31m out of\nmemory"})
    check_fails(lambda: network.metagraph(NETUID), r"says: Client error: \[31m out of memory$")
    chain.fail("state_call", None)
    assert network.metagraph(NETUID).n == 1
    assert chain.connections == 1


def test_a_node_that_limits_us_is_told(network: ChainNetwork, chain: FakeChain) -> None:
    network.metagraph(NETUID)
    chain.fail("state_call", {"code": -32005, "message": "slow down", "data": {"retry_after": 9}})
    check_fails(lambda: network.metagraph(NETUID), "turns this machine away: .*slow down")
    chain.fail("state_call", None)
    assert network.metagraph(NETUID).n == 1


@pytest.mark.parametrize("method", ["chain_getHeader", "state_getRuntimeVersion"])
@pytest.mark.parametrize("nonsense", [7, "x", [], {}, {"number": "zz"}, {"specVersion": "high"}])
def test_nonsense_is_told(
    network: ChainNetwork, chain: FakeChain, method: str, nonsense: object
) -> None:
    chain.answer(method, nonsense)
    check_fails(lambda: network.metagraph(NETUID), "ws://127")
    chain.answer(method, None)
    assert network.metagraph(NETUID).n == 1


# Writing ----------------------------------------------------------------------------------------


def serve(network: ChainNetwork) -> None:
    network.serve(NETUID, ALICE, Peer(ALICE.ss58_address, "8.8.8.8", 80))


FATE = "; a block may hold it all the same, so look before you do it again$"


def test_a_write_without_an_answer_is_not_called_failed(
    network: ChainNetwork, chain: FakeChain
) -> None:
    network.metagraph(NETUID)
    chain.silence("author_submitAndWatchExtrinsic")
    network._write_timeout_s = 1.0
    check_fails(lambda: serve(network), r"gave no answer within 1 s" + FATE)
    chain.silence()
    limit(network, 60)
    serve(network)
    assert len(chain.extrinsics) == 1


def test_a_write_that_no_block_takes_is_not_waited_for(
    network: ChainNetwork, chain: FakeChain
) -> None:
    network.metagraph(NETUID)
    chain.report("ready")
    network._write_timeout_s = 1.0
    check_fails(lambda: serve(network), r"gave no answer within 1 s" + FATE)
    assert network.metagraph(NETUID).axons[0].is_serving


@pytest.mark.parametrize("status", ["dropped", "usurped", "invalid"])
def test_a_write_that_the_pool_throws_out_is_told(
    network: ChainNetwork, chain: FakeChain, status: str
) -> None:
    chain.report("ready", status)
    with pytest.raises(errors.NetworkError, match="refused to publish the axon of uid 0"):
        serve(network)


def test_a_write_that_the_node_does_not_take_is_told(
    network: ChainNetwork, chain: FakeChain
) -> None:
    chain.fail(
        "author_submitAndWatchExtrinsic",
        {"code": 1010, "message": "Invalid Transaction", "data": "Inability to pay some fees"},
    )
    with pytest.raises(errors.NetworkError, match=r"refused to publish .*(fees|Payment)"):
        serve(network)
    chain.fail("author_submitAndWatchExtrinsic", None)
    serve(network)
    assert len(chain.extrinsics) == 1
