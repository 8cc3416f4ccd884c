"""A `StreamingSynapse` whose hooks are written as the old SDK's tutorial teaches."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from pydantic import Field

from node import Axon, Dendrite, Keypair, StreamingSynapse
from node.streams import ReplyStream
from node.synapse import Send

from .synapses import Words


class SeedStream(StreamingSynapse):
    messages: list[str] = Field(..., title="Messages", frozen=True)
    completion: str = Field("", title="Completion")

    def deserialize(self) -> str:
        return self.completion

    async def process_streaming_response(self, response: ReplyStream) -> AsyncIterator[Any]:
        async for chunk in response.content.iter_any():
            tokens = chunk.decode("utf-8").split("\n")
            self.completion += "".join(tokens)
            yield tokens

    def extract_response_json(self, response: ReplyStream) -> dict[str, Any]:
        headers = {
            key.decode("utf-8"): value.decode("utf-8")
            for key, value in response.__dict__["_raw_headers"]
        }

        def extract_info(prefix: str) -> dict[str, str]:
            return {
                key.split("_")[-1]: value
                for key, value in headers.items()
                if key.startswith(prefix)
            }

        return {
            "name": headers.get("name", ""),
            "timeout": float(headers.get("timeout", 0)),
            "total_size": int(headers.get("total_size", 0)),
            "header_size": int(headers.get("header_size", 0)),
            "dendrite": extract_info("bt_header_dendrite"),
            "axon": extract_info("bt_header_axon"),
            "messages": self.messages,
            "completion": self.completion,
        }


def forward(synapse: SeedStream) -> SeedStream:
    async def _forward(text: str, send: Send) -> None:
        words = text.split()
        for start in range(0, len(words), 3):
            await send(
                {
                    "type": "http.response.body",
                    "body": "\n".join(words[start : start + 3]).encode("utf-8"),
                    "more_body": start + 3 < len(words),
                }
            )

    token_streamer = partial(_forward, synapse.messages[0])
    return synapse.create_streaming_response(token_streamer)  # type: ignore[return-value]


async def test_the_seeds_hooks_and_its_client_loop_work(axon: Axon, dendrite: Dendrite) -> None:
    axon.attach(forward)
    lists: list[list[str]] = []
    async with axon:
        responses = await dendrite(
            [axon.info()],
            SeedStream(messages=["a b c d e f g"]),
            deserialize=False,
            streaming=True,
        )
        for resp in responses:
            async for chunk in resp:
                if isinstance(chunk, list):
                    lists.append(chunk)
                else:
                    synapse = chunk
    assert lists == [["a", "b", "c"], ["d", "e", "f"], ["g"]]
    assert synapse.completion == "abcdefg"
    assert synapse.messages == ["a b c d e f g"]
    assert synapse.is_success
    # What the hook returned of the base class's fields is not taken.
    assert (synapse.name, synapse.timeout) == ("SeedStream", 12.0)


async def test_deserialize_gives_what_the_class_says(axon: Axon, dendrite: Dendrite) -> None:
    axon.attach(forward)
    async with axon:
        assert await dendrite.call(axon.info(), SeedStream(messages=["x y"])) == "xy"


class Lines(StreamingSynapse):
    """Reads by line, then the rest, as hooks over aiohttp do."""

    lines: list[str] = Field(default_factory=list)
    headers: dict[str, str] = Field(default_factory=dict)

    async def process_streaming_response(self, response: ReplyStream) -> AsyncIterator[str]:
        assert response.status == 200
        async for line in response.content:
            yield line.decode().rstrip("\n")

    def extract_response_json(self, response: ReplyStream) -> dict[str, Any]:
        return {"headers": dict(response.headers), "lines": ["read"]}


async def test_a_hook_may_read_lines_and_headers(axon: Axon, dendrite: Dendrite) -> None:
    async def lines(synapse: Lines) -> AsyncIterator[str]:
        for piece in ("one\ntw", "o\n", "\nthree\nfour"):
            yield piece

    axon.attach(lines)
    async with axon:
        stream = await dendrite(axon.info(), Lines())
        *chunks, final = [item async for item in stream]
    assert chunks == ["one", "two", "", "three", "four"]
    assert final.lines == ["read"]
    assert final.headers["content-type"] == "application/x-ganglion-frames"


class Early(Words):
    """A hook that stops reading after the first chunk."""

    async def process_streaming_response(self, response: ReplyStream) -> AsyncIterator[str]:
        async for chunk in response.content.iter_any():
            yield chunk.decode()
            break


class Swallow(Words):
    """A hook that hides the stream's failure."""

    async def process_streaming_response(self, response: ReplyStream) -> AsyncIterator[str]:
        try:
            async for chunk in response.content.iter_any():
                yield chunk.decode()
        except Exception:
            yield "hidden"


class Raises(Words):
    async def process_streaming_response(self, response: ReplyStream) -> AsyncIterator[str]:
        async for chunk in response.content.iter_any():
            yield json.loads(chunk)


@pytest.mark.parametrize("kind", [Early, Swallow])
async def test_a_hook_that_hides_a_failure_does_not_make_it_a_success(
    axon: Axon, dendrite: Dendrite, kind: type[Words]
) -> None:
    async def early(synapse: Early) -> AsyncIterator[str]:
        yield "first"
        raise ValueError

    async def swallow(synapse: Swallow) -> AsyncIterator[str]:
        yield "first"
        raise ValueError

    axon.attach(early).attach(swallow)
    async with axon:
        final = await (await dendrite(axon.info(), kind()))
    assert (final.dendrite.status_code, final.is_success) == (500, False)


async def test_a_hook_that_raises_is_a_422_or_its_own_error_where_errors_are_raised(
    axon: Axon, dendrite: Dendrite
) -> None:
    async def forward(synapse: Raises) -> AsyncIterator[str]:
        yield "not json"

    axon.attach(forward)
    async with axon:
        final = await (await dendrite(axon.info(), Raises()))
        assert final.dendrite.status_code == 422
        stream = await dendrite.stream(axon.info(), Raises(), raise_errors=True)
        with pytest.raises(json.JSONDecodeError):
            async for _ in stream:
                pass
        with pytest.raises(json.JSONDecodeError):
            await stream


async def test_one_peers_words_that_break_a_hook_leave_the_others_replies(
    axon: Axon, dendrite: Dendrite, alice: Keypair
) -> None:
    async def forward(synapse: Raises) -> AsyncIterator[str]:
        yield '"good"' if synapse.count else "bad"

    other = Axon(alice, ip="127.0.0.1", port=0)

    async def bad(synapse: Raises) -> AsyncIterator[str]:
        yield "not json"

    axon.attach(forward)
    other.attach(bad)
    async with axon, other:
        replies = await dendrite([other.info(), axon.info()], Raises(), streaming=False)
    assert [reply.is_success for reply in replies] == [False, True]
    assert replies[0].dendrite.status_code == 422


def test_a_streaming_synapse_without_hooks_can_not_be_made() -> None:
    class Bare(StreamingSynapse):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Bare()  # type: ignore[abstract]
