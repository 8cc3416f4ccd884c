"""Methods that serve scripts and event loops alike.

Called where no event loop runs, a dual-mode method does its work and returns the result, so that a
script needs no asyncio. Called inside a running loop (a notebook has one) it returns a coroutine
instead; the work is done in the object's own worker thread, and the loop is never blocked::

    uid = network.register(8, wallet)          # a script
    uid = await network.register(8, wallet)    # a coroutine

One thread per object means that its calls happen one after another, in the order in which they were
awaited. A call that is cancelled has either not begun, and then it never happens, or it runs to its
end in the thread and happens whole.

A class whose work is asyncio already (`AsyncDualMode`, `async_dual_mode`) is the mirror image:
inside a loop its methods run on that loop, side by side; without one each call runs in a loop of
its own, and leaves nothing open. A call that is cancelled may have happened or not.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from node import errors

__all__ = ["AsyncDualMode", "DualMode", "async_dual_mode", "dual_mode", "is_loop_running"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Owner = TypeVar("Owner", bound="DualMode")
AsyncOwner = TypeVar("AsyncOwner", bound="AsyncDualMode")


class DualMode:
    """Base of a class whose methods are decorated with `dual_mode`.

    Holds the worker thread, made on the first call inside a loop. `close`, `with` and `async with`
    end it; whoever makes the object closes it. An object that was only ever used without a loop
    holds nothing, but closing it is right too.
    """

    def __init__(self) -> None:
        self._worker: ThreadPoolExecutor | None = None
        self._closed = False

    def close(self) -> Any:
        """End the worker thread once the calls under way are done. May be called again.

        Returns:
            None without a running loop; inside one, an awaitable of None. Calls after that raise
            `errors.NetworkError`.
        """
        if is_loop_running():
            return self._close_off_loop()
        self._close_here()
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._close_here()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._close_off_loop()

    def _check_open(self) -> None:
        if self._closed:
            raise errors.NetworkError(f"{self!r} is closed; open the network again")

    async def _run_off_loop(self, work: Callable[[], Result]) -> Result:
        self._check_open()
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix=type(self).__name__)
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def _close_here(self) -> None:
        self._closed = True
        worker, self._worker = self._worker, None
        if worker is not None:
            # In a running loop (`with` inside a coroutine) waiting would block it.
            worker.shutdown(wait=not is_loop_running())

    async def _close_off_loop(self) -> None:
        self._closed = True
        worker, self._worker = self._worker, None
        if worker is None:
            return
        try:
            # The queue is first in, first out: this empty call comes after all others.
            await asyncio.get_running_loop().run_in_executor(worker, _do_nothing)
        finally:
            # Joining the thread would block the loop; it ends by itself, having nothing to do.
            worker.shutdown(wait=False)


def dual_mode(
    method: Callable[Concatenate[Owner, Arguments], Result],
) -> Callable[Concatenate[Owner, Arguments], Any]:
    """Make a blocking method of a `DualMode` class usable inside a loop as well.

    The decorated method is typed as returning Any, because a type checker can't know whether a loop
    runs: it is `Result` without a loop, and `Coroutine[Any, Any, Result]` inside one. In both cases
    it raises what the method raises, and `errors.NetworkError` on a closed object.
    """

    @functools.wraps(method)
    def call(
        self: Owner, /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result | Coroutine[Any, Any, Result]:
        if is_loop_running():
            return self._run_off_loop(functools.partial(method, self, *args, **kwargs))
        self._check_open()
        return method(self, *args, **kwargs)

    return call


class AsyncDualMode(DualMode):
    """Base of a class whose methods are coroutines, decorated with `async_dual_mode`.

    A subclass keeps what belongs to an event loop by that loop, and lets go of it in `_release`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._releasing: asyncio.Task[None] | None = None

    async def _release(self) -> None:
        """Close what is held for the running loop. Called again where it was called before."""

    async def _run_on_loop(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        self._check_open()
        return await work()

    async def _run_alone(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        try:
            return await work()
        finally:
            await self._release()

    def _close_here(self) -> None:
        super()._close_here()
        if is_loop_running():  # `with` inside a coroutine, which can't wait for it
            self._releasing = asyncio.get_running_loop().create_task(self._release())

    async def _close_off_loop(self) -> None:
        await super()._close_off_loop()
        await self._release()


def async_dual_mode(
    method: Callable[Concatenate[AsyncOwner, Arguments], Coroutine[Any, Any, Result]],
) -> Callable[Concatenate[AsyncOwner, Arguments], Any]:
    """Make a coroutine method of an `AsyncDualMode` class usable without a loop as well.

    The decorated method is typed as `dual_mode` says, and raises what it says.
    """

    @functools.wraps(method)
    def call(
        self: AsyncOwner, /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result | Coroutine[Any, Any, Result]:
        work = functools.partial(method, self, *args, **kwargs)
        if is_loop_running():
            return self._run_on_loop(work)
        self._check_open()
        return asyncio.run(self._run_alone(work))

    return call


def is_loop_running() -> bool:
    """Whether this thread is inside a running event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _do_nothing() -> None:
    pass
