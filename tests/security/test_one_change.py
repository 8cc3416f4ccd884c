"""One signed request, sent as raw bytes, one thing changed each time.

Each is refused with its status, before the forward is called, and nothing about it is stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from node import Keypair
from tests.raw_http import RawRequest, signed_request

from .conftest import BODY, Target

SIGNING = ("Version", "Hotkey", "Nonce", "Signature", "Receiver", "Crypto")
Change = Callable[[RawRequest], RawRequest]


def header(name: str, value: str) -> Change:
    return lambda request: request.set(f"X-Bittensor-{name}", value)


def flip_bit(position: int) -> Change:
    def change(request: RawRequest) -> RawRequest:
        signature = bytearray.fromhex(request.value("X-Bittensor-Signature")[2:])
        signature[position] ^= 1
        return request.set("X-Bittensor-Signature", "0x" + signature.hex())

    return change


def shift_nonce(by: int) -> Change:
    def change(request: RawRequest) -> RawRequest:
        return request.set("X-Bittensor-Nonce", str(int(request.value("X-Bittensor-Nonce")) + by))

    return change


CHANGES: dict[str, tuple[Change, int, str]] = {
    "signature removed": (
        lambda request: request.without("X-Bittensor-Signature"), 401, "missing_signature"),
    "nonce removed": (
        lambda request: request.without("X-Bittensor-Nonce"), 401, "missing_signature"),
    "hotkey removed": (
        lambda request: request.without("X-Bittensor-Hotkey"), 401, "missing_signature"),
    "version removed": (
        lambda request: request.without("X-Bittensor-Version"), 401, "missing_signature"),
    "receiver removed": (
        lambda request: request.without("X-Bittensor-Receiver"), 401, "wrong_receiver"),
    "all signing headers removed": (
        lambda request: request.without(*(f"X-Bittensor-{name}" for name in SIGNING)),
        401, "missing_signature"),
    "signature empty": (header("Signature", ""), 401, "bad_signature"),
    "signature 0x": (header("Signature", "0x"), 401, "bad_signature"),
    "signature short": (header("Signature", "0x" + "ab" * 63), 401, "bad_signature"),
    "signature long": (header("Signature", "0x" + "ab" * 65), 401, "bad_signature"),
    "signature not hex": (header("Signature", "0x" + "zz" * 64), 401, "bad_signature"),
    "signature zero": (header("Signature", "0x" + "00" * 64), 401, "bad_signature"),
    "signature of ones": (header("Signature", "0x" + "ff" * 64), 401, "bad_signature"),
    "signature first bit": (flip_bit(0), 401, "bad_signature"),
    "signature middle bit": (flip_bit(32), 401, "bad_signature"),
    "signature last bit": (flip_bit(63), 401, "bad_signature"),
    "nonce 1 ns later": (shift_nonce(1), 401, "bad_signature"),
    "nonce 1 ns earlier": (shift_nonce(-1), 401, "bad_signature"),
    "nonce empty": (header("Nonce", ""), 401, "bad_signature"),
    "nonce text": (header("Nonce", "now"), 401, "bad_signature"),
    "nonce fraction": (header("Nonce", f"{time.time_ns()}.5"), 401, "bad_signature"),
    "nonce hex": (header("Nonce", hex(time.time_ns())), 401, "bad_signature"),
    "nonce infinite": (header("Nonce", "inf"), 401, "bad_signature"),
    "nonce endless": (header("Nonce", "9" * 5000), 401, "bad_signature"),
    "nonce zero": (header("Nonce", "0"), 401, "stale_request"),
    "nonce negative": (header("Nonce", "-1"), 401, "stale_request"),
    "nonce of 64 digits": (header("Nonce", "9" * 64), 401, "stale_request"),
    "version 2": (header("Version", "2"), 401, "bad_signature"),
    "version 1.0": (header("Version", "1.0"), 401, "bad_signature"),
    "version empty": (header("Version", ""), 401, "bad_signature"),
    "hotkey empty": (header("Hotkey", ""), 401, "missing_signature"),
    "hotkey not SS58": (header("Hotkey", "alice"), 401, "bad_signature"),
    "hotkey with another checksum": (
        lambda request: request.set(
            "X-Bittensor-Hotkey", request.value("X-Bittensor-Hotkey")[:-1] + "x"),
        401, "bad_signature"),
    "hotkey of another": (
        header("Hotkey", Keypair.from_uri("//Charlie").ss58_address), 401, "bad_signature"),
    "receiver of another": (
        header("Receiver", Keypair.from_uri("//Charlie").ss58_address), 401, "wrong_receiver"),
    "receiver empty": (header("Receiver", ""), 401, "wrong_receiver"),
    "receiver a dash": (header("Receiver", "-"), 401, "wrong_receiver"),
    "scheme ed25519": (header("Crypto", "ed25519"), 401, "bad_signature"),
    "scheme 0, which is ed25519": (header("Crypto", "0"), 401, "bad_signature"),
    "scheme ecdsa": (header("Crypto", "ecdsa"), 401, "bad_signature"),
    "scheme empty": (header("Crypto", ""), 401, "bad_signature"),
    "target with another query": (
        lambda request: request.change(target="/Echo?timeout=50"), 401, "bad_signature"),
    "target without its query": (
        lambda request: request.change(target="/Echo"), 401, "bad_signature"),
    "target with an empty query": (
        lambda request: request.change(target="/Echo?timeout=5&"), 401, "bad_signature"),
    "target in another spelling": (
        lambda request: request.change(target="/%45cho?timeout=5"), 401, "bad_signature"),
    "target with a stream mode": (
        lambda request: request.change(target="/Echo?timeout=5&stream=raw"),
        401, "bad_signature"),
    "target of another route": (
        lambda request: request.change(target="/Other?timeout=5"), 404, "unknown_route"),
    "method PUT": (
        lambda request: request.change(method="PUT"), 405, "method_not_allowed"),
    "method GET": (
        lambda request: request.change(method="GET"), 405, "method_not_allowed"),
    "body empty": (lambda request: request.change(body=b""), 401, "bad_signature"),
    "body longer": (
        lambda request: request.change(body=request.body + b" "), 401, "bad_signature"),
    "body shorter": (
        lambda request: request.change(body=request.body[:-1]), 401, "bad_signature"),
    "body re-encoded": (
        lambda request: request.change(body=request.body.replace(b": ", b":")),
        401, "bad_signature"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
async def test_one_change_is_refused_before_the_forward(target: Target, change: str) -> None:
    alter, status, code = CHANGES[change]
    request = target.good()
    changed = alter(request)
    assert changed != request
    await target.check_refused(changed, status, code)
    assert len(target.guard) == 0


async def test_unchanged_it_is_taken(target: Target) -> None:
    await target.check_taken(target.good())
    assert len(target.guard) == 1


@pytest.mark.parametrize("position", range(len(BODY)))
async def test_any_body_byte_changed_is_refused(target: Target, position: int) -> None:
    body = bytearray(BODY)
    body[position] ^= 1
    await target.check_refused(target.good().change(body=bytes(body)), 401, "bad_signature")


async def test_any_character_of_the_target_changed_is_refused(target: Target) -> None:
    request = target.good("/Echo?timeout=5&x=yz")
    for position in range(len("/Echo?"), len(request.target)):
        letters = list(request.target)
        letters[position] = "7" if letters[position] != "7" else "8"
        await target.check_refused(request.change(target="".join(letters)), 401, "bad_signature")
    await target.check_taken(request)


async def test_a_method_that_was_signed_and_is_not_the_one_sent_is_refused(
    target: Target, alice: Keypair
) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        signed = signed_request(alice, target.hotkey, "/Echo", BODY, method=method)
        await target.check_refused(signed.change(method="POST"), 401, "bad_signature")
        await target.check_refused(signed, 405, "method_not_allowed")


async def test_a_scheme_that_was_signed_and_is_not_the_one_named_is_refused(
    target: Target,
) -> None:
    ed25519 = Keypair.from_uri("//Alice", scheme="ed25519")
    request = signed_request(ed25519, target.hotkey, "/Echo", BODY)
    await target.check_refused(request.without("X-Bittensor-Crypto"), 401, "bad_signature")
    await target.check_refused(request.set("X-Bittensor-Crypto", "sr25519"), 401, "bad_signature")
    await target.check_taken(request)


async def test_a_bad_signature_followed_by_the_good_one_with_the_same_nonce_is_accepted(
    target: Target,
) -> None:
    request = target.good()
    for position in (0, 31, 32, 63):
        await target.check_refused(flip_bit(position)(request), 401, "bad_signature")
    await target.check_refused(request.change(body=BODY + b" "), 401, "bad_signature")
    await target.check_taken(request)


@pytest.mark.parametrize("name", ["User-Agent", "Accept", "X-Forwarded-For", "X-Other", "Cookie"])
async def test_headers_that_are_not_signed_do_not_matter(target: Target, name: str) -> None:
    await target.check_taken(target.good().also(name, "something/else"))
    await target.check_taken(target.good().set("Content-Type", "text/plain"))


async def test_header_names_may_be_in_any_case(target: Target) -> None:
    request = target.good()
    lowered = tuple((name.lower(), value) for name, value in request.headers)
    await target.check_taken(request.change(headers=lowered))
    request = target.good()
    raised = tuple((name.upper(), value) for name, value in request.headers)
    await target.check_taken(request.change(headers=raised))


async def test_a_name_with_underscores_is_another_header(target: Target) -> None:
    request = target.good()
    spelled = tuple((name.replace("-", "_"), value) for name, value in request.headers)
    await target.check_refused(request.change(headers=spelled), 401, "missing_signature")
