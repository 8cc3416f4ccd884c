"""An event loop in a thread of its own, for code that has none.

Whoever starts one closes it. Nothing else runs in its thread, and closing it leaves nothing behind:
no thread, no loop, no task.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from node.network.dual_mode import is_loop_running

__all__ = ["LoopThread", "run_here"]

T = TypeVar("T")


class LoopThread:
    """A daemon thread that runs one event loop from `start` to `close`.

    Args:
        name: The thread's name.
    """

    def __init__(self, name: str) -> None:
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Event | None = None

    def start(self) -> None:
        """Start the thread and wait until its loop runs.

        Raises:
            RuntimeError: It was started before.
        """
        self._thread.start()
        self._ready.wait()

    @property
    def is_mine(self) -> bool:
        """Whether this code runs in the thread itself, where waiting for it would be for ever."""
        return threading.current_thread() is self._thread

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop and wait for its result.

        An interrupt of the wait, such as Ctrl-C, cancels the coroutine.

        Raises:
            RuntimeError: Called in the thread itself, or the loop is not running.
            Exception: What the coroutine raises.
        """
        if self.is_mine or self._loop is None:
            work.close()
            raise RuntimeError("this loop can't be waited for here")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Cancel what is left in the loop and end the thread; safe to call twice.

        In the thread itself it does not wait for the end.
        """
        loop, self._loop = self._loop, None
        if loop is not None and self._closing is not None:
            loop.call_soon_threadsafe(self._closing.set)
        if not self.is_mine and self._thread.ident is not None:
            self._thread.join()

    def _main(self) -> None:
        # A loop factory, so that the thread's "current loop" is left alone.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(self._until_closed())

    async def _until_closed(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        self._ready.set()
        await self._closing.wait()


def run_here(work: Callable[[], T]) -> T:
    """Do blocking work and return its result, inside a running event loop too.

    Inside one the work is done in another thread, because what has two modes would return an
    awaitable there; the loop waits, as the callers of SDK 6-10 are used to.

    Raises:
        Exception: What the work raises.
    """
    if not is_loop_running():
        return work()
    outcome: list[T] = []
    failure: list[BaseException] = []

    def do() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001  border: raised again where it was asked for
            failure.append(error)

    thread = threading.Thread(target=do, name="blocking call")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
