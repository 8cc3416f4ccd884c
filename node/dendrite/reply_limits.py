"""The largest things that a dendrite takes from a peer."""

from __future__ import annotations

__all__ = ["ReplyLimits"]


class ReplyLimits:
    """The largest things that a dendrite takes from a peer.

    Args:
        reply_bytes: Longest unary reply, 64 MiB by default.
        frame_bytes: Longest chunk of a stream, 16 MiB by default.
    """

    __slots__ = ("frame_bytes", "reply_bytes")

    def __init__(self, *, reply_bytes: int = 64 * 2**20, frame_bytes: int = 16 * 2**20) -> None:
        self.reply_bytes = reply_bytes
        self.frame_bytes = frame_bytes
