"""A reply cut at any byte is a failure with what arrived kept; only the whole is a success."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from node import Axon, Dendrite, Keypair
from tests.functional.synapses import Echo, Words
from tests.raw_http import RawConnection, read_request, scripted_peer


@pytest.fixture
async def served(bob: Keypair) -> AsyncIterator[Axon]:
    async def words(synapse: Words) -> AsyncIterator[str]:
        for word in ("é ", "b ", "🚀"):
            yield word

    async def echo(synapse: Echo) -> Echo:
        synapse.answer = synapse.text
        return synapse

    axon = Axon(bob, ip="127.0.0.1", port=0, receipts=False).attach(words).attach(echo)
    async with axon:
        yield axon


class CuttingProxy:
    """Passes the first request on to the axon, and back only so many bytes of its reply.

    All later requests get so many bytes of that same reply. Another may be longer or shorter:
    words share a chunk of HTTP or do not, by the time that passes between them.
    """

    def __init__(self, axon: Axon) -> None:
        self._axon = axon
        self._reply = b""
        self.keep = 0

    @property
    def length(self) -> int:
        return len(self._reply)

    async def script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = b"".join(await read_request(reader))
        if not self._reply:
            self._reply = await self._asked(request)
        writer.write(self._reply[: self.keep])
        await writer.drain()

    async def _asked(self, request: bytes) -> bytes:
        async with await RawConnection.open(self._axon.port) as inner:
            await inner.send(request)
            data = b""
            while not data.endswith((b"0\r\n\r\n", b"}")):
                part = await inner.reader.read(65_536)
                assert part, "the axon closed before its reply was whole"
                data += part
        return data


async def replies_by_length(axon: Axon, keypair: Keypair, question: Any) -> list[Any]:
    """Return the reply for every number of bytes that the proxy lets pass."""
    proxy = CuttingProxy(axon)
    proxy.keep = 2**20
    replies: list[Any] = []
    async with (
        scripted_peer(proxy.script, axon.hotkey) as peer,
        Dendrite(keypair, dormancy=False) as dendrite,
    ):
        whole = await dendrite.call(peer, question, timeout=3)
        assert whole.is_success
        for keep in range(proxy.length + 1):
            proxy.keep = keep
            replies.append(await dendrite.call(peer, question, timeout=3))
    return replies


async def test_a_stream_cut_at_every_byte(served: Axon, alice: Keypair) -> None:
    replies = await replies_by_length(served, alice, Words())
    assert [reply.is_success for reply in replies[:-1]] == [False] * (len(replies) - 1)
    assert replies[-1].is_success
    assert all(reply.dendrite.status_code == 503 for reply in replies[:-1])
    texts = [reply.completion for reply in replies]
    assert sorted(set(texts), key=len) == ["", "é ", "é b ", "é b 🚀"]
    assert texts == sorted(texts, key=len)  # a longer part never gives less


async def test_a_unary_reply_cut_at_every_byte(served: Axon, alice: Keypair) -> None:
    replies = await replies_by_length(served, alice, Echo(text="hello"))
    assert [reply.is_success for reply in replies[:-1]] == [False] * (len(replies) - 1)
    assert replies[-1].is_success
    assert {reply.answer for reply in replies[:-1]} == {""}
