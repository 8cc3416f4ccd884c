"""Replies that come in one read, head and content, and differ in their content only.

Of a peer whose replies are unsigned all heads of a second are the same. Without aiohttp's parser
and reader a request, one after another, takes 0.95 of the time.
"""

from __future__ import annotations

from typing import NamedTuple, Self

from aiohttp.http import RawResponseMessage

from node.whole import HEAD_END, WholeContent

__all__ = ["KnownHead"]


class KnownHead(NamedTuple):
    """What one reply tells of the next: the same bytes in front of as many mean what they meant.

    Attributes:
        head: All that came before the content.
        size: Bytes of head and content.
        message: What the head means.
    """

    head: bytes
    size: int
    message: RawResponseMessage

    @classmethod
    def of(cls, data: bytes, message: RawResponseMessage) -> Self | None:
        """Return what is known from a first read; None unless it was one whole reply.

        Args:
            data: What was read, and parsed without an error.
            message: What the parser made of it.
        """
        head = data[: data.find(HEAD_END) + len(HEAD_END)]
        # Else it is not whole, or more has come than one head and its content.
        is_whole = message.headers.get("Content-Length") == str(len(data) - len(head))
        return cls(head, len(data), message) if is_whole and not message.chunked else None

    def content_of(self, data: bytes) -> WholeContent | None:
        """Return the content of a read that is such a reply too, or None if it has to be parsed."""
        if len(data) == self.size and data.startswith(self.head):
            return WholeContent(data[len(self.head) :])
        return None
