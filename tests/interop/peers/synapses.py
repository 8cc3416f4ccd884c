"""The routes of both old ends, as a subnet's `protocol.py` has them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, ClassVar

import bittensor as bt

__all__ = ["ALL", "ATTACHED"]


class Hashed(bt.Synapse):
    """Unary; what it asks is covered by the signature."""

    text: str
    words: list[str]
    temperature: float = 0.5
    answer: str = ""

    required_hash_fields: ClassVar[tuple[str, ...]] = ("text", "words", "temperature")


class Plain(bt.Synapse):
    """Unary; no field is hashed, so the signature covers nothing of it (WIRE.md §2.3)."""

    text: str
    answer: str = ""


class Who(bt.Synapse):
    """Asks whom the forward takes its caller to be."""

    caller: str = ""


class Liar(bt.Synapse):
    """Answered with other inputs and other identities than were sent."""

    text: str
    answer: str = ""


class Faulty(bt.Synapse):
    """The forward raises."""

    text: str = ""


class Slow(bt.Synapse):
    """The forward sleeps."""

    seconds: float = 1.0
    answer: str = ""


class Missing(bt.Synapse):
    """No axon serves it."""

    text: str = ""


class Tokens(bt.StreamingSynapse):
    """Streams the words of its prompt, and takes the tutorial's way to read its reply."""

    prompt: str
    completion: str = ""

    required_hash_fields: ClassVar[tuple[str, ...]] = ("prompt",)

    async def process_streaming_response(self, response: Any) -> AsyncIterator[str]:
        async for chunk in response.content.iter_any():
            piece = chunk.decode("utf-8")
            self.completion += piece
            yield piece

    def extract_response_json(self, response: Any) -> dict[str, Any]:
        # Names are compared as they were sent, in lower case: so does code in the field.
        headers = {
            name.decode("utf-8"): value.decode("utf-8")
            for name, value in response.__dict__["_raw_headers"]
        }

        def end(prefix: str) -> dict[str, str]:
            return {
                name[len(prefix) :]: value
                for name, value in headers.items()
                if name.startswith(prefix)
            }

        return {
            "name": headers.get("name", ""),
            "timeout": float(headers.get("timeout", 0)),
            "total_size": int(headers.get("total_size", 0)),
            "header_size": int(headers.get("header_size", 0)),
            "dendrite": end("bt_header_dendrite_"),
            "axon": end("bt_header_axon_"),
            "prompt": self.prompt,
            "completion": self.completion,
        }


class Exact(Tokens):
    """Its hook takes for granted what an old axon sends with every reply."""

    def extract_response_json(self, response: Any) -> dict[str, Any]:
        headers = response.headers
        return {
            **super().extract_response_json(response),
            "name": headers["name"],
            "timeout": float(headers["timeout"]),
            "total_size": int(headers["total_size"]),
            "header_size": int(headers["header_size"]),
            "computed_body_hash": headers["computed_body_hash"],
        }


class Broken(Tokens):
    """The streamer raises after two chunks."""


class Stalling(Tokens):
    """The streamer sends one chunk and then nothing for half a minute."""


ALL = {
    kind.__name__: kind
    for kind in (
        Hashed, Plain, Who, Liar, Faulty, Slow, Missing, Tokens, Exact, Broken, Stalling,
    )
}  # fmt: skip
ATTACHED = {name: kind for name, kind in ALL.items() if kind is not Missing}
