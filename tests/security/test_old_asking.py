"""Which protocol a dendrite speaks with a peer: asked once, remembered, never talked down."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from node import Axon, Dendrite, Keypair
from node.errors import PeerRefused
from tests.functional.synapses import Echo
from tests.raw_http import chunked, read_request, reply_head, scripted_peer

from .old_peer import BOTH, HOTKEY, Answer, OldPeer, document, echoes, old_page, protocol_of


async def test_a_peer_is_asked_once_and_the_answer_is_remembered(alice: Keypair) -> None:
    old = OldPeer(echoes)
    async with old.serve() as peer, Dendrite(alice, protocols=BOTH) as dendrite:
        for _ in range(5):
            assert (await dendrite(peer, Echo(text="x"), timeout=3)).answer == "X"
        assert (old.gets, old.spoken) == (1, ["synapse"] * 5)
        # Another address of that key is another peer; another dendrite has its own memory.
        other = OldPeer(echoes)
        async with other.serve() as elsewhere:
            await dendrite(elsewhere, Echo(text="x"), timeout=3)
        assert (old.gets, other.gets) == (1, 1)
    assert b"GET / " not in b"".join(old.posts)


@pytest.mark.parametrize(
    ("named", "given"), [(("synapse",), BOTH), ((), ("synapse",)), ((), ("btauth",))]
)
async def test_a_peer_is_not_asked_where_nothing_is_to_choose(
    alice: Keypair, named: tuple[str, ...], given: tuple[str, ...]
) -> None:
    old = OldPeer(echoes)
    async with old.serve(*named) as peer, Dendrite(alice, protocols=given) as dendrite:
        assert (await dendrite(peer, Echo(text="x"), timeout=3)).answer == "X"
    assert (old.gets, old.spoken) == (0, [(named or given)[0]])


async def test_asking_says_nothing_of_who_asks(alice: Keypair) -> None:
    heads: list[bytes] = []

    def page(head: bytes, body: bytes) -> bytes:
        heads.append(head)
        return old_page(head, body)

    old = OldPeer(echoes, page)
    async with old.serve() as peer, Dendrite(alice, protocols=BOTH) as dendrite:
        await dendrite(peer, Echo(text="x"), timeout=3)
    assert alice.ss58_address.encode() not in heads[0]
    assert b"signature" not in heads[0].lower()


def says(*protocols: Any) -> Answer:
    body = json.dumps({"node": "ganglion", "protocols": protocols}).encode()
    return lambda head, _: document(body)


@pytest.mark.parametrize("given", [("btauth",), ("btauth", "epistula"), ("epistula",)])
async def test_a_record_can_not_name_a_protocol_that_was_not_given(
    alice: Keypair, given: tuple[str, ...]
) -> None:
    """Nothing is sent at all: not even a question."""
    old = OldPeer(echoes, says("synapse"))
    async with old.serve("synapse") as peer, Dendrite(alice, protocols=given) as dendrite:
        reply = await dendrite(peer, Echo(text="x"), timeout=3)
        with pytest.raises(PeerRefused) as caught:
            await dendrite.call(peer, Echo(text="x"), timeout=3, raise_errors=True)
    assert (reply.dendrite.status_code, reply.is_success) == (401, False)
    assert (caught.value.code, caught.value.retry_safe) == ("no_common_protocol", True)
    assert (old.gets, old.posts) == (0, [])


LYING_PAGES: dict[str, Answer] = {
    "synapse alone": says("synapse"),
    "unknown ones": says("fiber", "plain"),
    "an old axon": old_page,
    "no JSON": lambda *_: document(b"{"),
    "so deep": lambda *_: document(b"[" * 20_000),
    "a list": lambda *_: document(b'["btauth"]'),
    "text": lambda *_: document(b'{"protocols": "btauth"}'),
    "numbers": says(1, 2),
    "no protocol at all": says(),
    "HTML": lambda *_: reply_head("text/html", "Content-Length: 2") + b"hi",
    "over the limit": lambda *_: document(b'{"protocols": ["btauth"]' + b" " * 2**20 + b"}"),
    "a redirect": lambda *_: reply_head(
        "text/html", "Location: http://127.0.0.1:1/", "Content-Length: 0", status="302 Found"),
    "encoded": lambda *_: document(b'{"protocols": ["btauth"]}'[::-1], "Content-Encoding: gzip"),
    "a thousand names": says(*(f"p{number}" for number in range(1000))),
}  # fmt: skip


@pytest.mark.parametrize("kind", LYING_PAGES)
async def test_no_page_talks_a_dendrite_down_to_what_it_was_not_given(
    alice: Keypair, kind: str
) -> None:
    old = OldPeer(echoes, LYING_PAGES[kind])
    async with (
        old.serve() as peer,
        Dendrite(alice, protocols=("btauth", "epistula")) as dendrite,
    ):
        reply = await dendrite(peer, Echo(text="x"), timeout=1)
    assert reply.is_failure
    assert len(reply.dendrite.status_message or "") < 700
    assert (old.gets, old.posts) == (1, [])


async def test_a_page_in_the_open_can_choose_among_what_was_given(alice: Keypair) -> None:
    """Not closed by asking: the page is not signed, so whoever is on the way answers for it.

    What closes it: a peer's signed record, or a dendrite that was given the safe ones only.
    """
    honest = says("btauth", "synapse", "epistula")
    forged = says("synapse")
    for page, spoken in ((honest, "btauth"), (forged, "synapse")):
        old = OldPeer(echoes, page)
        async with old.serve() as peer, Dendrite(alice, protocols=BOTH) as dendrite:
            await dendrite(peer, Echo(text="x"), timeout=3)
            await dendrite(replace(peer, protocols=("btauth",)), Echo(text="x"), timeout=3)
        assert old.spoken == [spoken, "btauth"]


@pytest.mark.parametrize(
    "status", ["503 Service Unavailable", "500 Oops", "502 Bad Gateway", "429 Too Many Requests"]
)
async def test_a_peer_that_can_not_answer_now_is_not_taken_for_an_old_one(
    alice: Keypair, status: str
) -> None:
    """A node that drains, or a proxy without its node, is asked again the next time."""
    down = True

    def page(head: bytes, body: bytes) -> bytes:
        return document(b"{}", status=status) if down else says("btauth")(head, body)

    old = OldPeer(echoes, page)
    async with old.serve() as peer, Dendrite(alice, protocols=BOTH) as dendrite:
        reply = await dendrite(peer, Echo(text="x"), timeout=3)
        assert reply.dendrite.status_code == int(status[:3])
        assert (old.gets, old.posts) == (1, [])
        down = False
        assert (await dendrite(peer, Echo(text="x"), timeout=3)).is_success
    assert (old.gets, old.spoken) == (2, ["btauth"])


async def test_a_page_that_is_cut_is_not_remembered(alice: Keypair) -> None:
    gets = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal gets
        while True:
            head, body = await read_request(reader)
            if head.startswith(b"GET "):
                gets += 1
                writer.write(says("btauth")(head, body)[: -5 if gets == 1 else None])
                if gets == 1:
                    return
            else:
                assert protocol_of(head) == "btauth"
                writer.write(echoes(head, body))
            await writer.drain()

    async with scripted_peer(script, HOTKEY) as peer, Dendrite(alice, protocols=BOTH) as dendrite:
        unknown = replace(peer, protocols=())
        assert (await dendrite(unknown, Echo(text="x"), timeout=3)).is_failure
        assert (await dendrite(unknown, Echo(text="x"), timeout=3)).is_success
    assert gets == 2


async def test_an_endless_page_ends_with_the_call(alice: Keypair) -> None:
    sent = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        head, body = await read_request(reader)
        if not head.startswith(b"GET "):
            writer.write(echoes(head, body))
            await writer.drain()
            return
        writer.write(reply_head("application/json", "Transfer-Encoding: chunked"))
        while sent < 2**26:
            writer.write(chunked(b" " * 65_536, end=False))
            await writer.drain()
            sent += 65_536

    async with scripted_peer(script, HOTKEY) as peer, Dendrite(alice, protocols=BOTH) as dendrite:
        await dendrite(replace(peer, protocols=()), Echo(text="x"), timeout=3)
    assert sent < 2**25  # the limit of 64 KiB, and what socket buffers take


@pytest.mark.parametrize(
    "begun", [b"", says("btauth")(b"", b"")[:-2]], ids=["nothing", "a part of it"]
)
async def test_a_page_that_never_comes_ends_at_the_deadline(alice: Keypair, begun: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(begun)
        await asyncio.sleep(60)

    async with scripted_peer(script, HOTKEY) as peer, Dendrite(alice, protocols=BOTH) as dendrite:
        reply = await dendrite(replace(peer, protocols=()), Echo(text="x"), timeout=0.3)
    assert (reply.dendrite.status_code, reply.is_timeout) == (408, True)


async def test_a_refusal_is_not_tried_again_in_another_protocol(alice: Keypair) -> None:
    """A 401 must not make a dendrite sign the same question in a weaker way."""

    def refuses(head: bytes, body: bytes) -> bytes:
        return document(b'{"message": "no"}', status="401 Unauthorized")

    old = OldPeer(refuses)
    async with (
        old.serve("btauth", "synapse") as peer,
        Dendrite(alice, protocols=BOTH) as dendrite,
    ):
        assert (await dendrite(peer, Echo(text="x"), timeout=3)).failed_verification
    assert (old.gets, old.spoken) == (0, ["btauth"])


async def test_the_order_of_a_dendrite_counts_and_not_that_of_its_peer(
    alice: Keypair, bob: Keypair
) -> None:
    async def forward(synapse: Echo) -> Echo:
        return synapse

    axon = Axon(bob, ip="127.0.0.1", port=0, protocols=("synapse", "epistula", "btauth"))
    async with axon.attach(forward):
        for given in (("btauth", "synapse"), ("synapse", "btauth"), ("epistula",)):
            async with Dendrite(alice, protocols=given) as dendrite:
                for peer in (axon.info(), replace(axon.info(), protocols=())):
                    reply = await dendrite(peer, Echo(text="x"), timeout=3)
                    assert reply.is_success
                    assert (reply.receipt is not None) == (given[0] != "synapse")
