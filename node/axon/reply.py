"""HTTP replies in one piece: a finished synapse, an error, and what the node says of itself."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from aiohttp.helpers import rfc822_formatted_time

from node.errors import ForwardFailed, InvalidBody, MethodNotAllowed, StaleRequest, WireError
from node.wire import RECEIPT_HEADER, Receipt

__all__ = [
    "Reply",
    "body_reply",
    "encode_head",
    "encode_same_head",
    "error_document",
    "error_reply",
    "json_reply",
    "synapse_reply",
]

_STATUS_LINES = {
    int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\nServer: ganglion\r\nDate: "
    for status in HTTPStatus
}
# Heads that are remembered, of some hundred bytes each.
_HEADS = 64


def encode_head(status: int, headers: Mapping[str, str], *framing: str, closes: bool) -> bytes:
    """Return the bytes of a reply's head.

    Args:
        status: HTTP status.
        headers: Names and values.
        framing: Lines that say where the body ends.
        closes: Whether the connection ends with the reply.

    Raises:
        ValueError: A header holds what would end it.
    """
    return _encode_head(status, headers.items(), framing, closes, rfc822_formatted_time())


def encode_same_head(status: int, headers: Mapping[str, str], *framing: str, closes: bool) -> bytes:
    """As `encode_head`, for heads that many replies of a second have alike, as streams do."""
    lines = tuple(headers.items())
    return _encode_same_head(status, lines, framing, closes, rfc822_formatted_time())


def _encode_head(
    status: int,
    headers: Iterable[tuple[str, str]],
    framing: tuple[str, ...],
    closes: bool,
    now: str,
) -> bytes:
    first = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\nServer: ganglion\r\nDate: "
    lines = [first + now]
    lines += [f"{name}: {value}" for name, value in headers]
    lines += framing
    if closes:
        lines.append("Connection: close")
    head = "\r\n".join(lines)
    # The status line has two breaks of its own.
    breaks = len(lines) + 1
    if head.count("\n") != breaks or head.count("\r") != breaks or "\0" in head:
        raise ValueError("a header of the reply holds a line break")
    return f"{head}\r\n\r\n".encode()


_encode_same_head = lru_cache(maxsize=_HEADS)(_encode_head)


class Reply:
    """A reply whose body is there as a whole.

    Args:
        status: HTTP status.
        body: The body.
        headers: What goes into its head beside the framing.

    Attributes:
        closes: Whether the connection ends with it.
    """

    __slots__ = ("body", "closes", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.closes = False

    def encode_head(self, *, closes: bool, old: bool = False) -> bytes:
        """Return the bytes of its head.

        Args:
            closes: Whether the connection ends with it.
            old: Whether the client speaks HTTP/1.0, where a connection that stays must be said to.

        Raises:
            ValueError: A header holds what would end it.
        """
        framing = ("Connection: keep-alive",) if old and not closes else ()
        # With headers of its own, a receipt for one, a reply's head is like no other.
        encode = encode_same_head if len(self.headers) == 1 else encode_head
        head = encode(self.status, self.headers, *framing, closes=closes)
        return b"%bContent-Length: %d\r\n\r\n" % (head[:-2], len(self.body))


def synapse_reply(body: bytes, receipt: Receipt | None) -> Reply:
    """Return the 200 reply that carries an answered synapse's body, and its receipt."""
    reply = body_reply(200, body)
    if receipt is not None:
        reply.headers[RECEIPT_HEADER] = receipt.to_header()
    return reply


def json_reply(document: dict[str, Any], *, status: int = 200) -> Reply:
    """Return a reply with a small JSON document."""
    return body_reply(status, json.dumps(document).encode())


def error_reply(error: WireError) -> Reply:
    """Return the reply for an error; only its public side leaves the node."""
    reply = body_reply(error.status, json.dumps(error_document(error)).encode())
    if error.retry_after is not None:
        reply.headers["Retry-After"] = str(math.ceil(error.retry_after))
    if isinstance(error, MethodNotAllowed):
        reply.headers["Allow"] = "POST"
    return reply


def error_document(error: WireError) -> dict[str, Any]:
    """Return the JSON document of an error (docs/protocol.md §7)."""
    document: dict[str, Any] = {"code": error.code, "message": error.public}
    if isinstance(error, StaleRequest):
        document["clock_offset_s"] = error.clock_offset_s
    if isinstance(error, InvalidBody) and error.fields:
        document["fields"] = [{"field": field, "reason": reason} for field, reason in error.fields]
    if isinstance(error, ForwardFailed) and error.error_id:
        document["error_id"] = error.error_id
    if error.retry_after is not None:
        document["retry_after_s"] = round(error.retry_after, 3)
    return document


def body_reply(status: int, body: bytes) -> Reply:
    """Return a reply with a JSON body."""
    return Reply(status, body, {"Content-Type": "application/json"})
