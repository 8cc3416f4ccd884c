"""Faults of a peer's connection, which go wrong whatever it is asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import parse_qs

from node.axon.open_reply import OpenReply
from node.axon.reply import Reply, error_reply
from node.axon.request import Request
from node.errors import Forbidden, Overloaded, RateLimited, WireError
from node.streams import StreamMode

from .behaviour import Behaviour, SendBytes, Serve, hang_up, wait_to_be_cancelled

__all__ = ["ByteSplitting", "Dead", "Dripping", "Garbage", "Refusing", "Silent"]

_HEAD_END = b"\r\n\r\n"
# A TLS alert and a greeting of SSH: what answers on a port that is not an axon's.
_NO_HTTP = b"\x15\x03\x01\x00\x02\x02\x46SSH-2.0-no_axon_here\r\n"
# An event whose data is no JSON; and no frame begins with such a byte.
_NO_FRAMES = b"data: {garbage]\n\n\x00\xff" * 16
_REFUSALS: dict[int, type[WireError]] = {403: Forbidden, 429: RateLimited, 503: Overloaded}


@dataclass(frozen=True)
class Dead(Behaviour):
    """Refuses connections: its address is registered and nobody is there."""

    name: ClassVar[str] = "dead"
    is_absent: ClassVar[bool] = True


@dataclass(frozen=True)
class Silent(Behaviour):
    """Takes connections and requests, and never answers one."""

    name: ClassVar[str] = "silent"

    async def handle(self, request: Request, serve: Serve) -> Reply | OpenReply:
        """Wait until the caller leaves."""
        return await wait_to_be_cancelled()


@dataclass(frozen=True)
class Refusing(Behaviour):
    """Answers every request with an error status; like every refusal it is not signed.

    Args:
        status: 403, 429 or 503.
        retry_after_s: Seconds after which it says that it would take the request; 0 says nothing.
    """

    name: ClassVar[str] = "refusing"
    status: int = field(default=503, metadata={"choices": tuple(_REFUSALS)})
    retry_after_s: float = 0.0

    async def handle(self, request: Request, serve: Serve) -> Reply | OpenReply:
        """Refuse the request without a look at it."""
        return error_reply(_REFUSALS[self.status](retry_after=self.retry_after_s or None))


@dataclass(frozen=True)
class Garbage(Behaviour):
    """Answers with bytes that are no reply.

    Args:
        what: `http` sends what is no HTTP; `frames` sends a right HTTP head, of the kind that was
            asked for, and rubbish under it.
    """

    name: ClassVar[str] = "garbage"
    what: str = field(default="http", metadata={"choices": ("http", "frames")})

    async def handle(self, request: Request, serve: Serve) -> Reply | OpenReply:
        """Send rubbish."""
        if self.what == "frames":
            modes = {str(mode): mode.content_type for mode in StreamMode}
            asked = parse_qs(request.raw_path.partition("?")[2]).get("stream", [""])
            kind = modes.get(asked[0], "application/json")
            return Reply(200, _NO_FRAMES, {"Content-Type": kind})
        if request.transport is not None:
            request.transport.write(_NO_HTTP)
        return await hang_up(request)


@dataclass(frozen=True)
class Dripping(Behaviour):
    """Sends the head of a reply and then one byte at a time, so that it is never idle for long.

    Args:
        pause_s: Seconds between two bytes. A reply of 1,000 bytes takes 1,000 times as long.
    """

    name: ClassVar[str] = "dripping"
    pause_s: float = 0.05

    async def pass_on(self, data: bytes, send: SendBytes, *, begins: bool) -> None:
        """Send the head at once and the rest by bytes."""
        if begins:
            head, end, data = data.partition(_HEAD_END)
            await send(head + end)
        for number in data:
            await asyncio.sleep(self.pause_s)
            await send(bytes((number,)))


@dataclass(frozen=True)
class ByteSplitting(Behaviour):
    """Sends the right reply with every byte in a write of its own.

    Harmless: where writes begin and end is nobody's promise, and a caller that minds it is wrong.
    """

    name: ClassVar[str] = "byte_splitting"
    is_harmless: ClassVar[bool] = True

    async def pass_on(self, data: bytes, send: SendBytes, *, begins: bool) -> None:
        """Send byte by byte, and let the caller read between them."""
        for number in data:
            await send(bytes((number,)))
            await asyncio.sleep(0)
