"""A task that loses a cancellation is ended all the same."""

from __future__ import annotations

import asyncio

import pytest

from node.network import ending
from node.network.ending import end_tasks


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "_AGAIN_S", 0.05)


async def losing(times: int) -> None:
    """Go on for ever, and lose that many cancellations, as `asyncio.wait_for` of 3.11 may."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if times == 0:
                raise
            times -= 1


async def test_a_lost_cancellation_is_repeated() -> None:
    tasks = [asyncio.create_task(losing(times)) for times in range(3)]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(20):
            await end_tasks(tasks)
        assert all(task.cancelled() for task in tasks)
    finally:
        for _ in tasks:  # or the loop would wait for them when this fails
            for task in tasks:
                task.cancel()
            await asyncio.sleep(0)


async def test_what_a_task_has_in_hand_when_it_ends_is_not_cut_short() -> None:
    closed = asyncio.Event()

    async def closing() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            closed.set()

    task = asyncio.create_task(closing())
    await asyncio.sleep(0)
    await end_tasks([task])
    assert closed.is_set()


async def test_an_error_is_raised_and_a_result_is_not() -> None:
    async def fail() -> None:
        raise ValueError("a fault")

    async def succeed() -> int:
        return 1

    tasks = [asyncio.create_task(succeed()), asyncio.create_task(fail())]
    await asyncio.wait(tasks)
    with pytest.raises(ValueError, match="a fault"):
        await end_tasks(tasks)


async def test_nothing_to_end_takes_no_time() -> None:
    await end_tasks([])
