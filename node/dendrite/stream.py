"""What a caller iterates: the chunks of one streamed reply, and then its synapse.

A stream is consumed once, by whoever iterates first. Everybody else who wants its result waits
for that, and is told when it failed or was left: no getter ever hangs.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, nullcontext
from types import TracebackType
from typing import Any, Self

from node.errors import BadReply, CallError, StreamInterrupted
from node.network import Peer
from node.streams import ReplyContent, ReplyStream
from node.synapse import StreamingSynapse, Synapse, TextStream
from node.wire import Receipt

from .latch import Latch
from .pump import Pump
from .settle import result_of, settle
from .timing import StreamTiming

__all__ = ["After", "Stream"]

logger = logging.getLogger(__name__)

# A `break` closes the iteration through the event loop, within a few of its turns.
_BREAK_TURNS = 20

_SENT = Latch()
_SENT.set()

After = Callable[[Synapse], Awaitable[None] | None]


class Stream:
    """One streamed reply.

    `async for` yields the chunks and then, last, the final synapse, or its `deserialize()` when
    the call asked for that; `chunks()` yields only the chunks; awaiting the stream gives the
    final synapse, consuming the rest if nobody iterates. A dendrite makes streams; `break` and
    `aclose` close the connection, so the peer stops working.

    With `raise_errors` a failed call raises its `CallError` from iteration and from every getter;
    without, the iteration just ends and the final synapse tells the status, 422 for a reply that
    the synapse's own hooks could not read. A stream that its reader left early has no final
    synapse, so its getters raise `StreamInterrupted` either way.

    Belongs to one event loop; several tasks may wait for its result at once.

    Args:
        synapse: This call's own copy of the request; becomes the final synapse.
        peer: Who answers, or None for a reply that is already there.
        pump: What reads the reply; None likewise.
        deserialize: Whether the last item is `deserialize()` of the synapse.
        raise_errors: Whether a failure raises.
        after: Called once with the final synapse when the last chunk has come; not on failure or
            break. May be async. What it raises, the iteration and every getter raise.
        lock: Held from before the first chunk until the end, failure or close.
    """

    def __init__(
        self,
        synapse: Synapse,
        peer: Peer | None = None,
        pump: Pump | None = None,
        *,
        deserialize: bool = False,
        raise_errors: bool = False,
        after: After | None = None,
        lock: AbstractAsyncContextManager[Any] | None = None,
    ) -> None:
        self.peer = peer
        self._synapse = synapse
        self._question = synapse.question_fields()
        self._pump = pump
        self._deserialize = deserialize
        self._raise_errors = raise_errors
        self._after = after
        self._lock = lock if lock is not None else nullcontext()
        self._timing = pump.timing if pump is not None else StreamTiming()
        self._began = False
        self._reader: asyncio.Task[Any] | None = None
        self._done = asyncio.Event()
        self._error: BaseException | None = None
        self._kept: list[bytes] | None = None

    @classmethod
    def from_synapse(cls, synapse: Synapse, **options: Any) -> Self:
        """Return a stream over a reply that is already there.

        Its one chunk is the completion, if it is a `TextStream` that has one.

        Args:
            synapse: The finished synapse.
            **options: `peer`, `deserialize`, `raise_errors`, `after`, `lock`, as for the class.
        """
        return cls(synapse, **options)

    def __repr__(self) -> str:
        state = "open"
        if self._done.is_set():
            state = "complete" if self._error is None else type(self._error).__name__
        return f"<Stream from {self.peer} {state}, {self._timing.chunks} chunks>"

    def __del__(self) -> None:
        # A stream that was dropped without a reader must not keep its peer working.
        if self._pump is not None and not self._done.is_set():
            self._pump.cancel_soon()

    @property
    def timing(self) -> StreamTiming:
        """When things happened, by this side's clock."""
        return self._timing

    @property
    def receipt(self) -> Receipt | None:
        """The peer's signed receipt, already checked against what came; None before the end."""
        return self._pump.receipt if self._pump is not None else self._synapse.receipt

    @property
    def request(self) -> bytes:
        """What was signed to ask for this (docs/protocol.md §5.1), which the receipt names.

        b"" until it was, and for a reply that was already there.
        """
        return self._pump.request if self._pump is not None else b""

    @property
    def body(self) -> bytes | None:
        """The reply as it came, when it was one JSON document; None for chunks."""
        return self._pump.document if self._pump is not None else None

    @property
    def kept_chunks(self) -> tuple[bytes, ...] | None:
        """The chunks read so far, as they came; None unless `keep_chunks` was called."""
        return None if self._kept is None else tuple(self._kept)

    def keep_chunks(self) -> None:
        """Keep the bytes of every chunk, so that the reply can be stored with its receipt.

        Raises:
            RuntimeError: The stream has a reader, or had one.
        """
        self._check_fresh()
        self._kept = []

    @property
    def synapse(self) -> Synapse:
        """The synapse as far as it is filled; `final` waits for its end."""
        return self._synapse

    @property
    def done(self) -> bool:
        """Whether the stream was read to its end, failed, or was closed."""
        return self._done.is_set()

    @property
    def on_wire(self) -> Latch:
        """Set when the request is on the wire or has failed; also where nothing is sent."""
        return _SENT if self._pump is None else self._pump.sent

    async def sent(self) -> None:
        """Wait until the request is on the wire, or has failed."""
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_wire.call(lambda: None if gate.done() else gate.set_result(None))
        await gate

    def __aiter__(self) -> AsyncIterator[Any]:
        """Iterate over the chunks, then the final synapse or its `deserialize()`.

        Raises:
            RuntimeError: The stream has a reader, or had one.
        """
        self._check_fresh()
        return self._iterate(with_final=True)

    def chunks(self) -> AsyncIterator[Any]:
        """Iterate over the chunks only.

        Raises:
            RuntimeError: The stream has a reader, or had one.
        """
        self._check_fresh()
        return self._iterate(with_final=False)

    def __await__(self) -> Generator[Any, None, Any]:
        """Return the final synapse, as `final` does."""
        return self.final().__await__()

    async def final(self) -> Any:
        """Return the final synapse or its `deserialize()`, reading what nobody has read.

        Raises:
            CallError: The call failed and errors are raised.
            StreamInterrupted: The reader left before the end.
            Exception: What a hook of the synapse, or `after`, raised.
            RuntimeError: Called inside the loop that iterates over this stream.
        """
        if not self._began and not self._done.is_set():
            async for _ in self._iterate(with_final=False):
                pass
        await self._check_not_mine()
        await self._done.wait()
        if self._error is not None:
            raise self._error
        return self._result()

    def abandon(self) -> None:
        """Close the stream without waiting until its connection is closed."""
        self._leave()
        if self._pump is not None:
            self._pump.cancel()

    async def aclose(self) -> None:
        """Close the stream and its connection; safe to call twice and after the end."""
        self.abandon()
        if self._pump is not None:
            await self._pump.closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _check_not_mine(self) -> None:
        """Refuse to wait for the very task that waits; after a `break` let that take effect."""
        for _ in range(_BREAK_TURNS):
            if self._done.is_set() or self._reader is not asyncio.current_task():
                return
            await asyncio.sleep(0)
        raise RuntimeError("this stream is being iterated here; await it after the loop")

    def _check_fresh(self) -> None:
        if self._began or self._done.is_set():
            raise RuntimeError(
                "this stream was already consumed; iterate over it once, and await it for the "
                "final synapse as often as you like"
            )

    async def _iterate(self, *, with_final: bool) -> AsyncIterator[Any]:
        self._check_fresh()
        self._began = True
        self._reader = asyncio.current_task()
        came_whole = False
        try:
            async with self._lock:
                async for chunk in self._read():
                    yield chunk
                came_whole = True
                await self._run_after()
            self._finish(None)
        except CallError as error:
            # After a whole reply it is what `after` raised, and no failure of this call.
            if not came_whole:
                settle(self._synapse, error, self._timing.now())
            raises = self._raise_errors or came_whole
            self._finish(error if raises else None)
            if raises:
                raise
        except (GeneratorExit, asyncio.CancelledError):
            self._leave()
            raise
        except BaseException as error:
            self._finish(error)
            raise
        finally:
            self._reader = None
            if self._pump is not None:
                self._pump.cancel()
        if with_final:
            yield self._result()

    async def _read(self) -> AsyncIterator[Any]:
        """Yield what the synapse's hook makes of the reply, then fill the synapse."""
        if self._pump is None:
            if isinstance(self._synapse, TextStream) and self._synapse.completion:
                yield self._synapse.completion
            return
        await self._pump.opened()
        read, ready = self._readers_of(self._pump)
        content = ReplyContent(read, ready)
        response = ReplyStream(status=200, headers=self._pump.headers, content=content)
        try:
            if isinstance(self._synapse, StreamingSynapse):
                async for chunk in self._synapse.process_streaming_response(response):
                    yield chunk
            # A hook may stop early or swallow an error; the end of the stream is what counts.
            while await read():
                pass
            self._fill(self._pump, response)
        except CallError as error:
            error.peer = error.peer or str(self.peer)  # a codec knows of no peer
            raise
        except Exception as error:
            raise self._blame_reply(error) from error
        self._synapse.attach_receipt(self._pump.receipt)
        settle(self._synapse, None, self._timing.now())

    def _readers_of(self, pump: Pump) -> tuple[Callable[[], Awaitable[bytes]], Callable[[], bytes]]:
        """Return what gives the next chunk, awaited and not; both keep it if that was asked for."""
        kept = self._kept
        if kept is None:
            return pump.read, pump.ready

        def keep(chunk: bytes) -> bytes:
            if chunk:
                kept.append(chunk)
            return chunk

        async def read_and_keep() -> bytes:
            return keep(await pump.read())

        return read_and_keep, lambda: keep(pump.ready())

    def _blame_reply(self, error: Exception) -> Exception:
        """Return what to raise for an error of a hook.

        Where errors are values it is the peer's words that a hook could not read, and one peer's
        words must not spoil the others' replies. Where errors are raised it is raised as it is.
        """
        if self._raise_errors:
            return error
        logger.warning("a hook of %s failed on the reply of %s", self._synapse.name, self.peer,
                       exc_info=error)  # fmt: skip
        name = type(error).__name__
        return BadReply(f"a hook could not read its reply ({name})", peer=str(self.peer))

    def _fill(self, pump: Pump, response: ReplyStream) -> None:
        if pump.document is not None:
            self._synapse.parse_answer(pump.document, self._question)
        elif isinstance(self._synapse, StreamingSynapse):
            self._synapse.fill(self._synapse.extract_response_json(response), self._question)

    async def _run_after(self) -> None:
        if self._after is not None:
            outcome = self._after(self._synapse)
            if inspect.isawaitable(outcome):
                await outcome

    def _leave(self) -> None:
        if self._done.is_set():
            return
        error = StreamInterrupted(
            "its reader closed the stream",
            chunks=self._timing.chunks,
            peer=str(self.peer) if self.peer else "",
        )
        settle(self._synapse, error, self._timing.now())
        self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        if not self._done.is_set():
            self._error = error
            self._done.set()

    def _result(self) -> Any:
        return result_of(
            self._synapse, deserialize=self._deserialize, raise_errors=self._raise_errors
        )
