from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from node.axon.handoff import Handoff
from tests.functional.synapses import until


async def test_items_come_in_order_and_from_one_thread() -> None:
    threads: set[int] = set()

    def numbers() -> Iterator[int]:
        try:
            for number in range(100):
                threads.add(threading.get_ident())
                yield number
        finally:
            threads.add(threading.get_ident())

    loop = asyncio.get_running_loop()
    handoff = Handoff(loop)
    walk = loop.run_in_executor(None, handoff.walk, numbers())
    assert [number async for number in handoff] == list(range(100))
    await walk
    assert len(threads) == 1
    assert threading.get_ident() not in threads


@pytest.mark.parametrize(
    ("item", "ahead"),
    [(1, 8), (b"x" * 65_536, 8), ("x" * 7168, 8), ("x" * 1024, 32), (b"x" * 1023, 64), ("", 64)],
    ids=["unknown", "bytes", "text", "1 KiB", "short bytes", "short text"],
)
async def test_the_thread_waits_for_a_reader_that_is_slow(item: object, ahead: int) -> None:
    made: list[object] = []

    def items() -> Iterator[object]:
        for _ in range(1000):
            made.append(item)
            yield item

    loop = asyncio.get_running_loop()
    handoff = Handoff(loop)
    walk = loop.run_in_executor(None, handoff.walk, items())
    try:
        await until(lambda: len(made) > ahead)
        await asyncio.sleep(0.05)
        assert len(made) == ahead + 1  # the last waits in the thread
    finally:
        handoff.stop()  # or a failure would wait for the thread for ever
        await asyncio.wait_for(walk, 8)


async def test_the_thread_goes_on_when_its_items_were_taken() -> None:
    def items() -> Iterator[str]:
        for number in range(1000):
            yield "x" * (number % 5 * 2000)

    loop = asyncio.get_running_loop()
    handoff = Handoff(loop)
    walk = loop.run_in_executor(None, handoff.walk, items())
    got = []
    try:
        async with asyncio.timeout(8):
            async for item in handoff:
                got.append(len(item))
                if len(got) % 100 == 0:
                    await asyncio.sleep(0.002)
    finally:
        handoff.stop()  # or a failure would wait for the thread for ever
        await walk
    assert got == [number % 5 * 2000 for number in range(1000)]


async def test_a_loop_that_is_busy_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    told: list[object] = []
    tell = loop.call_soon_threadsafe

    def noted(function: object, *arguments: object, **options: object) -> object:
        told.append(function)
        return tell(function, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "call_soon_threadsafe", noted)
    handoff = Handoff(loop)
    walked = threading.Thread(target=handoff.walk, args=(iter(["a"] * 50),))
    walked.start()
    walked.join(8)  # on the loop, which has no time for what it is told
    assert told == [handoff._arrive, handoff._end]
    assert [item async for item in handoff] == ["a"] * 50


async def test_what_the_generator_raises_comes_after_its_items() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("boom")

    loop = asyncio.get_running_loop()
    handoff = Handoff(loop)
    walk = loop.run_in_executor(None, handoff.walk, failing())
    got = []
    with pytest.raises(ValueError, match="boom"):
        async for number in handoff:
            got.append(number)
    await walk
    assert got == [1]


async def test_stopping_closes_the_generator_in_its_thread() -> None:
    closed: list[int] = []

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(threading.get_ident())

    loop = asyncio.get_running_loop()
    handoff = Handoff(loop)
    walk = loop.run_in_executor(None, handoff.walk, endless())
    async for _ in handoff:
        break
    handoff.stop()
    await asyncio.wait_for(walk, 8)
    assert closed
    assert closed[0] != threading.get_ident()
