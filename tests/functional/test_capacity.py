"""Routes with a capacity: the axon keeps to it and declares it, and a dendrite sends no more."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node import Axon, Dendrite, Keypair, Miner, Peer, Synapse, Wallet, open_network
from node.errors import ConfigError, RouteError
from node.neuron.flags import build_parser
from node.neuron.resolver import resolve

from .synapses import PATIENCE_S, Echo, Words, undeclared, until

NETUID = 8


class Crowd:
    """Forwards that tell how many of each run, and run until they may end.

    Attributes:
        running: By route, now.
        most: By route, at any time.
        order: What began, in order.
    """

    def __init__(self) -> None:
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.order: list[str] = []
        self.end = asyncio.Event()

    def begin(self, name: str) -> None:
        self.order.append(name)
        self.running[name.rstrip("0123456789")] += 1
        self.most |= self.running

    async def echo(self, synapse: Echo) -> Echo:
        self.begin(synapse.text)
        try:
            await self.end.wait()
            synapse.answer = synapse.text
            return synapse
        finally:
            self.running[synapse.text.rstrip("0123456789")] -= 1

    async def words(self, synapse: Words) -> AsyncIterator[str]:
        self.begin("words")
        try:
            yield "first "
            await self.end.wait()
            yield "last"
        finally:
            self.running["words"] -= 1


@pytest.fixture
def crowd() -> Crowd:
    return Crowd()


async def ask_later(
    dendrite: Dendrite, peer: Peer, count: int, **options: Any
) -> list[asyncio.Task[Echo]]:
    """Ask so many echoes, of which none has its answer yet."""
    calls = [
        asyncio.ensure_future(dendrite(peer, Echo(text=f"echo{number}"), **options))
        for number in range(count)
    ]
    await asyncio.sleep(0.05)
    return calls


# The axon.


async def test_no_more_forwards_of_a_route_run_than_its_capacity(
    axon: Axon, dendrite: Dendrite, crowd: Crowd
) -> None:
    axon.attach(crowd.echo, capacity=2)
    async with axon:
        calls = await ask_later(dendrite, undeclared(axon), 7)
        await until(lambda: (crowd.running["echo"], axon._slots.waiting) == (2, 5))
        crowd.end.set()
        assert all(reply.is_success for reply in await asyncio.gather(*calls))
    assert crowd.most["echo"] == 2
    assert crowd.order == [f"echo{number}" for number in range(7)]


async def test_a_route_at_its_capacity_holds_up_no_other_route(
    bob: Keypair, dendrite: Dendrite, crowd: Crowd
) -> None:
    axon = Axon(bob, ip="127.0.0.1", port=0, max_workers=3)
    axon.attach(crowd.echo, priority_fn=lambda _: 99, capacity=1).attach(crowd.words)
    async with axon:
        peer = undeclared(axon)
        calls = await ask_later(dendrite, peer, 5)
        streams = await dendrite([peer] * 4, Words())
        await until(lambda: crowd.running == {"echo": 1, "words": 2})
        await until(lambda: axon._slots.waiting == 4 + 2)
        # A stream that ends frees its place for a stream, though echoes have priority.
        await streams[0].aclose()
        await until(lambda: len(crowd.order) == 4)
        assert crowd.order == ["echo0", "words", "words", "words"]
        crowd.end.set()
        finals = [await stream for stream in streams[1:]]
        assert [final.completion for final in finals] == ["first last"] * 3
        assert all(reply.is_success for reply in await asyncio.gather(*calls))
    assert crowd.most == {"echo": 1, "words": 2}


async def test_those_that_wait_for_a_route_count_for_the_queue(
    bob: Keypair, dendrite: Dendrite, crowd: Crowd
) -> None:
    axon = Axon(bob, ip="127.0.0.1", port=0, max_workers=5, max_queue=2)
    axon.attach(crowd.echo, capacity=1).attach(crowd.words)
    async with axon:
        calls = await ask_later(dendrite, undeclared(axon), 5)
        await until(lambda: sum(call.done() for call in calls) == 2)
        refused = [call.result() for call in calls if call.done()]
        assert [reply.dendrite.status_code for reply in refused] == [503, 503]
        # The queue is full of echoes, and a stream needs no queue while there are workers.
        crowd.end.set()
        assert (await dendrite.call(undeclared(axon), Words())).is_success
        await asyncio.gather(*calls)


async def test_a_sync_forward_that_nobody_waits_for_keeps_its_place(
    bob: Keypair, dendrite: Dendrite, skip_ahead: Callable[[float], None]
) -> None:
    go, running = threading.Event(), []

    def slow(synapse: Echo) -> Echo:
        running.append(synapse.text)
        go.wait(60)
        return synapse

    axon = Axon(bob, ip="127.0.0.1", port=0, max_workers=2).attach(slow, capacity=1)
    async with axon:
        gone = asyncio.ensure_future(dendrite(undeclared(axon), Echo(text="gone"), timeout=60))
        await until(lambda: running)
        skip_ahead(61.0)
        assert (await gone).is_timeout
        call = asyncio.ensure_future(dendrite(undeclared(axon), Echo(text="next")))
        await until(lambda: axon._slots.waiting == 1)
        assert running == ["gone"]
        go.set()
        assert (await call).is_success


def test_what_an_axon_declares(bob: Keypair, crowd: Crowd) -> None:
    async def other(synapse: Synapse) -> Synapse:
        return synapse

    axon = Axon(bob, port=1, max_workers=4)
    assert axon.info().capacity == ()
    axon.attach(crowd.echo, capacity=9).attach(crowd.words, capacity=2).attach(other)
    info = axon.info()
    assert info.capacity == (("Echo", 4), ("Synapse", 4), ("Words", 2))
    assert [info.capacity_of(name) for name in ("Words", "Prompting")] == [2, None]
    assert axon.routes == ("Echo", "Words", "Synapse")


def test_what_has_no_room_in_a_record_is_not_declared(bob: Keypair) -> None:
    axon = Axon(bob, port=1)

    def attach(name: str, **options: Any) -> None:
        async def forward(synapse: Any) -> Any:
            return synapse

        forward.__annotations__ = {"synapse": type(name, (Synapse,), {})}
        axon.attach(forward, **options)

    attach("Größe", capacity=1)
    for number in range(70):
        attach(f"Route{number}")
    attach("Chosen", capacity=3)
    capacity = dict(axon.info().capacity)
    assert len(capacity) == 64
    assert capacity.pop("Chosen") == 3
    assert set(capacity) <= {f"Route{number}" for number in range(70)}


@pytest.mark.parametrize("wrong", [0, -1])
def test_a_capacity_below_one_is_refused(axon: Axon, crowd: Crowd, wrong: int) -> None:
    with pytest.raises(RouteError, match=r"Crowd\.echo: its capacity must be 1 or more"):
        axon.attach(crowd.echo, capacity=wrong)
    axon.attach(crowd.echo)
    with pytest.raises(ConfigError, match="capacity of Echo must be 1 or more"):
        axon.set_capacity("Echo", wrong)
    with pytest.raises(ConfigError, match="no route 'Ecco'; its routes: Echo"):
        axon.set_capacity("Ecco", 1)


async def test_a_capacity_can_be_changed_while_the_axon_serves(
    axon: Axon, dendrite: Dendrite, crowd: Crowd
) -> None:
    axon.attach(crowd.echo)
    async with axon:
        axon.set_capacity("Echo", 1)
        calls = await ask_later(dendrite, undeclared(axon), 6)
        await until(lambda: crowd.running["echo"] == 1)
        axon.set_capacity("Echo", 3)
        await until(lambda: crowd.running["echo"] == 3)
        assert axon.info().capacity_of("Echo") == 3
        crowd.end.set()
        await asyncio.gather(*calls)
    assert crowd.most["echo"] == 3


# The dendrite.


async def test_a_dendrite_sends_no_more_than_a_peer_declares(
    axon: Axon, dendrite: Dendrite, crowd: Crowd
) -> None:
    axon.attach(crowd.echo, capacity=2).attach(crowd.words, capacity=1)
    async with axon:
        calls = await ask_later(dendrite, axon.info(), 7)
        streams = await dendrite([axon.info()] * 3, Words())
        await until(lambda: crowd.running == {"echo": 2, "words": 1})
        assert axon._slots.waiting == 0  # the others wait here, not there
        crowd.end.set()
        assert all(reply.is_success for reply in await asyncio.gather(*calls))
        assert all([(await stream).is_success for stream in streams])
    assert crowd.most == {"echo": 2, "words": 1}
    assert not dendrite._asker._gate._rooms


async def test_a_capacity_that_a_registry_lists_is_kept_to(
    axon: Axon, bob: Keypair, dendrite: Dendrite, crowd: Crowd, tmp_path: Path
) -> None:
    network = open_network(f"local:{tmp_path / 'net.db'}")
    axon.attach(crowd.echo, capacity=3)
    async with axon:
        uid = await network.register(NETUID, bob)
        await network.serve(NETUID, bob, axon.info())
        listed = (await network.metagraph(NETUID)).axons[uid]
        assert listed.capacity == (("Echo", 3),)
        calls = await ask_later(dendrite, listed, 5)
        await until(lambda: crowd.running["echo"] == 3)
        assert axon._slots.waiting == 0
        crowd.end.set()
        await asyncio.gather(*calls)
    await network.close()


async def test_a_peer_that_declares_nothing_for_a_route_is_not_limited(
    bob: Keypair, dendrite: Dendrite, crowd: Crowd
) -> None:
    axon = Axon(bob, ip="127.0.0.1", port=0, max_workers=20).attach(crowd.echo)
    async with axon:
        peer = replace(axon.info(), capacity={"Words": 1})
        calls = await ask_later(dendrite, peer, 20)
        await until(lambda: crowd.running["echo"] == 20)
        crowd.end.set()
        await asyncio.gather(*calls)


async def test_per_peer_goes_on_working_beside_it(alice: Keypair, axon: Axon, crowd: Crowd) -> None:
    axon.attach(crowd.echo, capacity=2).attach(crowd.words)
    async with axon, Dendrite(alice, per_peer=3) as dendrite:
        calls = await ask_later(dendrite, axon.info(), 5)
        streams = await dendrite([axon.info()] * 5, Words())
        await until(lambda: crowd.running == {"echo": 2, "words": 1})
        crowd.end.set()
        await asyncio.gather(*calls, *(stream.final() for stream in streams))
    assert crowd.most.total() <= 2 + 3


async def test_waiting_for_a_place_is_not_the_peers_time(
    axon: Axon, dendrite: Dendrite, skip_ahead: Callable[[float], None]
) -> None:
    """Each takes 25 s of 60 s, one after another."""

    async def slow(synapse: Echo) -> Echo:
        skip_ahead(25.0)
        await asyncio.sleep(0.05)
        return synapse

    async def slow_words(synapse: Words) -> AsyncIterator[str]:
        skip_ahead(25.0)
        await asyncio.sleep(0.05)
        yield "x"

    axon.attach(slow, capacity=1).attach(slow_words, capacity=1)
    async with axon:
        began = time.perf_counter()
        replies = await dendrite([axon.info()] * 5, Echo(text="x"), timeout=60)
        took = time.perf_counter() - began
        assert [reply.dendrite.status_code for reply in replies] == [200] * 5
        # With what they waited for a place, these would be more than there was.
        assert sum(reply.dendrite.process_time for reply in replies) <= took
        began = time.perf_counter()
        streams = await dendrite([axon.info()] * 5, Words(), timeout=60)
        assert all([(await stream).is_success for stream in streams])
        took = time.perf_counter() - began
        assert sum(stream.timing.first_byte_s or 9 for stream in streams) <= took


@pytest.mark.parametrize("streamed", [True, False])
async def test_who_is_cancelled_while_it_waits_frees_its_place(
    axon: Axon, dendrite: Dendrite, crowd: Crowd, streamed: bool
) -> None:
    axon.attach(crowd.echo, capacity=1).attach(crowd.words, capacity=1)
    async with axon:
        peer = axon.info()

        async def ask(number: int) -> Any:
            if streamed:
                return await dendrite.call(peer, Words())
            return await dendrite.call(peer, Echo(text=f"echo{number}"))

        calls = [asyncio.create_task(ask(number)) for number in range(4)]
        await until(lambda: crowd.order)
        for call in calls[1:3]:
            call.cancel()
        await asyncio.gather(*calls[1:3], return_exceptions=True)
        crowd.end.set()
        assert (await calls[0]).is_success
        assert (await calls[3]).is_success
        assert (await ask(4)).is_success
    assert crowd.order == (["words"] * 3 if streamed else ["echo0", "echo3", "echo4"])
    assert not dendrite._asker._gate._rooms


async def test_a_peer_asked_more_often_than_it_takes_holds_up_no_barrier(
    axon: Axon, dendrite: Dendrite, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.dendrite.asker._BARRIER_S", 60.0)  # for stragglers
    axon.attach(crowd.words, capacity=2)
    crowd.end.set()
    async with axon, asyncio.timeout(PATIENCE_S):
        streams = await dendrite([axon.info()] * 6, Words(), barrier=True)
        assert all([(await stream).is_success for stream in streams])


# The miner's flag.


def miner_with(tmp_path: Path, *flags: str) -> Miner:
    if not (tmp_path / "wallets").exists():
        Wallet("default", "default", tmp_path / "wallets").create()
    argv = [
        "--netuid", str(NETUID), "--wallet.path", str(tmp_path / "wallets"),
        "--subtensor.network", f"local:{tmp_path / 'net.db'}",
        "--axon.ip", "127.0.0.1", "--axon.port", "0",
    ]  # fmt: skip
    return Miner(resolve(build_parser("miner", prog="p"), [*argv, *flags], {}))


def test_the_flag_limits_and_declares(tmp_path: Path) -> None:
    assert miner_with(tmp_path).axon.info().capacity == (("StreamPrompting", 10),)
    miner = miner_with(tmp_path, "--axon.capacity", " StreamPrompting = 4 ")
    assert miner.axon.info().capacity == (("StreamPrompting", 4),)
    assert "axon.capacity: [StreamPrompting=4]" in miner.config.to_yaml()


def test_a_profile_may_have_a_list(tmp_path: Path) -> None:
    profile = tmp_path / "miner.yaml"
    profile.write_text("axon:\n  capacity: [StreamPrompting=3]\n")
    miner = miner_with(tmp_path, "--config", str(profile))
    assert miner.axon.info().capacity == (("StreamPrompting", 3),)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("StreamPrompting", "must be a route and a number, such as StreamPrompting=4"),
        ("=4", "must be a route and a number"),
        ("A-B=4", "must be a route and a number"),
        ("StreamPrompting=0", "must be a whole number of 1 or more, not '0'"),
        ("StreamPrompting=many", "must be a whole number"),
        ("StreamPromting=4", "no route 'StreamPromting'; its routes: StreamPrompting"),
        ("StreamPrompting=4,StreamPrompting=5", "names the route StreamPrompting twice"),
        (",", "needs at least 1"),
    ],
)
def test_a_wrong_flag_is_refused_with_what_is_wrong(tmp_path: Path, value: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        miner_with(tmp_path, "--axon.capacity", value)
    assert said in str(caught.value)


def test_a_miner_publishes_a_capacity_that_changed(tmp_path: Path) -> None:
    network = open_network(f"local:{tmp_path / 'net.db'}")

    async def serve(miner: Miner) -> tuple[int, int | None]:
        async with miner:
            peer = (await network.metagraph(NETUID)).axons[miner.uid]
            return peer.port, peer.capacity_of("StreamPrompting")

    port, capacity = asyncio.run(serve(miner_with(tmp_path)))
    assert capacity == 10
    flags = ["--axon.port", str(port), "--axon.capacity", "StreamPrompting=2"]
    assert asyncio.run(serve(miner_with(tmp_path, *flags))) == (port, 2)
    network.close()
