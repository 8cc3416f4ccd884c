"""Receipts over HTTP: what was answered can be proved, and nobody in between can change it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest
from pydantic import BaseModel

from node import Axon, Dendrite, Keypair, TypedStream, stream_types, stream_writer
from node.errors import BadReceipt
from node.streams import StreamMode
from node.wire import RECEIPT_HEADER, Receipt
from tests.raw_http import (
    RawRequest,
    ask,
    signed_request,
)

from .stream_bytes import NATIVE
from .synapses import Echo, Words

MODES = pytest.mark.parametrize("mode", NATIVE)
MALLORY = Keypair.from_uri("//Mallory")
CHUNKS = [b"one ", b"two ", b"drei \xc3", b"\xa9 ", b"one "]
TEXT = b"".join(CHUNKS).decode()
HOUR_NS = 3600 * 10**9


async def words(synapse: Words) -> AsyncIterator[bytes]:
    for chunk in CHUNKS[: synapse.count]:
        yield chunk


async def echo(synapse: Echo) -> Echo:
    synapse.answer = synapse.text.upper()
    return synapse


@pytest.fixture
async def served(axon: Axon) -> AsyncIterator[Axon]:
    axon.attach(words).attach(echo)
    async with axon:
        yield axon


# What an honest node gives.


@MODES
@pytest.mark.parametrize("scheme", ["sr25519", "ed25519"])
@pytest.mark.parametrize("count", [0, 1, 5])
async def test_a_stream_is_proved_by_stored_bytes_alone(
    alice: Keypair, mode: StreamMode, scheme: str, count: int
) -> None:
    keypair = Keypair.from_uri("//Bob", scheme=scheme)
    axon = Axon(keypair, ip="127.0.0.1", port=0).attach(words)
    before = time.time_ns()
    async with axon, Dendrite(alice, mode=mode) as dendrite:
        stream = await dendrite(axon.info(), Words(count=count))
        before_the_end = stream.receipt
        final = await stream
    assert before_the_end is None
    assert final.receipt is stream.receipt
    stored = final.receipt.encode()

    receipt = Receipt.parse(stored)
    receipt.verify(keypair.ss58_address)
    receipt.check_chunks(CHUNKS[:count])
    assert (receipt.axon, receipt.caller) == (keypair.ss58_address, alice.ss58_address)
    assert (receipt.status, receipt.chunks, receipt.scheme) == (200, count, scheme)
    assert before <= receipt.nonce_ns <= receipt.started_ns <= receipt.ended_ns <= time.time_ns()
    with pytest.raises(BadReceipt):
        receipt.verify(MALLORY.ss58_address)


async def test_a_unary_reply_is_proved_by_its_body_and_a_header(
    served: Axon, alice: Keypair, dendrite: Dendrite
) -> None:
    reply = await dendrite(served.info(), Echo(text="x"))
    receipt = Receipt.parse(reply.receipt.encode())
    receipt.verify(served.hotkey)
    assert (receipt.caller, receipt.status, receipt.chunks) == (alice.ss58_address, 200, 0)

    raw = await ask(served.port, signed_request(alice, served.hotkey, "/Echo", b'{"text":"x"}'))
    header = raw.header(RECEIPT_HEADER)
    assert header is not None
    Receipt.of_header(header).check_reply(hashlib.sha256(raw.body).hexdigest(), 0)


async def test_a_receipt_names_the_request_that_was_signed(served: Axon, alice: Keypair) -> None:
    request = signed_request(alice, served.hotkey, "/Echo", b'{"text":"x"}')
    raw = await ask(served.port, request)
    receipt = Receipt.of_header(raw.header(RECEIPT_HEADER) or "")
    lines = (
        "btauth/1", "sr25519", "POST", "/Echo", hashlib.sha256(request.body).hexdigest(),
        request.value("X-Bittensor-Nonce"), alice.ss58_address, served.hotkey,
    )  # fmt: skip
    assert receipt.request == hashlib.sha256("\n".join(lines).encode()).hexdigest()


async def test_a_receipt_has_the_nodes_own_times(bob: Keypair, alice: Keypair) -> None:
    async def slow(synapse: Words) -> AsyncIterator[str]:
        await asyncio.sleep(0.2)
        yield "x"

    axon = Axon(
        bob, ip="127.0.0.1", port=0, allowed_skew_s=7200, max_age_s=7200,
        clock_ns=lambda: time.time_ns() + HOUR_NS,
    ).attach(slow)  # fmt: skip
    async with axon, Dendrite(alice) as dendrite:
        receipt = (await dendrite.call(axon.info(), Words())).receipt
    assert receipt.started_ns - receipt.nonce_ns >= HOUR_NS
    assert receipt.ended_ns - receipt.started_ns >= 0.2 * 10**9


class Item(BaseModel):
    text: str


class Items(TypedStream[Item]):
    count: int = 3


@MODES
async def test_typed_streams_are_signed_as_their_frames(
    axon: Axon, alice: Keypair, mode: StreamMode
) -> None:
    models = [Item(text=text) for text in ("a", "é\n", "")]

    async def forward(synapse: Items) -> AsyncIterator[Item]:
        for model in models:
            yield model

    axon.attach(forward)
    async with axon, Dendrite(alice, mode=mode) as dendrite:
        receipt = (await dendrite.call(axon.info(), Items())).receipt
    writer = stream_writer(stream_types(Item))
    receipt.check_chunks([writer.yield_item(model) for model in models])


async def test_who_wants_no_receipts_gets_none(bob: Keypair, alice: Keypair, served: Axon) -> None:
    async with Dendrite(alice, receipts=False) as dendrite:
        reply = await dendrite(served.info(), Echo(text="x"))
        assert (reply.answer, reply.receipt) == ("X", None)
    async with Dendrite(alice, mode="raw") as dendrite:
        final = await dendrite.call(served.info(), Words(count=5))
        assert (final.completion, final.receipt) == (TEXT, None)
    unsigned = Axon(bob, ip="127.0.0.1", port=0, receipts=False).attach(words).attach(echo)
    async with unsigned, Dendrite(alice) as dendrite:
        for question in (Words(count=5), Echo(text="x")):
            reply = await dendrite.call(unsigned.info(), question)
            assert (reply.is_success, reply.receipt) == (True, None)


@pytest.mark.parametrize("mode", StreamMode)
async def test_what_failed_is_not_signed(
    axon: Axon, alice: Keypair, signatures: Counter[str], mode: StreamMode
) -> None:
    async def forward(synapse: Words) -> AsyncIterator[str]:
        if synapse.count:
            yield "x"
        raise ValueError("broken")

    async def broken(synapse: Echo) -> Echo:
        raise ValueError("broken")

    axon.attach(forward).attach(broken)
    async with axon, Dendrite(alice, mode=mode) as dendrite:
        for question in (Words(count=0), Words(count=1), Echo(text="")):
            reply = await dendrite.call(axon.info(), question)
            assert (reply.is_success, reply.receipt) == (False, None)
    assert signatures[axon.hotkey] == 0


# Whom an axon signs for.


@pytest.fixture
def signatures(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each address has signed anything."""
    count: Counter[str] = Counter()
    real = Keypair.sign

    def sign(self: Keypair, message: bytes) -> bytes:
        count[self.ss58_address] += 1
        return real(self, message)

    monkeypatch.setattr(Keypair, "sign", sign)
    return count


def flip(request: RawRequest, name: str) -> RawRequest:
    """Return a request in which the last digit of a header is another."""
    value = request.value(name)
    return request.set(name, value[:-1] + ("1" if value[-1] != "1" else "2"))


REFUSED: dict[str, tuple[int, Callable[[RawRequest, Keypair, str], RawRequest | bytes]]] = {
    "an unknown route": (404, lambda r, *_: r.change(target="/Nothing")),
    "another method": (405, lambda r, *_: r.change(method="PUT")),
    "no headers": (401, lambda r, *_: r.change(headers=())),
    "no signature": (401, lambda r, *_: r.without("X-Bittensor-Signature")),
    "no hotkey": (401, lambda r, *_: r.without("X-Bittensor-Hotkey")),
    "no nonce": (401, lambda r, *_: r.without("X-Bittensor-Nonce")),
    "another signature": (401, lambda r, *_: flip(r, "X-Bittensor-Signature")),
    "a signature of zeros": (401, lambda r, *_: r.set("X-Bittensor-Signature", "0x" + "0" * 128)),
    "another nonce": (401, lambda r, *_: flip(r, "X-Bittensor-Nonce")),
    "another sender": (401, lambda r, *_: r.set("X-Bittensor-Hotkey", MALLORY.ss58_address)),
    "the node as its own sender": (401, lambda r, _, node: r.set("X-Bittensor-Hotkey", node)),
    "another receiver": (401, lambda r, *_: r.set("X-Bittensor-Receiver", MALLORY.ss58_address)),
    "another body": (401, lambda r, *_: r.change(body=b'{"text": "y"}')),
    "another target": (401, lambda r, *_: r.change(target=r.target + "&x=1")),
    "signed for another": (401, lambda r, key, _: signed_request(
        key, MALLORY.ss58_address, r.target, r.body)),
    "signed for nobody": (401, lambda r, key, _: signed_request(key, None, r.target, r.body)),
    "too old": (401, lambda r, key, node: signed_request(
        key, node, r.target, r.body, nonce_ns=time.time_ns() - HOUR_NS)),
    "too new": (401, lambda r, key, node: signed_request(
        key, node, r.target, r.body, nonce_ns=time.time_ns() + HOUR_NS)),
    "too large": (413, lambda r, key, node: signed_request(
        key, node, r.target, b'{"text": "%b"}' % (b"x" * 70_000))),
    "encoded": (400, lambda r, *_: r.also("Content-Encoding", "gzip")),
    "no JSON": (422, lambda r, key, node: signed_request(key, node, r.target, b"{")),
    "a wrong timeout": (400, lambda r, key, node: signed_request(
        key, node, "/Words?timeout=never", r.body)),
    "no HTTP": (400, lambda *_: b"HELLO\r\n\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("mode", StreamMode)
@pytest.mark.parametrize("route", ["Words", "Echo"])
async def test_nothing_is_signed_for_whom_it_refuses(
    bob: Keypair, alice: Keypair, signatures: Counter[str], route: str, mode: StreamMode
) -> None:
    axon = Axon(bob, ip="127.0.0.1", port=0, max_body_bytes=65_536).attach(words).attach(echo)
    target = f"/{route}?stream={mode}"
    async with axon:
        for kind, (status, change) in REFUSED.items():
            good = signed_request(alice, axon.hotkey, target, b'{"text": "x"}')
            changed = change(good, alice, axon.hotkey)
            reply = await ask(axon.port, changed)
            assert reply.status == status, kind
            assert reply.header(RECEIPT_HEADER) is None
            assert b"receipt" not in reply.body
        assert signatures[axon.hotkey] == 0
        reply = await ask(axon.port, good)
        assert reply.status == 200
        signed = 0 if (mode, route) == (StreamMode.RAW, "Words") else 1
        assert signatures[axon.hotkey] == signed
        again = await ask(axon.port, good)
        assert again.json()["code"] == "replayed_request"
        assert signatures[axon.hotkey] == signed


async def test_nothing_is_signed_for_a_caller_who_is_not_allowed(
    bob: Keypair, alice: Keypair, signatures: Counter[str]
) -> None:
    def nobody(synapse: Echo) -> bool:
        return True

    def not_verified(synapse: Words) -> bool:
        return False

    axon = Axon(bob, ip="127.0.0.1", port=0).attach(echo, blacklist_fn=nobody)
    axon.attach(words, verify_fn=not_verified)
    async with axon, Dendrite(alice) as dendrite:
        assert (await dendrite(axon.info(), Echo(text="x"))).is_blacklist
        assert (await dendrite.call(axon.info(), Words())).failed_verification
    assert signatures[axon.hotkey] == 0


async def test_nothing_is_signed_for_who_left(
    bob: Keypair, alice: Keypair, signatures: Counter[str]
) -> None:
    ended: list[bool] = []

    async def forward(synapse: Words) -> AsyncIterator[str]:
        try:
            while True:
                yield "x"
                await asyncio.sleep(0.01)
        finally:
            ended.append(True)

    axon = Axon(bob, ip="127.0.0.1", port=0).attach(forward)
    async with axon, Dendrite(alice) as dendrite:
        async with dendrite.stream(axon.info(), Words()) as stream:
            async for _ in stream:
                break
        while not ended:
            await asyncio.sleep(0.01)
    assert stream.receipt is None
    assert signatures[axon.hotkey] == 0
