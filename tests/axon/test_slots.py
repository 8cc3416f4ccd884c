from __future__ import annotations

import asyncio

import pytest

from node.axon.slots import Slots
from node.errors import Overloaded


async def test_waiters_start_by_priority_then_by_arrival() -> None:
    slots = Slots(1, 10)
    await slots.acquire(0)
    order: list[str] = []

    async def run(name: str, priority: float) -> None:
        await slots.acquire(priority)
        order.append(name)
        slots.release()

    names = [("low", -1.0), ("first", 5.0), ("second", 5.0), ("top", float("inf")), ("mid", 1.0)]
    tasks = [asyncio.create_task(run(*pair)) for pair in names]
    await asyncio.sleep(0)
    slots.release()
    await asyncio.gather(*tasks)
    assert order == ["top", "first", "second", "mid", "low"]


async def test_a_full_queue_refuses_a_newcomer_of_equal_priority() -> None:
    slots = Slots(1, 1)
    await slots.acquire(0)
    waiting = asyncio.create_task(slots.acquire(1))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as caught:
        await slots.acquire(1)
    assert caught.value.retry_after
    slots.release()
    await waiting


async def test_a_full_queue_gives_the_lowest_place_to_a_higher_priority() -> None:
    slots = Slots(1, 1)
    await slots.acquire(0)
    low = asyncio.create_task(slots.acquire(1))
    await asyncio.sleep(0)
    high = asyncio.create_task(slots.acquire(2))
    with pytest.raises(Overloaded):
        await low
    slots.release()
    await high


async def test_no_queue_at_all_refuses_at_once() -> None:
    slots = Slots(1, 0)
    await slots.acquire(0)
    with pytest.raises(Overloaded):
        await slots.acquire(100)


async def test_a_cancelled_waiter_leaves_no_hole() -> None:
    slots = Slots(1, 10)
    await slots.acquire(0)
    gone = asyncio.create_task(slots.acquire(9))
    stays = asyncio.create_task(slots.acquire(1))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    assert slots.waiting == 1
    slots.release()
    await stays


async def test_a_place_given_to_a_waiter_that_is_cancelled_at_that_moment_is_not_lost() -> None:
    slots = Slots(1, 10)
    await slots.acquire(0)
    gone = asyncio.create_task(slots.acquire(9))
    await asyncio.sleep(0)
    slots.release()  # the place is gone's, which has not run yet
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await asyncio.wait_for(slots.acquire(0), 1)
