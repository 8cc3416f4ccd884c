"""The rules of a `Stream`: consumed once, closed cleanly, no getter ever hangs."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from node import Axon, Dendrite, Keypair, Peer, Stream
from node.errors import PeerRefused, StreamInterrupted

from .synapses import PATIENCE_S, Echo, Words, until


class Miner:
    """Streams words and notes what became of it."""

    def __init__(self, pause_s: float = 0.0) -> None:
        self.pause_s = pause_s
        self.started = 0
        self.ended: list[str] = []
        self.fail_after: int | None = None

    async def forward(self, synapse: Words) -> AsyncIterator[str]:
        self.started += 1
        try:
            for number in range(synapse.count):
                if number == self.fail_after:
                    raise ValueError("broken model")
                yield f"{number} "
                await asyncio.sleep(self.pause_s)
        except (asyncio.CancelledError, GeneratorExit) as error:
            self.ended.append(type(error).__name__)
            raise
        except ValueError:
            self.ended.append("ValueError")
            raise
        else:
            self.ended.append("complete")


@pytest.fixture
def miner() -> Miner:
    return Miner()


@pytest.fixture
async def peer(axon: Axon, miner: Miner) -> AsyncIterator[Peer]:
    axon.attach(miner.forward)
    async with axon:
        yield axon.info()


async def test_await_gives_the_final_synapse_if_nobody_iterated(
    peer: Peer, dendrite: Dendrite
) -> None:
    stream = await dendrite(peer, Words())
    final = await stream
    assert final.completion == "0 1 2 "
    assert await stream is final
    assert await stream.final() is final
    assert stream.done


async def test_final_from_several_tasks_gives_all_the_same(peer: Peer, dendrite: Dendrite) -> None:
    stream = await dendrite(peer, Words())
    finals = await asyncio.gather(*(stream.final() for _ in range(5)))
    assert all(final is finals[0] for final in finals)
    assert finals[0].completion == "0 1 2 "


async def test_final_waits_for_whoever_iterates(
    peer: Peer, dendrite: Dendrite, miner: Miner
) -> None:
    miner.pause_s = 0.02
    stream = await dendrite(peer, Words())

    async def read() -> list[str]:
        return [chunk async for chunk in stream.chunks()]

    chunks, final = await asyncio.gather(read(), stream.final())
    assert chunks == ["0 ", "1 ", "2 "]
    assert final.completion == "0 1 2 "


@pytest.mark.parametrize("first", ["iterate", "chunks", "await", "close"])
async def test_a_second_iteration_says_so(peer: Peer, dendrite: Dendrite, first: str) -> None:
    stream = await dendrite(peer, Words())
    if first == "iterate":
        assert len([item async for item in stream]) == 4
    elif first == "chunks":
        assert len([item async for item in stream.chunks()]) == 3
    elif first == "await":
        await stream
    else:
        await stream.aclose()
    with pytest.raises(RuntimeError, match="consumed"):
        stream.__aiter__()
    with pytest.raises(RuntimeError, match="consumed"):
        stream.chunks()


async def test_two_readers_at_once_are_refused(peer: Peer, dendrite: Dendrite) -> None:
    stream = await dendrite(peer, Words())
    first, second = stream.__aiter__(), stream.__aiter__()
    assert await anext(first) == "0 "
    with pytest.raises(RuntimeError, match="consumed"):
        await anext(second)
    assert [item async for item in first][:-1] == ["1 ", "2 "]


async def test_final_inside_ones_own_loop_does_not_hang(peer: Peer, dendrite: Dendrite) -> None:
    stream = await dendrite(peer, Words())
    with pytest.raises(RuntimeError):
        async with asyncio.timeout(PATIENCE_S):
            async for _ in stream:
                await stream.final()


async def test_break_after_two_of_twelve_chunks_is_clean_and_reaches_the_miner(
    peer: Peer, dendrite: Dendrite, miner: Miner
) -> None:
    miner.pause_s = 0.05
    got: list[str] = []
    stream = await dendrite(peer, Words(count=12))
    async for chunk in stream:
        got.append(chunk)
        if len(got) == 2:
            break
    assert got == ["0 ", "1 "]
    await until(lambda: miner.ended)
    assert miner.ended in (["CancelledError"], ["GeneratorExit"])


async def test_getters_of_a_stream_that_was_left_raise(
    peer: Peer, dendrite: Dendrite, miner: Miner
) -> None:
    miner.pause_s = 0.05
    stream = await dendrite(peer, Words(count=12))
    async for _ in stream:
        break
    await until(lambda: stream.done)
    for _ in range(2):
        with pytest.raises(StreamInterrupted) as caught:
            await stream
        assert caught.value.chunks >= 1


async def test_a_getter_right_after_a_break_raises_the_same(
    peer: Peer, dendrite: Dendrite, miner: Miner
) -> None:
    miner.pause_s = 0.05
    for lock in (None, asyncio.Lock()):
        stream = await dendrite.stream(peer, Words(count=12), lock=lock)
        async for _ in stream:
            break
        with pytest.raises(StreamInterrupted):
            await stream


async def test_a_waiting_getter_is_told_when_the_reader_leaves(
    peer: Peer, dendrite: Dendrite, miner: Miner
) -> None:
    miner.pause_s = 0.05
    stream = await dendrite(peer, Words(count=12))
    chunks = stream.chunks()
    await anext(chunks)
    waiting = asyncio.create_task(stream.final())
    await asyncio.sleep(0)
    await chunks.aclose()
    with pytest.raises(StreamInterrupted):
        await asyncio.wait_for(waiting, PATIENCE_S)


async def test_a_reader_task_that_is_cancelled_closes_the_stream(
    peer: Peer, dendrite: Dendrite, miner: Miner
) -> None:
    miner.pause_s = 0.05
    stream = await dendrite(peer, Words(count=100))

    async def read() -> None:
        async for _ in stream:
            pass

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await until(lambda: miner.ended)
    with pytest.raises(StreamInterrupted):
        await stream


async def test_aclose_twice_and_after_the_end_is_nothing(
    peer: Peer, dendrite: Dendrite, miner: Miner
) -> None:
    stream = await dendrite(peer, Words())
    await stream
    await stream.aclose()
    await stream.aclose()
    assert (await stream).is_success
    miner.pause_s = 0.05
    open_stream = await dendrite(peer, Words(count=12))
    await open_stream.aclose()
    await open_stream.aclose()
    await until(lambda: len(miner.ended) == miner.started)
    with pytest.raises(StreamInterrupted):
        await open_stream


async def test_async_with_closes_the_stream(peer: Peer, dendrite: Dendrite, miner: Miner) -> None:
    miner.pause_s = 0.05
    async with await dendrite(peer, Words(count=12)) as stream:
        async for _ in stream:
            break
    assert stream.done
    await until(lambda: miner.ended)
    assert "complete" not in miner.ended


async def test_async_with_lets_the_bodys_own_exception_through(
    peer: Peer, dendrite: Dendrite, miner: Miner
) -> None:
    miner.pause_s = 0.05
    with pytest.raises(KeyError, match="mine"):
        async with dendrite.stream(peer, Words(count=12)) as stream:
            async for _ in stream:
                raise KeyError("mine")
    await until(lambda: miner.ended)


@pytest.mark.parametrize("use", ["await", "iterate", "with", "chunks", "final"])
async def test_dendrite_stream_may_be_used_directly(
    peer: Peer, dendrite: Dendrite, use: str
) -> None:
    opening = dendrite.stream(peer, Words())
    if use == "await":
        assert (await (await opening)).completion == "0 1 2 "
    elif use == "iterate":
        assert [item async for item in opening][-1].completion == "0 1 2 "
    elif use == "with":
        async with opening as stream:
            assert (await stream).completion == "0 1 2 "
    elif use == "chunks":
        assert [item async for item in opening.chunks()] == ["0 ", "1 ", "2 "]
    else:
        assert (await opening.final()).completion == "0 1 2 "
        await opening.aclose()


async def test_a_stream_dropped_without_iterating_cancels_the_miner(
    peer: Peer, dendrite: Dendrite, miner: Miner
) -> None:
    miner.pause_s = 0.05
    stream = await dendrite(peer, Words(count=100))
    await until(lambda: miner.started)
    del stream
    gc.collect()
    await until(lambda: miner.ended)
    assert miner.ended != ["complete"]


async def test_closing_the_dendrite_closes_open_streams(
    peer: Peer, dendrite: Dendrite, miner: Miner
) -> None:
    miner.pause_s = 0.05
    iterated = await dendrite(peer, Words(count=100))
    untouched = await dendrite(peer, Words(count=100))
    chunks = iterated.chunks()
    await anext(chunks)
    await until(lambda: miner.started == 2)
    await dendrite.aclose()
    await dendrite.aclose()
    rest = await asyncio.wait_for(_read(chunks), PATIENCE_S)
    assert len(rest) < 10
    for stream in (iterated, untouched):
        final = await asyncio.wait_for(stream.final(), PATIENCE_S)
        assert (final.is_success, final.dendrite.status_code) == (False, 503)
    await until(lambda: len(miner.ended) == 2)


async def _read(chunks: AsyncIterator[str]) -> list[str]:
    return [chunk async for chunk in chunks]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_after_is_called_once_with_the_final_synapse(
    peer: Peer, dendrite: Dendrite, kind: str
) -> None:
    seen: list[object] = []

    async def after_async(synapse: object) -> None:
        await asyncio.sleep(0)
        seen.append(synapse)

    after = after_async if kind == "async" else seen.append
    async with dendrite.stream(peer, Words(), after=after) as stream:
        final = await stream
        await stream
    assert seen == [final]


@pytest.mark.parametrize("how", ["failure", "break", "close"])
async def test_after_is_not_called_when_the_reply_did_not_come_whole(
    peer: Peer, dendrite: Dendrite, miner: Miner, how: str
) -> None:
    seen: list[object] = []
    miner.pause_s = 0.02
    miner.fail_after = 2 if how == "failure" else None
    async with dendrite.stream(peer, Words(count=12), after=seen.append) as stream:
        if how != "close":
            async for _ in stream:
                if how == "break":
                    break
    await until(lambda: miner.ended)
    assert seen == []


async def test_what_after_raises_every_getter_raises(peer: Peer, dendrite: Dendrite) -> None:
    def after(synapse: object) -> None:
        raise KeyError("after")

    stream = await dendrite.stream(peer, Words(), after=after)
    got: list[str] = []
    with pytest.raises(KeyError, match="after"):
        async for item in stream:
            got.append(item)
    assert got == ["0 ", "1 ", "2 "]
    for _ in range(2):
        with pytest.raises(KeyError, match="after"):
            await stream


async def test_a_lock_is_held_from_before_the_first_chunk_to_the_end(
    peer: Peer, dendrite: Dendrite
) -> None:
    lock = asyncio.Lock()
    stream = await dendrite.stream(peer, Words(), lock=lock)
    assert not lock.locked()
    async for item in stream:
        if isinstance(item, str):
            assert lock.locked()
    assert not lock.locked()


async def test_streams_that_share_a_lock_are_read_one_after_another(
    peer: Peer, dendrite: Dendrite
) -> None:
    lock, order = asyncio.Lock(), []

    async def read(name: str) -> None:
        async for _ in dendrite.stream(peer, Words(), lock=lock).chunks():
            order.append(name)
            await asyncio.sleep(0.005)

    await asyncio.gather(read("a"), read("b"))
    assert order in (["a"] * 3 + ["b"] * 3, ["b"] * 3 + ["a"] * 3)


@pytest.mark.parametrize("how", ["break", "failure", "cancel"])
async def test_a_lock_is_released_however_the_stream_ends(
    peer: Peer, dendrite: Dendrite, miner: Miner, how: str
) -> None:
    lock = asyncio.Lock()
    miner.pause_s = 0.02
    miner.fail_after = 2 if how == "failure" else None
    stream = await dendrite.stream(peer, Words(count=50), lock=lock)

    async def read() -> None:
        async for _ in stream:
            if how == "break":
                break

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.1)
    if how == "cancel":
        reading.cancel()
    await asyncio.wait([reading])
    await until(lambda: not lock.locked())
    await until(lambda: miner.ended)


async def test_an_error_is_raised_by_iteration_and_every_getter(
    peer: Peer, dendrite: Dendrite, miner: Miner
) -> None:
    miner.fail_after = 1
    stream = await dendrite.stream(peer, Words(), raise_errors=True)
    got: list[object] = []
    with pytest.raises(PeerRefused) as caught:
        async for item in stream:
            got.append(item)
    assert got == ["0 "]
    assert caught.value.status == 500
    for _ in range(2):
        with pytest.raises(PeerRefused):
            await asyncio.wait_for(stream.final(), PATIENCE_S)


async def test_a_fault_on_the_callers_own_side_is_no_success(peer: Peer, alice: Keypair) -> None:
    def broken_clock() -> int:
        raise ZeroDivisionError

    async with Dendrite(alice, clock_ns=broken_clock) as dendrite:
        final = await (await dendrite(peer, Words()))
        assert not final.is_success
        with pytest.raises(ZeroDivisionError):
            await dendrite.call(peer, Words(), raise_errors=True)


async def test_from_synapse_gives_a_reply_that_is_already_there() -> None:
    final = Words(completion="there")
    stream: Stream = Stream.from_synapse(final)
    assert [item async for item in stream] == ["there", final]
    assert await stream is final
    with pytest.raises(RuntimeError):
        stream.chunks()
    unary = Echo(text="x", answer="y")
    assert [item async for item in Stream.from_synapse(unary)] == [unary]
    assert await Stream.from_synapse(Words(completion="z")) == Words(completion="z")


async def test_a_repr_tells_the_state(peer: Peer, dendrite: Dendrite, miner: Miner) -> None:
    stream = await dendrite(peer, Words())
    assert "open" in repr(stream)
    assert "1 streams open" in repr(dendrite)
    await stream
    assert "complete" in repr(stream)
    miner.pause_s = 0.05
    left = await dendrite(peer, Words(count=20))
    await left.aclose()
    assert "StreamInterrupted" in repr(left)
