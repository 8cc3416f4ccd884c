"""What the vectors do not say: strictness of ours, stages, and the official SDK itself."""

from __future__ import annotations

import hashlib
import importlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from node import errors
from node.keys import Keypair, ss58_encode
from node.wire import Caller, ReplayGuard, btauth

NOW = 1_735_689_600_123_456_789
ALICE = Keypair.from_uri("//Alice")
ALICE_ED = Keypair.from_uri("//Alice", scheme="ed25519")
BOB = Keypair.from_uri("//Bob")
REQUEST: dict[str, Any] = {"method": "POST", "target": "/Prompting?timeout=12.0"}
BODY = b'{"messages":["hi"]}'


def signed(keypair: Keypair = ALICE, **changes: Any) -> dict[str, str]:
    options = {"receiver": BOB.ss58_address, "nonce_ns": NOW, "body": BODY, **REQUEST, **changes}
    return btauth.sign(keypair, **options)


def verify(headers: Any, **changes: Any) -> Caller:
    options = {"receiver": BOB.ss58_address, "now_ns": NOW, **REQUEST, **changes}
    body = options.pop("body", BODY)
    return btauth.verify(headers, body, **options)


@pytest.mark.parametrize("keypair", [ALICE, ALICE_ED], ids=["sr25519", "ed25519"])
def test_what_we_sign_we_verify(keypair: Keypair) -> None:
    caller = verify(signed(keypair))
    assert (caller.hotkey, caller.public_key) == (keypair.ss58_address, keypair.public_key)
    assert caller.scheme == keypair.scheme


@pytest.mark.parametrize(
    "change",
    [
        {"body": BODY + b" "},
        {"method": "PUT"},
        {"target": "/Prompting?timeout=12.1"},
        {"target": "/Other?timeout=12.0"},
    ],
    ids=str,
)
def test_anything_signed_that_changed_is_a_bad_signature(change: dict[str, Any]) -> None:
    with pytest.raises(errors.BadSignature):
        verify(signed(), **change)


@given(st.integers(0, 63), st.integers(0, 7))
def test_any_flipped_bit_of_a_signature_is_refused(position: int, bit: int) -> None:
    headers = signed(ALICE_ED)
    signature = bytearray.fromhex(headers["X-Bittensor-Signature"][2:])
    signature[position] ^= 1 << bit
    headers["X-Bittensor-Signature"] = "0x" + signature.hex()
    with pytest.raises(errors.BadSignature):
        verify(headers)


@pytest.mark.parametrize("keypair", [ALICE, ALICE_ED], ids=["sr25519", "ed25519"])
def test_a_signature_over_the_wrapped_payload_is_refused(keypair: Keypair) -> None:
    # The reference takes it; no signer of an SDK wraps (docs/decisions/0002).
    headers = signed(keypair)
    claim = btauth.parse_claim(headers)
    payload = btauth.signed_payload(
        scheme=claim.scheme,
        method="POST",
        target=REQUEST["target"],
        digest=hashlib.sha256(BODY).digest(),
        nonce_ns=NOW,
        sender=claim.sender,
        receiver=claim.receiver,
    )
    wrapped = keypair.sign(b"<Bytes>" + payload + b"</Bytes>")
    headers["X-Bittensor-Signature"] = "0x" + wrapped.hex()
    with pytest.raises(errors.BadSignature):
        verify(headers)


@pytest.mark.parametrize("name", ["Version", "Hotkey", "Nonce", "Signature"])
def test_a_missing_header_is_a_missing_signature(name: str) -> None:
    headers = signed()
    del headers[f"X-Bittensor-{name}"]
    with pytest.raises(errors.MissingSignature):
        verify(headers)


@pytest.mark.parametrize("name", ["Hotkey", "Nonce", "Signature", "Receiver", "Version"])
def test_a_signing_header_that_appears_twice_is_refused(name: str) -> None:
    # Two values can be read two ways; no signer sends two (docs/decisions/0002).
    headers = CIMultiDict(signed())
    headers.add(f"x-bittensor-{name}", headers[f"X-Bittensor-{name}"])
    with pytest.raises(errors.BadSignature):
        verify(headers)


def test_one_key_under_two_addresses_is_one_caller_and_one_nonce() -> None:
    guard = ReplayGuard()
    assert verify(signed(), guard=guard).hotkey == ALICE.ss58_address
    alias = ss58_encode(ALICE.public_key, 0)
    payload = btauth.signed_payload(
        scheme="sr25519",
        method="POST",
        target=REQUEST["target"],
        digest=hashlib.sha256(BODY).digest(),
        nonce_ns=NOW,
        sender=alias,
        receiver=BOB.ss58_address,
    )
    headers = signed()
    headers["X-Bittensor-Hotkey"] = alias
    headers["X-Bittensor-Signature"] = "0x" + ALICE.sign(payload).hex()
    with pytest.raises(errors.ReplayedRequest):
        verify(headers, guard=guard)
    assert verify(headers, guard=ReplayGuard()).hotkey == ALICE.ss58_address


@pytest.mark.parametrize(
    ("age_ns", "fresh"),
    [
        (10_000_000_000, True),
        (10_000_000_001, False),
        (-2_000_000_000, True),
        (-2_000_000_001, False),
    ],
)
def test_both_ends_of_the_window_are_inside(age_ns: int, fresh: bool) -> None:
    headers = signed()
    if fresh:
        verify(headers, now_ns=NOW + age_ns)
    else:
        with pytest.raises(errors.StaleRequest) as caught:
            verify(headers, now_ns=NOW + age_ns)
        assert caught.value.clock_offset_s == pytest.approx(age_ns / 1e9, abs=0.002)


@pytest.mark.parametrize("nonce", ["9" * 60, "-" + "9" * 60, "0"])
def test_a_nonce_of_any_size_is_only_stale(nonce: str) -> None:
    headers = {**signed(), "X-Bittensor-Nonce": nonce}
    with pytest.raises(errors.StaleRequest):
        verify(headers)


@pytest.mark.parametrize("nonce", ["9" * 65, "", " ", "1e9", "0x10"])
def test_a_nonce_that_is_no_decimal_integer_is_refused(nonce: str) -> None:
    with pytest.raises(errors.BadSignature):
        verify({**signed(), "X-Bittensor-Nonce": nonce})


def test_a_bad_signature_burns_no_nonce() -> None:
    guard = ReplayGuard()
    headers = signed()
    bad = {**headers, "X-Bittensor-Signature": "0x" + "00" * 64}
    with pytest.raises(errors.BadSignature):
        verify(bad, guard=guard)
    assert len(guard) == 0
    verify(headers, guard=guard)
    assert len(guard) == 1


def test_a_guard_that_forgets_inside_the_window_is_a_config_error() -> None:
    with pytest.raises(errors.ConfigError):
        verify(signed(), guard=ReplayGuard(window_s=5))


def test_nobody_makes_a_caller_by_hand() -> None:
    with pytest.raises(TypeError):
        Caller(hotkey="x", public_key=b"", scheme="sr25519", protocol="btauth", nonce_ns=1)


@given(
    st.dictionaries(
        st.sampled_from(["Version", "Hotkey", "Nonce", "Signature", "Crypto", "Receiver"]).map(
            "X-Bittensor-{}".format
        ),
        st.text(max_size=80) | st.sampled_from(["1", ALICE.ss58_address, "0x" + "ab" * 64]),
    )
)
def test_any_headers_end_in_an_auth_error_and_nothing_else(headers: dict[str, str]) -> None:
    with pytest.raises(errors.AuthError):
        verify(headers)


def sdk11() -> Any:
    return importlib.import_module("bittensor.http_auth")


@pytest.mark.parametrize("crypto_type", [0, 1], ids=["ed25519", "sr25519"])
@pytest.mark.parametrize("bound", [True, False], ids=["bound", "unbound"])
def test_the_official_sdk_signs_and_we_verify(crypto_type: int, bound: bool) -> None:
    core = importlib.import_module("bittensor_core")
    theirs = core.Keypair.create_from_uri("//Alice", crypto_type)
    receiver = BOB.ss58_address if bound else None
    headers = sdk11().sign(
        theirs, method="POST", path=REQUEST["target"], body=BODY, receiver_ss58=receiver,
        nonce_ns=NOW,
    )  # fmt: skip
    caller = verify(headers, require_receiver=bound, guard=ReplayGuard())
    assert caller.hotkey == theirs.ss58_address


@pytest.mark.parametrize("keypair", [ALICE, ALICE_ED], ids=["sr25519", "ed25519"])
@pytest.mark.parametrize("bound", [True, False], ids=["bound", "unbound"])
def test_we_sign_and_the_official_sdk_verifies(keypair: Keypair, bound: bool) -> None:
    headers = signed(keypair, receiver=BOB.ss58_address if bound else None)
    caller = sdk11().verify(
        headers, BODY, method="POST", path=REQUEST["target"], now_ns=NOW,
        self_hotkey_ss58=BOB.ss58_address, require_receiver=bound,
        nonce_store=sdk11().InMemoryNonceStore(),
    )  # fmt: skip
    assert caller.hotkey_ss58 == keypair.ss58_address
    assert caller.nonce_ns == NOW
