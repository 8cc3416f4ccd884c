from __future__ import annotations

import asyncio
import threading

import pytest
from blockbuster import BlockBuster

from node.compat.loop_thread import LoopThread, run_here


@pytest.fixture
def thread() -> LoopThread:
    return LoopThread("loop of a test")


def test_work_runs_in_the_thread_until_it_is_closed(thread: LoopThread) -> None:
    async def name() -> str:
        await asyncio.sleep(0)
        return threading.current_thread().name

    thread.start()
    assert thread.run(name()) == "loop of a test"
    thread.close()
    thread.close()
    with pytest.raises(RuntimeError, match="can't be waited for"):
        thread.run(name())


def test_errors_come_out_where_the_work_was_asked_for(thread: LoopThread) -> None:
    async def fail() -> None:
        raise ValueError("inside")

    thread.start()
    with pytest.raises(ValueError, match="inside"):
        thread.run(fail())
    thread.close()


def test_it_can_not_wait_for_itself(thread: LoopThread) -> None:
    async def nothing() -> None:
        raise AssertionError

    async def wait_inside() -> bool:
        with pytest.raises(RuntimeError, match="can't be waited for"):
            thread.run(nothing())
        thread.close()
        return thread.is_mine

    thread.start()
    assert thread.run(wait_inside()) is True
    assert not thread.is_mine
    thread.close()


def test_closing_cancels_what_is_left(thread: LoopThread) -> None:
    ended = threading.Event()

    async def linger() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def leave() -> asyncio.Task[None]:
        task = asyncio.create_task(linger())
        await asyncio.sleep(0)
        return task

    thread.start()
    left = thread.run(leave())
    thread.close()
    assert ended.is_set()
    assert left.cancelled()


def test_one_that_was_never_started_can_be_closed(thread: LoopThread) -> None:
    thread.close()


def test_blocking_work_is_done_here_or_beside_a_loop(no_blocking_calls: BlockBuster) -> None:
    assert run_here(threading.current_thread) is threading.current_thread()
    no_blocking_calls.deactivate()

    def fail() -> None:
        raise KeyError

    async def inside() -> None:
        assert run_here(threading.current_thread) is not threading.current_thread()
        with pytest.raises(KeyError):
            run_here(fail)

    asyncio.run(inside())
