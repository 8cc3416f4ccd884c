"""Replies that no node sends of its own will: what ours and old dendrites make of them.

The old dendrites are the control: where one believes a reply, the reply is a credible lie.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from node import Dendrite, Keypair, Peer
from tests.raw_http import Script, chunked, read_request, reply_head, scripted_peer

from .old_peers import OldDendrite, Reply
from .synapses import Plain, Tokens

pytestmark = pytest.mark.interop

# What an old dendrite needs to believe in success (WIRE.md §2.8), and the tutorial's hook to work.
GOOD = (
    "name: Tokens",
    "timeout: 5.0",
    "total_size: 0",
    "header_size: 0",
    "bt_header_axon_status_code: 200",
    "bt_header_axon_status_message: Success",
    "Connection: close",
)
ANSWER = json.dumps({"text": "x", "answer": "X"}).encode()


def says(head: bytes, body: bytes) -> Script:
    """Return a script that answers every request with the same bytes and then closes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(head + body)
        await writer.drain()
        # A moment, so that a cut is met while reading the body and not before it.
        await asyncio.sleep(0.05)

    return script


def serving(script: Script, bob: Keypair) -> AbstractAsyncContextManager[Peer]:
    return scripted_peer(script, bob.ss58_address)


@pytest.fixture
async def ours(alice: Keypair) -> AsyncIterator[Dendrite]:
    async with Dendrite(alice, protocols=("btauth", "synapse")) as dendrite:
        yield dendrite


async def ask_ours(ours: Dendrite, script: Script, bob: Keypair, kind: str) -> Plain | Tokens:
    synapse = Plain(text="x") if kind == "Plain" else Tokens(prompt="x")
    async with serving(script, bob) as peer:
        reply: Plain | Tokens = await ours.call(replace(peer, protocols=("synapse",)), synapse)
    return reply


async def ask_old(old_dendrite: OldDendrite, script: Script, bob: Keypair, kind: str) -> Reply:
    fields = {"text": "x"} if kind == "Plain" else {"prompt": "x"}
    async with serving(script, bob) as peer:
        address = {"ip": peer.ip, "port": peer.port, "hotkey": peer.hotkey}
        return await old_dendrite.ask(address, kind, fields=fields)


def unary(status: str = "200 OK", length: int = len(ANSWER)) -> Script:
    framing = f"Content-Length: {length}"
    return says(reply_head("application/json", *GOOD, framing, status=status), ANSWER)


def stream(status: str = "200 OK", *, end: bool = True) -> Script:
    head = reply_head("text/event-stream", *GOOD, "Transfer-Encoding: chunked", status=status)
    return says(head, chunked(b"one", b"two", end=end))


@pytest.mark.parametrize(("kind", "script"), [("Plain", unary()), ("Tokens", stream())])
async def test_a_good_reply_is_a_success_to_both(
    ours: Dendrite, old_dendrite: OldDendrite, bob: Keypair, kind: str, script: Script
) -> None:
    assert (await ask_ours(ours, script, bob, kind)).is_success
    assert (await ask_old(old_dendrite, script, bob, kind)).is_success


@pytest.mark.parametrize(
    ("kind", "script"),
    [("Plain", unary("503 Service Unavailable")), ("Tokens", stream("503 Service Unavailable"))],
    ids=["unary", "stream"],
)
async def test_a_503_is_no_success_whatever_its_headers_say(
    ours: Dendrite, old_dendrite: OldDendrite, bob: Keypair, kind: str, script: Script
) -> None:
    reply = await ask_ours(ours, script, bob, kind)
    assert (reply.dendrite.status_code, reply.is_success) == (503, False)
    assert (await ask_old(old_dendrite, script, bob, kind)).is_success


@pytest.mark.parametrize(
    ("kind", "script"),
    [("Plain", unary(length=len(ANSWER) + 10)), ("Tokens", stream(end=False))],
    ids=["unary", "stream"],
)
async def test_a_truncated_reply_is_a_failure_to_both(
    ours: Dendrite, old_dendrite: OldDendrite, bob: Keypair, kind: str, script: Script
) -> None:
    reply = await ask_ours(ours, script, bob, kind)
    assert (reply.is_success, reply.is_failure) == (False, True)
    if isinstance(reply, Tokens):
        assert reply.completion == "onetwo"
    old = await ask_old(old_dendrite, script, bob, kind)
    assert (old.status_code, old.is_success) == (400, False)


async def test_a_200_whose_header_says_otherwise_is_no_success(
    ours: Dendrite, old_dendrite: OldDendrite, bob: Keypair
) -> None:
    """Of two statuses the worse one counts."""
    lines = [line.replace("status_code: 200", "status_code: 401") for line in GOOD]
    framing = f"Content-Length: {len(ANSWER)}"
    script = says(reply_head("application/json", *lines, framing), ANSWER)
    assert not (await ask_ours(ours, script, bob, "Plain")).is_success
    assert (await ask_old(old_dendrite, script, bob, "Plain")).status_code == 401
