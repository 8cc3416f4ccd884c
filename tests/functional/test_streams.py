"""What a caller reads: chunks exactly as they were sent, and then the final synapse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from node import Axon, Dendrite, Keypair, Stream, TextStream
from node.errors import RouteError
from node.streams import FrameDecoder, FrameKind
from tests.raw_http import ask, signed_request

from .synapses import Echo, Words, settled, until

TEXT = "é日🚀 the quick brown fox, twice: é日🚀"


class Pieces(TextStream):
    """Asks for the test's text, cut every `size` bytes."""

    size: int

    def deserialize(self) -> str:
        return f"<{self.completion}>"


async def cut(synapse: Pieces) -> AsyncIterator[bytes]:
    data = TEXT.encode()
    for start in range(0, len(data), synapse.size):
        yield data[start : start + synapse.size]


async def count(synapse: Words) -> AsyncIterator[str]:
    for number in range(synapse.count):
        yield f"{number} "


async def test_exactly_the_pieces_sent_and_then_the_final_synapse(
    axon: Axon, dendrite: Dendrite
) -> None:
    sent = ["one", " ", "two\n", "\n", "data: {}", "é", "日", "🚀", "x" * 70_000, "end"]

    async def forward(synapse: Words) -> AsyncIterator[str]:
        for piece in sent:
            yield piece

    axon.attach(forward)
    async with axon:
        stream = await dendrite(axon.info(), Words())
        *chunks, final = [item async for item in stream]
    assert chunks == sent
    assert isinstance(final, Words)
    assert final.completion == "".join(sent)
    assert (final.dendrite.status_code, final.is_success) == (200, True)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 16, 1000])
async def test_concatenation_does_not_depend_on_chunking(
    axon: Axon, dendrite: Dendrite, size: int
) -> None:
    axon.attach(cut)
    async with axon:
        stream = await dendrite(axon.info(), Pieces(size=size), deserialize=False)
        *chunks, final = [item async for item in stream]
    assert "".join(chunks) == final.completion == TEXT
    assert final.is_success


async def test_text_sent_one_byte_at_a_time_arrives_intact(axon: Axon, dendrite: Dendrite) -> None:
    async def forward(synapse: Words) -> AsyncIterator[bytes]:
        for byte in "é日🚀".encode():
            yield bytes([byte])
            await asyncio.sleep(0.002)

    axon.attach(forward)
    async with axon:
        stream = await dendrite(axon.info(), Words())
        *chunks, final = [item async for item in stream]
    assert chunks == ["é", "日", "🚀"]
    assert final.completion == "é日🚀"


@pytest.mark.parametrize("tail", [b"\xff", "é".encode()[:1]])
async def test_text_that_is_not_utf8_fails_the_stream(
    axon: Axon, dendrite: Dendrite, tail: bytes
) -> None:
    async def forward(synapse: Words) -> AsyncIterator[bytes]:
        yield b"ok"
        yield tail

    axon.attach(forward)
    async with axon:
        stream = await dendrite(axon.info(), Words())
        *chunks, final = [item async for item in stream]
    assert chunks == ["ok"]
    assert (final.dendrite.status_code, final.is_success) == (422, False)
    assert final.completion == "ok"


async def test_deserialize_is_the_last_item(axon: Axon, dendrite: Dendrite) -> None:
    axon.attach(cut)
    async with axon:
        stream = await dendrite(axon.info(), Pieces(size=9))
        items = [item async for item in stream]
        assert items[-1] == await stream == f"<{TEXT}>"


async def test_chunks_leaves_the_synapse_out(axon: Axon, dendrite: Dendrite) -> None:
    axon.attach(count)
    async with axon:
        stream = await dendrite(axon.info(), Words())
        assert [chunk async for chunk in stream.chunks()] == ["0 ", "1 ", "2 "]
        assert (await stream.final()).completion == "0 1 2 "


async def test_a_stream_without_chunks_is_complete(axon: Axon, dendrite: Dendrite) -> None:
    axon.attach(count)
    async with axon:
        stream = await dendrite(axon.info(), Words(count=0))
        items = [item async for item in stream]
    assert len(items) == 1
    assert (items[0].completion, items[0].is_success) == ("", True)


async def test_a_streaming_route_may_answer_in_one_piece(axon: Axon, dendrite: Dendrite) -> None:
    async def forward(synapse: Words) -> Words:
        synapse.completion = "at once"
        return synapse

    axon.attach(forward)
    async with axon:
        stream = await dendrite(axon.info(), Words())
        items = [item async for item in stream]
    assert items[-1].completion == "at once"
    assert items[-1].is_success


async def test_streaming_false_waits_for_the_finished_synapse(
    axon: Axon, dendrite: Dendrite
) -> None:
    axon.attach(count)
    async with axon:
        one = await dendrite(axon.info(), Words(), streaming=False)
        many = await dendrite([axon.info()] * 2, Words(), streaming=False)
    assert (one.completion, one.is_success) == ("0 1 2 ", True)
    assert [reply.completion for reply in many] == ["0 1 2 "] * 2


async def test_streaming_true_wraps_a_unary_reply(axon: Axon, dendrite: Dendrite) -> None:
    async def echo(synapse: Echo) -> Echo:
        synapse.answer = "whole"
        return synapse

    axon.attach(echo)
    async with axon:
        streams = await dendrite([axon.info()], Echo(text=""), streaming=True)
        items = [item async for item in streams[0]]
    assert [item.answer for item in items] == ["whole"]


async def test_query_reads_streams_to_their_end(axon: Axon, alice: Keypair) -> None:
    axon.attach(count)
    async with axon:
        replies = await asyncio.to_thread(Dendrite(alice).query, [axon.info()] * 2, Words(count=2))
    assert [reply.completion for reply in replies] == ["0 1 "] * 2


async def test_timing_is_of_arrival_and_not_of_reading(axon: Axon, dendrite: Dendrite) -> None:
    arrived = asyncio.Event()

    async def forward(synapse: Words) -> AsyncIterator[str]:
        yield "ab"
        await arrived.wait()
        await asyncio.sleep(0.15)
        yield "cde"

    axon.attach(forward)
    async with axon:
        stream = await dendrite(axon.info(), Words())
        timing = stream.timing
        # All of it arrives, and nobody has read a thing.
        await until(lambda: timing.first_byte_s is not None)
        arrived.set()
        await until(lambda: timing.total_s is not None)
        arrivals = (timing.first_byte_s, timing.last_byte_s, timing.total_s)
        await stream
    assert (timing.first_byte_s, timing.last_byte_s, timing.total_s) == arrivals
    assert (timing.chunks, timing.bytes) == (2, 5)
    assert timing.connected_s <= timing.sent_s <= timing.headers_s <= timing.first_byte_s
    assert timing.first_byte_s < timing.last_byte_s <= timing.total_s
    assert 0.1 < timing.longest_gap_s <= timing.last_byte_s - timing.first_byte_s
    assert stream.peer == axon.info()
    assert repr(timing).startswith("StreamTiming(")


async def test_a_slow_reader_holds_the_forward_back_and_costs_the_peer_nothing(
    bob: Keypair, dendrite: Dendrite, skip_ahead: Callable[[float], None]
) -> None:
    made = 0

    async def forward(synapse: Words) -> AsyncIterator[bytes]:
        nonlocal made
        for _ in range(512):
            made += 1
            yield b"x" * 65_536

    axon = Axon(bob, ip="127.0.0.1", port=0, stall_s=3600.0).attach(forward)
    async with axon:
        stream = await dendrite(axon.info(), Words(), timeout=60)
        ahead = await settled(lambda: made)
        total = 0
        async for chunk in stream.chunks():
            if total % (65_536 * 128) == 0:
                await settled(lambda: made)
                skip_ahead(25.0)  # in all longer than the deadline
            total += len(chunk)
        final = await stream
    assert ahead < 256  # socket buffers and one window, not the whole reply
    assert (total, made) == (512 * 65_536, 512)
    assert final.is_success, final.dendrite.status_message


async def test_a_sync_generator_is_held_back_too(axon: Axon, dendrite: Dendrite) -> None:
    made = 0

    def forward(synapse: Words) -> Iterator[bytes]:
        nonlocal made
        for _ in range(512):
            made += 1
            yield b"x" * 65_536

    axon.attach(forward)
    async with axon:
        stream = await dendrite(axon.info(), Words())
        assert await settled(lambda: made) < 256
        assert len((await stream).completion) == 512 * 65_536


async def test_eight_streams_of_one_dendrite_keep_apart(axon: Axon, dendrite: Dendrite) -> None:
    async def forward(synapse: Words) -> AsyncIterator[str]:
        for _ in range(20):
            yield f"{synapse.count},"
            await asyncio.sleep(0)

    axon.attach(forward)
    async with axon:
        asked = [dendrite(axon.info(), Words(count=number)) for number in range(8)]
        streams = await asyncio.gather(*asked)
        finals = await asyncio.gather(*(stream.final() for stream in streams))
    assert [final.completion for final in finals] == [f"{number}," * 20 for number in range(8)]


async def test_a_stream_frees_its_connection_for_the_next_call(
    axon: Axon, dendrite: Dendrite
) -> None:
    ports: set[int | None] = set()

    async def forward(synapse: Words) -> AsyncIterator[str]:
        ports.add(synapse.dendrite.port)
        yield "x"

    axon.attach(forward)
    async with axon:
        for _ in range(4):
            await dendrite.call(axon.info(), Words())
    assert len(ports) == 1


async def test_a_unary_question_that_is_answered_with_a_stream_fails_and_stops_the_miner(
    axon: Axon, dendrite: Dendrite
) -> None:
    ended: list[str] = []

    async def forward(synapse: Echo) -> AsyncIterator[str]:
        try:
            for _ in range(100):
                yield "x"
                await asyncio.sleep(0.05)
        finally:
            ended.append("finally")

    axon.attach(forward)
    async with axon:
        reply = await dendrite(axon.info(), Echo(text=""))
        await until(lambda: ended)
    assert (reply.dendrite.status_code, reply.answer) == (422, "")


async def test_raw_mode_without_the_last_http_chunk_is_a_stream_that_failed(
    axon: Axon, alice: Keypair
) -> None:
    async def forward(synapse: Words) -> AsyncIterator[str]:
        yield "first"
        await asyncio.sleep(0.05)
        raise ValueError

    axon.attach(forward)
    async with axon:
        reply = await ask(axon.port, signed_request(alice, axon.hotkey, "/Words", b"{}"))
    assert (reply.status, reply.body, reply.complete) == (200, b"first", False)


async def test_raw_mode_sends_the_bytes_alone(axon: Axon, alice: Keypair) -> None:
    axon.attach(count)
    async with axon:
        plain = await ask(axon.port, signed_request(alice, axon.hotkey, "/Words", b'{"count": 4}'))
        named = await ask(
            axon.port, signed_request(alice, axon.hotkey, "/Words?stream=raw", b'{"count": 4}')
        )
    for reply in (plain, named):
        assert (reply.status, reply.body, reply.complete) == (200, b"0 1 2 3 ", True)
        assert reply.header("Content-Type") == "text/event-stream"


@pytest.mark.parametrize("mode", ["raw", "frames"])
async def test_a_stream_through_an_http_1_0_proxy_ends_where_the_connection_does(
    axon: Axon, alice: Keypair, mode: str
) -> None:
    axon.attach(count)
    async with axon:
        request = signed_request(alice, axon.hotkey, f"/Words?stream={mode}", b'{"count": 2}')
        data = request.encode().replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1)
        reply = await ask(axon.port, data)
    assert reply.status == 200
    assert reply.header("Transfer-Encoding") is None
    if mode == "raw":
        assert reply.body == b"0 1 "
    else:
        *chunks, last = FrameDecoder().feed(reply.body)
        assert [frame.payload for frame in chunks] == [b"0 ", b"1 "]
        assert last.kind is FrameKind.END


async def test_an_unknown_stream_mode_is_told(axon: Axon, alice: Keypair) -> None:
    axon.attach(count)
    async with axon:
        reply = await ask(
            axon.port, signed_request(alice, axon.hotkey, "/Words?stream=morse", b"{}")
        )
    assert (reply.status, reply.json()["code"]) == (400, "malformed_request")
    assert "frames" in reply.json()["message"]


@pytest.mark.parametrize("timeout", ["0", "-1", "inf", "nan", "x", "1e9", ""])
async def test_a_timeout_that_is_none_is_told(axon: Axon, alice: Keypair, timeout: str) -> None:
    axon.attach(count)
    target = f"/Words?timeout={timeout}"
    async with axon:
        reply = await ask(axon.port, signed_request(alice, axon.hotkey, target, b"{}"))
    expected = 200 if timeout == "" else 400  # parse_qsl: an empty value is no value
    assert reply.status == expected


def test_a_forward_of_another_class_is_refused(axon: Axon) -> None:
    def forward(synapse: Stream) -> Stream:
        return synapse

    with pytest.raises(RouteError, match="Synapse"):
        axon.attach(forward)
