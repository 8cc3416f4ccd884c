"""Getters of a stream from any task: all finish, and none hangs whatever becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from node import Axon, Dendrite, Keypair, Peer, TextStream
from node.errors import PeerRefused, StreamInterrupted
from node.streams import ReplyStream

from .paced_miner import PacedMiner, check_getters, raised
from .synapses import Words, until


@pytest.fixture
def miner() -> PacedMiner:
    return PacedMiner()


@pytest.fixture
async def peer(axon: Axon, miner: PacedMiner) -> AsyncIterator[Peer]:
    axon.attach(miner.forward)
    async with axon:
        yield axon.info()


async def test_awaiting_consumes(peer: Peer, dendrite: Dendrite) -> None:
    final = await dendrite.stream(peer, Words()).final()
    assert (final.completion, final.is_success) == ("0 1 2 ", True)


async def test_getters_of_many_tasks_all_finish_with_the_same(
    peer: Peer, dendrite: Dendrite, miner: PacedMiner
) -> None:
    stream = await dendrite(peer, Words(count=8))
    early = [asyncio.ensure_future(stream.final()) for _ in range(5)]
    await until(lambda: stream.timing.chunks >= 2)
    late = [asyncio.ensure_future(stream.final()) for _ in range(5)]
    finals = await asyncio.gather(*early, *late, stream.final())
    assert {id(final) for final in finals} == {id(stream.synapse)}
    assert finals[0].completion == "".join(f"{number} " for number in range(8))
    assert miner.started == 1


@pytest.mark.parametrize("raise_errors", [True, False])
async def test_a_source_error_reaches_every_getter(
    peer: Peer, dendrite: Dendrite, miner: PacedMiner, raise_errors: bool
) -> None:
    miner.fail_after = 2
    stream = await dendrite.stream(peer, Words(count=9), raise_errors=raise_errors)
    waiting = [asyncio.ensure_future(stream.final()) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="consumed"):
        stream.chunks()  # the first getter reads
    await until(lambda: miner.ended)
    outcomes = await asyncio.gather(*map(raised, waiting))
    if raise_errors:
        assert {type(outcome) for outcome in outcomes} == {PeerRefused}
        await check_getters(stream, PeerRefused)
    else:
        assert outcomes == [None] * 3
        final = await stream
        assert (final.completion, final.dendrite.status_code) == ("0 1 ", 500)


async def test_a_source_error_that_ends_an_iteration_reaches_getters_that_wait(
    peer: Peer, dendrite: Dendrite, miner: PacedMiner
) -> None:
    miner.fail_after = 2
    stream = await dendrite.stream(peer, Words(count=9), raise_errors=True)
    chunks = stream.chunks()
    assert await anext(chunks) == "0 "
    waiting = [asyncio.ensure_future(stream.final()) for _ in range(3)]
    with pytest.raises(PeerRefused):
        [chunk async for chunk in chunks]
    assert {type(await raised(one)) for one in waiting} == {PeerRefused}
    await check_getters(stream, PeerRefused)


class Strict(TextStream):
    """Its hook refuses what it does not know."""

    async def process_streaming_response(self, response: ReplyStream) -> AsyncIterator[str]:
        async for chunk in response.content.iter_any():
            if chunk == b"bad":
                raise KeyError("the hook's own")
            yield chunk.decode()


@pytest.mark.parametrize("raise_errors", [True, False])
async def test_what_a_hook_raises_reaches_every_getter(
    axon: Axon, dendrite: Dendrite, raise_errors: bool
) -> None:
    async def forward(synapse: Strict) -> AsyncIterator[str]:
        yield "good"
        yield "bad"

    axon.attach(forward)
    async with axon:
        stream = await dendrite.stream(axon.info(), Strict(), raise_errors=raise_errors)
        if raise_errors:
            assert type(await raised(stream.final())) is KeyError
            await check_getters(stream, KeyError)
        else:
            assert (await stream).dendrite.status_code == 422


@pytest.mark.parametrize("how", ["break", "aclose", "abandon", "cancel"])
@pytest.mark.parametrize("raise_errors", [True, False])
async def test_a_stream_that_was_left_tells_every_getter(
    peer: Peer, dendrite: Dendrite, miner: PacedMiner, how: str, raise_errors: bool
) -> None:
    stream = await dendrite.stream(peer, Words(count=500), raise_errors=raise_errors)
    going = asyncio.Event()

    async def read() -> None:
        async for _ in stream.chunks():
            going.set()
            if how == "break":
                break

    reading = asyncio.create_task(read())
    waiting = [asyncio.create_task(stream.final()) for _ in range(3)]
    await going.wait()
    if how == "aclose":
        await stream.aclose()
    elif how == "abandon":
        stream.abandon()
    elif how == "cancel":
        reading.cancel()
    assert {type(await raised(one)) for one in waiting} == {StreamInterrupted}
    await check_getters(stream, StreamInterrupted)
    await asyncio.wait([reading], timeout=0.5)
    assert reading.done()
    await until(lambda: miner.ended)
    await asyncio.gather(reading, return_exceptions=True)


async def test_a_getter_that_reads_and_is_cancelled_tells_the_others(
    peer: Peer, dendrite: Dendrite, miner: PacedMiner
) -> None:
    stream = await dendrite(peer, Words(count=500))
    first = asyncio.create_task(stream.final())
    second = asyncio.create_task(stream.final())
    await until(lambda: stream.timing.chunks)
    first.cancel()
    assert type(await raised(second)) is StreamInterrupted
    assert first.cancelled()
    await until(lambda: miner.ended)


async def test_a_getter_that_waits_may_be_cancelled_and_nothing_else_is(
    peer: Peer, dendrite: Dendrite
) -> None:
    stream = await dendrite(peer, Words(count=5))
    chunks = stream.chunks()
    await anext(chunks)
    waiting = asyncio.create_task(stream.final())
    await asyncio.sleep(0)
    waiting.cancel()
    assert len([chunk async for chunk in chunks]) == 4
    assert (await stream).is_success


@pytest.mark.parametrize("when", ["before its request is made", "while it runs"])
@pytest.mark.parametrize("raise_errors", [True, False])
async def test_a_dendrite_that_was_closed_leaves_no_getter_hanging(
    peer: Peer, alice: Keypair, when: str, raise_errors: bool
) -> None:
    dendrite = Dendrite(alice)
    opening = dendrite.stream(peer, Words(count=500), raise_errors=raise_errors)
    if when == "while it runs":
        await opening
    await dendrite.aclose()
    assert (await opening).timing.total_s is not None
    outcome = await raised(opening.final())
    assert type(outcome) is (StreamInterrupted if raise_errors else type(None))
    assert (await opening).synapse.dendrite.status_code == 503
