"""The routes of the payload as a subnet author wrote them for SDK 6 to 10."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, ClassVar

import bittensor

sdk: Any = bittensor

__all__ = ["Echo", "Paced", "Tokens", "keypair_of"]


def keypair_of(uri: str) -> Any:
    """Return the sr25519 key pair of a URI such as //Alice."""
    from bittensor_wallet import Keypair

    return Keypair.create_from_uri(uri)


class Echo(sdk.Synapse):
    """Answered in capitals."""

    text: str
    answer: str = ""

    required_hash_fields: ClassVar[tuple[str, ...]] = ("text",)


class _Streamed(sdk.StreamingSynapse):
    """The hooks of the SDK's streaming tutorial."""

    completion: str = ""

    async def process_streaming_response(self, response: Any) -> AsyncIterator[str]:
        pieces = []
        async for chunk in response.content.iter_any():
            pieces.append(chunk.decode())
            yield pieces[-1]
        self.completion = "".join(pieces)

    def extract_response_json(self, response: Any) -> dict[str, Any]:
        headers = response.headers

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
            "count": getattr(self, "count", 0),
            "gap_s": getattr(self, "gap_s", 0.0),
            "completion": self.completion,
        }


class Tokens(_Streamed):
    """Streams `count` tokens."""

    count: int

    required_hash_fields: ClassVar[tuple[str, ...]] = ("count",)


class Paced(_Streamed):
    """Streams `count` stamps, `gap_s` seconds apart."""

    count: int
    gap_s: float

    required_hash_fields: ClassVar[tuple[str, ...]] = ("count", "gap_s")
