"""How the chunks of a streamed reply travel, and the media type that says so."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["StreamMode"]


class StreamMode(StrEnum):
    """A value of the `stream` parameter (docs/protocol.md §6)."""

    FRAMES = "frames"
    SSE = "sse"
    RAW = "raw"

    @property
    def content_type(self) -> str:
        """The media type of a reply in this mode.

        `raw` has that of SDK 6-10 (WIRE.md §2.7), although its chunks are no events.
        """
        return _CONTENT_TYPES[self]


_CONTENT_TYPES = {
    StreamMode.FRAMES: "application/x-ganglion-frames",
    StreamMode.SSE: "text/event-stream",
    StreamMode.RAW: "text/event-stream",
}
