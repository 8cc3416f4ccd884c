"""The head of a request, as text.

A request of ours has a known length, no cookies, redirects, proxies or compression, so nothing
but its lines has to be worked out.
"""

from __future__ import annotations

from collections.abc import Mapping

from node.network import Peer
from node.version import VERSION

__all__ = ["encode_head", "same_lines"]


def same_lines(peer: Peer) -> str:
    """Return the header lines that every request to a peer has."""
    host = peer.endpoint.removesuffix(":80") if peer.port == 80 else peer.endpoint
    lines = (
        f"Host: {host}",
        f"User-Agent: ganglion/{VERSION}",
        "Accept: */*",
        "Accept-Encoding: identity",
    )
    return "\r\n".join(lines)


def encode_head(
    method: str, target: str, same: str, headers: Mapping[str, str], *framing: str
) -> bytes:
    """Return the head of a request.

    Args:
        method: HTTP method.
        target: Path and query.
        same: What `same_lines` gave.
        headers: The others.
        framing: Lines that say what the body is.

    Raises:
        ValueError: A line holds what would end it.
    """
    lines = [f"{method} {target} HTTP/1.1", same]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += framing
    head = "\r\n".join(lines)
    breaks = same.count("\n") + len(lines) - 1
    if head.count("\n") != breaks or head.count("\r") != breaks or "\0" in head:
        raise ValueError("a header of the request holds a line break")
    return f"{head}\r\n\r\n".encode()
