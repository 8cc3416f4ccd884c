"""When things happened in one call, by the reader's own clock."""

from __future__ import annotations

import time

__all__ = ["StreamTiming"]


class StreamTiming:
    """The record of one call; all times are seconds since the call began, None if not reached.

    Attributes:
        connected_s: The connection stood; about 0 for one that was kept alive.
        sent_s: The request had been written.
        headers_s: The reply's status had come.
        first_byte_s: The first chunk had come.
        last_byte_s: The latest chunk had come.
        total_s: The call had ended.
        chunks: Chunks that came.
        bytes: Bytes of all chunks.
        reads: Reads from the socket that they came in; fewer reads than chunks means that
            chunks were bunched on the way.
        longest_gap_s: Longest time between two chunks.
    """

    __slots__ = (
        "_began",
        "bytes",
        "chunks",
        "connected_s",
        "first_byte_s",
        "headers_s",
        "last_byte_s",
        "longest_gap_s",
        "reads",
        "sent_s",
        "total_s",
    )

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.connected_s: float | None = None
        self.sent_s: float | None = None
        self.headers_s: float | None = None
        self.first_byte_s: float | None = None
        self.last_byte_s: float | None = None
        self.total_s: float | None = None
        self.chunks = 0
        self.bytes = 0
        self.reads = 0
        self.longest_gap_s = 0.0

    def __repr__(self) -> str:
        first = "-" if self.first_byte_s is None else f"{self.first_byte_s:.3f}"
        total = "-" if self.total_s is None else f"{self.total_s:.3f}"
        return f"StreamTiming(first_byte_s={first}, total_s={total}, chunks={self.chunks})"

    def now(self) -> float:
        """Return seconds since the call began."""
        return time.perf_counter() - self._began

    def count(self, sizes: list[int]) -> None:
        """Record the chunks that one read brought, by their sizes."""
        if not sizes:
            return
        now = self.now()
        if self.last_byte_s is None:
            self.first_byte_s = now
        else:
            self.longest_gap_s = max(self.longest_gap_s, now - self.last_byte_s)
        self.last_byte_s = now
        self.reads += 1
        self.chunks += len(sizes)
        self.bytes += sum(sizes)
