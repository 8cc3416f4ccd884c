"""Reading many streams at once, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from node import Stream, Synapse
from node.dendrite.fan import first_good, merge, together
from tests.functional.synapses import Echo, until


class Source:
    """Takes the place of a stream: yields what a test puts, and notes its end."""

    def __init__(self, name: str) -> None:
        self.peer = name
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.ended: str = ""
        self.closed = False

    def put(self, *chunks: Any) -> Source:
        for chunk in chunks:
            self.queue.put_nowait(chunk)
        return self

    async def chunks(self) -> AsyncIterator[Any]:
        try:
            while (chunk := await self.queue.get()) is not None:
                if isinstance(chunk, Exception):
                    raise chunk
                yield chunk
        except BaseException as error:
            self.ended = type(error).__name__
            raise
        else:
            self.ended = "complete"

    def abandon(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


def merged(*sources: Source) -> AsyncIterator[tuple[Any, Any]]:
    streams: Any = sources
    return merge(streams)


async def test_pairs_come_in_the_order_of_arrival() -> None:
    a, b = Source("a"), Source("b")
    pairs = merged(a, b)
    got: list[tuple[Any, Any]] = []
    for source, chunk in ((b, 1), (a, 2), (a, 3), (b, 4)):
        source.put(chunk)
        got.append(await asyncio.wait_for(anext(pairs), 8))
    assert got == [("b", 1), ("a", 2), ("a", 3), ("b", 4)]
    a.put(None)
    b.put(5, None)
    assert [pair async for pair in pairs] == [("b", 5)]


async def test_one_stream_keeps_its_own_order_and_nothing_is_lost() -> None:
    sources = [Source(str(number)).put(*range(200), None) for number in range(5)]
    got = [pair async for pair in merged(*sources)]
    for source in sources:
        assert [chunk for peer, chunk in got if peer == source.peer] == list(range(200))


async def test_none_at_all_is_an_empty_merge() -> None:
    assert [pair async for pair in merged()] == []
    assert [pair async for pair in merged(Source("a").put(None))] == []


async def test_what_a_stream_raises_comes_after_all_chunks_and_as_itself() -> None:
    good, bad = Source("good"), Source("bad").put("b", KeyError("mine"))
    pairs = merged(good, bad)
    assert await anext(pairs) == ("bad", "b")
    got: list[Any] = []
    good.put("g", "h", None)
    with pytest.raises(KeyError, match="mine"):
        async for pair in pairs:
            got.append(pair)
    assert got == [("good", "g"), ("good", "h")]


async def test_a_slow_loop_holds_the_streams_back() -> None:
    source = Source("a").put(*range(1000))
    pairs = merged(source)
    await anext(pairs)
    await asyncio.sleep(0.05)
    assert source.queue.qsize() > 900
    await pairs.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("waiting", ["for a chunk", "for room"])
async def test_a_loop_that_is_left_closes_every_stream(waiting: str) -> None:
    chunks = [1] if waiting == "for a chunk" else range(1000)
    sources = [Source(name).put(*chunks) for name in "abc"]
    async for _ in merged(*sources):
        await asyncio.sleep(0.02)
        break
    await until(lambda: all(source.closed for source in sources))
    await until(lambda: {source.ended for source in sources} <= {"CancelledError", "GeneratorExit"})


async def test_a_merge_that_is_cancelled_at_once_closes_every_stream() -> None:
    sources = [Source(name).put(1) for name in "ab"]
    pairs = merged(*sources)
    task = asyncio.ensure_future(anext(pairs))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert all(source.closed for source in sources)


async def test_a_loop_that_is_cancelled_closes_every_stream() -> None:
    sources = [Source(name).put(1) for name in "ab"]

    async def read() -> None:
        async for _ in merged(*sources):
            pass

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.02)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert all(source.closed for source in sources)
    assert {source.ended for source in sources} == {"CancelledError"}


async def test_a_stream_that_is_over_is_told_and_the_others_go_on() -> None:
    over: Stream = Stream.from_synapse(Echo(text="x"))
    await over
    source: Any = Source("a").put(1, None)
    pairs: AsyncIterator[Any] = merge([over, source])
    assert await anext(pairs) == ("a", 1)
    with pytest.raises(RuntimeError, match="consumed"):
        await anext(pairs)


# The first good replies.


def answered(number: int, status: int = 200) -> Synapse:
    reply = Echo(text=str(number))
    reply.dendrite.status_code = status
    return reply


class Calls:
    """Calls that take some seconds, and note who was cancelled."""

    def __init__(self) -> None:
        self.cancelled: list[int] = []

    async def one(self, number: int, pause_s: float, status: int = 200) -> Synapse:
        try:
            await asyncio.sleep(pause_s)
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        return answered(number, status)


async def test_the_first_good_ones_in_order_of_arrival_and_the_rest_cancelled() -> None:
    calls = Calls()
    pauses = [30, 0.1, 0.02, 0, 30]
    statuses = [200, 200, 200, 503, 200]
    pairs = zip(pauses, statuses, strict=True)
    found = await first_good(
        [calls.one(n, pause, status) for n, (pause, status) in enumerate(pairs)], 2
    )
    assert [reply.text for reply in found if isinstance(reply, Echo)] == ["2", "1"]
    assert sorted(calls.cancelled) == [0, 4]


@pytest.mark.parametrize("n", [1, 3, 5])
async def test_never_more_than_were_asked_for(n: int) -> None:
    calls = Calls()
    assert len(await first_good([calls.one(number, 0) for number in range(5)], n)) == n


async def test_fewer_when_fewer_succeed() -> None:
    calls = Calls()
    found = await first_good([calls.one(n, 0, 200 if n == 3 else 500) for n in range(5)], 2)
    assert len(found) == 1
    assert await first_good([], 2) == []


async def test_an_error_of_a_call_ends_the_rest() -> None:
    calls = Calls()

    async def broken() -> Synapse:
        raise KeyError("mine")

    with pytest.raises(KeyError):
        await first_good([calls.one(0, 30), broken()], 1)
    assert calls.cancelled == [0]


async def test_a_wait_that_is_cancelled_cancels_every_call() -> None:
    calls = Calls()
    waiting = asyncio.create_task(first_good([calls.one(n, 30) for n in range(3)], 1))
    await asyncio.sleep(0.02)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert sorted(calls.cancelled) == [0, 1, 2]


# All of them.


async def test_together_keeps_the_order_of_the_calls() -> None:
    calls = Calls()
    found = await together([calls.one(n, 0.02 * (3 - n)) for n in range(3)])
    assert [reply.text for reply in found] == ["0", "1", "2"]
    assert await together([]) == []


async def test_together_leaves_none_running_when_one_raises() -> None:
    calls = Calls()

    async def broken() -> Synapse:
        await asyncio.sleep(0.01)
        raise KeyError("mine")

    with pytest.raises(KeyError):
        await together([calls.one(0, 30), broken(), calls.one(2, 30)])
    assert sorted(calls.cancelled) == [0, 2]
