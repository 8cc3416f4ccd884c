"""Who awaits a `Wake` goes on within `wake`, and is otherwise as one who awaits a future."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable

import pytest

from node.wake import Wake

mark = contextvars.ContextVar("mark", default="unset")


class Waiting:
    """A task that awaits a wake, and a log of what happens around it."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.wake = Wake(asyncio.get_running_loop())
        self.task = asyncio.create_task(self.wait())

    async def wait(self) -> None:
        mark.set("of the task")
        await self.wake
        self.log.append(f"awake, {mark.get()}")
        await asyncio.sleep(0)
        self.log.append("later")

    def ring(self) -> None:
        self.log.append("ring")
        self.wake.wake()
        self.log.append("rung")


@pytest.fixture
async def waiting() -> AsyncIterator[Waiting]:
    it = Waiting()
    await asyncio.sleep(0)
    yield it
    it.task.cancel()
    await asyncio.wait([it.task], timeout=5)


async def in_a_callback(call: Callable[[], object]) -> None:
    asyncio.get_running_loop().call_soon(call)
    await asyncio.sleep(0)


async def test_a_task_goes_on_before_wake_returns_until_it_waits_again(waiting: Waiting) -> None:
    await in_a_callback(waiting.ring)
    assert waiting.log == ["ring", "awake, of the task", "rung"]
    await waiting.task
    assert waiting.log[3:] == ["later"]


async def test_in_the_step_of_a_task_it_goes_on_with_the_next_turn(waiting: Waiting) -> None:
    waiting.ring()
    assert waiting.log == ["ring", "rung"]
    await waiting.task
    assert waiting.log[2:] == ["awake, of the task", "later"]


async def test_one_woken_before_it_is_awaited_is_not_waited_for() -> None:
    wake = Wake(asyncio.get_running_loop())
    await in_a_callback(wake.wake)
    async with asyncio.timeout(5):
        await wake


async def test_waking_twice_wakes_once(waiting: Waiting) -> None:
    await in_a_callback(waiting.ring)
    waiting.wake.wake()
    await waiting.task
    assert waiting.log == ["ring", "awake, of the task", "rung", "later"]


async def test_a_task_that_was_cancelled_stays_so(waiting: Waiting) -> None:
    waiting.task.cancel()
    await in_a_callback(waiting.ring)
    with pytest.raises(asyncio.CancelledError):
        await waiting.task
    assert waiting.log == ["ring", "rung"]


async def test_what_the_task_raises_is_the_tasks_own() -> None:
    wake = Wake(asyncio.get_running_loop())

    async def fail() -> None:
        await wake
        raise ValueError("its own")

    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    await in_a_callback(wake.wake)
    with pytest.raises(ValueError, match="its own"):
        await task


async def test_all_who_await_one_go_on() -> None:
    wake = Wake(asyncio.get_running_loop())

    async def wait() -> None:
        await wake

    tasks = [asyncio.create_task(wait()) for _ in range(3)]
    await asyncio.sleep(0)
    await in_a_callback(wake.wake)
    async with asyncio.timeout(5):
        await asyncio.gather(*tasks)
