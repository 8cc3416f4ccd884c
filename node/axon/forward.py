"""Running a forward in any of its forms.

The result is a finished synapse, or a `StreamAnswer`: a function that pushes chunks into a given
`write` and returns when there are no more. Pushing suits all the forms: generators are walked,
a token streamer gets a `send` that writes.
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

from pydantic import BaseModel

from node.errors import ForwardFailed
from node.synapse import StreamingReply, Synapse
from node.wire import Caller

from .handoff import Handoff
from .routes import ForwardForm, Route

__all__ = ["ForwardRun", "StreamAnswer", "Write"]

Write = Callable[[bytes], Awaitable[None]]
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
            ForwardFailed: It returned neither a synapse of its type nor a stream.
            Exception: Whatever the forward raises.
        """
        arguments = (synapse, caller) if self._route.forward.wants_caller else (synapse,)
        call = functools.partial(self._route.forward.function, *arguments)
        result = await self._in_thread(call) if self._route.form is ForwardForm.SYNC else call()
        if inspect.isawaitable(result):
            result = await result
        return self._read(result)

    def _read(self, result: Any) -> Synapse | StreamAnswer:
        if isinstance(result, self._route.synapse_type):
            return result
        if isinstance(result, StreamingReply):
            return functools.partial(_push_streamer, result)
        if isinstance(result, AsyncIterator):
            return functools.partial(_push_async, result)
        if isinstance(result, Iterator):
            return functools.partial(self._push_sync, result)
        raise ForwardFailed(
            f"{self._route.forward.name} returned {type(result).__name__}; it must return "
            f"{self._route.name}, a streaming response or an iterator of chunks"
        )

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._pool, contextvars.copy_context().run, call)
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
                await write(_encode_chunk(chunk))
        finally:
            handoff.stop()
        await self.lingering


async def _push_async(chunks: AsyncIterator[Any], write: Write) -> None:
    if not inspect.isasyncgen(chunks):
        async for chunk in chunks:
            await write(_encode_chunk(chunk))
        return
    async with aclosing(chunks):
        async for chunk in chunks:
            await write(_encode_chunk(chunk))


async def _push_streamer(response: StreamingReply, write: Write) -> None:
    ended = False

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal ended
        if message.get("type", "http.response.body") != "http.response.body":
            return  # a status or headers of its own; the axon has sent those
        if ended:
            raise RuntimeError("the token streamer sent more after more_body=False")
        ended = not message.get("more_body", False)
        await write(_encode_chunk(message.get("body", b"")))

    await response.token_streamer(send)


def _encode_chunk(chunk: Any) -> bytes:
    """Return the bytes of what a forward yielded: text as UTF-8, a model as JSON.

    Raises:
        ForwardFailed: It is none of text, bytes and a pydantic model.
    """
    if isinstance(chunk, str):
        return chunk.encode()
    if isinstance(chunk, bytes | bytearray | memoryview):
        return bytes(chunk)
    if isinstance(chunk, BaseModel):
        return chunk.model_dump_json().encode()
    raise ForwardFailed(
        f"a forward yielded {type(chunk).__name__}; yield text, bytes or a pydantic model"
    )
