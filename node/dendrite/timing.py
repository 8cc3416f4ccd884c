"""When things happened in one call, by the reader's own clock."""

from __future__ import annotations

import time
from array import array

__all__ = ["StreamTiming"]


_MAX_GAPS = 65_536


class StreamTiming:
    """The record of one call; all times are seconds since the call began, None if not reached.

    A call begins when it has a place among the requests that may be out, so waiting for one is
    not the peer's time.

    Attributes:
        began: When it began, on the clock of `time.perf_counter`.
        connected_s: The connection stood; about 0 for one that was kept alive.
        sent_s: The request had been written.
        headers_s: The reply's status had come.
        first_byte_s: The first chunk had come.
        last_byte_s: The latest chunk had come.
        total_s: The call had ended.
        chunks: Chunks that came.
        bytes: Bytes of all chunks.
        reads: Reads from the socket that brought chunks.
        bunched: Chunks that came in one read with others.
        gaps: Seconds between each chunk and the one before, 0 within one read; of the first
            65,536 chunks.
        tokens: Tokens of the reply, for whoever counts them; None if nobody does.
    """

    __slots__ = (
        "began",
        "bunched",
        "bytes",
        "chunks",
        "connected_s",
        "first_byte_s",
        "gaps",
        "headers_s",
        "last_byte_s",
        "reads",
        "sent_s",
        "tokens",
        "total_s",
    )

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.connected_s: float | None = None
        self.sent_s: float | None = None
        self.headers_s: float | None = None
        self.first_byte_s: float | None = None
        self.last_byte_s: float | None = None
        self.total_s: float | None = None
        self.chunks = 0
        self.bytes = 0
        self.reads = 0
        self.bunched = 0
        self.gaps = array("d")
        self.tokens: int | None = None

    def __repr__(self) -> str:
        first = "-" if self.first_byte_s is None else f"{self.first_byte_s:.3f}"
        total = "-" if self.total_s is None else f"{self.total_s:.3f}"
        return f"StreamTiming(first_byte_s={first}, total_s={total}, chunks={self.chunks})"

    @property
    def burstiness(self) -> float:
        """The share of chunks that came in one read with others, 0 to 1.

        A reply that was held back and dumped comes near 1. So do chunks that follow each other
        faster than this side reads, so compare peers on one machine.
        """
        return self.bunched / self.chunks if self.chunks else 0.0

    @property
    def longest_gap_s(self) -> float:
        """The longest time between two chunks."""
        return max(self.gaps, default=0.0)

    @property
    def sent_at(self) -> float | None:
        """When the request had been written, on the clock of `time.perf_counter`."""
        return None if self.sent_s is None else self.began + self.sent_s

    def restart(self) -> None:
        """Let the call begin now."""
        self.began = time.perf_counter()

    def now(self) -> float:
        """Return seconds since the call began."""
        return time.perf_counter() - self.began

    def count(self, chunks: int, size: int) -> None:
        """Record one read that brought `chunks` chunks of `size` bytes in all."""
        if not chunks:
            return
        now = self.now()
        gap = 0.0 if self.last_byte_s is None else now - self.last_byte_s
        if self.first_byte_s is None:
            self.first_byte_s = now
        elif len(self.gaps) < _MAX_GAPS:
            self.gaps.append(gap)
        if chunks > 1:
            self.bunched += chunks
            if len(self.gaps) < _MAX_GAPS:
                self.gaps.extend([0.0] * (chunks - 1))
        self.last_byte_s = now
        self.reads += 1
        self.chunks += chunks
        self.bytes += size
