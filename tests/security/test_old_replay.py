"""A request is taken once, in whatever protocol and spelling, as long as one memory holds it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from node import Keypair
from node.keys import ss58_encode
from node.wire import ReplayGuard

from .conftest import Target
from .old_requests import (
    ALL,
    SIGNATURE,
    flip,
    node,
    sign_btauth,
    sign_epistula,
    sign_synapse,
    signed,
)

S = 10**9

every_protocol = pytest.mark.parametrize("protocol", ALL)


@pytest.fixture
async def target(bob: Keypair, alice: Keypair) -> AsyncIterator[Target]:
    target = node(bob, alice)
    async with target.axon:
        yield target


@every_protocol
async def test_a_request_is_taken_once(target: Target, protocol: str) -> None:
    request = signed(target, protocol)
    replies = await asyncio.gather(*(target.ask(request) for _ in range(8)))
    assert sorted(reply.status for reply in replies) == [200] + [401] * 7
    await target.check_refused(request, 401, "replayed_request")
    assert (target.texts, len(target.guard)) == (["hello"], 1)


@every_protocol
@pytest.mark.parametrize("prefix", [0, 2, 1000])
async def test_another_spelling_of_an_address_is_no_other_sender(
    target: Target, protocol: str, prefix: int
) -> None:
    alias = ss58_encode(target.sender.public_key, prefix)
    shared: dict[str, Any] = {"nonce_ns": time.time_ns()}
    if protocol == "epistula":  # several requests of one millisecond differ by their uuid
        shared["uuid"] = "one"
    await target.check_taken(signed(target, protocol, sender=alias, **shared))
    again = signed(target, protocol, **shared)
    await target.check_refused(again, 401, "replayed_request")
    assert target.hotkeys == [target.sender.ss58_address]


NONCE_ONLY = ["btauth", "synapse", "epistula1"]


@pytest.mark.parametrize("first", NONCE_ONLY)
@pytest.mark.parametrize("second", NONCE_ONLY)
async def test_a_nonce_that_was_used_in_one_protocol_is_used_in_all(
    target: Target, first: str, second: str
) -> None:
    """Both are signed by the owner of the key; no honest one uses a nonce twice."""
    nonce_ns = time.time_ns()
    await target.check_taken(signed(target, first, nonce_ns=nonce_ns))
    await target.check_refused(signed(target, second, nonce_ns=nonce_ns), 401, "replayed_request")


@pytest.mark.parametrize("protocol", ALL)
@pytest.mark.parametrize("other", ALL)
async def test_a_signature_of_one_protocol_is_none_of_another(
    target: Target, protocol: str, other: str
) -> None:
    """Where all else of a request is good, and the signature one over the same in other words."""
    if protocol == other:
        return
    nonce_ns = time.time_ns()
    good = signed(target, protocol, nonce_ns=nonce_ns)
    foreign = signed(target, other, nonce_ns=nonce_ns).value(SIGNATURE[other])
    await target.check_refused(good.set(SIGNATURE[protocol], foreign), 401, "bad_signature")


async def test_a_request_in_two_protocols_is_checked_by_one_and_taken_once(
    target: Target,
) -> None:
    """Headers of a second protocol neither replace a bad signature nor hide a good one."""
    nonce_ns = time.time_ns()
    new = sign_btauth(target.sender, target.hotkey, nonce_ns=nonce_ns)
    old = sign_synapse(target.sender, target.hotkey, nonce_ns=nonce_ns + 1)
    both = new.change(headers=(*new.without("Content-Type").headers, *old.headers))
    await target.check_refused(flip(both, "btauth"), 401, "bad_signature")
    await target.check_taken(both)
    await target.check_refused(both, 401, "replayed_request")


async def test_two_requests_of_one_millisecond_differ_by_their_uuid(target: Target) -> None:
    nonce_ns = time.time_ns()
    for uuid in ("a", "b"):
        request = sign_epistula(target.sender, target.hotkey, nonce_ns=nonce_ns, uuid=uuid)
        await target.check_taken(request)
        await target.check_refused(request, 401, "replayed_request")


@every_protocol
async def test_memory_is_bounded_and_given_back(
    bob: Keypair, alice: Keypair, protocol: str
) -> None:
    """An SDK axon keeps the last nonce of every session for ever."""
    target = node(bob, alice, guard=ReplayGuard(window_s=31, max_entries=20))
    async with target.axon:
        for _ in range(20):
            await target.check_taken(signed(target, protocol))
        assert len(target.guard) == 20
        reply = await target.check_refused(signed(target, protocol), 503, "overloaded")
        assert int(reply.header("Retry-After") or 0) >= 1
        target.offset_ns = 60 * S
        await target.check_taken(
            signed(target, protocol, nonce_ns=time.time_ns() + target.offset_ns)
        )
        assert len(target.guard) == 1


@every_protocol
async def test_what_a_restart_and_a_second_process_do_not_remember(
    bob: Keypair, alice: Keypair, protocol: str
) -> None:
    """Not closed: the memory is that of one process. docs/threats.md says what to do about it."""
    first, second = node(bob, alice), node(bob, alice)
    request = signed(first, protocol)
    async with first.axon:
        await first.check_taken(request)
    async with second.axon:
        await second.check_taken(request)
        await second.check_refused(request, 401, "replayed_request")
        second.offset_ns = 20 * S  # the window has passed
        third = node(bob, alice)
        third.offset_ns = second.offset_ns
        async with third.axon:
            await third.check_refused(request, 401, "stale_request")


@every_protocol
async def test_processes_that_share_a_memory_take_a_request_once(
    bob: Keypair, alice: Keypair, protocol: str
) -> None:
    guard = ReplayGuard(window_s=31)
    first = node(bob, alice, guard=guard)
    second = node(bob, alice, guard=guard)
    async with first.axon, second.axon:
        request = signed(first, protocol)
        await first.check_taken(request)
        await second.check_refused(request, 401, "replayed_request")
