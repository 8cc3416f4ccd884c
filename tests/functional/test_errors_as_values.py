"""Failures are statuses on the synapse, or exceptions where asked; never data chunks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from pydantic import Field

from node import Axon, Dendrite, Keypair, Peer, Synapse
from node.errors import (
    BadReply,
    CallError,
    Forbidden,
    Overloaded,
    PeerRefused,
    PeerTimeout,
    PeerUnreachable,
    RateLimited,
)

from .synapses import Echo, Words

OFFSET_NS = 60 * 10**9


class Wish(Words):
    """Asks for a way to fail."""

    wish: str


class Lenient(Words):
    """The caller's idea of a route whose node wants more."""

    extra: int | str = "none"


class Unattached(Words):
    pass


def strict_lenient() -> type[Words]:
    class Lenient(Words):
        extra: int

    return Lenient


class Door:
    """An axon that answers each status on demand."""

    def __init__(self, keypair: Keypair) -> None:
        self.calls: list[str] = []
        self.axon = Axon(keypair, ip="127.0.0.1", port=0, max_body_bytes=1000)

    async def words(self, synapse: Wish) -> AsyncIterator[str]:
        self.calls.append("words")
        if synapse.wish == "raise":
            raise ValueError("secret detail")
        if synapse.wish == "hang":
            await asyncio.sleep(30)
        if synapse.wish == "limit":
            raise RateLimited("Too many.", retry_after=7)
        if synapse.wish == "overload":
            raise Overloaded("inner detail", retry_after=3)
        yield "never for an error"

    def blacklist(self, synapse: Wish) -> tuple[bool, str]:
        return synapse.wish == "blacklisted", "Not you."


@pytest.fixture
async def door(bob: Keypair) -> AsyncIterator[Door]:
    door = Door(bob)
    door.axon.attach(door.words, blacklist_fn=door.blacklist)
    lenient = strict_lenient()

    async def serve_lenient(synapse: lenient) -> AsyncIterator[str]:  # type: ignore[valid-type]
        yield "never for an error"

    door.axon.attach(serve_lenient)
    async with door.axon:
        yield door


Question = Callable[[], Words]
CASES: dict[int, tuple[Question, str]] = {
    403: (lambda: Wish(wish="blacklisted"), "Not you."),
    404: (lambda: Unattached(), "does not serve"),
    408: (lambda: Wish(wish="hang"), "deadline"),
    413: (lambda: Wish(wish="x" * 2000), "1000 bytes"),
    422: (lambda: Lenient(), "extra"),
    429: (lambda: Wish(wish="limit"), "Too many."),
    500: (lambda: Wish(wish="raise"), "failed while answering"),
    503: (lambda: Wish(wish="overload"), "no room"),
}


@pytest.mark.parametrize("status", CASES)
async def test_a_failure_is_a_status_and_never_a_chunk(
    door: Door, dendrite: Dendrite, status: int
) -> None:
    question, text = CASES[status]
    timeout = 0.3 if status == 408 else 5
    stream = await dendrite(door.axon.info(), question(), timeout=timeout)
    *chunks, final = [item async for item in stream]
    assert chunks == []
    assert (final.dendrite.status_code, final.axon.status_code) == (status, status)
    assert text in final.dendrite.status_message
    assert final.is_failure
    assert final.completion == ""
    assert (final.is_timeout, final.is_blacklist) == (status == 408, status == 403)


@pytest.mark.parametrize("status", CASES)
async def test_a_failure_raises_where_asked(door: Door, dendrite: Dendrite, status: int) -> None:
    question, text = CASES[status]
    timeout = 0.3 if status == 408 else 5
    with pytest.raises(CallError, match=text) as caught:
        await dendrite.call(door.axon.info(), question(), timeout=timeout, raise_errors=True)
    assert caught.value.status == status
    assert caught.value.peer == str(door.axon.info())
    assert isinstance(caught.value, PeerTimeout if status == 408 else PeerRefused)
    assert caught.value.retry_safe is (status in (429, 503))


async def test_a_401_is_a_value_too(door: Door, alice: Keypair) -> None:
    import time

    async with Dendrite(alice, clock_ns=lambda: time.time_ns() - OFFSET_NS) as behind:
        stream = await behind(door.axon.info(), Wish(wish=""))
        *chunks, final = [item async for item in stream]
        reply = await behind(door.axon.info(), Wish(wish=""), streaming=False)
    assert chunks == []
    for one in (final, reply):
        assert one.failed_verification
        assert one.dendrite.status_code == 401
        assert "59." in one.dendrite.status_message or "60." in one.dendrite.status_message
    assert door.calls == []


async def test_retry_after_reaches_the_exception(door: Door, dendrite: Dendrite) -> None:
    for word, seconds in (("limit", 7.0), ("overload", 3.0)):
        with pytest.raises(PeerRefused) as caught:
            await dendrite.call(door.axon.info(), Wish(wish=word), raise_errors=True)
        assert caught.value.retry_after == seconds


async def test_an_unreachable_peer_is_503_or_raises(dendrite: Dendrite, bob: Keypair) -> None:
    nobody = Peer(hotkey=bob.ss58_address, ip="127.0.0.1", port=1)
    assert (await dendrite(nobody, Echo(text=""))).dendrite.status_code == 503
    assert (await (await dendrite(nobody, Words()))).dendrite.status_code == 503
    for synapse in (Echo(text=""), Words()):
        with pytest.raises(PeerUnreachable, match="refused") as caught:
            await dendrite.call(nobody, synapse, raise_errors=True)
        assert caught.value.retry_safe


async def test_a_host_that_has_no_address_is_503(dendrite: Dendrite, bob: Keypair) -> None:
    nowhere = Peer(hotkey=bob.ss58_address, ip="no-such-host.invalid", port=9)
    reply = await dendrite(nowhere, Echo(text=""), timeout=4)
    assert reply.dendrite.status_code in (408, 503)


async def test_the_body_of_an_answer_that_does_not_fit_is_422(
    axon: Axon, dendrite: Dendrite
) -> None:
    class Answer(Synapse):
        text: str = ""

    def ours() -> type[Synapse]:
        class Answer(Synapse):
            text: str = Field("", max_length=3)

        return Answer

    async def forward(synapse: Answer) -> Answer:
        synapse.text = "too long"
        return synapse

    axon.attach(forward)
    async with axon:
        reply = await dendrite(axon.info(), ours()())
        with pytest.raises(BadReply, match="text"):
            await dendrite.call(axon.info(), ours()(), raise_errors=True)
    assert (reply.dendrite.status_code, reply.is_success) == (422, False)
    assert reply.text == ""


def refused_backend(synapse: Words) -> Iterator[str]:
    if synapse.count:
        raise ConnectionRefusedError("engine is down")
    yield ""


async def refused_backend_async(synapse: Words) -> AsyncIterator[str]:
    if synapse.count:
        raise ConnectionResetError("engine is down")
    yield ""


async def times_out(synapse: Words) -> AsyncIterator[str]:
    if synapse.count:
        raise TimeoutError("engine is slow")
    yield ""


def stops_iteration(synapse: Words) -> Words:
    return next(iter([]))


async def stops_iteration_async(synapse: Words) -> Words:
    return next(iter([]))


def returns_none(synapse: Words) -> Words:
    return None  # type: ignore[return-value]


def returns_class(synapse: Words) -> Words:
    return Words  # type: ignore[return-value]


async def yields_number(synapse: Words) -> AsyncIterator[Any]:
    yield 5


async def yields_half_a_surrogate(synapse: Words) -> AsyncIterator[Any]:
    yield "\ud83d"


def answers_half_a_surrogate(synapse: Words) -> Words:
    synapse.__dict__["completion"] = "\ud83d"
    return synapse


BROKEN = [
    refused_backend,
    refused_backend_async,
    times_out,
    stops_iteration,
    stops_iteration_async,
    returns_none,
    returns_class,
    yields_number,
    yields_half_a_surrogate,
    answers_half_a_surrogate,
]


@pytest.mark.parametrize("forward", BROKEN, ids=lambda forward: forward.__name__)
async def test_a_forward_that_fails_before_the_first_chunk_is_500_without_a_chunk(
    axon: Axon,
    dendrite: Dendrite,
    caplog: pytest.LogCaptureFixture,
    forward: Callable[..., Any],
) -> None:
    axon.attach(forward)
    async with axon:
        stream = await dendrite(axon.info(), Words(), timeout=3)
        *chunks, final = [item async for item in stream]
    assert chunks == []
    assert final.dendrite.status_code == 500
    sentence, _, error_id = (final.dendrite.status_message or "").partition(" Error id: ")
    assert sentence == "The node failed while answering."
    # The operator, unlike the caller, is told which forward and why.
    records = [one for one in caplog.records if one.name.startswith("node.")]
    errors = [one.getMessage() for one in records if one.levelno >= logging.ERROR]
    assert any(error_id.rstrip(".") in line for line in errors)
    assert not [one for one in caplog.records if one.name.startswith("aiohttp")]


@pytest.mark.parametrize("error", [ValueError, ConnectionResetError, TimeoutError, KeyError])
@pytest.mark.parametrize("sync", [True, False])
async def test_a_failure_after_the_first_chunk_gives_the_chunk_and_then_a_failure(
    axon: Axon,
    dendrite: Dendrite,
    caplog: pytest.LogCaptureFixture,
    error: type[Exception],
    sync: bool,
) -> None:
    def forward_sync(synapse: Words) -> Iterator[str]:
        yield "first"
        raise error("secret detail")

    async def forward_async(synapse: Words) -> AsyncIterator[str]:
        yield "first"
        raise error("secret detail")

    axon.attach(forward_sync if sync else forward_async)
    async with axon:
        stream = await dendrite(axon.info(), Words(), timeout=3)
        *chunks, final = [item async for item in stream]
        raising = await dendrite.stream(axon.info(), Words(), raise_errors=True)
        got: list[str] = []
        with pytest.raises(PeerRefused) as caught:
            async for item in raising:
                got.append(item)
    assert chunks == got == ["first"]
    assert (final.dendrite.status_code, final.is_success) == (500, False)
    assert final.completion == "first"
    assert caught.value.status == 500
    assert "secret" not in final.dendrite.status_message
    assert any("secret detail" in str(one.exc_info) for one in caplog.records)


async def test_an_error_id_joins_the_reply_to_the_log(
    door: Door, alice: Keypair, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.raw_http import ask, signed_request

    request = signed_request(alice, door.axon.hotkey, "/Wish", b'{"wish": "raise"}')
    reply = await ask(door.axon.port, request)
    assert set(reply.json()) == {"code", "message", "error_id"}
    assert reply.json()["error_id"] in caplog.text
    assert b"secret" not in reply.body


async def test_a_forward_may_refuse_with_an_error_of_ours(axon: Axon, dendrite: Dendrite) -> None:
    async def forward(synapse: Echo) -> Echo:
        raise Forbidden("Ask somebody else.")

    axon.attach(forward)
    async with axon:
        reply = await dendrite(axon.info(), Echo(text=""))
    assert reply.is_blacklist
    assert reply.dendrite.status_message == "Ask somebody else."


@pytest.mark.parametrize("status", [403, 500])
async def test_a_stream_may_fail_with_an_error_of_ours_midway(
    axon: Axon, dendrite: Dendrite, status: int
) -> None:
    async def forward(synapse: Words) -> AsyncIterator[str]:
        yield "first"
        if status == 403:
            raise Forbidden("Enough.")
        raise RuntimeError

    axon.attach(forward)
    async with axon:
        final = await (await dendrite(axon.info(), Words()))
    assert (final.dendrite.status_code, final.completion) == (status, "first")
