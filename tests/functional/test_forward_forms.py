"""Every form that a forward may have (DESIGN §2), each through the HTTP door."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from node import Axon, Caller, Dendrite, Keypair, Synapse
from node.synapse import Send, StreamingReply

from .synapses import PATIENCE_S, Echo, Words


async def words_of(axon: Axon, dendrite: Dendrite, count: int = 3) -> tuple[list[str], Words]:
    """Return the chunks and the final synapse of one streamed call."""
    stream = await dendrite(axon.info(), Words(count=count), timeout=60)
    *chunks, final = [item async for item in stream]
    assert isinstance(final, Words)
    return chunks, final


async def test_an_async_function_may_return_the_synapse(axon: Axon, dendrite: Dendrite) -> None:
    async def forward(synapse: Echo) -> Echo:
        await asyncio.sleep(0)
        synapse.answer = "async"
        return synapse

    axon.attach(forward)
    async with axon:
        assert (await dendrite(axon.info(), Echo(text=""))).answer == "async"


async def test_a_sync_function_runs_off_the_loop(axon: Axon, dendrite: Dendrite) -> None:
    together = threading.Barrier(5, timeout=PATIENCE_S)

    def forward(synapse: Echo) -> Echo:
        together.wait()  # breaks where they run one after another
        synapse.answer = str(threading.get_ident())
        return synapse

    axon.attach(forward)
    async with axon:
        replies = await asyncio.gather(*(dendrite(axon.info(), Echo(text="")) for _ in range(5)))
    assert all(reply.is_success for reply in replies)
    threads = {reply.answer for reply in replies}
    assert str(threading.get_ident()) not in threads
    assert len(threads) == 5


@pytest.mark.parametrize("last", ["more_body False", "no more_body", "none"])
async def test_a_token_streamer_sends_messages(axon: Axon, dendrite: Dendrite, last: str) -> None:
    async def token_streamer(send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for word in ("a ", "b "):
            await send({"type": "http.response.body", "body": word.encode(), "more_body": True})
        if last == "more_body False":
            await send({"type": "http.response.body", "body": b"tail", "more_body": False})
        elif last == "no more_body":
            await send({"type": "http.response.body", "body": "tail"})

    def forward(synapse: Words) -> StreamingReply:
        return synapse.create_streaming_response(token_streamer)

    axon.attach(forward)
    async with axon:
        chunks, final = await words_of(axon, dendrite)
    expected = ["a ", "b "] if last == "none" else ["a ", "b ", "tail"]
    assert chunks == expected
    assert final.completion == "".join(expected)
    assert final.is_success


async def test_an_empty_last_message_ends_the_stream(axon: Axon, dendrite: Dendrite) -> None:
    async def token_streamer(send: Send) -> None:
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def forward(synapse: Words) -> Words:
        return synapse.create_streaming_response(token_streamer)  # type: ignore[return-value]

    axon.attach(forward)
    async with axon:
        chunks, final = await words_of(axon, dendrite)
    assert (chunks, final.completion, final.is_success) == (["x"], "x", True)


async def test_a_streamer_that_sends_after_its_last_message_fails(
    axon: Axon, dendrite: Dendrite
) -> None:
    async def token_streamer(send: Send) -> None:
        await send({"type": "http.response.body", "body": b"x", "more_body": False})
        await send({"type": "http.response.body", "body": b"y", "more_body": True})

    def forward(synapse: Words) -> StreamingReply:
        return synapse.create_streaming_response(token_streamer)

    axon.attach(forward)
    async with axon:
        chunks, final = await words_of(axon, dendrite)
    assert chunks == ["x"]
    assert final.dendrite.status_code == 500


async def test_the_tutorials_partial_streamer_works(axon: Axon, dendrite: Dendrite) -> None:
    class Miner:
        def forward(self, synapse: Words) -> Words:
            async def _forward(text: str, send: Send) -> None:
                buffer = []
                for number in range(7):
                    buffer.append(f"{text}{number} ")
                    if len(buffer) == 3:
                        body = "".join(buffer).encode("utf-8")
                        await send({"type": "http.response.body", "body": body, "more_body": True})
                        buffer = []
                body = "".join(buffer).encode("utf-8")
                await send({"type": "http.response.body", "body": body, "more_body": False})

            token_streamer = functools.partial(_forward, "t")
            return synapse.create_streaming_response(token_streamer)  # type: ignore[return-value]

    axon.attach(Miner().forward)
    async with axon:
        chunks, final = await words_of(axon, dendrite)
    assert chunks == ["t0 t1 t2 ", "t3 t4 t5 ", "t6 "]
    assert final.completion == "".join(chunks)


async def test_an_async_generator_streams_what_it_yields(axon: Axon, dendrite: Dendrite) -> None:
    async def forward(synapse: Words) -> AsyncIterator[str]:
        for number in range(synapse.count):
            yield f"w{number} "

    axon.attach(forward)
    async with axon:
        chunks, final = await words_of(axon, dendrite, count=4)
    assert chunks == ["w0 ", "w1 ", "w2 ", "w3 "]
    assert final.completion == "w0 w1 w2 w3 "


async def test_a_sync_generator_lives_in_one_thread_off_the_loop(
    axon: Axon, dendrite: Dendrite
) -> None:
    threads: list[int] = []
    local = threading.local()

    def forward(synapse: Words) -> Iterator[str]:
        local.count = 0
        try:
            for _ in range(synapse.count):
                local.count += 1
                threads.append(threading.get_ident())
                time.sleep(0.01)
                yield f"{local.count} "
        finally:
            threads.append(threading.get_ident())

    axon.attach(forward)
    async with axon:
        results = await asyncio.gather(*(words_of(axon, dendrite, count=20) for _ in range(4)))
    for chunks, final in results:
        assert "".join(chunks) == "".join(f"{number} " for number in range(1, 21))
        assert final.is_success
    assert threading.get_ident() not in threads
    assert len(threads) == 4 * 21


async def test_a_sync_generator_sees_the_same_thread_to_its_end(
    axon: Axon, dendrite: Dendrite
) -> None:
    threads: set[int] = set()

    def forward(synapse: Words) -> Iterator[str]:
        try:
            for _ in range(50):
                threads.add(threading.get_ident())
                yield "x"
        finally:
            threads.add(threading.get_ident())

    axon.attach(forward)
    async with axon:
        await words_of(axon, dendrite)
    assert len(threads) == 1
    assert threading.get_ident() not in threads


class Item(BaseModel):
    number: int


@pytest.mark.parametrize(
    ("chunk", "text"),
    [("é", "é"), (b"b", "b"), (bytearray(b"ba"), "ba"), (memoryview(b"mv"), "mv"),
     (Item(number=3), '{"number":3}')],
)  # fmt: skip
async def test_a_generator_may_yield_text_bytes_or_a_model(
    axon: Axon, dendrite: Dendrite, chunk: Any, text: str
) -> None:
    async def forward(synapse: Words) -> AsyncIterator[Any]:
        yield chunk

    axon.attach(forward)
    async with axon:
        chunks, _ = await words_of(axon, dendrite)
    assert chunks == [text]


@pytest.mark.parametrize("sync", [True, False])
async def test_a_function_may_return_an_iterator(
    axon: Axon, dendrite: Dendrite, sync: bool
) -> None:
    async def tokens() -> AsyncIterator[str]:
        yield "x"
        yield "y"

    def forward_sync(synapse: Words) -> Iterator[str]:
        return iter(["x", "y"])

    async def forward_async(synapse: Words) -> AsyncIterator[str]:
        return tokens()

    axon.attach(forward_sync if sync else forward_async)
    async with axon:
        chunks, final = await words_of(axon, dendrite)
    assert chunks == ["x", "y"]
    assert final.is_success


class Engine:
    """A miner's object with forwards of several kinds."""

    def __init__(self, word: str) -> None:
        self.word = word

    def method(self, synapse: Echo) -> Echo:
        synapse.answer = self.word
        return synapse

    async def __call__(self, synapse: Echo) -> Echo:
        synapse.answer = self.word
        return synapse

    @classmethod
    def of_class(cls, synapse: Echo) -> Echo:
        synapse.answer = "word"
        return synapse

    @staticmethod
    def static(synapse: Echo) -> Echo:
        synapse.answer = "word"
        return synapse


def answer_with(word: str, synapse: Echo) -> Echo:
    synapse.answer = word
    return synapse


async def answer_slowly(synapse: Echo, *, word: str) -> Echo:
    synapse.answer = word
    return synapse


FORMS: dict[str, Callable[..., Any]] = {
    "bound method": Engine("word").method,
    "callable object": Engine("word"),
    "class method": Engine.of_class,
    "static method": Engine.static,
    "partial": functools.partial(answer_with, "word"),
    "partial of a partial": functools.partial(functools.partial(answer_with), "word"),
    "partial by keyword": functools.partial(answer_slowly, word="word"),
    "partial of a method": functools.partial(Engine("word").method),
    "partial of an object": functools.partial(Engine("word")),
}


@pytest.mark.parametrize("form", FORMS)
async def test_any_callable_may_be_attached(axon: Axon, dendrite: Dendrite, form: str) -> None:
    axon.attach(FORMS[form])
    async with axon:
        reply = await dendrite(axon.info(), Echo(text=""))
    assert reply.answer == "word", reply.dendrite.status_message


async def test_a_wrapped_function_keeps_its_route(axon: Axon, dendrite: Dendrite) -> None:
    def traced(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    @traced
    async def forward(synapse: Words) -> AsyncIterator[str]:
        yield "wrapped"

    axon.attach(forward)
    async with axon:
        chunks, _ = await words_of(axon, dendrite)
    assert chunks == ["wrapped"]


async def test_route_decorates_and_returns_the_function(axon: Axon, dendrite: Dendrite) -> None:
    @axon.route
    async def forward(synapse: Echo) -> Echo:
        synapse.answer = "decorated"
        return synapse

    async with axon:
        assert (await dendrite(axon.info(), Echo(text=""))).answer == "decorated"
    assert (await forward(Echo(text=""))).answer == "decorated"


async def test_attach_chains(axon: Axon, dendrite: Dendrite) -> None:
    async def words(synapse: Words) -> AsyncIterator[str]:
        yield "chained"

    assert axon.attach(Engine("word").method).attach(words) is axon
    async with axon:
        assert (await dendrite(axon.info(), Echo(text=""))).answer == "word"
        assert (await words_of(axon, dendrite))[0] == ["chained"]


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_forward_may_take_the_caller(
    axon: Axon, dendrite: Dendrite, alice: Keypair, streamed: bool
) -> None:
    seen: list[Caller] = []

    async def words(synapse: Words, caller: Caller) -> AsyncIterator[str]:
        seen.append(caller)
        yield caller.hotkey

    def echo(synapse: Echo, who: Caller) -> Echo:
        seen.append(who)
        return synapse

    axon.attach(words).attach(echo)
    question: Synapse = Words() if streamed else Echo(text="")
    async with axon:
        await dendrite.call(axon.info(), question)
    assert (seen[0].hotkey, seen[0].public_key) == (alice.ss58_address, alice.public_key)
    assert (seen[0].scheme, seen[0].protocol) == ("sr25519", "btauth")


async def test_a_caller_parameter_with_a_default_is_filled_too(
    axon: Axon, dendrite: Dendrite, alice: Keypair
) -> None:
    def forward(synapse: Echo, caller: Caller | None = None) -> Echo:
        synapse.answer = caller.hotkey if caller else "nobody"
        return synapse

    axon.attach(forward)
    async with axon:
        assert (await dendrite(axon.info(), Echo(text=""))).answer == alice.ss58_address


async def test_an_ed25519_caller_is_known_by_its_scheme(axon: Axon) -> None:
    seen: list[Caller] = []

    def forward(synapse: Echo, caller: Caller) -> Echo:
        seen.append(caller)
        return synapse

    axon.attach(forward)
    keypair = Keypair.from_uri("//Alice", scheme="ed25519")
    async with axon, Dendrite(keypair) as dendrite:
        assert (await dendrite(axon.info(), Echo(text=""))).is_success
    assert (seen[0].scheme, seen[0].hotkey) == ("ed25519", keypair.ss58_address)


async def test_context_variables_reach_threads(axon: Axon, dendrite: Dendrite) -> None:
    import contextvars

    trace = contextvars.ContextVar("trace", default="unset")

    def priority(synapse: Echo) -> float:
        trace.set(synapse.text)
        return 0.0

    def forward(synapse: Echo) -> Echo:
        synapse.answer = trace.get()
        return synapse

    axon.attach(forward, priority_fn=priority)
    async with axon:
        replies = await asyncio.gather(*(dendrite(axon, Echo(text=str(n))) for n in range(8)))
    assert [reply.answer for reply in replies] == [str(n) for n in range(8)]
