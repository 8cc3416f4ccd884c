"""The pages that an axon shows to anybody, signed or not."""

from __future__ import annotations

from collections.abc import Iterable

from node.errors import MethodNotAllowed
from node.streams import StreamMode
from node.version import VERSION

from .reply import Reply, error_reply, json_reply
from .request import Request

__all__ = ["PAGES", "show"]

PAGES = frozenset({"", "health"})


def show(
    page: str, request: Request, *, hotkey: str, scheme: str, protocols: Iterable[str]
) -> Reply:
    """Say what a node is and speaks; nothing about its routes or callers.

    Args:
        page: One of `PAGES`.
        request: Which may be of another method than pages have; that gets 405.
        hotkey: The node's address.
        scheme: What its hotkey signs with.
        protocols: The signing protocols that it accepts.
    """
    if request.method not in ("GET", "HEAD"):
        reply = error_reply(MethodNotAllowed())
        reply.headers["Allow"] = "GET, HEAD"
        return reply
    if page == "health":
        return json_reply({"status": "ok"})
    return json_reply(
        {
            "node": "ganglion",
            "version": VERSION,
            "hotkey": hotkey,
            "scheme": scheme,
            "protocols": list(protocols),
            "stream_modes": [str(mode) for mode in StreamMode],
        }
    )
