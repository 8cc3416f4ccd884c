"""The start line: all go together, and nobody is waited for too long."""

from __future__ import annotations

import asyncio
import time

import pytest

from node.dendrite.startline import StartLine


async def runner(line: StartLine, ready_after_s: float, went: list[float]) -> None:
    await asyncio.sleep(ready_after_s)
    await line.ready()
    went.append(time.perf_counter())


async def test_nobody_goes_before_the_last_is_ready() -> None:
    line = StartLine(3, 10)
    went: list[float] = []
    began = time.perf_counter()
    await asyncio.gather(*(runner(line, delay, went) for delay in (0.0, 0.1, 0.2)))
    assert len(went) == 3
    assert went[0] - began >= 0.19


async def test_one_alone_goes_at_once() -> None:
    async with asyncio.timeout(8):
        await StartLine(1, 10).ready()


async def test_one_that_withdraws_holds_nobody_up() -> None:
    line = StartLine(3, 10)
    went: list[float] = []
    running = [asyncio.create_task(runner(line, 0, went)) for _ in range(2)]
    await asyncio.sleep(0.05)
    assert went == []
    line.withdraw()
    await asyncio.wait_for(asyncio.gather(*running), 8)
    assert len(went) == 2


async def test_those_who_are_ready_go_when_the_time_is_up() -> None:
    line = StartLine(3, 0.2)
    went: list[float] = []
    began = time.perf_counter()
    async with asyncio.timeout(20):
        await asyncio.gather(*(runner(line, 0, went) for _ in range(2)))
    assert went[0] - began >= 0.19
    # Who comes later does not wait any more.
    late = asyncio.create_task(line.ready())
    for _ in range(3):
        await asyncio.sleep(0)
    assert late.done()


async def test_a_runner_that_is_cancelled_at_the_line_still_counts() -> None:
    line = StartLine(2, 10)
    went: list[float] = []
    leaving = asyncio.create_task(runner(line, 0, went))
    await asyncio.sleep(0.02)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await asyncio.wait_for(runner(line, 0, went), 8)


async def test_no_timer_is_left_when_all_went() -> None:
    line = StartLine(2, 10)
    assert not line._timer.cancelled()
    line.withdraw()
    line.withdraw()
    assert line._timer.cancelled()
    line.withdraw()  # more than there were
