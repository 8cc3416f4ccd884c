"""Old dendrites ask our axon and can't tell it from an old one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from node import Axon, Caller, Keypair
from node.synapse import Send, StreamingReply
from tests.raw_http import RawRequest, ask

from .old_peers import OldDendrite, Reply
from .signing import signed_as_sdk
from .synapses import (
    HASHED,
    HASHED_ANSWER,
    Broken,
    Exact,
    Faulty,
    Hashed,
    Plain,
    Slow,
    Stalling,
    Tokens,
    Who,
    hashed_answer,
)  # fmt: skip

pytestmark = pytest.mark.interop

CHARLIE = Keypair.from_uri("//Charlie").ss58_address
EVE = Keypair.from_uri("//Eve").ss58_address


class Node:
    """Our axon with forwards that count how often they ran."""

    def __init__(self, axon: Axon) -> None:
        self.axon = axon
        self.ran: list[str] = []
        self.cancelled = asyncio.Event()
        axon.attach(self.hashed, blacklist_fn=self.bans)
        for forward in (
            self.plain, self.who, self.faulty, self.slow,
            self.tokens, self.exact, self.broken, self.stalling,
        ):  # fmt: skip
            axon.attach(forward)

    @property
    def address(self) -> dict[str, Any]:
        """Return whom an old dendrite must ask."""
        return {"ip": "127.0.0.1", "port": self.axon.port, "hotkey": self.axon.hotkey}

    def bans(self, synapse: Hashed) -> tuple[bool, str]:
        return synapse.dendrite.hotkey == EVE, "banned"

    async def hashed(self, synapse: Hashed) -> Hashed:
        self.ran.append("Hashed")
        synapse.answer = hashed_answer(synapse)
        return synapse

    async def plain(self, synapse: Plain) -> Plain:
        self.ran.append("Plain")
        synapse.answer = synapse.text.upper()
        return synapse

    async def who(self, synapse: Who, caller: Caller) -> Who:
        synapse.caller = f"{caller.hotkey} {synapse.dendrite.hotkey}"
        return synapse

    async def faulty(self, synapse: Faulty) -> Faulty:
        raise RuntimeError("secret detail")

    async def slow(self, synapse: Slow) -> Slow:
        try:
            await asyncio.sleep(synapse.seconds)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        synapse.answer = "awake"
        return synapse

    async def tokens(self, synapse: Tokens) -> StreamingReply:
        self.ran.append("Tokens")

        async def streamer(send: Send) -> None:
            for word in synapse.prompt.split(" "):
                body = word.encode()
                await send({"type": "http.response.body", "body": body, "more_body": True})

        return synapse.create_streaming_response(streamer)

    async def exact(self, synapse: Exact) -> AsyncIterator[str]:
        for word in synapse.prompt.split(" "):
            yield word

    async def broken(self, synapse: Broken) -> AsyncIterator[str]:
        yield "one"
        yield "two"
        await asyncio.sleep(0.05)
        raise RuntimeError("secret detail")

    async def stalling(self, synapse: Stalling) -> AsyncIterator[str]:
        yield "one"
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def new_axon(bob: Keypair, **options: Any) -> Axon:
    options.setdefault("protocols", ("btauth", "synapse"))
    return Axon(bob, ip="127.0.0.1", port=0, **options)


@pytest.fixture
async def node(bob: Keypair) -> AsyncIterator[Node]:
    node = Node(new_axon(bob))
    async with node.axon:
        yield node


async def test_unary_with_hashed_fields(node: Node, old_dendrite: OldDendrite) -> None:
    reply = await old_dendrite.ask(node.address, "Hashed", fields=HASHED)
    assert (reply.status_code, reply.fields["answer"]) == (200, HASHED_ANSWER)
    assert (reply.status_message, reply.is_success) == ("Success", True)
    assert reply.axon["hotkey"] == node.axon.hotkey
    assert reply.dendrite["hotkey"] == reply.sent["headers"]["bt_header_dendrite_hotkey"]
    assert {name: reply.fields[name] for name in HASHED} == HASHED
    assert reply.fields["timeout"] == 5.0


async def test_unary_without_hashed_fields(node: Node, old_dendrite: OldDendrite) -> None:
    reply = await old_dendrite.ask(node.address, "Plain", fields={"text": "x"})
    assert (reply.is_success, reply.fields["answer"]) == (True, "X")


async def test_stream_of_a_token_streamer(node: Node, old_dendrite: OldDendrite) -> None:
    reply = await old_dendrite.ask(node.address, "Tokens", fields={"prompt": "a é ✓"})
    assert (reply.status_code, reply.is_success) == (200, True)
    assert "".join(reply.chunks) == reply.fields["completion"] == "aé✓"
    assert reply.axon["hotkey"] == node.axon.hotkey


async def test_stream_of_a_generator(bob: Keypair, old_dendrite: OldDendrite) -> None:
    async def tokens(synapse: Tokens) -> AsyncIterator[str]:
        for word in synapse.prompt.split(" "):
            yield word
            await asyncio.sleep(0.05)

    async with new_axon(bob).attach(tokens) as axon:
        peer = {"ip": "127.0.0.1", "port": axon.port, "hotkey": axon.hotkey}
        reply = await old_dendrite.ask(peer, "Tokens", fields={"prompt": "a b c"})
    assert (reply.chunks, reply.is_success) == (["a", "b", "c"], True)


async def test_hooks_may_take_the_usual_headers_for_granted(
    node: Node, old_dendrite: OldDendrite
) -> None:
    """Every reply of an old axon has them, errors too; see the harness."""
    fields = {"prompt": "a b"}
    good = await old_dendrite.ask(node.address, "Exact", fields=fields)
    assert (good.status_code, good.fields["completion"]) == (200, "ab")
    assert good.fields["timeout"] == 5.0
    unsigned = {"bt_header_dendrite_signature": None}
    assert refused(await old_dendrite.ask(node.address, "Exact", fields=fields, headers=unsigned))


def refused(reply: Reply) -> bool:
    return (reply.status_code, reply.failed_verification, reply.is_success) == (401, True, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"bt_header_dendrite_signature": None},
        {"bt_header_dendrite_signature": ""},
        {"bt_header_dendrite_signature": "0x" + "00" * 64},
        {"bt_header_dendrite_nonce": None},
        {"bt_header_dendrite_nonce": "1"},
        {"bt_header_dendrite_uuid": "other"},
        {"bt_header_dendrite_hotkey": CHARLIE},
        {"computed_body_hash": "00" * 32},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("name", "fields"), [("Hashed", HASHED), ("Tokens", {"prompt": "a"})], ids=["unary", "stream"]
)
async def test_a_tampered_request_is_401(
    node: Node,
    old_dendrite: OldDendrite,
    name: str,
    fields: dict[str, Any],
    changes: dict[str, Any],
) -> None:
    assert refused(await old_dendrite.ask(node.address, name, fields=fields, headers=changes))
    assert node.ran == []


async def test_a_request_for_another_node_is_401(node: Node, old_dendrite: OldDendrite) -> None:
    peer = {**node.address, "hotkey": CHARLIE}
    assert refused(await old_dendrite.ask(peer, "Plain", fields={"text": "x"}))
    assert node.ran == []


async def test_a_hashed_field_that_changed_is_401(node: Node, old_dendrite: OldDendrite) -> None:
    changes = {"words": ["other"]}
    assert refused(await old_dendrite.ask(node.address, "Hashed", fields=HASHED, body=changes))
    assert node.ran == []


async def test_the_same_request_again_is_401(node: Node, old_dendrite: OldDendrite) -> None:
    first = await old_dendrite.ask(node.address, "Plain", fields={"text": "x"})
    assert first.is_success
    headers = tuple({**first.sent["headers"], "Content-Type": "application/json"}.items())
    body = json.dumps(first.sent["body"]).encode()
    again = await ask(node.axon.port, RawRequest("POST", first.sent["path"], headers, body))
    assert (again.status, node.ran) == (401, ["Plain"])


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 401),
        ({"bt_header_dendrite_version": "1"}, 401),
        ({"bt_header_dendrite_version": None}, 401),
        ({"timeout": "1000000"}, 401),
        ({"timeout": "inf"}, 400),
        ({"timeout": "nan"}, 400),
    ],
    ids=str,
)
async def test_no_unsigned_header_makes_an_hour_old_request_fresh(
    node: Node, alice: Keypair, changes: dict[str, str | None], status: int
) -> None:
    """Each of them does at an old axon (WIRE.md §2.10.1-2)."""
    an_hour_ago = time.time_ns() - 3600 * 10**9
    request = signed_as_sdk(alice, node.axon.hotkey, Plain(text="x"), nonce_ns=an_hour_ago)
    for name, value in changes.items():
        request = request.without(name) if value is None else request.set(name, value)
    reply = await ask(node.axon.port, request)
    assert (reply.status, node.ran) == (status, [])


async def test_a_banned_caller_is_403(node: Node, old_dendrite: OldDendrite) -> None:
    reply = await old_dendrite.ask(node.address, "Hashed", fields=HASHED, key="//Eve")
    assert (reply.status_code, reply.is_blacklist, node.ran) == (403, True, [])


async def test_an_unknown_route_is_404(node: Node, old_dendrite: OldDendrite) -> None:
    reply = await old_dendrite.ask(node.address, "Missing")
    assert (reply.status_code, reply.is_success, reply.is_failure) == (404, False, True)


async def test_a_forward_that_raises_is_500(node: Node, old_dendrite: OldDendrite) -> None:
    reply = await old_dendrite.ask(node.address, "Faulty")
    assert (reply.status_code, reply.is_success) == (500, False)
    assert "secret" not in str(reply.status_message)


async def test_a_forward_that_raises_mid_stream_is_a_failure(
    node: Node, old_dendrite: OldDendrite
) -> None:
    reply = await old_dendrite.ask(node.address, "Broken", fields={"prompt": "x"})
    assert "".join(reply.chunks) == "onetwo"
    assert (reply.status_code, reply.is_success) == (400, False)
    assert "secret" not in str(reply)


async def test_a_node_that_stops_mid_stream_is_a_failure(
    bob: Keypair, old_dendrite: OldDendrite
) -> None:
    node = Node(new_axon(bob, grace_s=0.1))
    async with node.axon:
        call = old_dendrite.ask(node.address, "Stalling", fields={"prompt": "x"})
        asking = asyncio.create_task(call)
        await asyncio.sleep(0.5)
    reply = await asking
    assert (reply.status_code, reply.is_success, reply.chunks) == (400, False, ["one"])


@pytest.mark.parametrize(
    ("name", "fields", "chunks"),
    [("Slow", {"seconds": 30}, []), ("Stalling", {"prompt": "x"}, ["one"])],
    ids=["unary", "stream"],
)
async def test_a_timeout_is_408_and_reaches_the_forward(
    node: Node, old_dendrite: OldDendrite, name: str, fields: dict[str, Any], chunks: list[str]
) -> None:
    reply = await old_dendrite.ask(node.address, name, fields=fields, timeout=0.7)
    assert (reply.status_code, reply.is_timeout, reply.chunks) == (408, True, chunks)
    assert 0.5 < reply.seconds < 3
    async with asyncio.timeout(5):
        await node.cancelled.wait()


async def test_an_overloaded_node_is_503_and_no_success(
    bob: Keypair, old_dendrite: OldDendrite
) -> None:
    node = Node(new_axon(bob, max_workers=1, max_queue=0))
    async with node.axon:
        call = {"peer": node.address, "name": "Slow", "fields": {"seconds": 0.5}}
        replies = await old_dendrite.ask_all([call, call], at_once=True)
    assert sorted(reply.status_code or 0 for reply in replies) == [200, 503]
    assert sorted(reply.is_success for reply in replies) == [False, True]


async def test_an_identity_in_the_body_is_not_believed(
    node: Node, old_dendrite: OldDendrite, alice: Keypair
) -> None:
    claim = {"dendrite": {"hotkey": CHARLIE}, "axon": {"hotkey": CHARLIE}}
    reply = await old_dendrite.ask(node.address, "Who", body=claim)
    assert reply.fields["caller"] == f"{alice.ss58_address} {alice.ss58_address}"
    assert reply.axon["hotkey"] == node.axon.hotkey


async def test_many_at_once_all_get_their_own_answers(
    node: Node, old_dendrite: OldDendrite
) -> None:
    calls = [
        {"peer": node.address, "name": "Plain", "fields": {"text": f"a{number}"}}
        for number in range(64)
    ]
    replies = await old_dendrite.ask_all(calls, at_once=True)
    assert [reply.status_code for reply in replies] == [200] * 64
    assert [reply.fields["answer"] for reply in replies] == [f"A{n}" for n in range(64)]


@pytest.mark.parametrize("name", ["Plain", "Tokens"])
async def test_a_node_that_does_not_speak_the_protocol_refuses(
    bob: Keypair, old_dendrite: OldDendrite, name: str
) -> None:
    node = Node(new_axon(bob, protocols=("btauth",)))
    async with node.axon:
        fields = {"text": "x"} if name == "Plain" else {"prompt": "x"}
        reply = await old_dendrite.ask(node.address, name, fields=fields)
    assert (reply.is_success, reply.is_failure, node.ran) == (False, True, [])
