"""Random changes to good bytes: nothing but the whole truth gets through, and nothing breaks."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator

import pytest

from node import Axon, Dendrite, Keypair
from tests.functional.synapses import Echo, Words
from tests.raw_http import RawConnection, read_request, scripted_peer

from .conftest import Target

ROUNDS = 400


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return data with one random change: a byte flipped, removed, added, or a part repeated."""
    position = chance.randrange(len(data))
    kind = chance.choice(("flip", "replace", "remove", "insert", "repeat", "cut"))
    if kind == "flip":
        new = bytes([data[position] ^ (1 << chance.randrange(8))])
        return data[:position] + new + data[position + 1 :]
    if kind == "replace":
        return data[:position] + bytes([chance.randrange(256)]) + data[position + 1 :]
    if kind == "remove":
        return data[:position] + data[position + 1 :]
    if kind == "insert":
        return data[:position] + bytes([chance.randrange(256)]) + data[position:]
    if kind == "repeat":
        return data[: position + 8] + data[position:]
    return data[:position]


@pytest.mark.parametrize("seed", range(4))
async def test_a_mutated_request_reaches_the_forward_unaltered_or_not_at_all(
    bob: Keypair, alice: Keypair, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    chance = random.Random(seed)
    target = Target(bob, alice, body_timeout_s=0.05)
    statuses: set[int] = set()

    async def send(data: bytes) -> None:
        async with await RawConnection.open(target.axon.port) as connection:
            await connection.send(data)
            connection.writer.write_eof()
            try:
                statuses.add((await connection.read_reply(within_s=3)).status)
            except (asyncio.IncompleteReadError, ConnectionError):
                statuses.add(0)  # the node waited for more, and we had said that there is none

    async with target.axon:
        for _ in range(ROUNDS // 20):
            requests = [mutated(target.good().encode(), chance) for _ in range(20)]
            await asyncio.gather(*(send(data) for data in requests))
        taken, held = len(target.texts), len(target.guard)
        await target.check_taken(target.good())
    # What was taken differs in something that nobody signs, such as the name of the Host.
    assert set(target.texts) == {"hello"}
    assert set(target.hotkeys) == {alice.ss58_address}
    assert taken == held
    assert statuses <= {0, 200, 400, 401, 404, 405, 408, 413}
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


class MutatingProxy:
    """Passes a request on to an axon, and the reply back with one change."""

    def __init__(self, axon: Axon, seed: int) -> None:
        self._axon = axon
        self._chance = random.Random(seed)

    async def script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await read_request(reader)
        async with await RawConnection.open(self._axon.port) as inner:
            await inner.send(head + body)
            data = b""
            while not data.endswith((b"0\r\n\r\n", b"}")):
                data += await inner.reader.read(65_536)
        writer.write(mutated(data, self._chance))
        await writer.drain()


@pytest.fixture(params=[True, False], ids=["receipts", "no receipts"])
async def served(bob: Keypair, request: pytest.FixtureRequest) -> AsyncIterator[Axon]:
    async def words(synapse: Words) -> AsyncIterator[str]:
        for word in ("é ", "b ", "🚀"):
            yield word

    async def echo(synapse: Echo) -> Echo:
        synapse.answer = synapse.text
        return synapse

    axon = Axon(bob, ip="127.0.0.1", port=0, receipts=request.param)
    async with axon.attach(words).attach(echo):
        yield axon


@pytest.mark.parametrize("mode", ["frames", "sse"])
async def test_a_mutated_stream_is_a_failure_or_the_whole_truth(
    served: Axon, alice: Keypair, mode: str
) -> None:
    proxy = MutatingProxy(served, 1)
    good = 0
    async with (
        scripted_peer(proxy.script, served.hotkey) as peer,
        Dendrite(alice, mode=mode) as dendrite,
    ):
        for _ in range(ROUNDS // 20):
            streams = await dendrite([peer] * 20, Words(), timeout=0.3)
            for stream in streams:
                chunks = [chunk async for chunk in stream.chunks()]
                final = await stream
                assert final.completion == "".join(chunks)
                if final.is_success:
                    assert chunks == ["é ", "b ", "🚀"]
                    good += 1
    assert 0 < good < ROUNDS  # a changed Date is no change


async def test_a_mutated_unary_reply_with_a_receipt_is_a_failure_or_the_truth(
    served: Axon, alice: Keypair
) -> None:
    proxy = MutatingProxy(served, 2)
    replies: list[Echo] = []
    async with (
        scripted_peer(proxy.script, served.hotkey) as peer,
        Dendrite(alice) as dendrite,
    ):
        for _ in range(ROUNDS // 20):
            replies += await dendrite([peer] * 20, Echo(text="hello"), timeout=0.3)
    for reply in replies:
        assert reply.text == "hello"
        if not reply.is_success:
            assert reply.answer == ""
        elif reply.receipt is not None:
            assert reply.answer == "hello"
    assert {reply.is_success for reply in replies} == {True, False}
