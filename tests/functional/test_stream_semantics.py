"""kani's rules for a stream: `after` once, and a `lock` from the first chunk to the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from node import Axon, Dendrite, Keypair, Peer, Stream, TextStream
from node.errors import CallError, PeerTimeout, StreamInterrupted

from .paced_miner import PacedMiner, check_getters, raised
from .synapses import PATIENCE_S, Echo, Words, until


@pytest.fixture
def miner() -> PacedMiner:
    return PacedMiner()


@pytest.fixture
async def peer(axon: Axon, miner: PacedMiner) -> AsyncIterator[Peer]:
    axon.attach(miner.forward)
    async with axon:
        yield axon.info()


# After.


@pytest.mark.parametrize("use", ["iterate", "chunks", "await", "many"])
async def test_after_runs_once_when_the_last_chunk_has_come(
    peer: Peer, dendrite: Dendrite, use: str
) -> None:
    events: list[str] = []

    async def after(synapse: Any) -> None:
        await asyncio.sleep(0.02)
        assert synapse.is_success
        events.append(synapse.completion)

    stream = await dendrite.stream(peer, Words(), after=after)
    if use == "iterate":
        async for item in stream:
            events.append(item if isinstance(item, str) else "final")
        assert events == ["0 ", "1 ", "2 ", "0 1 2 ", "final"]
    elif use == "chunks":
        async for chunk in stream.chunks():
            events.append(chunk)
        assert events == ["0 ", "1 ", "2 ", "0 1 2 "]
    elif use == "await":
        await stream
    else:
        await asyncio.gather(*(stream.final() for _ in range(5)))
    await stream
    assert events.count("0 1 2 ") == 1


async def test_no_getter_finishes_before_after_has(peer: Peer, dendrite: Dendrite) -> None:
    done: list[str] = []

    async def after(synapse: Any) -> None:
        await asyncio.sleep(0.1)
        done.append("after")

    async def get() -> None:
        await stream.final()
        done.append("getter")

    stream = await dendrite.stream(peer, Words(), after=after)
    await asyncio.gather(get(), get())
    assert done == ["after", "getter", "getter"]


@pytest.mark.parametrize("how", ["error", "break", "aclose", "cancel", "deadline"])
async def test_after_does_not_run_for_what_did_not_come_whole(
    peer: Peer, dendrite: Dendrite, miner: PacedMiner, how: str
) -> None:
    seen: list[Any] = []
    miner.fail_after = 3 if how == "error" else None
    timeout = 0.1 if how == "deadline" else 5
    stream = await dendrite.stream(peer, Words(count=30), timeout=timeout, after=seen.append)

    async def read() -> None:
        async for _ in stream.chunks():
            if how == "break":
                break

    reading = asyncio.create_task(read())
    await until(lambda: stream.timing.chunks)
    if how == "aclose":
        await stream.aclose()
    elif how == "cancel":
        reading.cancel()
    await asyncio.wait([reading])
    await until(lambda: miner.ended)
    await raised(stream.final())
    assert seen == []
    await asyncio.gather(reading, return_exceptions=True)


@pytest.mark.parametrize("raise_errors", [True, False])
@pytest.mark.parametrize(
    "error",
    [KeyError("mine"), PeerTimeout("of another call", phase="total", peer="another")],
    ids=["any", "a CallError"],
)
async def test_what_after_raises_reaches_the_reader_and_every_getter(
    peer: Peer, dendrite: Dendrite, error: Exception, raise_errors: bool
) -> None:
    def after(synapse: Any) -> None:
        raise error

    stream = await dendrite.stream(peer, Words(), after=after, raise_errors=raise_errors)
    got: list[Any] = []
    with pytest.raises(type(error)) as caught:
        async for item in stream:
            got.append(item)
    assert caught.value is error
    assert got == ["0 ", "1 ", "2 "]
    await check_getters(stream, type(error))
    # The call itself went well, and its synapse says so.
    assert stream.synapse.is_success
    assert isinstance(error, KeyError) or error.peer == "another"  # type: ignore[attr-defined]


async def test_an_after_error_reaches_getters_that_wait(peer: Peer, dendrite: Dendrite) -> None:
    async def after(synapse: Any) -> None:
        raise KeyError("mine")

    stream = await dendrite.stream(peer, Words(), after=after)
    waiting = [asyncio.create_task(stream.final()) for _ in range(3)]
    await asyncio.wait(waiting, timeout=PATIENCE_S)
    assert {type(one.exception()) for one in waiting} == {KeyError}


# Lock.


async def test_the_lock_is_taken_by_the_first_chunk_and_given_back_after_after(
    peer: Peer, dendrite: Dendrite
) -> None:
    lock, held = asyncio.Lock(), []

    def after(synapse: Any) -> None:
        held.append(lock.locked())

    stream = await dendrite.stream(peer, Words(), lock=lock, after=after)
    await until(lambda: stream.timing.chunks)
    assert not lock.locked()  # what was read ahead is nobody's yet
    chunks = stream.chunks()
    assert not lock.locked()
    async for _ in chunks:
        held.append(lock.locked())
    assert held == [True] * 4
    assert not lock.locked()


@pytest.mark.parametrize("how", ["error", "after", "break", "aclose", "cancel", "hook"])
async def test_the_lock_is_given_back_however_it_ends(
    peer: Peer, dendrite: Dendrite, miner: PacedMiner, how: str
) -> None:
    lock = asyncio.Lock()
    miner.fail_after = 2 if how == "error" else None

    def after(synapse: Any) -> None:
        raise KeyError("mine")

    stream = await dendrite.stream(
        peer, Words(count=3 if how == "after" else 500), lock=lock, raise_errors=True,
        after=after if how == "after" else None,
    )  # fmt: skip

    async def read() -> None:
        async for _ in stream.chunks():
            assert lock.locked()
            if how == "break":
                break
            if how == "hook":
                raise ZeroDivisionError

    reading = asyncio.create_task(read())
    await until(lambda: lock.locked() or reading.done())
    if how == "aclose":
        await stream.aclose()
    elif how == "cancel":
        reading.cancel()
    await asyncio.wait([reading], timeout=PATIENCE_S)
    await until(lambda: not lock.locked())
    async with asyncio.timeout(PATIENCE_S), lock:
        pass  # another stream may go on
    await until(lambda: miner.ended)
    await asyncio.gather(reading, return_exceptions=True)


async def test_a_stream_that_waits_for_its_lock_can_be_closed(
    peer: Peer, dendrite: Dendrite
) -> None:
    lock = asyncio.Lock()
    async with lock:
        stream = await dendrite.stream(peer, Words(), lock=lock)
        reading = asyncio.create_task(stream.final())
        await asyncio.sleep(0.05)
        assert not reading.done()
        await stream.aclose()
        assert type(await raised(stream.final())) is StreamInterrupted
    assert type(await raised(reading)) is StreamInterrupted
    assert not lock.locked()


async def test_any_async_context_manager_is_a_lock(peer: Peer, dendrite: Dendrite) -> None:
    semaphore = asyncio.Semaphore(1)
    began: list[float] = []

    async def read() -> None:
        async for _ in dendrite.stream(peer, Words(), lock=semaphore).chunks():
            began.append(time.perf_counter())

    await asyncio.gather(read(), read())
    assert began == sorted(began)
    assert not semaphore.locked()


# A reply that is already there.


async def test_from_synapse_is_a_stream_like_any_other() -> None:
    seen: list[Any] = []
    lock = asyncio.Lock()
    final = Words(completion="there")
    stream: Stream = Stream.from_synapse(final, after=seen.append, lock=lock)
    assert (stream.peer, stream.receipt, stream.done) == (None, None, False)
    assert [(item, lock.locked()) async for item in stream] == [("there", True), (final, False)]
    assert seen == [final]
    assert await stream is await stream.final() is final
    assert stream.done
    await stream.aclose()
    with pytest.raises(RuntimeError, match="consumed"):
        stream.chunks()


async def test_from_synapse_that_is_left_or_fails_tells_its_getters() -> None:
    def after(synapse: Any) -> None:
        raise KeyError("mine")

    failing = Stream.from_synapse(Words(completion="there"), after=after)
    with pytest.raises(KeyError):
        await failing
    await check_getters(failing, KeyError)
    closed = Stream.from_synapse(Words(completion="there"))
    await closed.aclose()
    await check_getters(closed, StreamInterrupted)
    left = Stream.from_synapse(Words(completion="there"))
    async for _ in left:
        break
    await check_getters(left, StreamInterrupted)


class Shouted(TextStream):
    def deserialize(self) -> str:
        return self.completion.upper()


async def test_from_synapse_may_be_deserialized() -> None:
    stream: Stream = Stream.from_synapse(Shouted(completion="a"), deserialize=True)
    assert [item async for item in stream] == ["a", "A"]
    assert await stream == "A"
    assert await Stream.from_synapse(Echo(text="x", answer="y")) == Echo(text="x", answer="y")


# Deadlines that are not set.


async def test_a_phase_without_a_limit_is_not_held_to_the_one_before(
    axon: Axon, alice: Keypair
) -> None:
    async def slow(synapse: Words) -> AsyncIterator[str]:
        await asyncio.sleep(0.4)
        yield "x"

    async def slow_echo(synapse: Echo) -> Echo:
        await asyncio.sleep(0.4)
        return synapse

    axon.attach(slow).attach(slow_echo)
    async with axon, Dendrite(alice, connect=0.2) as dendrite:
        for question in (Words(), Echo(text="")):
            try:
                await dendrite.call(axon.info(), question, timeout=None, raise_errors=True)
            except CallError as error:
                pytest.fail(f"{question.name}: {error}")
