from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from node.axon.handoff import Handoff


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


async def test_the_thread_waits_for_a_reader_that_is_slow() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    loop = asyncio.get_running_loop()
    handoff = Handoff(loop)
    walk = loop.run_in_executor(None, handoff.walk, numbers())
    await asyncio.sleep(0.1)
    assert len(made) < 20
    handoff.stop()
    await asyncio.wait_for(walk, 8)


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
