"""The weaknesses of Epistula receivers (WIRE.md §4.6, §3), each tried on an axon of ours."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator

import pytest

from node import Keypair
from tests.functional.synapses import Echo
from tests.raw_http import RawConnection

from .conftest import Target
from .old_requests import node, sign_epistula, sign_epistula1

S = 10**9
MS = 10**6


class Second(Echo):
    """Another route with the same fields."""


@pytest.fixture
async def target(bob: Keypair, alice: Keypair) -> AsyncIterator[Target]:
    target = node(bob, alice, protocols=("epistula", "epistula1"))

    async def second(synapse: Second) -> Second:
        target.texts.append("second")
        return synapse

    target.axon.attach(second)
    async with target.axon:
        yield target


async def test_the_same_uuid_again_is_a_replay(target: Target) -> None:
    """No receiver of Targon keeps the uuids."""
    request = sign_epistula(target.sender, target.hotkey)
    await target.check_taken(request)
    for _ in range(3):
        await target.check_refused(request, 401, "replayed_request")
    respelt = request.set("Epistula-Uuid", request.value("Epistula-Uuid").upper())
    await target.check_refused(respelt, 401, "bad_signature")


async def test_another_body_under_a_used_uuid_is_a_replay(target: Target) -> None:
    nonce_ns = time.time_ns()
    first, second = (
        sign_epistula(target.sender, target.hotkey, body=body, nonce_ns=nonce_ns, uuid="one")
        for body in (b'{"text": "1"}', b'{"text": "2"}')
    )
    await target.check_taken(first)
    await target.check_refused(second, 401, "replayed_request")


async def test_times_are_milliseconds_and_nothing_else(target: Target) -> None:
    """gobt reads them as seconds, so that none is ever too old for it."""
    now_ms = time.time_ns() // MS
    for stamp, code in (
        (str(now_ms // 1000), "stale_request"),
        (str(now_ms * 1000), "stale_request"),
        (str(now_ms * MS), "bad_signature"),  # nanoseconds as milliseconds have no clock
        (f"{now_ms}.5", "bad_signature"),
        (f"+{now_ms}", "bad_signature"),
        (f"0{now_ms}", "bad_signature"),
        ("", "missing_signature"),
        ("soon", "bad_signature"),
        ("9" * 5000, "bad_signature"),
    ):
        request = sign_epistula(target.sender, target.hotkey, timestamp=stamp)
        reply = await target.ask(request)
        assert reply.status == 401
        assert reply.json()["code"] in (code, "stale_request"), stamp[:20]
    assert (target.texts, len(target.guard)) == ([], 0)
    await target.check_taken(sign_epistula(target.sender, target.hotkey, timestamp=str(now_ms)))


@pytest.mark.parametrize(
    ("age_s", "status"), [(7.5, 200), (8.5, 401), (9.5, 401), (-1.5, 200), (-2.5, 401)]
)
async def test_the_window_is_8_s_and_2_s_ahead(target: Target, age_s: float, status: int) -> None:
    nonce_ns = time.time_ns() - int(age_s * S)
    request = sign_epistula(target.sender, target.hotkey, nonce_ns=nonce_ns)
    assert (await target.ask(request)).status == status


@pytest.mark.parametrize(("age_s", "status"), [(4.5, 200), (5.5, 401), (-1.5, 200), (-2.5, 401)])
async def test_the_window_of_version_1_is_5_s_and_2_s_ahead(
    target: Target, age_s: float, status: int
) -> None:
    nonce_ns = time.time_ns() - int(age_s * S)
    request = sign_epistula1(target.sender, target.hotkey, nonce_ns=nonce_ns)
    assert (await target.ask(request)).status == status


async def test_no_setting_widens_the_window_of_epistula(bob: Keypair, alice: Keypair) -> None:
    """Its senders agreed on 8 s and 5 s; a setting may only narrow that."""
    for max_age_s, taken in ((30.0, 7.0), (3.0, 2.0)):
        target = node(bob, alice, max_age_s=max_age_s)
        async with target.axon:
            old_ns = time.time_ns() - 9 * S
            await target.check_refused(
                sign_epistula(alice, target.hotkey, nonce_ns=old_ns), 401, "stale_request"
            )
            fresh_ns = time.time_ns() - int(taken * S)
            await target.check_taken(sign_epistula(alice, target.hotkey, nonce_ns=fresh_ns))


async def test_a_request_can_be_sent_to_another_route_once(target: Target) -> None:
    """Not closed: neither method nor path is signed. The memory takes each request one time."""
    for request in (
        sign_epistula(target.sender, target.hotkey),
        sign_epistula1(target.sender, target.hotkey),
    ):
        reply = await target.ask(request.change(target="/Second?timeout=3"))
        assert reply.status == 200
        await target.check_refused(request, 401, "replayed_request")
    assert target.texts == ["second", "second"]


async def test_a_method_that_is_not_signed_is_still_post_alone(target: Target) -> None:
    request = sign_epistula(target.sender, target.hotkey)
    for method in ("GET", "PUT", "DELETE"):
        await target.check_refused(request.change(method=method), 405, "method_not_allowed")
    await target.check_taken(request)


@pytest.mark.parametrize("value", ["", None])
async def test_an_unbound_request_is_refused_unless_allowed(
    bob: Keypair, alice: Keypair, value: str | None
) -> None:
    """Some senders always send the header, empty where they sign for nobody."""
    for require in (True, False):
        target = node(bob, alice, require_receiver=require)
        async with target.axon:
            request = sign_epistula(alice, None)
            if value is not None:
                request = request.also("Epistula-Signed-For", value)
            if require:
                await target.check_refused(request, 401, "wrong_receiver")
            else:
                await target.check_taken(request)
                await target.check_refused(request, 401, "replayed_request")


async def test_a_receiver_that_was_taken_away_is_401(bob: Keypair, alice: Keypair) -> None:
    target = node(bob, alice, require_receiver=False)
    async with target.axon:
        request = sign_epistula(alice, target.hotkey).without("Epistula-Signed-For")
        await target.check_refused(request, 401, "bad_signature")


async def test_secret_signatures_open_nothing(target: Target) -> None:
    """They cover no body, so a request is not taken for their sake nor refused for them."""
    request = sign_epistula(target.sender, target.hotkey)
    end = (time.time_ns() // (10 * S) + 1) * 10_000
    for index in range(3):
        text = f"{end + index - 1}.0.{target.hotkey}".encode()
        request = request.also(
            f"Epistula-Secret-Signature-{index}", "0x" + target.sender.sign(text).hex()
        )
    await target.check_refused(
        request.without("Epistula-Request-Signature"), 401, "missing_signature"
    )
    await target.check_refused(request.change(body=b'{"text": "other"}'), 401, "bad_signature")
    await target.check_taken(request.set("Epistula-Secret-Signature-1", "junk"))


@pytest.mark.parametrize("version", ["1", "3", "2.0", " ", "two"])
async def test_another_version_is_not_a_way_round(target: Target, version: str) -> None:
    request = sign_epistula(target.sender, target.hotkey).set("Epistula-Version", version)
    reply = await target.ask(request)
    assert reply.status == 401
    assert reply.json()["code"] in ("bad_signature", "missing_signature")
    # With a body signature beside it, it is still not read as version 1.
    letter = sign_epistula1(target.sender, target.hotkey).also("Epistula-Version", version)
    assert (await target.ask(letter)).status == 401
    assert (target.texts, len(target.guard)) == ([], 0)


async def test_a_letter_with_a_version_header_is_no_letter(bob: Keypair, alice: Keypair) -> None:
    target = node(bob, alice, protocols=("epistula1",))
    async with target.axon:
        letter = sign_epistula1(alice, target.hotkey)
        for version in ("1", "2"):
            await target.check_refused(
                letter.also("Epistula-Version", version), 401, "missing_signature"
            )
        await target.check_taken(letter)


async def test_version_1_is_off_where_only_version_2_is_on(bob: Keypair, alice: Keypair) -> None:
    target = node(bob, alice, protocols=("epistula",))
    async with target.axon:
        await target.check_refused(sign_epistula1(alice, target.hotkey), 401, "missing_signature")
        await target.check_taken(sign_epistula(alice, target.hotkey))


async def test_of_a_letter_only_its_data_is_the_body(target: Target) -> None:
    """What stands beside it was signed too, but is not the request."""
    letter = sign_epistula1(target.sender, target.hotkey)
    document = {**json.loads(letter.body), "text": "beside"}
    body = json.dumps(document).encode()
    signature = "0x" + target.sender.sign(body).hex()
    await target.check_taken(letter.change(body=body).set("Body-Signature", signature))
    assert target.texts == ["hello"]


async def test_a_letter_whose_signature_is_malformed_is_401_before_its_body(
    target: Target,
) -> None:
    letter = sign_epistula1(target.sender, target.hotkey)
    for value in ("junk", "0x", letter.value("Body-Signature")[2:]):
        async with await RawConnection.open(target.axon.port) as connection:
            head = letter.set("Body-Signature", value).head(("Content-Length", str(2**40)))
            await connection.send(head)
            reply = await connection.read_reply(within_s=2)
        assert (reply.status, reply.json()["code"]) == (401, "bad_signature")


async def test_a_letter_that_anybody_changed_is_401(target: Target) -> None:
    letter = sign_epistula1(target.sender, target.hotkey)
    for body in (
        letter.body + b" ",
        letter.body.replace(b"hello", b"other"),
        json.dumps(json.loads(letter.body), separators=(",", ":")).encode(),
    ):
        await target.check_refused(letter.change(body=body), 401, "bad_signature")
    await target.check_taken(letter)
