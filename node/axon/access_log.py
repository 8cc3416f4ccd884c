"""One line in the log for each request that an axon answered."""

from __future__ import annotations

import logging

from .exchange import Exchange
from .request import Request

__all__ = ["log_access"]

_logger = logging.getLogger("node.axon.access")


def log_access(
    request: Request, exchange: Exchange, status: int, code: str, seconds: float
) -> None:
    """Log a request at INFO, with the fields as a dict in `record.request`.

    Args:
        request: What was asked.
        exchange: How it went.
        status: The HTTP status of the reply; of a stream that failed, that of its failure.
        code: The code of the error, or "".
        seconds: How long it took.
    """
    if not _logger.isEnabledFor(logging.INFO):
        return
    caller = exchange.caller.hotkey if exchange.caller else "-"
    fields = {
        "remote": request.remote[0] or "-",
        "caller": caller,
        "route": exchange.route_name[:80],
        "status": status,
        "code": code or "ok",
        "ms": round(seconds * 1000, 1),
        "chunks": exchange.chunks,
        "bytes": exchange.bytes,
    }
    _logger.info(
        "%s %s /%s %d %s %.1f ms %d chunks %d bytes",
        *(fields[name] if name != "route" else ascii(fields[name])[1:-1] for name in fields),
        extra={"request": fields},
    )
