from __future__ import annotations

import asyncio
import inspect
import threading
import time

import pytest

from node import errors
from node.network.dual_mode import AsyncDualMode, DualMode, async_dual_mode, dual_mode


class Counter(DualMode):
    def __init__(self) -> None:
        super().__init__()
        self.threads: list[threading.Thread] = []
        self.done: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    @dual_mode
    def count(self, value: int, *, fail: bool = False) -> int:
        """Count."""
        self.threads.append(threading.current_thread())
        assert self.gate.wait(5)
        if fail:
            raise errors.NetworkError("it failed")
        self.done.append(value)
        return value

    def __repr__(self) -> str:
        return "<Counter>"


def test_without_a_loop_it_returns_the_result_in_the_same_thread() -> None:
    with Counter() as counter:
        assert counter.count(3) == 3
        assert counter.threads == [threading.current_thread()]
        with pytest.raises(errors.NetworkError, match="failed"):
            counter.count(4, fail=True)
    assert counter.count.__doc__ == "Count."


async def test_inside_a_loop_it_is_awaited_and_runs_in_one_other_thread() -> None:
    async with Counter() as counter:
        awaitable = counter.count(3)
        assert inspect.isawaitable(awaitable)
        assert await awaitable == 3
        assert await asyncio.gather(*map(counter.count, range(20))) == list(range(20))
        with pytest.raises(errors.NetworkError, match="failed"):
            await counter.count(4, fail=True)
    (thread,) = set(counter.threads)
    assert thread is not threading.current_thread()
    await _ended(thread)


async def test_the_loop_runs_on_while_the_work_is_done() -> None:
    async with Counter() as counter:
        counter.gate.clear()
        waiting = asyncio.create_task(counter.count(1))
        for _ in range(3):
            await asyncio.sleep(0.001)
        assert not waiting.done()
        counter.gate.set()
        assert await waiting == 1


async def test_a_cancelled_call_happens_whole_or_never() -> None:
    async with Counter() as counter:
        counter.gate.clear()
        running = asyncio.create_task(counter.count(1))
        queued = asyncio.create_task(counter.count(2))
        while not counter.threads:
            await asyncio.sleep(0.001)
        for task in (running, queued):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        counter.gate.set()
    assert counter.done == [1]


async def test_closing_waits_for_what_is_under_way() -> None:
    counter = Counter()
    counter.gate.clear()
    call = asyncio.create_task(counter.count(1))
    while not counter.threads:
        await asyncio.sleep(0.001)
    worker = counter._worker  # kept, so that it is closing that ends the thread, not collection
    closing = asyncio.create_task(counter.close())
    await asyncio.sleep(0.01)
    assert not closing.done()
    counter.gate.set()
    await closing
    assert await call == 1
    await _ended(counter.threads[0])
    del worker


async def test_a_cancelled_close_still_ends_the_thread() -> None:
    counter = Counter()
    counter.gate.clear()
    call = asyncio.create_task(counter.count(1))
    while not counter.threads:
        await asyncio.sleep(0.001)
    closing = asyncio.create_task(counter.close())
    await asyncio.sleep(0.01)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    counter.gate.set()
    assert await call == 1
    await _ended(counter.threads[0])


async def test_with_inside_a_loop_does_not_wait_and_ends_the_thread() -> None:
    with Counter() as counter:
        counter.gate.clear()
        call = asyncio.create_task(counter.count(1))
        while not counter.threads:
            await asyncio.sleep(0.001)
    assert not call.done()
    counter.gate.set()
    assert await call == 1
    await _ended(counter.threads[0])


def test_close_may_be_called_again_and_refuses_later_calls() -> None:
    counter = Counter()
    assert counter.close() is None
    assert counter.close() is None
    with pytest.raises(errors.NetworkError, match="<Counter> is closed"):
        counter.count(1)


async def test_close_in_a_loop_may_be_called_again_and_refuses_later_calls() -> None:
    counter = Counter()
    await counter.count(1)
    await counter.close()
    await counter.close()
    with pytest.raises(errors.NetworkError, match="<Counter> is closed"):
        await counter.count(1)


def test_an_object_used_in_a_loop_can_be_closed_without_one() -> None:
    counter = Counter()

    async def use() -> None:
        await counter.count(1)

    asyncio.run(use())
    counter.close()
    assert not counter.threads[0].is_alive()


class AsyncCounter(AsyncDualMode):
    """Counts on the loop, and how often it let go of what belongs to one."""

    def __init__(self) -> None:
        super().__init__()
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.released: list[asyncio.AbstractEventLoop] = []
        self.together: asyncio.Barrier | None = None

    @async_dual_mode
    async def count(self, value: int, *, fail: bool = False) -> int:
        """Count."""
        self.loops.append(asyncio.get_running_loop())
        if self.together is not None:
            await self.together.wait()
        if fail:
            raise errors.NetworkError("it failed")
        return value

    async def _release(self) -> None:
        self.released.append(asyncio.get_running_loop())

    def __repr__(self) -> str:
        return "<AsyncCounter>"


def test_a_coroutine_without_a_loop_gets_one_of_its_own_and_leaves_nothing() -> None:
    with AsyncCounter() as counter:
        assert [counter.count(3), counter.count(4)] == [3, 4]
        with pytest.raises(errors.NetworkError, match="failed"):
            counter.count(4, fail=True)
        assert counter.released == counter.loops
        assert len(set(counter.loops)) == 3
    assert counter.count.__doc__ == "Count."
    with pytest.raises(errors.NetworkError, match="<AsyncCounter> is closed"):
        counter.count(1)
    assert len(counter.loops) == 3


async def test_coroutines_inside_a_loop_run_on_it_side_by_side() -> None:
    counter = AsyncCounter()
    counter.together = asyncio.Barrier(20)  # none ends before all have begun
    async with asyncio.timeout(20):
        assert await asyncio.gather(*map(counter.count, range(20))) == list(range(20))
    assert set(counter.loops) == {asyncio.get_running_loop()}
    assert counter.released == []
    await counter.close()
    await counter.close()
    assert counter.released
    with pytest.raises(errors.NetworkError, match="<AsyncCounter> is closed"):
        await counter.count(1)


async def test_with_inside_a_loop_lets_go_without_waiting() -> None:
    with AsyncCounter() as counter:
        assert await counter.count(1) == 1
    while not counter.released:
        await asyncio.sleep(0)
    async with AsyncCounter() as counter:
        pass
    assert len(counter.released) == 1


async def test_a_call_that_is_never_awaited_does_nothing() -> None:
    counter = AsyncCounter()
    counter.count(1).close()
    assert counter.loops == []


async def _ended(thread: threading.Thread) -> None:
    deadline = time.monotonic() + 20
    while thread.is_alive():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)
