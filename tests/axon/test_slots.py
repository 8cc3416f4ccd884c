from __future__ import annotations

import asyncio
from collections import Counter

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
    await asyncio.wait_for(slots.acquire(0), 8)


# Routes with a capacity of their own.


class Runs:
    """Tasks that run until they are told to end.

    Attributes:
        order: What started, in order.
        running: How many run now, by route.
    """

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.order: list[str] = []
        self.running: Counter[str] = Counter()
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def ask(self, name: str, route: str, priority: float = 0.0) -> None:
        self._ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._run(name, route, priority))
        await self.rest()

    async def _run(self, name: str, route: str, priority: float) -> None:
        await self.slots.acquire(priority, route)
        self.order.append(name)
        self.running[route] += 1
        try:
            await self._ends[name].wait()
        finally:
            self.running[route] -= 1
            self.slots.release(route)

    async def end(self, *names: str) -> None:
        for name in names:
            self._ends[name].set()
        await self.rest()

    async def end_all(self) -> None:
        await self.end(*self.tasks)
        await asyncio.gather(*self.tasks.values())
        assert self.slots.waiting == 0
        assert self.running.total() == 0

    async def rest(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
def runs() -> Runs:
    """Three places; no more than one of them for "narrow"."""
    slots = Slots(3, 10)
    slots.limit("narrow", 1)
    return Runs(slots)


async def test_no_more_of_a_route_run_than_its_capacity(runs: Runs) -> None:
    for number in range(4):
        await runs.ask(f"n{number}", "narrow")
    assert runs.running == {"narrow": 1}
    assert runs.slots.waiting == 3
    await runs.end("n0")
    assert runs.order == ["n0", "n1"]
    await runs.end_all()
    assert runs.order == ["n0", "n1", "n2", "n3"]


async def test_a_route_at_its_capacity_holds_up_no_other_that_comes(runs: Runs) -> None:
    await runs.ask("n0", "narrow")
    await runs.ask("n1", "narrow", 99)
    await runs.ask("w0", "wide")
    await runs.ask("w1", "wide")
    assert runs.order == ["n0", "w0", "w1"]
    await runs.end_all()


async def test_a_route_at_its_capacity_holds_up_no_other_that_waits(runs: Runs) -> None:
    await runs.ask("n0", "narrow")
    for name in ("w0", "w1"):
        await runs.ask(name, "wide")
    await runs.ask("n1", "narrow", 99)
    await runs.ask("n2", "narrow", 98)
    await runs.ask("w2", "wide", 1)
    await runs.ask("w3", "wide", 2)
    assert runs.slots.waiting == 4
    await runs.end("w0")
    assert runs.order == ["n0", "w0", "w1", "w3"]
    await runs.end("n0")
    assert runs.order[4:] == ["n1"]
    await runs.end("w1")
    assert runs.order[5:] == ["w2"]
    await runs.end_all()
    assert runs.order[6:] == ["n2"]


async def test_a_freed_place_goes_to_the_highest_priority_of_any_route(runs: Runs) -> None:
    for name in ("w0", "w1", "w2"):
        await runs.ask(name, "wide")
    await runs.ask("w3", "wide", 1)
    await runs.ask("n0", "narrow", 2)
    await runs.ask("o0", "other", 3)
    await runs.end("w0")
    await runs.end("w1")
    await runs.end("w2")
    assert runs.order[3:] == ["o0", "n0", "w3"]
    await runs.end_all()


async def test_the_queue_of_all_routes_has_one_bound_and_one_order(runs: Runs) -> None:
    slots = Slots(1, 2)
    slots.limit("narrow", 1)
    runs = Runs(slots)
    await runs.ask("n0", "narrow")
    await runs.ask("n1", "narrow", 1)
    await runs.ask("w0", "wide", 2)
    await runs.ask("refused", "wide", 1)
    with pytest.raises(Overloaded):
        await runs.tasks.pop("refused")
    await runs.ask("w1", "wide", 3)
    with pytest.raises(Overloaded):
        await runs.tasks.pop("n1")
    await runs.ask("n2", "narrow", 4)
    with pytest.raises(Overloaded):
        await runs.tasks.pop("w0")
    assert slots.waiting == 2
    await runs.end_all()
    assert runs.order == ["n0", "n2", "w1"]


async def test_who_is_cancelled_gives_back_the_place_of_its_route(runs: Runs) -> None:
    await runs.ask("running", "narrow")
    await runs.ask("waiting", "narrow", 9)
    await runs.ask("next", "narrow")
    for name in ("waiting", "running"):
        runs.tasks.pop(name).cancel()
        await runs.rest()
    assert runs.order == ["running", "next"]
    assert runs.slots.waiting == 0
    await runs.end_all()


async def test_a_place_of_a_route_given_to_somebody_cancelled_at_that_moment_is_not_lost(
    runs: Runs,
) -> None:
    await runs.slots.acquire(0, "narrow")
    gone = asyncio.create_task(runs.slots.acquire(9, "narrow"))
    await asyncio.sleep(0)
    runs.slots.release("narrow")
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await asyncio.wait_for(runs.slots.acquire(0, "narrow"), 8)
    runs.slots.release("narrow")


async def test_a_capacity_can_change_while_forwards_run_and_wait(runs: Runs) -> None:
    for number in range(6):
        await runs.ask(f"n{number}", "narrow")
    runs.slots.limit("narrow", 2)
    await runs.rest()
    assert runs.order == ["n0", "n1"]
    runs.slots.limit("narrow", 1)
    await runs.end("n0")
    assert runs.order == ["n0", "n1"]
    await runs.end("n1")
    assert runs.order == ["n0", "n1", "n2"]
    runs.slots.limit("narrow", 99)
    await runs.rest()
    assert runs.running == {"narrow": 3}  # of four, since there are three places in all
    await runs.end_all()
