"""Our dendrite asks old axons."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from node import Axon, Caller, Dendrite, Keypair, Peer, Synapse
from tests.raw_http import ask

from .old_peers import OldAxon
from .signing import signed_as_sdk
from .synapses import (
    HASHED,
    HASHED_ANSWER,
    Broken,
    Faulty,
    Hashed,
    Liar,
    Missing,
    Plain,
    Slow,
    Stalling,
    Tokens,
    Who,
)  # fmt: skip

pytestmark = pytest.mark.interop

BOTH = ("btauth", "synapse")


def peer_of(axon: OldAxon, **changes: Any) -> Peer:
    parts = {"hotkey": axon.hotkey, "ip": "127.0.0.1", "port": axon.port, **changes}
    return Peer(**{"protocols": ("synapse",), **parts})


@pytest.fixture
async def ours(alice: Keypair) -> AsyncIterator[Dendrite]:
    """Our //Alice's dendrite, which may speak to old axons."""
    async with Dendrite(alice, protocols=BOTH) as dendrite:
        yield dendrite


async def test_unary_with_hashed_fields(old_axon: OldAxon, ours: Dendrite) -> None:
    reply = await ours(peer_of(old_axon), Hashed(**HASHED))
    assert (reply.dendrite.status_code, reply.answer) == (200, HASHED_ANSWER)
    assert reply.is_success
    assert (reply.text, reply.temperature) == (HASHED["text"], 7.0)


async def test_unary_without_hashed_fields(old_axon: OldAxon, ours: Dendrite) -> None:
    reply = await ours(peer_of(old_axon), Plain(text="x"))
    assert (reply.is_success, reply.answer) == (True, "X")


async def test_stream(old_axon: OldAxon, ours: Dendrite) -> None:
    stream = await ours(peer_of(old_axon), Tokens(prompt="a é ✓"), deserialize=False)
    *chunks, final = [item async for item in stream]
    assert ("".join(chunks), final.completion) == ("aé✓", "aé✓")
    assert (final.dendrite.status_code, final.is_success) == (200, True)


async def test_a_node_is_what_the_forward_takes_its_caller_to_be(
    old_axon: OldAxon, ours: Dendrite, alice: Keypair
) -> None:
    reply = await ours(peer_of(old_axon), Who())
    assert reply.caller == alice.ss58_address


@pytest.mark.parametrize("synapse", [Plain(text="x"), Tokens(prompt="x")], ids=["unary", "stream"])
async def test_a_request_for_another_node_is_401(
    old_axon: OldAxon, ours: Dendrite, synapse: Synapse
) -> None:
    stranger = peer_of(old_axon, hotkey=Keypair.from_uri("//Charlie").ss58_address)
    reply = await ours.call(stranger, synapse)
    assert (reply.dendrite.status_code, reply.failed_verification) == (401, True)


async def test_a_stale_clock_is_401(old_axon: OldAxon, alice: Keypair) -> None:
    def clock_ns() -> int:
        return time.time_ns() - 3600 * 10**9

    async with Dendrite(alice, protocols=BOTH, clock_ns=clock_ns) as dendrite:
        reply = await dendrite(peer_of(old_axon), Plain(text="x"))
    assert (reply.dendrite.status_code, reply.failed_verification) == (401, True)


async def test_a_banned_caller_is_403(old_axon: OldAxon) -> None:
    async with Dendrite(Keypair.from_uri("//Eve"), protocols=BOTH) as dendrite:
        reply = await dendrite(peer_of(old_axon), Hashed(**HASHED))
    assert (reply.dendrite.status_code, reply.is_blacklist) == (403, True)


async def test_an_unknown_route_is_404(old_axon: OldAxon, ours: Dendrite) -> None:
    reply = await ours(peer_of(old_axon), Missing())
    assert (reply.dendrite.status_code, reply.is_success) == (404, False)


async def test_a_forward_that_raises_is_500(old_axon: OldAxon, ours: Dendrite) -> None:
    reply = await ours(peer_of(old_axon), Faulty())
    assert (reply.dendrite.status_code, reply.is_success) == (500, False)


async def test_a_stream_that_fails_on_the_wire_fails(
    old_axon: OldAxon, ours: Dendrite, alice: Keypair
) -> None:
    """An axon of 10.5.0 ends a crashed stream like a good one, and nothing tells (§2.7)."""
    request = signed_as_sdk(alice, old_axon.hotkey, Broken(prompt="x"))
    raw = await ask(old_axon.port, request)
    assert (raw.status, raw.body) == (200, b"onetwo")
    assert not (raw.complete and old_axon.sdk == "7.4.0")
    stream = await ours(peer_of(old_axon), Broken(prompt="x"), deserialize=False)
    *chunks, final = [item async for item in stream]
    assert "".join(chunks) == "onetwo"
    assert final.is_success is raw.complete


async def test_an_axon_that_dies_mid_stream_is_a_failure(
    mortal_axon: Callable[[], OldAxon], ours: Dendrite
) -> None:
    axon = await asyncio.to_thread(mortal_axon)
    stream = await ours(peer_of(axon), Stalling(prompt="x"), deserialize=False)
    items: list[Any] = []
    async for item in stream:
        if item == "one":
            await asyncio.to_thread(axon.kill)
        items.append(item)
    assert items[0] == "one"
    assert (items[1].is_success, items[1].is_failure) == (False, True)
    gone = await ours(peer_of(axon), Plain(text="x"))
    assert (gone.dendrite.status_code, gone.is_success) == (503, False)


async def test_a_timeout_is_408(old_axon: OldAxon, ours: Dendrite) -> None:
    slow = await ours(peer_of(old_axon), Slow(seconds=2), timeout=0.5)
    assert (slow.dendrite.status_code, slow.is_timeout) == (408, True)
    stalling = await ours.call(peer_of(old_axon), Stalling(prompt="x"), timeout=0.7)
    assert (stalling.dendrite.status_code, stalling.completion) == (408, "one")


async def test_a_reply_does_not_rewrite_the_question_or_who_took_part(
    old_axon: OldAxon, ours: Dendrite, alice: Keypair
) -> None:
    reply = await ours(peer_of(old_axon), Liar(text="x"), timeout=5)
    assert (reply.is_success, reply.answer) == (True, "X")
    assert reply.text == "x"
    assert reply.timeout != 99.0
    assert (reply.axon.hotkey, reply.dendrite.hotkey) == (old_axon.hotkey, alice.ss58_address)


async def test_many_at_once_all_get_their_own_answers(old_axon: OldAxon, ours: Dendrite) -> None:
    """An old axon refuses whatever of one uuid arrives out of order (WIRE.md §2.10)."""
    questions = [Plain(text=f"a{number}") for number in range(64)]
    replies = await asyncio.gather(*(ours(peer_of(old_axon), each) for each in questions))
    assert [reply.dendrite.status_code for reply in replies] == [200] * 64
    assert [reply.answer for reply in replies] == [f"A{number}" for number in range(64)]


async def test_a_peer_that_names_no_protocol_is_asked_for_them(
    old_axon: OldAxon, ours: Dendrite, bob: Keypair
) -> None:
    async def plain(synapse: Plain, caller: Caller) -> Plain:
        synapse.answer = caller.protocol
        return synapse

    async with Axon(bob, ip="127.0.0.1", port=0, protocols=BOTH).attach(plain) as axon:
        new = Peer(hotkey=axon.hotkey, ip="127.0.0.1", port=axon.port)
        for _ in range(2):
            replies = await ours([peer_of(old_axon, protocols=()), new], Plain(text="x"))
            assert [reply.answer for reply in replies] == ["X", "btauth"]


async def test_one_call_asks_old_and_new(old_axon: OldAxon, ours: Dendrite, bob: Keypair) -> None:
    async def plain(synapse: Plain) -> Plain:
        synapse.answer = "new"
        return synapse

    async with Axon(bob, ip="127.0.0.1", port=0).attach(plain) as axon:
        replies = await ours([peer_of(old_axon), axon.info()], Plain(text="x"))
    assert [reply.answer for reply in replies] == ["X", "new"]


@pytest.mark.parametrize("known", [("synapse",), ()], ids=["known", "unknown"])
@pytest.mark.parametrize("synapse", [Plain(text="x"), Tokens(prompt="x")], ids=["unary", "stream"])
async def test_a_dendrite_that_does_not_speak_the_protocol_gets_no_answer(
    old_axon: OldAxon, alice: Keypair, synapse: Synapse, known: tuple[str, ...]
) -> None:
    async with Dendrite(alice, protocols=("btauth",)) as dendrite:
        reply = await dendrite.call(peer_of(old_axon, protocols=known), synapse)
    assert (reply.is_success, reply.is_failure) == (False, True)
