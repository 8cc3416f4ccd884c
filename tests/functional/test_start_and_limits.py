"""Requests that go together, and requests that wait for a place: neither is the peer's time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import pytest

from node import Axon, Dendrite, Keypair, Peer
from node.dendrite import asker
from node.dendrite.connector import Connector
from node.errors import ConfigError

from .open_sockets import open_sockets
from .synapses import PATIENCE_S, Echo, Words, until


class Node:
    """A node that waits before it answers, and notes how many it serves at once."""

    def __init__(self, keypair: Keypair) -> None:
        self.pause_s = 0.0
        self.hold: asyncio.Semaphore | None = None
        self.inside: Counter[int] = Counter()
        self.most = 0
        self.began: list[float] = []
        self.fail = False
        self.axon = Axon(keypair, ip="127.0.0.1", port=0, max_workers=100)
        self.axon.attach(self.words).attach(self.echo)

    async def words(self, synapse: Words) -> AsyncIterator[str]:
        await self._serve()
        yield "x"

    async def echo(self, synapse: Echo) -> Echo:
        await self._serve()
        return synapse

    async def _serve(self) -> None:
        self.began.append(time.perf_counter())
        self.inside[0] += 1
        self.most = max(self.most, self.inside[0])
        try:
            await asyncio.sleep(self.pause_s)
            if self.hold is not None:
                await self.hold.acquire()
            if self.fail:
                raise ValueError("broken")
        finally:
            self.inside[0] -= 1


@pytest.fixture
async def node(bob: Keypair) -> AsyncIterator[Node]:
    node = Node(bob)
    async with node.axon:
        yield node


@pytest.fixture(autouse=True)
def patient_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start line at which nobody is left behind because the machine is slow."""
    monkeypatch.setattr(asker, "_BARRIER_S", 60.0)


@pytest.fixture
def connect_after(monkeypatch: pytest.MonkeyPatch) -> list[float | asyncio.Event]:
    """What connections wait for, seconds or an event, in the order in which they are made."""
    delays: list[float | asyncio.Event] = []
    connect = Connector.connected

    async def slow(self: Any, *args: Any, **options: Any) -> Any:
        delay = delays.pop(0) if delays else 0
        await (delay.wait() if isinstance(delay, asyncio.Event) else asyncio.sleep(delay))
        return await connect(self, *args, **options)

    monkeypatch.setattr(Connector, "connected", slow)
    return delays


# The start line.


@pytest.mark.parametrize("barrier", [True, False])
async def test_with_a_barrier_all_go_together_once_the_last_is_ready(
    node: Node,
    dendrite: Dendrite,
    connect_after: list[float | asyncio.Event],
    barrier: bool,
) -> None:
    last = asyncio.Event()
    connect_after += [0.0, 0.02, last, 0.01, 0.0]
    node.hold = asyncio.Semaphore(0)
    peers = [node.axon.info()] * 5
    async with dendrite.fan_out(peers, Words(), barrier=barrier, timeout=60) as streams:
        timings = [stream.timing for stream in streams]
        others = [*timings[:2], *timings[3:]]
        await until(lambda: all(timing.connected_s is not None for timing in others))
        if not barrier:
            await until(lambda: node.inside[0] == 4)
        opened = time.perf_counter()
        last.set()
        await until(lambda: node.inside[0] == 5)  # nobody waits for another's reply
        for _ in peers:
            node.hold.release()
        assert all([(await stream).is_success for stream in streams])
    sent = sorted(timing.sent_at or 0.0 for timing in timings)
    assert [at > opened for at in sent] == ([True] * 5 if barrier else [False] * 4 + [True])
    # Waiting at the line is no part of the time that connecting took.
    connected = [timing.began + (timing.connected_s or 0.0) for timing in timings]
    assert [at > opened for at in connected] == [False, False, True, False, False]


async def test_the_call_form_has_a_barrier_too(
    node: Node, dendrite: Dendrite, connect_after: list[float | asyncio.Event]
) -> None:
    connect_after += [0.0, 0.1]
    streams = await dendrite([node.axon.info()] * 2, Words(), barrier=True)
    assert all([(await stream).is_success for stream in streams])
    timings = [stream.timing for stream in streams]
    last_connected = max(timing.began + (timing.connected_s or 0.0) for timing in timings)
    assert min(timing.sent_at or 0.0 for timing in timings) >= last_connected


async def test_everything_is_signed_before_the_first_goes(
    node: Node, dendrite: Dendrite, connect_after: list[float | asyncio.Event]
) -> None:
    connect_after += [0.0, 0.3]
    streams = await dendrite([node.axon.info()] * 2, Words(), barrier=True)
    finals = [await stream for stream in streams]
    assert streams[0].timing.sent_s is not None
    offset_ns = time.time_ns() - time.perf_counter_ns()
    sent_ns = min(stream.timing.sent_at or 0.0 for stream in streams) * 1e9 + offset_ns
    for final in finals:
        assert final.receipt.nonce_ns < sent_ns - 0.2e9


async def test_a_peer_that_is_dead_holds_nobody_up(node: Node, dendrite: Dendrite) -> None:
    dead = Peer(hotkey=node.axon.hotkey, ip="127.0.0.1", port=1)
    silent = Peer(hotkey=node.axon.hotkey, ip="127.0.0.1", port=0)
    peers = [dead, node.axon.info(), silent, node.axon.info()]
    async with (
        asyncio.timeout(PATIENCE_S),
        dendrite.fan_out(peers, Words(), barrier=True) as streams,
    ):
        finals = [await stream for stream in streams]
    assert [final.dendrite.status_code for final in finals] == [503, 200, 503, 200]


async def test_a_peer_that_does_not_connect_is_waited_for_no_longer_than_the_limit(
    node: Node, alice: Keypair, black_hole: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asker, "_BARRIER_S", 0.3)
    peers = [black_hole, node.axon.info()]
    began = time.perf_counter()
    async with (
        asyncio.timeout(20),
        Dendrite(alice, connect=60) as dendrite,
        dendrite.fan_out(peers, Words(), timeout=60, barrier=True) as streams,
    ):
        final = await streams[1]
        assert final.is_success
        assert time.perf_counter() - began >= 0.3
        assert (streams[1].timing.sent_s or 0) >= 0.29
        assert streams[0].timing.connected_s is None


async def test_waiting_at_the_line_is_no_part_of_any_deadline(
    node: Node,
    alice: Keypair,
    connect_after: list[float | asyncio.Event],
    monkeypatch: pytest.MonkeyPatch,
    skip_ahead: Callable[[float], None],
) -> None:
    """One waits until the other has used up all its time with connecting, and then has its own."""
    monkeypatch.setattr(asker, "_BARRIER_S", 3600.0)
    connect_after += [0.0, asyncio.Event()]
    async with Dendrite(alice, connect=None, first_byte=50, idle=50) as dendrite:
        peers = [node.axon.info()] * 2
        async with dendrite.fan_out(peers, Words(), timeout=60, barrier=True) as streams:
            await until(lambda: streams[0].timing.connected_s is not None)
            assert node.began == []
            skip_ahead(61.0)
            finals = [await stream for stream in streams]
    assert [final.dendrite.status_code for final in finals] == [200, 408]


@pytest.mark.parametrize("when", ["at the line", "connecting"])
async def test_a_barrier_that_is_left_sends_nothing(
    node: Node, dendrite: Dendrite, connect_after: list[float | asyncio.Event], when: str
) -> None:
    never = asyncio.Event()
    connect_after += [0.0, never] if when == "at the line" else [never, never]
    sockets = open_sockets()
    async with dendrite.fan_out([node.axon.info()] * 2, Words(), barrier=True) as streams:
        if when == "at the line":
            await until(lambda: streams[0].timing.connected_s is not None)
    await asyncio.sleep(0.05)
    assert node.began == []
    assert all(stream.timing.sent_s is None for stream in streams)
    await until(lambda: open_sockets() == sockets)


async def test_a_barrier_of_more_than_may_be_out_at_once_still_goes(
    node: Node, alice: Keypair
) -> None:
    peers = [node.axon.info()] * 6
    async with (
        asyncio.timeout(PATIENCE_S),
        Dendrite(alice, at_once=2) as dendrite,
        dendrite.fan_out(peers, Words(), barrier=True) as streams,
    ):
        assert all([(await stream).is_success for stream in streams])
    assert node.most <= 2


# Limits.


@pytest.mark.parametrize(
    ("limits", "question"),
    [
        ({"at_once": 2}, Words()),
        ({"per_peer": 2}, Words()),
        ({"at_once": 4, "per_peer": 2}, Echo(text="x")),
    ],
)
async def test_waiting_for_a_place_is_not_the_peers_time(
    node: Node,
    alice: Keypair,
    skip_ahead: Callable[[float], None],
    limits: dict[str, int],
    question: Any,
) -> None:
    """Four rounds of 25 s under deadlines of 60 s: each has the whole of it."""
    node.hold = asyncio.Semaphore(0)
    began = time.perf_counter()
    async with Dendrite(alice, first_byte=60, **limits) as dendrite:  # type: ignore[arg-type]
        asking = dendrite([node.axon.info()] * 8, question, timeout=60, streaming=False)
        call = asyncio.ensure_future(asking)
        for served in (2, 4, 6, 8):
            await until(lambda served=served: len(node.began) == served)  # type: ignore[misc]
            skip_ahead(25.0)
            await asyncio.sleep(0.05)
            for _ in range(2):
                node.hold.release()
        replies = await call
    took = time.perf_counter() - began
    assert node.most == 2
    assert [reply.dendrite.status_code for reply in replies] == [200] * 8
    # Two at a time: with what they waited for a place, they would have taken more than there was.
    times = [reply.dendrite.process_time for reply in replies]
    assert min(times) > 0.04
    assert sum(times) <= 2 * took


async def test_the_timing_of_a_stream_begins_with_its_place(node: Node, alice: Keypair) -> None:
    node.pause_s = 0.1
    began = time.perf_counter()
    async with Dendrite(alice, at_once=1) as dendrite:
        streams = await dendrite([node.axon.info()] * 4, Words())
        assert streams[-1].timing.sent_s is None
        finals = [await stream for stream in streams]
    assert all(final.is_success for final in finals)
    timings = [stream.timing for stream in streams]
    assert all((timing.first_byte_s or 0) > 0.09 for timing in timings)
    for earlier, later in pairwise(timings):
        assert earlier.began + (earlier.total_s or 0) <= later.began
    assert sum(timing.total_s or 9 for timing in timings) <= time.perf_counter() - began


async def test_a_limit_per_peer_does_not_hold_up_other_peers(node: Node, alice: Keypair) -> None:
    other = Node(Keypair.from_uri("//Charlie"))
    node.pause_s = 60
    async with other.axon, Dendrite(alice, per_peer=1) as dendrite:
        peers = [node.axon.info()] * 3 + [other.axon.info()]
        streams = await dendrite(peers, Words(), timeout=60)
        async with asyncio.timeout(PATIENCE_S):
            assert (await streams[3]).is_success
        await until(lambda: node.began)
        assert node.most == 1
        for stream in streams:
            await stream.aclose()


@pytest.mark.parametrize("how", ["failure", "aclose", "cancel", "deadline", "unreachable"])
async def test_a_place_is_given_back_however_a_request_ends(
    node: Node, alice: Keypair, how: str
) -> None:
    node.fail = how == "failure"
    node.pause_s = 0.0 if how == "failure" else 30.0
    dead = Peer(hotkey=node.axon.hotkey, ip="127.0.0.1", port=1)
    async with Dendrite(alice, at_once=1, per_peer=1) as dendrite:
        peer = dead if how == "unreachable" else node.axon.info()
        stream = await dendrite(peer, Words(), timeout=0.1 if how == "deadline" else 60)
        if how == "aclose":
            await stream.aclose()
        elif how == "cancel":
            reading = asyncio.ensure_future(stream.final())
            await until(lambda: node.began)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        else:
            assert (await stream).is_failure
        node.pause_s, node.fail = 0.0, False
        async with asyncio.timeout(PATIENCE_S):
            assert (await dendrite.call(node.axon.info(), Words())).is_success
            assert (await dendrite(node.axon.info(), Echo(text="x"))).is_success


async def test_one_that_waits_for_a_place_can_be_closed(node: Node, alice: Keypair) -> None:
    node.pause_s = 30
    async with Dendrite(alice, at_once=1) as dendrite:
        first, second = await dendrite([node.axon.info()] * 2, Words(), timeout=60)
        await asyncio.wait_for(second.aclose(), PATIENCE_S)
        assert second.done
        await until(lambda: node.began)
        await first.aclose()
    assert len(node.began) == 1


@pytest.mark.parametrize("limit", [0, -1])
@pytest.mark.parametrize("name", ["at_once", "per_peer"])
def test_a_limit_below_one_is_refused(alice: Keypair, name: str, limit: int) -> None:
    with pytest.raises(ConfigError, match=name):
        Dendrite(alice, **{name: limit})  # type: ignore[arg-type]
