"""HTTP replies: a finished synapse, an error, and what the node says of itself."""

from __future__ import annotations

import json
import math
from typing import Any

from aiohttp import web

from node.errors import ForwardFailed, InvalidBody, MethodNotAllowed, StaleRequest, WireError
from node.wire import RECEIPT_HEADER, Receipt

__all__ = [
    "SERVER_NAME",
    "body_reply",
    "error_document",
    "error_reply",
    "json_reply",
    "synapse_reply",
]

SERVER_NAME = "ganglion"


def synapse_reply(body: bytes, receipt: Receipt | None) -> web.Response:
    """Return the 200 reply that carries an answered synapse's body, and its receipt."""
    reply = body_reply(200, body)
    if receipt is not None:
        reply.headers[RECEIPT_HEADER] = receipt.to_header()
    return reply


def json_reply(document: dict[str, Any], *, status: int = 200) -> web.Response:
    """Return a reply with a small JSON document."""
    return body_reply(status, json.dumps(document).encode())


def error_reply(error: WireError) -> web.Response:
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


def body_reply(status: int, body: bytes) -> web.Response:
    """Return a reply with a JSON body."""
    return web.Response(
        status=status,
        body=body,
        headers={"Content-Type": "application/json", "Server": SERVER_NAME},
    )
