"""Nonces of SDK 6.0 to 7.1, which count the uptime of a host and so have no age (WIRE.md §2.4)."""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator

import pytest

from node import Keypair

from .old_routes import OldTarget

S = 10**9
DAY = 86_400
UPTIME_NS = 5 * DAY * S


@pytest.fixture
async def target(bob: Keypair, alice: Keypair) -> AsyncIterator[OldTarget]:
    target = OldTarget(bob, alice)
    async with target.axon:
        yield target


async def test_an_uptime_nonce_is_taken_once_in_any_order(target: OldTarget) -> None:
    """SDK 6.0-7.1 send no time at all; the memory for them has no clock."""
    requests = [target.sign(nonce_ns=UPTIME_NS + number) for number in range(64)]
    random.Random(5).shuffle(requests)
    for request in requests:
        await target.check_taken(request)
    for request in requests:
        await target.check_refused(request, 401, "replayed_request")
    behind = target.sign(nonce_ns=UPTIME_NS - DAY * S)
    await target.check_refused(behind, 401, "stale_request")


async def test_an_uptime_nonce_that_waited_is_taken_until_a_later_one_came(
    target: OldTarget,
) -> None:
    """Not closed, except by the switch: such a nonce has no age."""
    captured = target.sign(nonce_ns=UPTIME_NS)
    target.offset_ns = DAY * S
    await target.check_taken(captured)
    held_back = target.sign(nonce_ns=UPTIME_NS + 60 * S)
    await target.check_taken(target.sign(nonce_ns=UPTIME_NS + 120 * S))
    await target.check_refused(held_back, 401, "stale_request")


async def test_uptime_nonces_are_refused_by_a_switch(bob: Keypair, alice: Keypair) -> None:
    target = OldTarget(bob, alice, allow_uptime_nonces=False)
    async with target.axon:
        for nonce_ns in (0, 1, UPTIME_NS):
            await target.check_refused(target.sign(nonce_ns=nonce_ns), 401, "stale_request")
        await target.check_taken(target.sign())


async def test_the_sessions_of_one_key_are_bounded(target: OldTarget) -> None:
    """Sessions of uptime nonces are never forgotten, so a key may open only so many."""
    statuses = []
    for _ in range(260):
        request = target.sign(nonce_ns=UPTIME_NS, uuid=str(uuid.uuid4()))
        statuses.append((await target.ask(request)).status)
    assert statuses == [200] * 256 + [503] * 4
    await target.check_taken(target.sign())  # others, and modern nonces, are not concerned


async def test_a_forged_uptime_nonce_opens_no_session(target: OldTarget) -> None:
    request = target.sign(nonce_ns=UPTIME_NS)
    forged = request.set("bt_header_dendrite_signature", "0x" + "11" * 64)
    for _ in range(3):
        await target.check_refused(forged, 401, "bad_signature")
    dialect = next(each for each in target.axon._admission._dialects if each.name == "synapse")
    assert repr(getattr(dialect, "_uptime_guard")) == "UptimeGuard(sessions=0, entries=0)"  # noqa: B009
