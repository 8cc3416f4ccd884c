"""The routes of the payload as a subnet author writes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from node import StreamingSynapse, Synapse, TextStream
from node.streams import ReplyStream

__all__ = ["Blocks", "Echo", "Held", "Paced", "Ticks", "Tokens", "Word"]


class Echo(Synapse):
    """Answered in capitals."""

    text: str
    answer: str = ""


class Tokens(TextStream):
    """Streams `count` tokens."""

    count: int


class Ticks(TextStream):
    """Streams `count` tokens with a turn of the event loop between."""

    count: int


class Paced(TextStream):
    """Streams `count` stamps, `gap_s` seconds apart."""

    count: int
    gap_s: float


class Held(TextStream):
    """Streams a token, and another when the run lets go."""


class Word(TextStream):
    """Streams one word after `think_s` seconds."""

    think_s: float = 0.0


class Blocks(StreamingSynapse):
    """Streams `count` chunks of `size` bytes, which the caller takes as they are."""

    count: int
    size: int

    async def process_streaming_response(self, response: ReplyStream) -> AsyncIterator[bytes]:
        """Yield the chunks."""
        async for chunk in response.content.iter_any():
            yield chunk

    def extract_response_json(self, response: ReplyStream) -> dict[str, Any]:
        """Keep nothing."""
        return {}
