"""A relay between node and caller, over plain sockets, that changes what comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from node import Axon
from node.streams import Frame, StreamMode, decoder_for, encoder_for
from node.wire import DIGEST_HEADER, Caller, btauth

from .raw_http import ask, chunked, read_request, reply_head

__all__ = ["Relay", "Tamper", "read_caller", "stream_reply"]

Tamper = Callable[[list[Frame], Caller], list[Frame]]


class Relay:
    """Stands before an axon, reads what passes, and changes the streams that come back.

    Args:
        axon: Whom it asks.
        mode: How the streams travel.
        tamper: Gets the frames of a reply and who asked; returns what the caller gets.
        tells_digest: Whether the head of what the caller gets names the digest that the axon chose.
    """

    def __init__(
        self, axon: Axon, mode: StreamMode, tamper: Tamper, *, tells_digest: bool = True
    ) -> None:
        self._axon = axon
        self._mode = mode
        self._tamper = tamper
        self._tells_digest = tells_digest

    async def script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; a `Script`."""
        head, body = await read_request(reader)
        reply = await ask(self._axon.port, head + body)
        frames = list(decoder_for(self._mode, max_frame_bytes=2**20).feed(reply.body))
        changed = self._tamper(frames, read_caller(head, body, self._axon.hotkey))
        lines = [f"{DIGEST_HEADER}: {reply.header(DIGEST_HEADER)}"] if self._tells_digest else []
        writer.write(stream_reply(self._mode, changed, *lines))
        await writer.drain()


def stream_reply(mode: StreamMode, frames: list[Frame], *lines: str) -> bytes:
    """Return a whole reply, numbered as an axon numbers it; `lines` are more of its head."""
    encode = encoder_for(mode, typed=False)
    data = [encode(*frame, number) for number, frame in enumerate(frames, 1)]
    return reply_head(mode.content_type, *lines, "Transfer-Encoding: chunked") + chunked(*data)


def read_caller(head: bytes, body: bytes, receiver: str) -> Caller:
    """Return who sent a request, which everybody who sees it can verify."""
    request_line, *lines = head.decode().split("\r\n")[:-2]
    headers = dict(line.split(": ", 1) for line in lines)
    method, target, _ = request_line.split(" ")
    return btauth.verify(
        headers, body, method=method, target=target, receiver=receiver, now_ns=time.time_ns()
    )
