"""Epistula 1: bodies that name their sender, verified as they stand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import errors
from node.keys import Keypair, ss58_encode
from node.wire import ReplayGuard, btauth, epistula, epistula_v1

S = 1_000_000_000
NOW = 1_735_689_600_123_456_789
ALICE = Keypair.from_uri("//Alice")
BOB = Keypair.from_uri("//Bob")
CHARLIE = Keypair.from_uri("//Charlie")
DATA = {"messages": ["hi", 1.5, None]}


def body_of(**changes: Any) -> bytes:
    document = {
        "data": DATA,
        "nonce": NOW,
        "signed_by": ALICE.ss58_address,
        "signed_for": BOB.ss58_address,
        "version": 1,
        **changes,
    }
    return json.dumps(
        {key: value for key, value in document.items() if value != "left out"}
    ).encode()


def verify(body: bytes, signature: bytes | None = None, **changes: Any) -> epistula.Letter:
    text = "0x" + (ALICE.sign(body) if signature is None else signature).hex()
    options = {"receiver": BOB.ss58_address, "now_ns": NOW, **changes}
    return epistula.verify_v1({"body-signature": text}, body, **options)


def test_a_signed_body_gives_its_sender_and_its_data() -> None:
    caller, data = verify(body_of())
    assert (caller.hotkey, caller.nonce_ns, data) == (ALICE.ss58_address, NOW, DATA)


@pytest.mark.parametrize("changes", [{"version": "left out"}, {"data": None}, {"more": 1}], ids=str)
def test_what_senders_left_out_or_added_is_fine(changes: dict[str, Any]) -> None:
    verify(body_of(**changes))


def test_the_same_json_in_other_bytes_is_a_bad_signature() -> None:
    body = body_of()
    signature = ALICE.sign(body)
    compact = json.dumps(json.loads(body), separators=(",", ":")).encode()
    with pytest.raises(errors.BadSignature):
        verify(compact, signature)


def test_somebody_elses_signature_is_refused() -> None:
    body = body_of()
    with pytest.raises(errors.BadSignature):
        verify(body, CHARLIE.sign(body))
    with pytest.raises(errors.BadSignature):
        verify(body, ALICE.sign(b"<Bytes>" + body + b"</Bytes>"))


@pytest.mark.parametrize(
    "changes",
    [
        {"data": "left out"},
        {"nonce": "left out"},
        {"nonce": str(NOW)},
        {"nonce": float(NOW)},
        {"nonce": True},
        {"signed_by": "left out"},
        {"signed_by": 7},
        {"signed_for": 7},
        {"signed_for": ["x"]},
        {"version": 2},
        {"version": "1"},
        {"data": float("nan")},
    ],
    ids=str,
)
def test_a_body_of_another_shape_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(errors.MalformedRequest):
        verify(body_of(**changes))


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"7", b"{", b"\xff", b"[" * 100_000, b"9" * 5000, b'{"data": NaN}'],
    ids=lambda body: repr(body[:8]),
)
def test_a_body_that_is_no_object_is_malformed(body: bytes) -> None:
    with pytest.raises(errors.MalformedRequest):
        verify(body)


def test_a_sender_that_is_no_address_is_a_bad_signature() -> None:
    with pytest.raises(errors.BadSignature):
        verify(body_of(signed_by="nope"))


@pytest.mark.parametrize("headers", [{}, {"Body-Signature": ""}], ids=str)
def test_a_body_without_signature_is_refused_before_it_is_parsed(headers: dict[str, str]) -> None:
    with pytest.raises(errors.MissingSignature):
        epistula.verify_v1(headers, b"{", receiver=BOB.ss58_address, now_ns=NOW)
    with pytest.raises(errors.MissingSignature):
        epistula_v1.parse_signature_header(headers)


@pytest.mark.parametrize("signed_for", [None, ""])
def test_a_body_for_nobody_is_refused_unless_told_otherwise(signed_for: str | None) -> None:
    body = body_of(signed_for=signed_for)
    with pytest.raises(errors.WrongReceiver):
        verify(body)
    verify(body, require_receiver=False)


def test_a_body_for_another_node_is_refused() -> None:
    with pytest.raises(errors.WrongReceiver):
        verify(body_of(signed_for=CHARLIE.ss58_address), require_receiver=False)


@pytest.mark.parametrize(
    ("nonce", "fresh"),
    [
        (NOW - 5 * S, True),
        (NOW - 5 * S - 1, False),
        (NOW + 2 * S, True),
        (NOW + 2 * S + 1, False),
        (-(10**4000), False),
        (10**4000, False),
    ],
    ids=lambda value: str(value)[:24],
)
def test_both_ends_of_the_window_are_inside(nonce: int, fresh: bool) -> None:
    if fresh:
        verify(body_of(nonce=nonce))
    else:
        with pytest.raises(errors.StaleRequest):
            verify(body_of(nonce=nonce))


def test_a_body_is_taken_once_whatever_address_its_sender_writes() -> None:
    guard = ReplayGuard()
    verify(body_of(), guard=guard)
    for address in (ALICE.ss58_address, ss58_encode(ALICE.public_key, 0)):
        with pytest.raises(errors.ReplayedRequest):
            verify(body_of(signed_by=address), guard=guard)


def test_a_nonce_is_used_once_across_protocols() -> None:
    guard = ReplayGuard()
    request: dict[str, Any] = {"method": "POST", "target": "/", "receiver": BOB.ss58_address}
    headers = btauth.sign(ALICE, body=b"", nonce_ns=NOW, **request)
    btauth.verify(headers, b"", now_ns=NOW, guard=guard, **request)
    with pytest.raises(errors.ReplayedRequest):
        verify(body_of(), guard=guard)


def test_a_bad_signature_burns_no_nonce() -> None:
    guard = ReplayGuard()
    with pytest.raises(errors.BadSignature):
        verify(body_of(), bytes(64), guard=guard)
    assert len(guard) == 0


def test_a_guard_that_forgets_inside_the_window_is_a_config_error() -> None:
    with pytest.raises(errors.ConfigError):
        verify(body_of(), guard=ReplayGuard(window_s=4))


def test_a_claim_shows_no_body() -> None:
    body = body_of(data="private words")
    claim = epistula_v1.parse_claim({"Body-Signature": "0x" + "ab" * 64}, body)
    assert claim.public_key == ALICE.public_key
    assert "signed_for" not in repr(claim)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
KEYS = st.sampled_from(["data", "nonce", "signed_by", "signed_for", "version"])


@given(
    st.binary()
    | st.dictionaries(KEYS, JSON).map(lambda changes: body_of(**changes))
    | JSON.map(lambda value: json.dumps(value).encode()),
    st.text(max_size=140) | st.just("0x" + "ab" * 64),
)
def test_any_body_ends_in_a_refusal_and_nothing_else(body: bytes, signature: str) -> None:
    with pytest.raises((errors.AuthError, errors.MalformedRequest)):
        epistula.verify_v1(
            {"Body-Signature": signature}, body, receiver=BOB.ss58_address, now_ns=NOW,
            require_receiver=False,
        )  # fmt: skip
