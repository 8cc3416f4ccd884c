"""The window around the node's clock, both ends included, by real offsets and exact ones."""

from __future__ import annotations

import asyncio
import time

import pytest

from node import Axon, Dendrite, Keypair
from node.errors import ConfigError
from node.wire import ReplayGuard
from tests.functional.synapses import Echo
from tests.raw_http import RawConnection, RawReply, RawRequest, ask, signed_request

from .conftest import BODY, Target

S = 10**9
NOW = 1_800_000_000 * S


# Real offsets are well away from the ends of the window: a machine may stand still for a second.
@pytest.mark.parametrize("offset_s", [-11, 6, -60, 60, -86_400])
async def test_a_stale_or_future_request_is_401_with_the_clock_offset(
    target: Target, alice: Keypair, offset_s: int
) -> None:
    signed_ns = time.time_ns()
    request = signed_request(alice, target.hotkey, "/Echo", BODY, nonce_ns=signed_ns + offset_s * S)
    reply = await target.check_refused(request, 401, "stale_request")
    took_s = (time.time_ns() - signed_ns) / S
    assert -0.01 <= reply.json()["clock_offset_s"] + offset_s <= took_s + 0.01
    assert set(reply.json()) == {"code", "message", "clock_offset_s"}
    assert len(target.guard) == 0


@pytest.mark.parametrize("offset_s", [11, -6])
async def test_a_node_whose_clock_is_off_says_so_to_an_honest_sender(
    target: Target, offset_s: int
) -> None:
    target.offset_ns = offset_s * S
    before_ns = time.time_ns()
    reply = await target.check_refused(target.good(), 401, "stale_request")
    took_s = (time.time_ns() - before_ns) / S
    assert -0.01 <= reply.json()["clock_offset_s"] - offset_s <= took_s + 0.01


@pytest.mark.parametrize("offset_s", [-6, 1.5, 0])
async def test_a_request_inside_the_window_is_taken(
    target: Target, alice: Keypair, offset_s: float
) -> None:
    nonce_ns = time.time_ns() + int(offset_s * S)
    await target.check_taken(signed_request(alice, target.hotkey, "/Echo", BODY, nonce_ns=nonce_ns))


@pytest.mark.parametrize(
    ("age_ns", "status"),
    [(10 * S, 200), (10 * S + 1, 401), (-2 * S, 200), (-2 * S - 1, 401), (0, 200)],
)
async def test_the_ends_of_the_window_are_exact(
    bob: Keypair, alice: Keypair, age_ns: int, status: int
) -> None:
    target = Target(bob, alice, clock_ns=lambda: NOW)
    async with target.axon:
        request = signed_request(alice, target.hotkey, "/Echo", BODY, nonce_ns=NOW - age_ns)
        assert (await target.ask(request)).status == status


async def test_a_forged_nonce_gives_a_bounded_offset(target: Target) -> None:
    for nonce in ("9" * 64, "-" + "9" * 60):
        reply = await target.check_refused(
            target.good().set("X-Bittensor-Nonce", nonce), 401, "stale_request"
        )
        assert abs(reply.json()["clock_offset_s"]) <= 10**12


async def test_an_old_request_is_refused_before_its_body_is_read(
    target: Target, alice: Keypair
) -> None:
    request = signed_request(alice, target.hotkey, "/Echo", BODY, nonce_ns=time.time_ns() - 11 * S)
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(request.head(("Content-Length", "1000000")))
        assert (await connection.read_reply()).json()["code"] == "stale_request"


async def send_slowly(target: Target, request: RawRequest, late_s: int) -> RawReply:
    """Send a request whose body ends when the node's clock is `late_s` further."""
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(request.head(("Content-Length", str(len(BODY)))))
        await connection.send(BODY[:5])
        await asyncio.sleep(0.1)
        target.offset_ns = late_s * S
        await connection.send(BODY[5:])
        return await connection.read_reply()


async def test_a_body_that_ends_after_the_memorys_window_is_stale(target: Target) -> None:
    reply = await send_slowly(target, target.good(), 60)
    assert (reply.status, reply.json()["code"]) == (401, "stale_request")
    assert (target.texts, len(target.guard)) == ([], 0)


async def test_a_body_that_is_slow_for_honest_reasons_is_taken_and_once(target: Target) -> None:
    request = target.good()
    assert (await send_slowly(target, request, 12)).status == 200
    target.offset_ns = 0
    await target.check_refused(request, 401, "replayed_request")
    target.offset_ns = 12 * S
    await target.check_refused(request, 401, "stale_request")


async def test_other_windows_may_be_set(bob: Keypair, alice: Keypair) -> None:
    target = Target(bob, alice, clock_ns=lambda: NOW, max_age_s=12.0, allowed_skew_s=5.0)
    async with target.axon:
        for age_s, status in ((12, 200), (13, 401), (-5, 200), (-6, 401)):
            request = signed_request(alice, target.hotkey, "/Echo", BODY, nonce_ns=NOW - age_s * S)
            assert (await target.ask(request)).status == status


def test_a_guard_that_forgets_too_early_is_refused(bob: Keypair) -> None:
    with pytest.raises(ConfigError, match="window"):
        Axon(bob, guard=ReplayGuard(window_s=5.0))
    with pytest.raises(ConfigError, match="window"):
        Axon(bob, guard=ReplayGuard(window_s=15.0), max_age_s=20.0)


async def test_a_dendrite_learns_how_wrong_its_clock_is(target: Target, alice: Keypair) -> None:
    async with Dendrite(alice, clock_ns=lambda: time.time_ns() - 30 * S) as dendrite:
        reply = await dendrite(target.axon.info(), Echo(text=""))
    assert reply.failed_verification
    message = reply.dendrite.status_message or ""
    assert "30." in message or "29.9" in message


async def test_no_two_requests_of_a_dendrite_share_a_nonce_though_its_clock_stands_still(
    target: Target, alice: Keypair
) -> None:
    now_ns = time.time_ns()
    async with Dendrite(alice, clock_ns=lambda: now_ns) as dendrite:
        replies = await dendrite([target.axon.info()] * 10, Echo(text=""))
    assert [reply.dendrite.status_code for reply in replies] == [200] * 10


async def test_ask_needs_a_started_node(target: Target) -> None:
    await target.axon.stop()
    with pytest.raises(ConnectionRefusedError):
        await ask(target.axon.port, target.good())
