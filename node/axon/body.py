"""Reading a request body with a cap that holds while it is read, and a deadline."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from node.errors import BodyTimeout, BodyTooLarge, MalformedRequest

from .budget import BodyBudget, BodyShare
from .request import Request

__all__ = ["read_body", "take_body"]


def take_body(request: Request, budget: BodyBudget, *, max_bytes: int) -> bytes | None:
    """Return the raw body if it came with the head, as most do, or None if it is under way.

    Args:
        request: Its content has not been read.
        budget: What unproven bodies may hold in all. Whatever this one held is free again on
            return, since between here and its proof nothing is waited for.
        max_bytes: Longest body that is taken.

    Raises:
        MalformedRequest: The body is encoded: it is signed and capped as sent, and not unpacked.
        BodyTooLarge: It is longer than `max_bytes`, or is declared to be.
        Overloaded: All unproven bodies together hold what they may.
    """
    headers, content = request.headers, request.content
    if "Content-Encoding" in headers and headers["Content-Encoding"].lower() != "identity":
        raise MalformedRequest("An encoded body is not taken; send it without Content-Encoding.")
    if content is EMPTY_PAYLOAD:
        return b""
    if request.content_length > max_bytes:
        raise _too_large(max_bytes)
    if not content.is_eof():
        return None
    body = content.read_nowait()
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    budget.check(len(body))
    return body


async def read_body(
    request: Request, budget: BodyBudget, *, max_bytes: int, timeout_s: float
) -> bytes:
    """Return the raw body of a request for which `take_body` found that it is under way.

    Args:
        request: Its content has not been read.
        budget: What unproven bodies may hold in all, of which this one takes a share as it grows.
        max_bytes: Longest body that is taken; a longer one is refused as soon as it has come that
            far.
        timeout_s: Seconds for the whole body.

    Raises:
        MalformedRequest: It ended before its declared length, or its chunks are broken.
        BodyTooLarge: It is longer than `max_bytes`.
        BodyTimeout: It did not arrive in time.
        Overloaded: All unproven bodies together hold what they may.
    """
    _send_continue(request)
    try:
        with budget.share() as share:
            async with asyncio.timeout(timeout_s):
                return await _collect(request, share, max_bytes)
    except TimeoutError:
        raise BodyTimeout from None
    except (web.RequestPayloadError, HttpProcessingError) as error:
        # aiohttp's parser in Python hands its own errors to whoever waits for the body.
        raise MalformedRequest("The body does not end as its headers say.") from error


def _send_continue(request: Request) -> None:
    """Tell a client that asked first to send its body now (RFC 9110 §10.1.1)."""
    if request.holds_body_back and request.transport:
        request.told_to_go_on = True
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def _collect(request: Request, share: BodyShare, max_bytes: int) -> bytes:
    pieces: list[bytes] = []
    held = 0
    content = request.content
    assert isinstance(content, StreamReader)  # what is whole was taken by `take_body`
    while piece := await content.readany():
        held += len(piece)
        if held > max_bytes:
            raise _too_large(max_bytes)
        share.grow(len(piece))
        pieces.append(piece)
    return b"".join(pieces)


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request's body is over {max_bytes} bytes.")
