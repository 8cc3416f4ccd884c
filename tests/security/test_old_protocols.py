"""What holds for every signing protocol that an axon accepts, old ones included."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator

import pytest

from node import Axon, Caller, Keypair
from node.errors import ConfigError
from tests.functional.synapses import Echo
from tests.raw_http import RawConnection, RawRequest

from .conftest import Target
from .old_requests import ALL, MALLORY, OLD, SIGNATURE, SIGNERS, flip, node, sign_epistula1, signed

S = 10**9
GIANT = ("Content-Length", str(2**40))

every_protocol = pytest.mark.parametrize("protocol", ALL)


@pytest.fixture
async def target(bob: Keypair, alice: Keypair) -> AsyncIterator[Target]:
    target = node(bob, alice)
    async with target.axon:
        yield target


async def ask_with_head_alone(target: Target, request: RawRequest) -> tuple[int, str]:
    """Send a head that announces a giant body, and no byte of that body."""
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(request.head(GIANT))
        reply = await connection.read_reply(within_s=2)
    return reply.status, reply.json()["code"]


@every_protocol
async def test_a_request_of_each_protocol_is_taken(target: Target, protocol: str) -> None:
    """So that the refusals of this file are not for want of a good request."""
    await target.check_taken(signed(target, protocol))
    assert target.hotkeys == [target.sender.ss58_address]
    assert len(target.guard) == 1


@every_protocol
@pytest.mark.parametrize("on", ALL)
async def test_a_protocol_that_is_off_is_refused_before_any_parsing(
    bob: Keypair, alice: Keypair, protocol: str, on: str
) -> None:
    """A giant body would be 413 if its length were looked at, a broken header another 401."""
    target = node(bob, alice, protocols=(on,))
    async with target.axon:
        request = signed(target, protocol)
        if protocol == on:
            await target.check_taken(request)
            return
        for sent in (request, request.set(SIGNATURE[protocol], "junk")):
            assert await ask_with_head_alone(target, sent) == (401, "missing_signature")
        await target.check_refused(request, 401, "missing_signature")
    assert (target.texts, len(target.guard)) == ([], 0)


async def test_old_protocols_are_off_by_default(bob: Keypair, alice: Keypair) -> None:
    target = Target(bob, alice)
    async with target.axon:
        for protocol in OLD:
            await target.check_refused(signed(target, protocol), 401, "missing_signature")


@every_protocol
@pytest.mark.parametrize("value", [None, ""])
async def test_no_signature_is_401_before_the_body(
    target: Target, protocol: str, value: str | None
) -> None:
    """SDK 9.3 to 10.2 let a request without one through."""
    request = signed(target, protocol)
    name = SIGNATURE[protocol]
    unsigned = request.without(name) if value is None else request.set(name, value)
    status, code = await ask_with_head_alone(target, unsigned)
    assert (status, code in ("missing_signature", "bad_signature")) == (401, True)
    assert (target.texts, len(target.guard)) == ([], 0)


@every_protocol
async def test_a_wrong_signature_is_401_and_burns_nothing(target: Target, protocol: str) -> None:
    request = signed(target, protocol)
    await target.check_refused(flip(request, protocol), 401, "bad_signature")
    await target.check_refused(
        signed(target, protocol, keypair=MALLORY, sender=target.sender.ss58_address),
        401,
        "bad_signature",
    )
    await target.check_taken(request)


@every_protocol
async def test_a_signature_of_a_wrapped_text_is_401(target: Target, protocol: str) -> None:
    """Browser wallets sign `<Bytes>` around what a page asks them to sign; SDKs accept that."""
    await target.check_refused(signed(target, protocol, wrap=True), 401, "bad_signature")


@every_protocol
async def test_a_request_for_another_node_is_401(target: Target, protocol: str) -> None:
    request = SIGNERS[protocol](target.sender, MALLORY.ss58_address)
    await target.check_refused(request, 401, "wrong_receiver")


@pytest.mark.parametrize("protocol", ["btauth", "epistula", "epistula1"])
async def test_an_unbound_request_is_401_unless_allowed(
    bob: Keypair, alice: Keypair, protocol: str
) -> None:
    for require, status in ((True, 401), (False, 200)):
        target = node(bob, alice, require_receiver=require)
        async with target.axon:
            request = SIGNERS[protocol](alice, None)
            reply = await target.ask(request)
            assert reply.status == status
            assert len(target.texts) == len(target.guard) == (status == 200)
            if status == 200:
                await target.check_refused(request, 401, "replayed_request")


@every_protocol
@pytest.mark.parametrize("offset_s", [-3600, -30, 10, 3600, 10**8])
async def test_an_old_or_a_future_request_is_401_before_its_body(
    target: Target, protocol: str, offset_s: int
) -> None:
    """An SDK 10 axon takes any future nonce, which locks its sender out until then."""
    request = signed(target, protocol, nonce_ns=time.time_ns() + offset_s * S)
    if protocol != "epistula1":  # whose nonce is in the body
        assert await ask_with_head_alone(target, request) == (401, "stale_request")
    await target.check_refused(request, 401, "stale_request")
    await target.check_taken(signed(target, protocol))


@every_protocol
async def test_a_bare_public_key_is_no_address(target: Target, protocol: str) -> None:
    bare = "0x" + target.sender.public_key.hex()
    await target.check_refused(signed(target, protocol, sender=bare), 401, "bad_signature")


class Seen(Echo):
    pass


CLAIMS = {
    "dendrite": {"hotkey": MALLORY.ss58_address, "ip": "10.0.0.1", "nonce": 5, "uuid": "forged"},
    "axon": {"hotkey": MALLORY.ss58_address},
    "name": "Forged",
    "timeout": 9999.0,
    "computed_body_hash": "forged",
}


@every_protocol
async def test_an_identity_in_the_body_reaches_neither_hooks_nor_forward(
    target: Target, alice: Keypair, protocol: str
) -> None:
    """An SDK axon hands the forward the body's word for who sent it."""
    seen: list[tuple[str | None, str]] = []
    texts: list[str] = []

    def look(synapse: Seen, caller: Caller) -> bool:
        seen.append((synapse.dendrite.hotkey, caller.hotkey))
        texts.append(synapse.model_dump_json())
        return False

    async def forward(synapse: Seen, caller: Caller) -> Seen:
        look(synapse, caller)
        return synapse

    def priority(synapse: Seen, caller: Caller) -> float:
        return float(look(synapse, caller))

    def verify(synapse: Seen, caller: Caller) -> bool:
        return not look(synapse, caller)

    target.axon.attach(forward, blacklist_fn=look, priority_fn=priority, verify_fn=verify)
    body = json.dumps({"text": "hello", **CLAIMS}).encode()
    request = signed(target, protocol, target="/Seen", body=body)
    reply = await target.ask(request)
    assert reply.status == 200, reply.body
    assert seen == [(alice.ss58_address, alice.ss58_address)] * 4
    everything = "".join(texts) + reply.body.decode() + str(reply.headers)
    assert MALLORY.ss58_address not in everything
    assert "forged" not in everything.lower()


@every_protocol
async def test_policy_comes_after_the_signature(
    bob: Keypair, alice: Keypair, protocol: str
) -> None:
    """A banned hotkey that is only claimed is 401; no hook, rate or count is touched for it."""
    asked: list[str] = []

    async def banned(synapse: Seen) -> Seen:
        return synapse

    def blacklist(synapse: Seen, caller: Caller) -> tuple[bool, str]:
        asked.append(caller.hotkey)
        return True, "banned"

    target = node(bob, alice, requests_per_s=1, requests_at_once=1)
    target.axon.attach(banned, blacklist_fn=blacklist)
    async with target.axon:
        request = signed(target, protocol, target="/Seen")
        for _ in range(5):
            await target.check_refused(flip(request, protocol), 401, "bad_signature")
        assert asked == []
        pace = target.axon._pace
        assert (len(pace._tokens), len(pace._running)) == (0, 0)
        reply = await target.ask(request)
    assert (reply.status, reply.json()["code"]) == (403, "forbidden")
    assert asked == [alice.ss58_address]


async def test_a_deep_letter_is_refused_and_not_followed(target: Target) -> None:
    """The body of Epistula 1 is parsed for a stranger; depth is bounded while it is."""
    for deep in (b"[" * 100_000, b'{"data":' * 50_000):
        request = sign_epistula1(target.sender, target.hotkey).change(body=deep)
        await target.check_refused(request, 400, "malformed_request")


def test_an_axon_of_no_protocol_or_an_unknown_one_is_refused(bob: Keypair) -> None:
    for protocols in ((), ("fiber",), ("btauth", "BTAUTH")):
        with pytest.raises(ConfigError, match="protocols"):
            Axon(bob, protocols=protocols)
