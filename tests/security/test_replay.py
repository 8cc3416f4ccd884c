"""A signed request is accepted once, however it is spelt or wherever it is sent again."""

from __future__ import annotations

import asyncio
import time

import pytest

from node import Keypair
from node.keys import ss58_encode
from node.wire import ReplayGuard, btauth
from tests.raw_http import RawConnection, RawRequest, signed_request

from .conftest import BODY, Target


async def test_replayed_is_refused(target: Target) -> None:
    request = target.good()
    await target.check_taken(request)
    for _ in range(3):
        await target.check_refused(request, 401, "replayed_request")
    assert len(target.guard) == 1


async def test_replayed_on_the_same_connection_is_refused(target: Target) -> None:
    request = target.good().encode()
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(request + request)
        statuses = [(await connection.read_reply()).status for _ in range(2)]
    assert statuses == [200, 401]
    assert target.texts == ["hello"]


async def test_of_many_copies_at_once_one_is_taken(target: Target) -> None:
    request = target.good()
    replies = await asyncio.gather(*(target.ask(request) for _ in range(20)))
    assert sorted(reply.status for reply in replies) == [200] + [401] * 19
    assert target.texts == ["hello"]


async def test_another_body_under_a_used_nonce_is_a_replay(target: Target, alice: Keypair) -> None:
    nonce_ns = time.time_ns()
    first = signed_request(alice, target.hotkey, "/Echo", BODY, nonce_ns=nonce_ns)
    second = signed_request(alice, target.hotkey, "/Echo", b'{"text": "2"}', nonce_ns=nonce_ns)
    await target.check_taken(first)
    await target.check_refused(second, 401, "replayed_request")


@pytest.mark.parametrize("spelling", ["+{}", "0{}", "00000{}", "{:_}"])
async def test_a_nonce_in_another_spelling_is_the_same_nonce(target: Target, spelling: str) -> None:
    request = target.good()
    respelt = request.set(
        "X-Bittensor-Nonce", spelling.format(int(request.value("X-Bittensor-Nonce")))
    )
    await target.check_taken(request)
    await target.check_refused(respelt, 401, "replayed_request")


@pytest.mark.parametrize("spelling", ["without 0x", "upper case", "scheme named", "scheme 1"])
async def test_a_request_in_another_spelling_is_the_same_request(
    target: Target, spelling: str
) -> None:
    request = target.good()
    signature = request.value("X-Bittensor-Signature")
    respelt = {
        "without 0x": request.set("X-Bittensor-Signature", signature[2:]),
        "upper case": request.set("X-Bittensor-Signature", "0x" + signature[2:].upper()),
        "scheme named": request.set("X-Bittensor-Crypto", "SR25519"),
        "scheme 1": request.set("X-Bittensor-Crypto", "1"),
    }[spelling]
    await target.check_taken(request)
    await target.check_refused(respelt, 401, "replayed_request")


def signed_as(keypair: Keypair, address: str, target: Target, nonce_ns: int) -> RawRequest:
    """Return a request that its key's owner signed under another spelling of its address."""
    import hashlib

    payload = btauth.signed_payload(
        scheme="sr25519",
        method="POST",
        target="/Echo",
        digest=hashlib.sha256(BODY).digest(),
        nonce_ns=nonce_ns,
        sender=address,
        receiver=target.hotkey,
    )
    headers = (
        ("X-Bittensor-Version", "1"),
        ("X-Bittensor-Hotkey", address),
        ("X-Bittensor-Nonce", str(nonce_ns)),
        ("X-Bittensor-Signature", "0x" + keypair.sign(payload).hex()),
        ("X-Bittensor-Receiver", target.hotkey),
    )
    return RawRequest("POST", "/Echo", headers, BODY)


@pytest.mark.parametrize("prefix", [0, 2, 63, 64, 1284, 16383])
async def test_an_alias_address_of_one_key_is_no_way_round_the_replay_memory(
    target: Target, alice: Keypair, prefix: int
) -> None:
    nonce_ns = time.time_ns()
    alias = ss58_encode(alice.public_key, prefix)
    assert alias != alice.ss58_address
    await target.check_taken(signed_as(alice, alias, target, nonce_ns))
    await target.check_refused(
        signed_as(alice, alice.ss58_address, target, nonce_ns), 401, "replayed_request"
    )
    # The forward saw the one spelling that policies compare with.
    assert target.hotkeys == [alice.ss58_address]


async def test_two_keys_may_use_one_nonce(target: Target, alice: Keypair) -> None:
    nonce_ns = time.time_ns()
    for keypair in (alice, Keypair.from_uri("//Charlie")):
        await target.check_taken(
            signed_request(keypair, target.hotkey, "/Echo", BODY, nonce_ns=nonce_ns)
        )
    assert len(target.guard) == 2


async def test_a_full_memory_refuses_and_forgets_nothing(bob: Keypair, alice: Keypair) -> None:
    target = Target(bob, alice, guard=ReplayGuard(max_entries=3))
    async with target.axon:
        taken = [target.good() for _ in range(3)]
        for request in taken:
            await target.check_taken(request)
        reply = await target.check_refused(target.good(), 503, "overloaded")
        assert int(reply.header("Retry-After") or 0) >= 1
        for request in taken:
            await target.check_refused(request, 401, "replayed_request")


async def test_axons_that_share_a_guard_take_a_request_once(bob: Keypair, alice: Keypair) -> None:
    guard = ReplayGuard()
    first, second = Target(bob, alice, guard=guard), Target(bob, alice, guard=guard)
    async with first.axon, second.axon:
        request = first.good()
        await first.check_taken(request)
        await second.check_refused(request, 401, "replayed_request")


async def test_a_clock_that_steps_back_opens_no_gap(target: Target) -> None:
    request = target.good()
    await target.check_taken(request)
    target.offset_ns = 60 * 10**9
    await target.check_taken(
        signed_request(
            target.sender, target.hotkey, "/Echo", BODY, nonce_ns=time.time_ns() + 60 * 10**9
        )
    )  # purges what came before
    target.offset_ns = 0
    reply = await target.ask(request)
    assert reply.status == 401
    assert len(target.texts) == 2
