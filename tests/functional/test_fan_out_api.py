"""`fan_out`, `merge`, `first`: many streams at once, each apart, and all of them closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from node import Axon, Dendrite, Keypair, Peer, Stream
from node.errors import CallError, ConfigError, PeerRefused, StreamInterrupted
from tests.raw_http import read_request, scripted_peer

from .synapses import PATIENCE_S, Echo, Words, until


class Crowd:
    """Nodes in this loop, each of which does what its number says.

    Attributes:
        peers: Where they are.
        pauses_s: How long each waits before every chunk.
        failing: Numbers of those that fail after their first chunk.
    """

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.pauses_s: dict[int, float] = {}
        self.failing: set[int] = set()
        self.started: list[int] = []
        self.cancelled: list[int] = []

    def node(self, number: int) -> Axon:
        async def words(synapse: Words) -> AsyncIterator[str]:
            self.started.append(number)
            try:
                for word in range(synapse.count):
                    await asyncio.sleep(self.pauses_s.get(number, 0))
                    if word and number in self.failing:
                        raise ValueError("broken")
                    yield f"{number}.{word} "
            except (asyncio.CancelledError, GeneratorExit):
                self.cancelled.append(number)
                raise

        async def echo(synapse: Echo) -> Echo:
            self.started.append(number)
            try:
                await asyncio.sleep(self.pauses_s.get(number, 0))
            except asyncio.CancelledError:
                self.cancelled.append(number)
                raise
            synapse.answer = str(number)
            return synapse

        axon = Axon(Keypair.from_uri(f"//Miner{number}"), ip="127.0.0.1", port=0)
        return axon.attach(words).attach(echo)


@pytest.fixture
async def crowd() -> AsyncIterator[Crowd]:
    """Four nodes."""
    crowd = Crowd()
    axons = [crowd.node(number) for number in range(4)]
    for axon in axons:
        await axon.start()
        crowd.peers.append(axon.info())
    yield crowd
    for axon in axons:
        await axon.stop(0)


def dead_peer() -> Peer:
    return Peer(hotkey=Keypair.from_uri("//Dead").ss58_address, ip="127.0.0.1", port=1)


# The structured form.


async def test_fan_out_gives_a_stream_for_every_peer_in_order(
    crowd: Crowd, dendrite: Dendrite
) -> None:
    peers = [*crowd.peers[::-1], dead_peer()]
    async with dendrite.fan_out(peers, Words(count=2)) as streams:
        assert [stream.peer for stream in streams] == peers
        finals = [await stream for stream in streams]
    assert [final.completion for final in finals] == ["3.0 3.1 ", "2.0 2.1 ", "1.0 1.1 ",
                                                      "0.0 0.1 ", ""]  # fmt: skip
    assert [final.dendrite.status_code for final in finals] == [200] * 4 + [503]
    async with dendrite.fan_out([], Words()) as none:
        assert none == []


async def test_leaving_the_block_closes_every_stream_and_reaches_every_node(
    crowd: Crowd, dendrite: Dendrite
) -> None:
    crowd.pauses_s = dict.fromkeys(range(4), 0.02)
    async with dendrite.fan_out(crowd.peers, Words(count=500)) as streams:
        await until(lambda: len(crowd.started) == 4)
        chunks = streams[0].chunks()
        await anext(chunks)
    assert all(stream.done for stream in streams)
    assert not dendrite._asker.open_streams
    await until(lambda: sorted(crowd.cancelled) == [0, 1, 2, 3])


@pytest.mark.parametrize("raise_errors", [True, False])
async def test_a_stream_that_is_used_after_the_block_tells_and_never_hangs(
    crowd: Crowd, dendrite: Dendrite, raise_errors: bool
) -> None:
    crowd.pauses_s = dict.fromkeys(range(4), 0.02)
    question = Words(count=500)
    async with dendrite.fan_out(crowd.peers, question, raise_errors=raise_errors) as streams:
        begun = streams[0].chunks()
        await anext(begun)
        waiting = asyncio.create_task(streams[1].final())
        await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        for stream in streams:
            with pytest.raises(StreamInterrupted):
                await stream
            with pytest.raises(RuntimeError, match="consumed"):
                stream.chunks()
            with pytest.raises(RuntimeError, match="consumed"):
                aiter(stream)
        with pytest.raises(StreamInterrupted):
            await waiting
        try:
            assert len([chunk async for chunk in begun]) < 100
        except StreamInterrupted:
            assert raise_errors


async def test_a_stream_that_was_read_is_of_use_after_the_block(
    crowd: Crowd, dendrite: Dendrite
) -> None:
    async with dendrite.fan_out(crowd.peers, Words()) as streams:
        finals = await asyncio.gather(*streams)
    assert [await stream for stream in streams] == finals
    assert all(final.is_success for final in finals)
    for stream, peer in zip(streams, crowd.peers, strict=True):
        assert stream.receipt is not None
        stream.receipt.verify(peer.hotkey)


@pytest.mark.parametrize("kind", [KeyError, StopAsyncIteration, StreamInterrupted, GeneratorExit])
async def test_what_the_block_raises_comes_out_as_itself(
    crowd: Crowd, dendrite: Dendrite, kind: type[BaseException]
) -> None:
    error = kind("mine", chunks=0) if kind is StreamInterrupted else kind("mine")
    crowd.pauses_s = dict.fromkeys(range(4), 5)
    crowd.failing = {1}
    with pytest.raises(kind) as caught:
        async with dendrite.fan_out([*crowd.peers, dead_peer()], Words(), raise_errors=True):
            await until(lambda: len(crowd.started) == 4)
            raise error
    assert caught.value is error
    await until(lambda: sorted(crowd.cancelled) == [0, 1, 2, 3])


async def test_a_block_that_is_cancelled_closes_every_stream(
    crowd: Crowd, dendrite: Dendrite
) -> None:
    crowd.pauses_s = dict.fromkeys(range(4), 5)

    async def ask() -> None:
        async with dendrite.fan_out(crowd.peers, Words()) as streams:
            await streams[0]

    asking = asyncio.create_task(ask())
    await until(lambda: len(crowd.started) == 4)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await until(lambda: sorted(crowd.cancelled) == [0, 1, 2, 3])


async def test_a_fan_out_of_what_is_no_peer_sends_nothing(crowd: Crowd, dendrite: Dendrite) -> None:
    with pytest.raises(ConfigError):
        async with dendrite.fan_out([*crowd.peers, "nobody"], Words()):
            pytest.fail("it opened")
    assert crowd.started == []


# Merging.


async def test_merge_gives_pairs_as_they_come(crowd: Crowd, dendrite: Dendrite) -> None:
    crowd.pauses_s = {0: 0.3, 1: 0.1, 2: 0.2, 3: 0.0}
    async with dendrite.fan_out(crowd.peers, Words(count=1)) as streams:
        pairs = [pair async for pair in dendrite.merge(streams)]
    assert pairs == [(crowd.peers[number], f"{number}.0 ") for number in (3, 1, 2, 0)]


async def test_merge_keeps_the_order_of_each_and_loses_nothing(
    crowd: Crowd, dendrite: Dendrite
) -> None:
    streams = await dendrite(crowd.peers, Words(count=300))
    pairs = [pair async for pair in dendrite.merge(streams)]
    for number, peer in enumerate(crowd.peers):
        texts = [chunk for sender, chunk in pairs if sender == peer]
        assert texts == [f"{number}.{word} " for word in range(300)]
    assert all([(await stream).is_success for stream in streams])


async def test_a_failing_stream_among_them_just_ends(crowd: Crowd, dendrite: Dendrite) -> None:
    crowd.failing = {1}
    streams = await dendrite([*crowd.peers, dead_peer()], Words(count=3))
    pairs = [pair async for pair in dendrite.merge(streams)]
    assert [chunk for peer, chunk in pairs if peer == crowd.peers[1]] == ["1.0 "]
    assert len(pairs) == 3 * 3 + 1
    statuses = [(await stream).dendrite.status_code for stream in streams]
    assert statuses == [200, 500, 200, 200, 503]


async def test_a_failing_stream_raises_from_merge_where_errors_are_raised(
    crowd: Crowd, dendrite: Dendrite
) -> None:
    crowd.failing = {1}
    got: list[Any] = []
    async with dendrite.fan_out(crowd.peers, Words(count=3), raise_errors=True) as streams:
        with pytest.raises(PeerRefused) as caught:
            async for pair in dendrite.merge(streams):
                got.append(pair)
    assert caught.value.peer == str(crowd.peers[1])
    assert len(got) == 3 * 3 + 1


async def test_a_merge_that_is_left_cancels_every_node(crowd: Crowd, dendrite: Dendrite) -> None:
    crowd.pauses_s = dict.fromkeys(range(4), 0.05)
    streams = await dendrite(crowd.peers, Words(count=500))
    async for _ in dendrite.merge(streams):
        break
    await until(lambda: sorted(crowd.cancelled) == [0, 1, 2, 3])
    for stream in streams:
        with pytest.raises(StreamInterrupted):
            await asyncio.wait_for(stream.final(), PATIENCE_S)


# The first good replies.


async def test_first_gives_the_first_good_ones_and_cancels_the_rest(
    crowd: Crowd, dendrite: Dendrite
) -> None:
    crowd.pauses_s = {0: 30, 1: 0.0, 2: 0.1, 3: 30}
    crowd.failing = {1}
    async with asyncio.timeout(PATIENCE_S):
        (reply,) = await dendrite.first([*crowd.peers, dead_peer()], Words(count=2))
    assert isinstance(reply, Words)
    assert (reply.completion, reply.axon.hotkey) == ("2.0 2.1 ", crowd.peers[2].hotkey)
    await until(lambda: sorted(crowd.cancelled) == [0, 3])
    assert not dendrite._asker.open_streams


@pytest.mark.parametrize("question", [Words(count=1), Echo(text="x")], ids=["stream", "unary"])
async def test_first_n_are_in_order_of_arrival(
    crowd: Crowd, dendrite: Dendrite, question: Any
) -> None:
    crowd.pauses_s = {0: 0.3, 1: 30, 2: 0.0, 3: 0.15}
    replies = await dendrite.first(crowd.peers, question, n=3)
    hotkeys = [reply.axon.hotkey for reply in replies]
    assert hotkeys == [crowd.peers[number].hotkey for number in (2, 3, 0)]
    await until(lambda: crowd.cancelled == [1])


async def test_first_gives_fewer_when_fewer_succeed(crowd: Crowd, dendrite: Dendrite) -> None:
    crowd.failing = {0, 2}
    replies = await dendrite.first([*crowd.peers, dead_peer()], Words(), n=5)
    assert {reply.axon.hotkey for reply in replies} == {
        crowd.peers[1].hotkey, crowd.peers[3].hotkey,
    }  # fmt: skip
    assert await dendrite.first([dead_peer()] * 3, Words(), n=1) == []
    assert await dendrite.first([], Words()) == []


@pytest.mark.parametrize("n", [0, -1])
async def test_first_of_none_is_refused(crowd: Crowd, dendrite: Dendrite, n: int) -> None:
    with pytest.raises(ConfigError, match=str(n)):
        await dendrite.first(crowd.peers, Words(), n=n)
    assert crowd.started == []


async def test_first_that_is_cancelled_cancels_every_node(crowd: Crowd, dendrite: Dendrite) -> None:
    crowd.pauses_s = dict.fromkeys(range(4), 30)
    waiting = asyncio.create_task(dendrite.first(crowd.peers, Words()))
    await until(lambda: len(crowd.started) == 4)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await until(lambda: sorted(crowd.cancelled) == [0, 1, 2, 3])


# Many of which few answer.


async def test_120_silent_peers_of_256_do_not_disturb_the_honest_ones(
    axon: Axon, dendrite: Dendrite, skip_ahead: Callable[[float], None]
) -> None:
    async def words(synapse: Words) -> AsyncIterator[str]:
        yield "good"

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await asyncio.sleep(3600)

    axon.attach(words)
    hotkey = Keypair.from_uri("//Silent").ss58_address
    async with axon, scripted_peer(silent, hotkey) as mute:
        peers = [mute if number % 32 < 15 else axon.info() for number in range(256)]
        assert peers.count(mute) == 120
        streams: list[Stream] = await dendrite(peers, Words(), timeout=60)
        honest = [stream for stream in streams if stream.peer != mute]
        async with asyncio.timeout(30):  # before the silent ones' time is up
            finals = [await stream for stream in honest]
        assert {final.completion for final in finals} == {"good"}
        assert all(stream.timing.total_s is None for stream in streams if stream.peer == mute)
        skip_ahead(61.0)
        replies = [await stream for stream in streams]
    for peer, reply in zip(peers, replies, strict=True):
        assert reply.axon.hotkey == peer.hotkey
        expected = (408, "") if peer == mute else (200, "good")
        assert (reply.dendrite.status_code, reply.completion) == expected


async def test_what_one_stream_raises_is_not_raised_by_another(
    crowd: Crowd, dendrite: Dendrite
) -> None:
    crowd.failing = {0, 2}
    outcomes: list[Any] = []
    async with dendrite.fan_out(crowd.peers, Words(), raise_errors=True) as streams:
        for stream in streams:
            try:
                outcomes.append((await stream).is_success)
            except CallError as error:
                outcomes.append(error.peer)
    assert outcomes == [str(crowd.peers[0]), True, str(crowd.peers[2]), True]
