"""Running a forward in any of its forms.

The result is a finished synapse, or a `StreamAnswer`: a function that pushes what the forward
yields into a given `write`, which makes chunks of it, and returns when there is no more. Pushing
suits all the forms: generators are walked, a token streamer gets a `send` that writes.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any

from node.synapse import StreamingReply, Synapse
from node.typed_synapse import TypedStream
from node.wire import Caller

from .handoff import Handoff
from .routes import ForwardForm, Route

__all__ = ["ForwardRun", "StreamAnswer", "Write"]

Write = Callable[[Any], Awaitable[None]]
StreamAnswer = Callable[[Write], Awaitable[None]]


class ForwardRun:
    """One run of one forward.

    A sync forward runs in a thread, and a thread can't be stopped: when its caller leaves, the
    run is over but the thread may go on. `lingering` then holds its future, and the run's place
    is not free before that is done.

    Args:
        route: What to run.
        pool: Where sync functions and generators run.
    """

    def __init__(self, route: Route, pool: ThreadPoolExecutor) -> None:
        self._route = route
        self._pool = pool
        self.lingering: asyncio.Future[Any] | None = None

    async def start(self, synapse: Synapse, caller: Caller) -> Synapse | StreamAnswer:
        """Call the forward.

        Returns:
            The answered synapse, or what streams the answer.

        Raises:
            TypeError: It returned neither a synapse of its type nor a stream.
            Exception: Whatever the forward raises.
        """
        arguments = (synapse, caller) if self._route.forward.wants_caller else (synapse,)
        function, form = self._route.forward.function, self._route.form
        if form is ForwardForm.ASYNC:
            return self._read(await function(*arguments))
        if form is not ForwardForm.SYNC:
            return self._read(function(*arguments))
        result = await self._in_thread(functools.partial(function, *arguments))
        return self._read(await result if inspect.isawaitable(result) else result)

    def _read(self, result: Any) -> Synapse | StreamAnswer:
        if isinstance(result, self._route.synapse_type):
            # The models of a typed stream are no fields of a body; as chunks they arrive.
            if isinstance(result, TypedStream):
                return functools.partial(_push_models, result)
            return result
        if isinstance(result, StreamingReply):
            return functools.partial(_push_streamer, result)
        if isinstance(result, AsyncIterator):
            return functools.partial(_push_async, result)
        if isinstance(result, Iterator):
            return functools.partial(self._push_sync, result)
        raise TypeError(
            f"{self._route.forward.name} returned {type(result).__name__}; it must return "
            f"{self._route.name}, a streaming response or an iterator of chunks"
        )

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        future = loop.run_in_executor(self._pool, context.run, _without_stop_iteration, call)
        self.lingering = future
        # Shielded: cancelling the wait must not make a running thread look finished.
        return await asyncio.shield(future)

    async def _push_sync(self, chunks: Iterator[Any], write: Write) -> None:
        """Walk a sync generator in one thread of its own for its whole life."""
        handoff = Handoff(asyncio.get_running_loop())
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        self.lingering = loop.run_in_executor(self._pool, context.run, handoff.walk, chunks)
        try:
            async for chunk in handoff:
                await write(chunk)
        finally:
            handoff.stop()
        await self.lingering


def _without_stop_iteration(call: Callable[[], Any]) -> Any:
    """Call, and raise RuntimeError for StopIteration, which a future can't hold."""
    try:
        return call()
    except StopIteration as error:
        raise RuntimeError("the forward raised StopIteration") from error


async def _push_async(chunks: AsyncIterator[Any], write: Write) -> None:
    if not inspect.isasyncgen(chunks):
        async for chunk in chunks:
            await write(chunk)
        return
    async with aclosing(chunks):
        async for chunk in chunks:
            await write(chunk)


async def _push_models(answer: TypedStream[Any, Any, Any], write: Write) -> None:
    for model in answer.models():
        await write(model)


async def _push_streamer(response: StreamingReply, write: Write) -> None:
    ended = False

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal ended
        if message.get("type", "http.response.body") != "http.response.body":
            return  # a status or headers of its own; the axon has sent those
        if ended:
            raise RuntimeError("the token streamer sent more after more_body=False")
        ended = not message.get("more_body", False)
        await write(message.get("body", b""))

    await response.token_streamer(send)
