"""Replies of old axons, and of peers that pretend to be some."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from node import Axon, Dendrite, Keypair, TextStream
from node.errors import CallError
from tests.functional.synapses import Echo, Words
from tests.raw_http import chunked, read_request, reply_head, scripted_peer

from .old_peer import BOTH, HOTKEY, OK, OldPeer, document, echoes

MALLORY = Keypair.from_uri("//Mallory").ss58_address


async def test_a_reply_rewrites_neither_the_question_nor_who_took_part(alice: Keypair) -> None:
    """A dendrite of SDK 10 takes all of it."""

    def lies(head: bytes, body: bytes) -> bytes:
        claims = {"hotkey": MALLORY, "ip": "10.0.0.9", "port": 9, "status_code": 200, "uuid": "x"}
        fields = {
            "text": "theirs",
            "answer": "A",
            "dendrite": claims,
            "axon": claims,
            "timeout": 1e9,
            "name": "Other",
            "computed_body_hash": "forged",
            "required_hash_fields": ["answer"],
        }
        lines = [f"bt_header_{end}_hotkey: {MALLORY}" for end in ("axon", "dendrite")]
        lines += [f"bt_header_{end}_ip: 10.0.0.9" for end in ("axon", "dendrite")]
        lines += ["bt_header_dendrite_status_code: 418", "bt_header_input_obj_text: InRoZWlycyI="]
        return document(json.dumps(fields).encode(), *OK, *lines, "timeout: 1e9", "name: Other")

    old = OldPeer(lies)
    question = Echo(text="mine")
    async with old.serve("synapse") as peer, Dendrite(alice, protocols=BOTH) as dendrite:
        reply = await dendrite(peer, question, timeout=3)
    assert (reply.is_success, reply.text, reply.answer) == (True, "mine", "A")
    assert (reply.dendrite.hotkey, reply.axon.hotkey) == (alice.ss58_address, HOTKEY)
    assert (reply.axon.ip, reply.axon.port) == ("127.0.0.1", peer.port)
    assert (reply.name, reply.computed_body_hash) == ("Echo", "")
    assert reply.timeout < 1e9
    assert MALLORY not in reply.model_dump_json()
    assert question == Echo(text="mine")


class OldStream(TextStream):
    """What a stream of an old axon ends in is read by the subclass, as in SDK 10."""

    prompt: str
    required_hash_fields: ClassVar[tuple[str, ...]] = ("prompt",)


async def test_a_stream_rewrites_nothing_either(alice: Keypair) -> None:
    def streams(head: bytes, body: bytes) -> bytes:
        lines = [*OK, "Transfer-Encoding: chunked", f"bt_header_axon_hotkey: {MALLORY}"]
        return reply_head("text/event-stream", *lines) + chunked(b"a", b"b")

    old = OldPeer(streams)
    async with old.serve("synapse") as peer, Dendrite(alice, protocols=BOTH) as dendrite:
        final = await dendrite.call(peer, OldStream(prompt="mine"), timeout=3)
    assert (final.is_success, final.completion, final.prompt) == (True, "ab", "mine")
    assert final.axon.hotkey == HOTKEY


@pytest.mark.parametrize(
    ("http", "header", "status"),
    [
        ("503 Service Unavailable", "200", 503),
        ("500 Internal Server Error", "200", 500),
        ("401 Unauthorized", "200", 401),
        ("201 Created", "200", 201),
        ("200 OK", "403", 403),
        ("200 OK", "500", 500),
        ("503 Service Unavailable", "403", 503),
    ],
)
@pytest.mark.parametrize("synapse", [Echo(text="x"), Words()], ids=["unary", "stream"])
async def test_of_two_statuses_the_worse_one_counts(
    alice: Keypair, http: str, header: str, status: int, synapse: Any
) -> None:
    """To a dendrite of SDK 10 a 503 is a success if a header says 200."""
    lines = [f"bt_header_axon_status_code: {header}", "bt_header_axon_status_message: Success",
             f"bt_header_dendrite_status_code: {header}"]  # fmt: skip

    def answers(head: bytes, body: bytes) -> bytes:
        if isinstance(synapse, Words):
            framing = "Transfer-Encoding: chunked"
            return reply_head("text/event-stream", *lines, framing, status=http) + chunked(b"a")
        return document(b'{"text": "x", "answer": "A"}', *lines, status=http)

    old = OldPeer(answers)
    async with old.serve("synapse") as peer, Dendrite(alice, protocols=BOTH) as dendrite:
        reply = await dendrite.call(peer, synapse, timeout=3)
        with pytest.raises(CallError):
            await dendrite.call(peer, synapse, timeout=3, raise_errors=True)
    assert (reply.dendrite.status_code, reply.is_success, reply.is_failure) == (status, False, True)
    assert getattr(reply, "answer", "") == ""
    assert getattr(reply, "completion", "") == ""


async def test_a_raw_stream_that_is_cut_is_a_failure(alice: Keypair) -> None:
    async def cuts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        head = reply_head("text/event-stream", *OK, "Transfer-Encoding: chunked")
        writer.write(head + chunked(b"a", b"b", end=False))
        await writer.drain()

    async with scripted_peer(cuts, HOTKEY) as peer, Dendrite(alice, protocols=BOTH) as dendrite:
        final = await dendrite.call(replace(peer, protocols=("synapse",)), Words(), timeout=3)
    assert (final.is_success, final.completion) == (False, "ab")


async def test_a_raw_stream_that_only_the_connection_ends_can_not_be_seen_to_be_cut(
    alice: Keypair,
) -> None:
    """Not closed: without a length and without chunks, HTTP has no end but the connection's."""

    async def cuts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(reply_head("text/event-stream", *OK, "Connection: close") + b"a")
        await writer.drain()

    async with scripted_peer(cuts, HOTKEY) as peer, Dendrite(alice, protocols=BOTH) as dendrite:
        old = await dendrite.call(replace(peer, protocols=("synapse",)), Words(), timeout=3)
        new = await dendrite.call(replace(peer, protocols=("btauth",)), Words(), timeout=3)
    assert (old.is_success, old.completion) == (True, "a")
    assert not new.is_success  # `frames` has an END


async def test_what_a_dendrite_signs_for_one_old_axon_no_other_takes(
    alice: Keypair, bob: Keypair
) -> None:
    """An old axon that is asked can't pass the request on to another node."""
    sent: list[tuple[bytes, bytes]] = []

    def keeps(head: bytes, body: bytes) -> bytes:
        sent.append((head, body))
        return echoes(head, body)

    calls: list[str] = []

    async def forward(synapse: Echo) -> Echo:
        calls.append(synapse.text)
        return synapse

    dave = Keypair.from_uri("//Dave")
    axon = Axon(dave, ip="127.0.0.1", port=0, protocols=("synapse", "epistula"))
    async with axon.attach(forward):
        for protocol in ("synapse", "epistula"):
            old = OldPeer(keeps)
            async with old.serve(protocol) as peer, Dendrite(alice, protocols=(protocol,)) as one:
                await one(peer, Echo(text="x"), timeout=3)
            head, body = sent[-1]
            reader, writer = await asyncio.open_connection("127.0.0.1", axon.port)
            writer.write(head.replace(HOTKEY.encode(), dave.ss58_address.encode()) + body)
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
            assert line.startswith(b"HTTP/1.1 401")
    assert calls == []
