"""A protocol of each form, and forwards that answer it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field

from node import StreamingSynapse, Synapse, TypedStream
from node.streams import ReplyStream
from node.synapse import Send, StreamingReply

TEXT = "one two three four five six seven eight"
WORDS = [f"{word} " for word in TEXT.split()]


class Upper(Synapse):
    """A reply in one piece."""

    text: str = ""
    answer: str = ""
    parts: list[str] = Field(default_factory=list)
    length: int = 0
    tone: Literal["loud", "soft"] = "soft"


class Token(BaseModel):
    text: str
    index: int


class Opening(BaseModel):
    model: str


class Closing(BaseModel):
    count: int


class Typed(TypedStream[Token, Opening, Closing]):
    """Items with a header and a footer."""

    text: str = ""


class Plain(StreamingSynapse):
    """A stream as v6-v10 code writes it, with hooks and a token streamer."""

    text: str = ""
    completion: str = ""

    async def process_streaming_response(self, response: ReplyStream) -> AsyncIterator[str]:
        async for chunk in response.content.iter_any():
            self.completion += chunk.decode()
            yield chunk.decode()

    def extract_response_json(self, response: ReplyStream) -> dict[str, Any]:
        return {"completion": self.completion}


def upper(synapse: Upper) -> Upper:
    """A sync forward, so that a worker thread is in the way."""
    synapse.answer = synapse.text.upper()
    synapse.parts = synapse.text.split()
    synapse.length = len(synapse.text)
    synapse.tone = "loud"
    return synapse


def typed(synapse: Typed) -> Iterator[BaseModel]:
    yield Opening(model="echo")
    for index, word in enumerate(synapse.text.split()):
        yield Token(text=word, index=index)
    yield Closing(count=len(synapse.text.split()))


async def plain(synapse: Plain) -> StreamingReply:
    async def stream(send: Send) -> None:
        for word in synapse.text.split():
            await send({"body": f"{word} ".encode(), "more_body": True})

    return synapse.create_streaming_response(stream)
