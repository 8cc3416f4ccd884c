"""The memory that the workers of one host share, as a worker asks it: over a socket to the guard.

What is promised: an entry is taken once by all workers. A question that gets no answer is refused
with 503, and so is every one after the guard has gone: a worker never takes one on a guess.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque

from node.errors import OutOfTouch, ReplayedRequest

from .guard_wire import ANSWER, ask_entry, ask_token, read_verdict, say_ready
from .once import Verdict

__all__ = ["GuardLink"]

_RETRY_AFTER_S = 1.0


class GuardLink(asyncio.Protocol):
    """A `SharedMemory` that another process of this host keeps.

    Questions of one turn of the loop leave in one write. It belongs to the event loop that `open`
    ran on. Whoever made it closes it.

    Args:
        timeout_s: How long an answer may take.

    Attributes:
        lost: Set once the guard has gone.
    """

    def __init__(self, *, timeout_s: float = 2.0) -> None:
        self._timeout_s = timeout_s
        self._transport: asyncio.WriteTransport | None = None
        self._waiting: deque[tuple[asyncio.Future[float], float]] = deque()
        self._questions: list[bytes] = []
        self._rest = b""
        self._overdue: asyncio.TimerHandle | None = None
        self.lost = asyncio.Event()

    def __repr__(self) -> str:
        state = "lost" if self.lost.is_set() else "ok" if self._transport else "not open"
        return f"<GuardLink {state}, {len(self._waiting)} waiting>"

    async def open(self, sock: socket.socket) -> None:
        """Speak to the guard over a connected socket, which is this link's to close from here."""
        sock.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: self, sock=sock)

    async def accept(self, entry: bytes, *, keep_s: float) -> None:
        """Take an entry once over all workers; see `SharedMemory.accept`.

        Raises:
            errors.ReplayedRequest: It was taken before.
            errors.OutOfTouch: The guard has gone, does not answer, or holds all that it may.
        """
        verdict = read_verdict(await self._ask(ask_entry(entry, keep_s)))
        if verdict is Verdict.KNOWN:
            raise ReplayedRequest("another worker took this nonce")
        if verdict is Verdict.FULL:
            raise OutOfTouch("the workers' memory is full", retry_after=_RETRY_AFTER_S)

    async def take_token(self, key: bytes, *, per_second: float, burst: float) -> float:
        """Take a token from a bucket of all workers; see `SharedMemory.take_token`.

        Raises:
            errors.OutOfTouch: The guard has gone, or does not answer.
        """
        return await self._ask(ask_token(key, per_second, burst))

    async def say_ready(self) -> None:
        """Tell the guard that this worker serves.

        Raises:
            errors.OutOfTouch: The guard has gone, or does not answer.
        """
        await self._ask(say_ready())

    async def aclose(self) -> None:
        """Close the socket; what is under way is refused. May be called again."""
        if self._transport is not None:
            self._transport.abort()
        self._refuse_all("the link to the workers' memory is closed")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note what to write to; asyncio calls it."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Refuse what waits and all that comes; asyncio calls it."""
        self._transport = None
        self.lost.set()
        self._refuse_all("the workers' memory has gone")

    def data_received(self, data: bytes) -> None:
        """Give answers to those who wait, in order; asyncio calls it."""
        data = self._rest + data
        whole = len(data) - len(data) % ANSWER.size
        self._rest = data[whole:]
        for (answer,) in ANSWER.iter_unpack(data[:whole]):
            future, _ = self._waiting.popleft()
            if not future.done():  # else the client has left, or it took too long
                future.set_result(answer)

    def _ask(self, question: bytes) -> asyncio.Future[float]:
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            raise OutOfTouch("the workers' memory has gone", retry_after=_RETRY_AFTER_S)
        if not self._questions:
            loop.call_soon(self._send)
        self._questions.append(question)
        future: asyncio.Future[float] = loop.create_future()
        self._waiting.append((future, loop.time() + self._timeout_s))
        if self._overdue is None:
            self._overdue = loop.call_later(self._timeout_s, self._refuse_overdue)
        return future

    def _send(self) -> None:
        questions, self._questions = self._questions, []
        if self._transport is not None:
            self._transport.write(b"".join(questions))

    def _refuse_overdue(self) -> None:
        """Refuse what has waited too long, and look again when the next will have."""
        self._overdue = None
        loop = asyncio.get_running_loop()
        for future, deadline in self._waiting:
            if deadline > loop.time():
                self._overdue = loop.call_at(deadline, self._refuse_overdue)
                return
            _refuse(future, "the workers' memory does not answer")

    def _refuse_all(self, why: str) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
        while self._waiting:
            _refuse(self._waiting.popleft()[0], why)


def _refuse(future: asyncio.Future[float], why: str) -> None:
    if not future.done():
        future.set_exception(OutOfTouch(why, retry_after=_RETRY_AFTER_S))
