"""A client that leaves ends its work at once and frees its place."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from node import Axon, Dendrite, Keypair
from node.synapse import Send, StreamingReply
from tests.raw_http import RawConnection, signed_request

from .synapses import PATIENCE_S, Echo, Words, undeclared, until


class Watch:
    """What became of the forwards."""

    def __init__(self) -> None:
        self.started = 0
        self.ended: list[str] = []
        self.stop_threads = threading.Event()

    async def hang(self) -> None:
        self.started += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def axon(bob: Keypair) -> Axon:
    """An axon with one worker, so that a place which is not freed shows at once."""
    return Axon(bob, ip="127.0.0.1", port=0, max_workers=1)


async def leave_midway(axon: Axon, alice: Keypair, watch: Watch, target: str = "/Echo") -> None:
    """Send a request on a plain socket and close it once the forward runs."""
    async with await RawConnection.open(axon.port) as connection:
        body = b'{"text": "hang"}'
        await connection.send(signed_request(alice, axon.hotkey, target, body).encode())
        await until(lambda: watch.started)


async def check_a_place_is_free(axon: Axon, dendrite: Dendrite) -> None:
    reply = await dendrite(axon.info(), Echo(text="next"), timeout=PATIENCE_S)
    assert reply.is_success, reply.dendrite.status_message


async def test_an_async_forward_is_cancelled_at_once(
    axon: Axon, dendrite: Dendrite, alice: Keypair, watch: Watch
) -> None:
    async def forward(synapse: Echo) -> Echo:
        if synapse.text == "hang":
            await watch.hang()
        return synapse

    axon.attach(forward)
    async with axon:
        await leave_midway(axon, alice, watch)
        await until(lambda: watch.ended == ["cancelled"])
        await check_a_place_is_free(axon, dendrite)


async def test_a_dendrite_whose_call_is_cancelled_cancels_the_forward(
    axon: Axon, dendrite: Dendrite, watch: Watch
) -> None:
    async def forward(synapse: Echo) -> Echo:
        if synapse.text == "hang":
            await watch.hang()
        return synapse

    axon.attach(forward)
    async with axon:
        call = asyncio.ensure_future(dendrite(axon.info(), Echo(text="hang")))
        await until(lambda: watch.started)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await until(lambda: watch.ended == ["cancelled"])
        await check_a_place_is_free(axon, dendrite)


async def test_a_dendrite_that_times_out_cancels_the_forward(
    axon: Axon, dendrite: Dendrite, watch: Watch, skip_ahead: Callable[[float], None]
) -> None:
    async def forward(synapse: Echo) -> Echo:
        if synapse.text == "hang":
            await watch.hang()
        return synapse

    axon.attach(forward)
    async with axon:
        call = asyncio.ensure_future(dendrite(axon.info(), Echo(text="hang"), timeout=60))
        await until(lambda: watch.started)
        skip_ahead(61.0)
        assert (await call).is_timeout
        await until(lambda: watch.ended == ["cancelled"])
        await check_a_place_is_free(axon, dendrite)


@pytest.mark.parametrize("form", ["generator", "streamer", "iterator"])
@pytest.mark.parametrize("when", ["before the first chunk", "between chunks"])
async def test_a_stream_is_cancelled_at_once(
    axon: Axon, dendrite: Dendrite, alice: Keypair, watch: Watch, form: str, when: str
) -> None:
    async def chunks() -> AsyncIterator[str]:
        if when == "between chunks":
            yield "first"
        await watch.hang()

    async def streamer(send: Send) -> None:
        async for chunk in chunks():
            await send({"type": "http.response.body", "body": chunk.encode(), "more_body": True})

    async def generator(synapse: Words) -> AsyncIterator[str]:
        async for chunk in chunks():
            yield chunk

    def reply(synapse: Words) -> StreamingReply:
        return synapse.create_streaming_response(streamer)

    async def iterator(synapse: Words) -> AsyncIterator[str]:
        return chunks()

    async def echo(synapse: Echo) -> Echo:
        return synapse

    axon.attach({"generator": generator, "streamer": reply, "iterator": iterator}[form])
    axon.attach(echo)
    async with axon:
        await leave_midway(axon, alice, watch, "/Words?stream=frames")
        await until(lambda: watch.ended == ["cancelled"])
        await check_a_place_is_free(axon, dendrite)


async def test_a_generators_finally_runs_when_its_client_leaves(
    axon: Axon, alice: Keypair, watch: Watch
) -> None:
    async def forward(synapse: Words) -> AsyncIterator[str]:
        watch.started += 1
        try:
            while True:
                yield "x"
                await asyncio.sleep(0.01)
        finally:
            watch.ended.append("finally")

    axon.attach(forward)
    async with axon:
        await leave_midway(axon, alice, watch, "/Words")
        await until(lambda: watch.ended == ["finally"])


async def test_a_sync_generator_stops_at_its_next_item(
    axon: Axon, dendrite: Dendrite, alice: Keypair, watch: Watch
) -> None:
    made: list[int] = []

    def forward(synapse: Words) -> Iterator[str]:
        watch.started += 1
        try:
            for number in range(1000):
                made.append(number)
                yield "x"
                time.sleep(0.05)
        finally:
            watch.ended.append("finally")

    async def echo(synapse: Echo) -> Echo:
        return synapse

    axon.attach(forward).attach(echo)
    async with axon:
        await leave_midway(axon, alice, watch, "/Words")
        await until(lambda: watch.ended == ["finally"])
        await check_a_place_is_free(axon, dendrite)
        count = len(made)
        await asyncio.sleep(0.2)
        assert len(made) == count < 200


async def test_a_sync_generator_that_waits_for_its_reader_stops_too(
    axon: Axon, dendrite: Dendrite, alice: Keypair, watch: Watch
) -> None:
    def forward(synapse: Words) -> Iterator[bytes]:
        watch.started += 1
        try:
            while True:
                yield b"x" * 100_000
        finally:
            watch.ended.append("finally")

    async def echo(synapse: Echo) -> Echo:
        return synapse

    axon.attach(forward).attach(echo)
    async with axon:
        async with await RawConnection.open(axon.port) as connection:
            request = signed_request(alice, axon.hotkey, "/Words", b"{}")
            await connection.send(request.encode())
            await asyncio.sleep(0.3)  # nothing is read: all buffers are full
            assert watch.ended == []
        await until(lambda: watch.ended == ["finally"])
        await check_a_place_is_free(axon, dendrite)


async def test_a_sync_forwards_place_is_taken_until_its_thread_ends(
    axon: Axon, dendrite: Dendrite, alice: Keypair, watch: Watch
) -> None:
    texts: list[str] = []

    def forward(synapse: Echo) -> Echo:
        texts.append(synapse.text)
        if synapse.text == "hang":
            watch.started += 1
            watch.stop_threads.wait(60)
        return synapse

    axon.attach(forward)
    async with axon:
        await leave_midway(axon, alice, watch)
        await asyncio.sleep(0.2)
        # A thread can't be stopped; to call its place free would start what nobody waits for.
        assert (await dendrite(axon.info(), Echo(text="impatient"), timeout=0.3)).is_timeout
        await until(lambda: axon._slots.waiting == 0)  # the node knows too that nobody waits
        watch.stop_threads.set()
        await check_a_place_is_free(axon, dendrite)
    assert texts == ["hang", "next"]


async def test_a_queued_request_whose_client_left_never_starts(
    axon: Axon, dendrite: Dendrite, alice: Keypair, watch: Watch
) -> None:
    texts: list[str] = []
    go = asyncio.Event()

    async def forward(synapse: Echo) -> Echo:
        texts.append(synapse.text)
        watch.started += 1
        await go.wait()
        return synapse

    axon.attach(forward)
    async with axon:
        first = asyncio.ensure_future(dendrite(axon.info(), Echo(text="first")))
        await until(lambda: watch.started)
        async with await RawConnection.open(axon.port) as connection:
            request = signed_request(alice, axon.hotkey, "/Echo", b'{"text": "queued"}')
            await connection.send(request.encode())
            await until(lambda: axon._slots.waiting == 1)
        await until(lambda: axon._slots.waiting == 0)
        go.set()
        assert (await first).is_success
        await check_a_place_is_free(axon, dendrite)
    assert texts == ["first", "next"]


async def test_a_client_that_leaves_while_a_hook_runs_is_cancelled_there(
    axon: Axon, dendrite: Dendrite, alice: Keypair, watch: Watch
) -> None:
    async def blacklist(synapse: Echo) -> bool:
        if synapse.text == "hang":
            await watch.hang()
        return False

    async def forward(synapse: Echo) -> Echo:
        return synapse

    axon.attach(forward, blacklist_fn=blacklist)
    async with axon:
        await leave_midway(axon, alice, watch)
        await until(lambda: watch.ended == ["cancelled"])
        await check_a_place_is_free(axon, dendrite)


async def test_a_hundred_clients_that_leave_free_a_hundred_places(
    axon: Axon, dendrite: Dendrite, watch: Watch
) -> None:
    async def forward(synapse: Echo) -> Echo:
        if synapse.text == "hang":
            await watch.hang()
        return synapse

    axon.attach(forward)
    async with axon:
        peer = undeclared(axon)
        calls = [dendrite(peer, Echo(text="hang"), timeout=0.5) for _ in range(100)]
        replies = await asyncio.gather(*calls)
        assert {reply.dendrite.status_code for reply in replies} == {408}
        assert dendrite.dormancy is not None
        dendrite.dormancy.wake(peer)  # which so many timeouts had put to rest
        await until(lambda: axon._slots.waiting == 0)
        await check_a_place_is_free(axon, dendrite)


async def test_a_forward_that_raises_cancelled_by_itself_frees_its_place(
    axon: Axon, dendrite: Dendrite
) -> None:
    async def forward(synapse: Echo) -> Echo:
        if synapse.text == "hang":
            raise asyncio.CancelledError
        return synapse

    axon.attach(forward)
    async with axon:
        reply = await dendrite(axon.info(), Echo(text="hang"), timeout=3)
        assert (reply.is_success, reply.is_timeout) == (False, False)
        await check_a_place_is_free(axon, dendrite)
