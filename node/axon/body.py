"""Reading a request body with a cap that holds while it is read, and a deadline."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.streams import EMPTY_PAYLOAD

from node.errors import BodyTimeout, BodyTooLarge, MalformedRequest

from .budget import BodyShare
from .request import Request

__all__ = ["read_body"]


async def read_body(
    request: Request, share: BodyShare, *, max_bytes: int, timeout_s: float
) -> bytes:
    """Return the raw body.

    Args:
        request: Its content has not been read.
        share: Grows with what is held of the body.
        max_bytes: Longest body that is taken; a longer one is refused before it is held, by its
            declared length or, without one, as soon as it has come that far.
        timeout_s: Seconds for the whole body.

    Raises:
        MalformedRequest: The body is encoded (it is signed and capped as sent, and is not
            unpacked), or it ended before its declared length.
        BodyTooLarge: It is longer than `max_bytes`.
        BodyTimeout: It did not arrive in time.
        Overloaded: All unproven bodies together hold what they may.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise MalformedRequest("An encoded body is not taken; send it without Content-Encoding.")
    if request.content is EMPTY_PAYLOAD:
        return b""
    if request.content_length > max_bytes:
        raise _too_large(max_bytes)
    try:
        if request.content.is_eof():
            # The body came with the headers, as most do: no timer is needed (4 us).
            return _take(request, share, max_bytes)
        _send_continue(request)
        async with asyncio.timeout(timeout_s):
            return await _collect(request, share, max_bytes)
    except TimeoutError:
        raise BodyTimeout from None
    except web.RequestPayloadError as error:
        raise MalformedRequest("The body does not end as its headers say.") from error


def _send_continue(request: Request) -> None:
    """Tell a client that asked first to send its body now (RFC 9110 §10.1.1)."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _take(request: Request, share: BodyShare, max_bytes: int) -> bytes:
    """Return the body of a request that has come as a whole."""
    body = request.content.read_nowait()
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    share.grow(len(body))
    return body


async def _collect(request: Request, share: BodyShare, max_bytes: int) -> bytes:
    pieces: list[bytes] = []
    held = 0
    while piece := await request.content.readany():
        held += len(piece)
        if held > max_bytes:
            raise _too_large(max_bytes)
        share.grow(len(piece))
        pieces.append(piece)
    return b"".join(pieces)


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request's body is over {max_bytes} bytes.")
