"""The weaknesses of SDK 6-10 axons (WIRE.md §2.10), each tried on one of ours."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from node import Keypair, Synapse
from node.wire import synapse_headers
from tests.raw_http import RawConnection, ask

from .old_requests import NOTHING_HASHED, body_hash, sign_synapse
from .old_routes import BODY, HASH, OldTarget

S = 10**9
DAY = 86_400
SWAPPED = b'{"text": "hello", "note": "theirs"}'
TAMPERED = b'{"text": "other", "note": "mine"}'


@pytest.fixture
async def target(bob: Keypair, alice: Keypair) -> AsyncIterator[OldTarget]:
    target = OldTarget(bob, alice)
    async with target.axon:
        yield target


def ago(seconds: float) -> int:
    return time.time_ns() - int(seconds * S)


@pytest.mark.parametrize("version", ["10005000", "1", "0", "712", "724", "", "junk", None])
async def test_no_version_switches_the_age_check_off(
    target: OldTarget, version: str | None
) -> None:
    """§2.10 item 1: SDK axons take a request of any age from a sender that says `1`."""
    name = "bt_header_dendrite_version"
    # 20 s is past the window and within the memory, so only the age check refuses it.
    for age_s, taken in ((DAY, False), (20, False), (0, True)):
        request = target.sign(nonce_ns=ago(age_s)).without(name)
        if version is not None:
            request = request.also(name, version)
        if taken:
            await target.check_taken(request)
        else:
            await target.check_refused(request, 401, "stale_request")


@pytest.mark.parametrize(
    "timeout",
    [
        "inf",
        "Infinity",
        "nan",
        "-1",
        "-inf",
        "1e6",
        "1000000",
        "1e308",
        "1e999",
        "",
        "x",
        "9" * 400,
    ],
)
async def test_no_timeout_widens_the_window(target: OldTarget, timeout: str) -> None:
    """§2.10 item 2: it is not signed, so whoever is on the way may write it."""
    for age_s in (17, DAY, 365 * DAY):
        request = target.sign(nonce_ns=ago(age_s), timeout=timeout)
        calls, held = len(target.texts), len(target.guard)
        reply = await target.ask(request)
        assert (reply.status, reply.json()["code"]) in (
            (401, "stale_request"),
            (400, "malformed_request"),
        )
        assert (len(target.texts), len(target.guard)) == (calls, held)


@pytest.mark.parametrize("timeout", ["inf", "nan", "-1", "-inf", "1e999", "x", "", "1_0"])
async def test_a_timeout_that_is_no_number_of_seconds_is_400(
    target: OldTarget, timeout: str
) -> None:
    await target.check_refused(target.sign(timeout=timeout), 400, "malformed_request")


@pytest.mark.parametrize(("timeout", "age_s", "status"), [
    ("12.0", 15, 200), ("12.0", 17, 401), ("2.0", 5, 200), ("2.0", 7, 401), ("60.0", 15, 200),
])  # fmt: skip
async def test_a_short_timeout_narrows_the_window(
    target: OldTarget, timeout: str, age_s: int, status: int
) -> None:
    request = target.sign(nonce_ns=ago(age_s), timeout=timeout)
    assert (await target.ask(request)).status == status


async def test_a_forward_is_given_no_absurd_deadline(target: OldTarget) -> None:
    """The header reaches the forward as its caller's deadline, where it is one."""
    seen: list[float] = []

    class Timed(Synapse):
        text: str

    async def forward(synapse: Timed) -> Timed:
        seen.append(synapse.timeout)
        return synapse

    target.axon.attach(forward)
    for timeout in ("7.5", "1e9"):
        await target.ask(target.sign("/Timed", timeout=timeout, hashed=NOTHING_HASHED))
    assert seen == [7.5, 12.0]


async def test_a_hashed_field_that_was_changed_is_401(target: OldTarget) -> None:
    request = target.sign().change(body=TAMPERED)
    reply = await target.ask(request)
    assert (reply.status, reply.json()["code"]) == (401, "body_mismatch")
    assert target.texts == []


async def test_a_hash_that_was_changed_with_the_body_is_401(target: OldTarget) -> None:
    request = target.sign().change(body=TAMPERED).set("computed_body_hash", body_hash("other"))
    await target.check_refused(request, 401, "bad_signature")


async def test_a_field_that_is_not_hashed_can_be_changed_on_the_way(target: OldTarget) -> None:
    """§2.10 item 4, not closed: the sender vouches for nothing but what its class hashes."""
    await target.check_taken(target.sign().change(body=SWAPPED))
    assert target.notes == [("Hashed", "hello", "theirs")]
    await target.check_taken(target.sign("/Plain").change(body=TAMPERED))
    assert target.notes[-1] == ("Plain", "other", "mine")


async def test_require_body_hash_refuses_senders_and_routes_that_hash_nothing(
    bob: Keypair, alice: Keypair
) -> None:
    target = OldTarget(bob, alice, require_body_hash=True)
    async with target.axon:
        for route in ("/Plain", "/Synapse", "/Hashed"):
            request = target.sign(route, hashed=NOTHING_HASHED)
            async with await RawConnection.open(target.axon.port) as connection:
                await connection.send(request.head(("Content-Length", str(2**40))))
                reply = await connection.read_reply(within_s=2)
            assert (reply.status, reply.json()["code"]) == (401, "body_mismatch")
        assert (target.texts, len(target.guard)) == ([], 0)
        await target.check_taken(target.sign())
        # A hash that was made for another route is no cover for one that hashes nothing.
        reply = await target.ask(target.sign("/Plain", hashed=HASH).change(body=TAMPERED))
        assert (reply.status, reply.json()["code"]) == (401, "body_mismatch")
        await target.check_taken(target.good())  # btauth signs the whole body
    assert target.notes == [("Hashed", "hello", "mine")]


async def test_a_request_for_a_route_with_a_hash_is_none_for_one_without(
    target: OldTarget,
) -> None:
    """§2.10 item 6: the route is not signed, but what it hashes is compared on every route."""
    request = target.sign().change(target="/Plain", body=TAMPERED)
    reply = await target.ask(request)
    assert (reply.status, reply.json()["code"]) == (401, "body_mismatch")
    request = target.sign("/Plain").change(target="/Hashed")
    reply = await target.ask(request)
    assert (reply.status, reply.json()["code"]) == (401, "body_mismatch")
    assert target.texts == []


async def test_a_request_can_be_sent_to_a_route_that_hashes_alike_once(target: OldTarget) -> None:
    """§2.10 item 6, not closed: neither the path nor the `name` header is signed."""
    request = target.sign()
    await target.check_taken(request.change(target="/OtherHashed"))
    assert target.notes == [("OtherHashed", "hello", "")]
    await target.check_refused(request, 401, "replayed_request")


async def test_what_an_axon_can_be_made_to_sign_is_no_request(
    target: OldTarget, alice: Keypair
) -> None:
    """§2.10 item 7: `{nonce}.{alice}.{target}.{uuid}`, which an SDK axon signs for anybody.

    Read as a request its last part is an axon's uuid, where the body hash belongs.
    """
    for last in (str(uuid.uuid1()), "", "None", "F" * 64):
        request = target.sign(hashed=last)
        reply = await target.ask(request)
        assert reply.status == 401
        assert reply.json()["code"] in ("bad_signature", "missing_signature")
    # And with the right number of parts: what is signed has one part less than a request.
    nonce_ns = time.time_ns()
    text = f"{nonce_ns}.{alice.ss58_address}.{target.hotkey}.{HASH}"
    oracle = "0x" + alice.sign(text.encode()).hex()
    request = target.sign(nonce_ns=nonce_ns).set("bt_header_dendrite_signature", oracle)
    await target.check_refused(request, 401, "bad_signature")
    assert (target.texts, len(target.guard)) == ([], 0)


async def test_sixty_four_requests_in_any_order_are_all_taken(target: OldTarget) -> None:
    """§2.10 item 9: an SDK axon takes 8 of them."""
    nonce_ns = time.time_ns()
    requests = [target.sign(nonce_ns=nonce_ns + number) for number in range(64)]
    random.Random(5).shuffle(requests)
    assert [(await target.ask(request)).status for request in requests] == [200] * 64
    assert len(target.guard) == 64


async def test_a_future_nonce_is_refused_and_locks_nobody_out(target: OldTarget) -> None:
    """§2.10 item 10."""
    for nonce_ns in (ago(-3), ago(-DAY), 2**63, 10**19, 10**20 - 1):
        await target.check_refused(target.sign(nonce_ns=nonce_ns), 401, "stale_request")
    await target.check_taken(target.sign())
    await target.check_taken(target.sign(nonce_ns=ago(-1)))
    await target.check_taken(target.sign(nonce_ns=ago(1)))


async def test_many_sessions_cost_no_more_than_many_requests(target: OldTarget) -> None:
    """§2.10 item 8: an SDK axon keeps an entry for each uuid for ever."""
    for _ in range(50):
        await target.check_taken(target.sign(uuid=str(uuid.uuid4())))
    assert len(target.guard) == 50
    target.offset_ns = 120 * S
    await target.check_taken(target.sign(nonce_ns=ago(-120)))
    assert len(target.guard) == 1


async def test_a_tampered_copy_that_comes_first_uses_the_nonce(target: OldTarget) -> None:
    """§2.10 item 11, not closed: as an untampered copy that comes first does."""
    request = target.sign()
    assert (await target.ask(request.change(body=TAMPERED))).status == 401
    await target.check_refused(request, 401, "replayed_request")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("uuid", "a.b"),
        ("uuid", "x" * 65),
        ("uuid", "None None"),
        ("nonce_ns", "+{}"),
        ("nonce_ns", "0{}"),
        ("nonce_ns", "{:_}"),
        ("nonce_ns", "9" * 5000),
        ("sender", "None"),
        ("hashed", "None"),
        ("hashed", HASH.upper()),
    ],
)
async def test_a_part_that_could_be_read_in_two_ways_is_401(
    target: OldTarget, part: str, value: str
) -> None:
    """What is signed is joined by dots, so no part may hold one or have two spellings.

    The signature of each is right, so it is the shape that is refused.
    """
    parts: dict[str, Any] = {part: value.format(time.time_ns())}
    request = target.sign(**parts)
    await target.check_refused(request, 401, "bad_signature")


async def test_a_signing_header_that_comes_twice_is_401(target: OldTarget) -> None:
    request = target.sign()
    for name in ("nonce", "uuid", "hotkey", "signature"):
        header = f"bt_header_dendrite_{name}"
        twice = request.also(header.upper(), request.value(header))
        await target.check_refused(twice, 401, "bad_signature")
    await target.check_taken(request)


async def test_a_receiver_header_is_not_what_the_signature_is_checked_against(
    target: OldTarget, alice: Keypair
) -> None:
    """It is not signed: rewriting it can't bring a request that was meant for another."""
    elsewhere = sign_synapse(alice, Keypair.from_uri("//Dave").ss58_address, "/Hashed", BODY)
    reply = await target.ask(elsewhere.set("bt_header_axon_hotkey", target.hotkey))
    assert (reply.status, reply.json()["code"]) == (401, "bad_signature")
    assert (target.texts, len(target.guard)) == ([], 0)


@pytest.mark.parametrize("value", ["IiI=", "!", "W10=" * 5000, "bm90IGpzb24="])
async def test_placeholders_in_headers_decide_nothing(target: OldTarget, value: str) -> None:
    """§2.5: they are not signed. An SDK axon answers 500 where it can't read one."""
    request = target.sign()
    for name in ("bt_header_input_obj_text", "bt_header_input_obj_note"):
        request = request.set(name, value[:8000])
    await target.check_taken(request)
    assert target.notes == [("Hashed", "hello", "mine")]


async def test_an_old_ping_is_answered_to_verified_callers_only(target: OldTarget) -> None:
    request = target.sign("/Synapse", b"{}")
    forged = request.set("bt_header_dendrite_signature", "0x" + "11" * 64)
    await target.check_refused(forged, 401, "bad_signature")
    assert (await target.ask(request)).status == 200


async def test_a_slash_at_the_end_is_no_route_and_burns_nothing(target: OldTarget) -> None:
    """§2.1: an SDK axon redirects after it has used the nonce."""
    request = target.sign()
    await target.check_refused(request.change(target="/Hashed/"), 404, "unknown_route")
    await target.check_refused(request.change(method="PUT"), 405, "method_not_allowed")
    await target.check_taken(request)


async def test_a_body_of_strangers_counts_for_the_budget_in_old_protocols_too(
    bob: Keypair, alice: Keypair
) -> None:
    """The signature needs no body, yet a forged one may not make the node hold one for nothing."""
    target = OldTarget(bob, alice, max_body_bytes=2**16, max_unproven_bytes=2**16)
    async with target.axon:
        forged = target.sign().set("bt_header_dendrite_signature", "0x" + "11" * 64)
        async with await RawConnection.open(target.axon.port) as connection:
            await connection.send(forged.head(("Content-Length", str(2**16))) + b" " * 60_000)
            reply = None
            for _ in range(100):
                reply = await ask(target.axon.port, forged.change(body=b" " * 30_000))
                if reply.status == 503:
                    break
            assert reply is not None
            assert reply.status == 503
        await target.check_taken(target.sign())


def test_hashes_of_these_tests_are_those_of_the_package() -> None:
    """Another spelling of the protocol, checked once against the one in `node.wire`."""
    assert NOTHING_HASHED == synapse_headers.EMPTY_BODY_HASH
    assert synapse_headers.body_hash(["hello"]) == HASH
