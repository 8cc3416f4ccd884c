"""Epistula 2: strictness of ours, the stages, and a replay memory that can't be dodged."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from node import errors
from node.keys import Keypair, ss58_encode
from node.wire import Caller, ReplayGuard, epistula

S = 1_000_000_000
MS = 1_000_000
NOW = 1_735_689_600_123_000_000
ALICE = Keypair.from_uri("//Alice")
BOB = Keypair.from_uri("//Bob")
CHARLIE = Keypair.from_uri("//Charlie")
REQUEST: dict[str, Any] = {"method": "POST", "target": "/v1/chat/completions"}
BODY = b'{"messages": ["hi"]}'
UUID = "3f333df6-90a4-4fda-8dd3-9485d27cee36"
NEEDED = ["Version", "Timestamp", "Uuid", "Signed-By", "Request-Signature"]


def signed(keypair: Keypair = ALICE, **changes: Any) -> dict[str, str]:
    options = {
        "receiver": BOB.ss58_address, "nonce_ns": NOW, "body": BODY, "uuid": UUID,
        **REQUEST, **changes,
    }  # fmt: skip
    return epistula.sign(keypair, **options)


def verify(headers: Any, **changes: Any) -> Caller:
    options = {"receiver": BOB.ss58_address, "now_ns": NOW, **REQUEST, **changes}
    return epistula.verify(headers, options.pop("body", BODY), **options)


def test_what_we_sign_we_verify() -> None:
    caller = verify(signed())
    assert (caller.hotkey, caller.public_key) == (ALICE.ss58_address, ALICE.public_key)
    assert (caller.protocol, caller.scheme, caller.nonce_ns) == ("epistula", "sr25519", NOW)


def test_names_may_come_in_any_case() -> None:
    verify({name.lower(): value for name, value in signed().items()})


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_or_empty_header_is_a_missing_signature(name: str, value: str | None) -> None:
    headers = signed()
    del headers["Epistula-" + name]
    if value is not None:
        headers["Epistula-" + name] = value
    with pytest.raises(errors.MissingSignature):
        verify(headers)


@pytest.mark.parametrize("name", [*NEEDED, "Signed-For"])
def test_a_header_that_appears_twice_is_refused(name: str) -> None:
    headers = CIMultiDict(signed())
    headers.add(f"epistula-{name}", headers["Epistula-" + name])
    with pytest.raises(errors.BadSignature):
        verify(headers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Version", "1"),
        ("Version", "2.0"),
        ("Version", " 2"),
        ("Timestamp", f"0{NOW // MS}"),
        ("Timestamp", f"+{NOW // MS}"),
        ("Timestamp", f"{NOW // MS}.0"),
        ("Timestamp", "9" * 21),
        ("Timestamp", "9" * 100_000),
        ("Signed-By", "0x" + ALICE.public_key.hex()),
        ("Request-Signature", "0x" + "00" * 63),
    ],
)
def test_a_signing_header_has_one_spelling(name: str, value: str) -> None:
    with pytest.raises(errors.BadSignature):
        verify({**signed(), "Epistula-" + name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Timestamp", str(NOW // MS - 1)),
        ("Uuid", UUID.upper()),
        ("Signed-By", CHARLIE.ss58_address),
    ],
)
def test_anything_signed_that_changed_is_a_bad_signature(name: str, value: str) -> None:
    with pytest.raises(errors.BadSignature):
        verify({**signed(), "Epistula-" + name: value})


def test_another_body_is_a_bad_signature() -> None:
    with pytest.raises(errors.BadSignature):
        verify(signed(), body=BODY + b" ")


def signed_over(text: str, **fields: str) -> dict[str, str]:
    """Return headers with those values, and Alice's signature over any text at all."""
    signature = "0x" + ALICE.sign(text.encode()).hex()
    return {**signed(), "Epistula-Request-Signature": signature, **fields}


def payload_with(uuid: str = UUID) -> str:
    return epistula.signed_payload(
        digest=hashlib.sha256(BODY).digest(),
        uuid=uuid,
        timestamp_ms=NOW // MS,
        receiver=BOB.ss58_address,
    ).decode()


@pytest.mark.parametrize("template", ["<Bytes>{}</Bytes>", "{}.", "{}\n"])
def test_a_signature_over_anything_else_is_refused(template: str) -> None:
    verify(signed_over(payload_with()))
    with pytest.raises(errors.BadSignature):
        verify(signed_over(template.format(payload_with())))


@pytest.mark.parametrize("uuid", ["a.b", "a b", "a" * 65, UUID + "\n", "ä"])
def test_a_uuid_that_nobody_makes_is_refused_under_a_good_signature_too(uuid: str) -> None:
    with pytest.raises(errors.BadSignature):
        verify(signed_over(payload_with(uuid), **{"Epistula-Uuid": uuid}))


@pytest.mark.parametrize("prefix", ["", "0X", "xx", "0x0x"])
def test_a_good_signature_in_other_letters_is_refused(prefix: str) -> None:
    headers = signed()
    text = headers["Epistula-Request-Signature"]
    with pytest.raises(errors.BadSignature):
        verify({**headers, "Epistula-Request-Signature": prefix + text[2:]})


def test_a_request_for_another_node_is_refused() -> None:
    with pytest.raises(errors.WrongReceiver):
        verify(signed(receiver=CHARLIE.ss58_address))
    headers = signed(receiver=CHARLIE.ss58_address)
    with pytest.raises(errors.BadSignature):
        verify({**headers, "Epistula-Signed-For": BOB.ss58_address})


@pytest.mark.parametrize("empty", [False, True])
def test_a_request_for_nobody_is_refused_unless_told_otherwise(empty: bool) -> None:
    headers = {**signed(receiver=None), **({"Epistula-Signed-For": ""} if empty else {})}
    with pytest.raises(errors.WrongReceiver):
        verify(headers)
    verify(headers, require_receiver=False)


def test_a_receiver_that_was_taken_away_is_a_bad_signature() -> None:
    headers = signed()
    del headers["Epistula-Signed-For"]
    with pytest.raises(errors.BadSignature):
        verify(headers, require_receiver=False)


@pytest.mark.parametrize(
    ("age_ns", "fresh"), [(8 * S, True), (8 * S + 1, False), (-2 * S, True), (-2 * S - 1, False)]
)
def test_both_ends_of_the_window_are_inside(age_ns: int, fresh: bool) -> None:
    if fresh:
        verify(signed(), now_ns=NOW + age_ns)
    else:
        with pytest.raises(errors.StaleRequest):
            verify(signed(), now_ns=NOW + age_ns)


def test_the_window_is_a_setting() -> None:
    verify(signed(), now_ns=NOW + 20 * S, max_age_s=20)
    with pytest.raises(errors.StaleRequest):
        verify(signed(), now_ns=NOW - S, allowed_skew_s=0.5)


def test_requests_of_one_millisecond_are_told_apart_and_taken_once() -> None:
    guard = ReplayGuard()
    requests = [signed(uuid=f"{UUID}-{index}") for index in range(64)]
    random.Random(4).shuffle(requests)
    for headers in requests:
        verify(headers, guard=guard)
    for headers in requests:
        with pytest.raises(errors.ReplayedRequest):
            verify(headers, guard=guard)


def test_no_respelling_of_a_request_gets_it_in_again() -> None:
    guard = ReplayGuard()
    headers = signed()
    verify(headers, guard=guard)
    alias = ss58_encode(ALICE.public_key, 0)  # the address is not signed, so this verifies
    with pytest.raises(errors.ReplayedRequest):
        verify({**headers, "Epistula-Signed-By": alias}, guard=guard)
    with pytest.raises(errors.ReplayedRequest):
        verify(signed(), guard=guard)  # another signature over the same request
    assert len(guard) == 1


def test_a_bad_signature_burns_no_uuid() -> None:
    guard = ReplayGuard()
    with pytest.raises(errors.BadSignature):
        verify({**signed(), "Epistula-Request-Signature": "0x" + "00" * 64}, guard=guard)
    assert len(guard) == 0


def test_a_guard_that_forgets_inside_the_window_is_a_config_error() -> None:
    with pytest.raises(errors.ConfigError):
        verify(signed(), guard=ReplayGuard(window_s=5))


@pytest.mark.parametrize("secret", [True, False])
def test_secret_signatures_are_sent_on_request_and_never_looked_at(secret: bool) -> None:
    headers = signed(secret_signatures=secret)
    assert sum("Secret" in name for name in headers) == (3 if secret else 0)
    verify({**headers, "Epistula-Secret-Signature-0": "garbage"})


def test_a_timestamp_on_the_border_of_an_interval_is_its_end() -> None:
    headers = signed(nonce_ns=1_735_689_610_000 * MS, secret_signatures=True)
    for index, end in enumerate(["1735689609999.0", "1735689610000.0", "1735689610001.0"]):
        signature = bytes.fromhex(headers[f"Epistula-Secret-Signature-{index}"][2:])
        ALICE.verify(f"{end}.{BOB.ss58_address}".encode(), signature)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"uuid": "a.b"}, errors.ConfigError),
        ({"uuid": ""}, errors.ConfigError),
        ({"receiver": "a.b"}, errors.InvalidAddress),
        ({"receiver": None, "secret_signatures": True}, errors.ConfigError),
    ],
    ids=str,
)
def test_we_sign_no_text_that_somebody_else_could_choose(
    changes: dict[str, Any], error: type[errors.NodeError]
) -> None:
    with pytest.raises(error):
        signed(**changes)


@pytest.mark.parametrize(
    "keypair",
    [
        Keypair.from_uri("//Alice", scheme="ed25519"),
        Keypair.from_address(ALICE.ss58_address),
    ],
    ids=["ed25519", "no secret"],
)
def test_only_an_sr25519_secret_signs(keypair: Keypair) -> None:
    with pytest.raises(errors.WalletError):
        signed(keypair)


def test_a_digest_signs_as_its_body_does() -> None:
    headers = epistula.sign_digest(
        ALICE, digest=hashlib.sha256(BODY).digest(), receiver=BOB.ss58_address, nonce_ns=NOW,
        uuid=UUID,
    )  # fmt: skip
    verify(headers)


FORGED = {**signed(), "Epistula-Request-Signature": "0x" + "ab" * 64}


@given(
    st.dictionaries(
        st.sampled_from([*FORGED]),
        st.text(max_size=140) | st.integers().map(str) | st.sampled_from([*FORGED.values()]),
    ),
    st.sampled_from([FORGED, {}]),
    st.binary(max_size=20),
)
def test_any_request_ends_in_an_auth_error_and_nothing_else(
    changes: dict[str, str], base: dict[str, str], body: bytes
) -> None:
    with pytest.raises(errors.AuthError):
        verify({**base, **changes}, body=body, require_receiver=False)
