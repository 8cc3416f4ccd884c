"""Protocols that the tests speak, written as for SDK 10."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, ClassVar

import node.compat as bt
from node.streams import ReplyStream


class Double(bt.Synapse):
    x: int
    y: int | None = None

    required_hash_fields: ClassVar[tuple[str, ...]] = ("x",)

    def deserialize(self) -> int | None:
        return self.y


class Letters(bt.StreamingSynapse):
    text: str
    completion: str = ""

    required_hash_fields: ClassVar[tuple[str, ...]] = ("text",)

    def deserialize(self) -> str:
        return self.completion

    async def process_streaming_response(self, response: ReplyStream) -> AsyncIterator[list[str]]:
        async for chunk in response.content.iter_any():
            self.completion += chunk.decode()
            yield [chunk.decode()]

    def extract_response_json(self, response: ReplyStream) -> dict[str, Any]:
        return {"text": self.text, "completion": self.completion}


def double(synapse: Double) -> Double:
    synapse.y = synapse.x * 2
    return synapse


def spell(synapse: Letters) -> bt.StreamingSynapse.BTStreamingResponse:
    async def stream(send: bt.Send) -> None:
        for letter in synapse.text:
            await send({"type": "http.response.body", "body": letter.encode(), "more_body": True})

    reply = synapse.create_streaming_response(stream)
    assert isinstance(reply, bt.StreamingSynapse.BTStreamingResponse)
    return reply
