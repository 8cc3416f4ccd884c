"""Signing and verifying for SDK 6-10: strictness of ours, the stages, and what nobody may widen."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from node import errors
from node.keys import Keypair, ss58_encode
from node.wire import Caller, ReplayGuard, btauth, synapse_headers
from node.wire.synapse_headers import EMPTY_BODY_HASH, UptimeGuard, body_hash

S = 1_000_000_000
NOW = 1_735_689_600_123_456_789
UPTIME = 3600 * S
ALICE = Keypair.from_uri("//Alice")
BOB = Keypair.from_uri("//Bob")
CHARLIE = Keypair.from_uri("//Charlie")
REQUEST: dict[str, Any] = {"method": "POST", "target": "/Prompting"}
HASH = body_hash(["hi"])
D = "bt_header_dendrite_"
SIGNED_HEADERS = [D + "nonce", D + "uuid", D + "hotkey", D + "signature", "computed_body_hash"]


def signed(keypair: Keypair = ALICE, **changes: Any) -> dict[str, str]:
    options = {
        "receiver": BOB.ss58_address,
        "nonce_ns": NOW,
        "body": b"{}",
        "name": "Prompting",
        "timeout": 12.0,
        "uuid": "11111111-2222-1333-8444-555555555555",
        "body_hash": HASH,
        **REQUEST,
        **changes,
    }
    return synapse_headers.sign(keypair, **options)


def signed_over(message: str, **fields: str) -> dict[str, str]:
    """Return headers with those values, and Alice's signature over any text at all."""
    return {**signed(), **fields, D + "signature": "0x" + ALICE.sign(message.encode()).hex()}


def verify(headers: Any, **changes: Any) -> Caller:
    options = {"receiver": BOB.ss58_address, "now_ns": NOW, **REQUEST, **changes}
    return synapse_headers.verify(headers, b"{}", **options)


def test_what_we_sign_we_verify() -> None:
    caller = verify(signed())
    assert (caller.hotkey, caller.public_key) == (ALICE.ss58_address, ALICE.public_key)
    assert (caller.protocol, caller.scheme, caller.nonce_ns) == ("synapse", "sr25519", NOW)


def test_names_may_come_in_any_case() -> None:
    verify({name.upper(): value for name, value in signed().items()})


def test_the_least_that_a_real_axon_accepts_is_enough() -> None:
    verify({name: value for name, value in signed().items() if name in SIGNED_HEADERS})


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("name", SIGNED_HEADERS)
def test_a_missing_or_empty_header_is_a_missing_signature(name: str, value: str | None) -> None:
    headers = signed()
    if value is None:
        del headers[name]
    else:
        headers[name] = value
    with pytest.raises(errors.MissingSignature):
        verify(headers)


@pytest.mark.parametrize("name", [*SIGNED_HEADERS, "timeout", "bt_header_axon_hotkey"])
def test_a_header_that_appears_twice_is_refused(name: str) -> None:
    headers = CIMultiDict(signed())
    headers.add(name.upper(), headers[name])
    with pytest.raises(errors.BadSignature):
        verify(headers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (D + "nonce", str(NOW + 1)),
        (D + "uuid", "another"),
        (D + "hotkey", CHARLIE.ss58_address),
        (D + "hotkey", ss58_encode(ALICE.public_key, 0)),
        ("computed_body_hash", body_hash(["ho"])),
    ],
)
def test_anything_signed_that_changed_is_a_bad_signature(name: str, value: str) -> None:
    with pytest.raises(errors.BadSignature):
        verify({**signed(), name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (D + "nonce", f"+{NOW}"),
        (D + "nonce", f"0{NOW}"),
        (D + "nonce", f" {NOW}"),
        (D + "nonce", f"{NOW}\n"),
        (D + "nonce", f"{NOW:_}"),
        (D + "nonce", f"{NOW}.0"),
        (D + "nonce", "-1"),
        (D + "nonce", "١٢٣"),
        (D + "nonce", "9" * 21),
        (D + "nonce", "9" * 100_000),
        (D + "hotkey", "0x" + ALICE.public_key.hex()),
        (D + "hotkey", "None"),
        (D + "signature", "0x" + "00" * 63),
        (D + "signature", "0x" + "zz" * 64),
    ],
)
def test_a_signing_header_has_one_spelling(name: str, value: str) -> None:
    with pytest.raises(errors.BadSignature):
        verify({**signed(), name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (D + "uuid", "a.b"),
        (D + "uuid", "a b"),
        (D + "uuid", "a" * 65),
        (D + "uuid", "ä"),
        (D + "uuid", "session\n"),
        ("computed_body_hash", HASH.upper()),
        ("computed_body_hash", HASH[:-1]),
        ("computed_body_hash", HASH + "0"),
        ("computed_body_hash", HASH + "\n"),
        ("computed_body_hash", "None"),
    ],
)
def test_a_shape_that_no_sdk_makes_is_refused_under_a_good_signature_too(
    name: str, value: str
) -> None:
    headers = {**signed(), name: value}
    with pytest.raises(errors.BadSignature):
        verify(signed_over(message_of(headers), **{name: value}))


@pytest.mark.parametrize("prefix", ["", "0X", "xx", "0x0x", " 0x"])
def test_a_good_signature_in_other_letters_is_refused(prefix: str) -> None:
    headers = signed()
    with pytest.raises(errors.BadSignature):
        verify({**headers, D + "signature": prefix + headers[D + "signature"][2:]})


def test_upper_case_hex_in_a_signature_is_fine() -> None:
    headers = signed()
    text = headers[D + "signature"]
    verify({**headers, D + "signature": "0x" + text[2:].upper()})


@given(st.integers(0, 63), st.integers(0, 7))
def test_any_flipped_bit_of_a_signature_is_refused(position: int, bit: int) -> None:
    headers = signed()
    signature = bytearray.fromhex(headers[D + "signature"][2:])
    signature[position] ^= 1 << bit
    with pytest.raises(errors.BadSignature):
        verify({**headers, D + "signature": "0x" + signature.hex()})


def message_of(headers: dict[str, str]) -> str:
    return (
        f"{NOW}.{ALICE.ss58_address}.{BOB.ss58_address}.{headers[D + 'uuid']}."
        f"{headers['computed_body_hash']}"
    )


def test_a_signature_over_the_wrapped_text_is_refused() -> None:
    message = message_of(signed())
    verify(signed_over(message))
    with pytest.raises(errors.BadSignature):
        verify(signed_over(f"<Bytes>{message}</Bytes>"))


def test_what_an_axon_can_be_made_to_sign_is_no_request() -> None:
    # WIRE.md §2.10 item 7: it signs {now}.{X}.{Y}.{its own uuid}, X and Y free.
    axon_uuid = "aaaaaaaa-2222-1333-8444-555555555555"
    message = f"{NOW}.{ALICE.ss58_address}.{BOB.ss58_address}.session.{axon_uuid}"
    headers = signed_over(message, **{D + "uuid": "session", "computed_body_hash": axon_uuid})
    with pytest.raises(errors.BadSignature):
        verify(headers)


def test_a_receiver_that_is_only_in_the_header_does_not_count() -> None:
    # Rewritten under a good signature: what was signed still names this node.
    verify({**signed(), "bt_header_axon_hotkey": CHARLIE.ss58_address})
    # The reverse: signed for Charlie, and the header rewritten to name this node.
    headers = signed(receiver=CHARLIE.ss58_address)
    headers["bt_header_axon_hotkey"] = BOB.ss58_address
    with pytest.raises(errors.BadSignature):
        verify(headers)


@pytest.mark.parametrize("named", [CHARLIE.ss58_address, "nobody"])
def test_a_misdirected_request_is_told_from_a_forgery(named: str) -> None:
    headers = signed(receiver=CHARLIE.ss58_address)
    with pytest.raises(errors.WrongReceiver):
        verify({**headers, "bt_header_axon_hotkey": named})


def test_an_axon_may_refuse_a_misdirected_request_early() -> None:
    claim = synapse_headers.parse_claim(signed())
    synapse_headers.check_receiver(claim, BOB.ss58_address)
    synapse_headers.check_receiver(claim, ss58_encode(BOB.public_key, 0))
    with pytest.raises(errors.WrongReceiver):
        synapse_headers.check_receiver(claim, CHARLIE.ss58_address)
    headers = signed()
    del headers["bt_header_axon_hotkey"]
    synapse_headers.check_receiver(synapse_headers.parse_claim(headers), CHARLIE.ss58_address)


@pytest.mark.parametrize(
    ("age_ns", "fresh"),
    [(16 * S, True), (16 * S + 1, False), (-2 * S, True), (-2 * S - 1, False)],
)
def test_both_ends_of_the_window_are_inside(age_ns: int, fresh: bool) -> None:
    if fresh:
        verify(signed(), now_ns=NOW + age_ns)
    else:
        with pytest.raises(errors.StaleRequest) as caught:
            verify(signed(), now_ns=NOW + age_ns)
        assert caught.value.clock_offset_s == pytest.approx(age_ns / 1e9, abs=0.002)


@pytest.mark.parametrize("timeout", ["12.0", "60.0", "1000000", "1e+300", "12"])
def test_no_timeout_widens_the_window(timeout: str) -> None:
    headers = {**signed(), "timeout": timeout}
    verify(headers, now_ns=NOW + 16 * S)
    with pytest.raises(errors.StaleRequest):
        verify(headers, now_ns=NOW + 16 * S + 1)


def test_a_short_timeout_narrows_the_window_and_so_does_a_setting() -> None:
    headers = {**signed(), "timeout": "1.5"}
    verify(headers, now_ns=NOW + 5 * S + S // 2)
    with pytest.raises(errors.StaleRequest):
        verify(headers, now_ns=NOW + 5 * S + S // 2 + 1)
    with pytest.raises(errors.StaleRequest):
        verify(signed(), now_ns=NOW + 10 * S + 1, max_age_s=10)


@pytest.mark.parametrize(
    "timeout",
    ["inf", "nan", "Infinity", "-inf", "-1", "1e999", "", " 1", "1_0", "٣", "9" * 99_999],
    ids=lambda text: text[:9],
)
def test_a_timeout_that_is_no_number_of_seconds_is_malformed(timeout: str) -> None:
    with pytest.raises(errors.MalformedRequest):
        verify({**signed(), "timeout": timeout})


@pytest.mark.parametrize("version", ["1", "724", "0", "-5", "x", "", None, "99999999999"])
def test_no_version_switches_the_age_check_off(version: str | None) -> None:
    headers = signed()
    del headers[D + "version"]
    if version is not None:
        headers[D + "version"] = version
    verify(headers)
    for uptime_guard in (None, UptimeGuard()):
        with pytest.raises(errors.StaleRequest):
            verify(headers, now_ns=NOW + 86_400 * S, uptime_guard=uptime_guard)


def test_sixty_four_requests_of_one_session_may_arrive_in_any_order() -> None:
    requests = [signed(nonce_ns=NOW + index) for index in range(64)]
    random.Random(4).shuffle(requests)
    guard = ReplayGuard(window_s=16)
    for headers in requests:
        verify(headers, guard=guard)
    for headers in requests:
        with pytest.raises(errors.ReplayedRequest):
            verify(headers, guard=guard)


def test_one_key_under_two_addresses_is_one_caller_and_one_nonce() -> None:
    guard = ReplayGuard(window_s=16)
    verify(signed(), guard=guard)
    alias = ss58_encode(ALICE.public_key, 0)
    message = message_of(signed()).replace(ALICE.ss58_address, alias)
    headers = signed_over(message, **{D + "hotkey": alias})
    assert verify(headers).hotkey == ALICE.ss58_address
    with pytest.raises(errors.ReplayedRequest):
        verify(headers, guard=guard)


def test_a_nonce_is_used_once_across_protocols() -> None:
    guard = ReplayGuard(window_s=16)
    options: dict[str, Any] = {"receiver": BOB.ss58_address, **REQUEST}
    native = btauth.sign(ALICE, body=b"", nonce_ns=NOW, **options)
    btauth.verify(native, b"", now_ns=NOW, guard=guard, **options)
    with pytest.raises(errors.ReplayedRequest):
        verify(signed(), guard=guard)


def test_a_bad_signature_burns_no_nonce() -> None:
    guard, uptime_guard = ReplayGuard(window_s=16), UptimeGuard()
    for nonce_ns in (NOW, UPTIME):
        with pytest.raises(errors.BadSignature):
            verify(
                {**signed(nonce_ns=nonce_ns), D + "signature": "0x" + "00" * 64},
                guard=guard,
                uptime_guard=uptime_guard,
            )
    assert len(guard) == len(uptime_guard) == 0


def test_a_guard_that_forgets_inside_the_window_is_a_config_error() -> None:
    with pytest.raises(errors.ConfigError):
        verify(signed(), guard=ReplayGuard(window_s=15))


def test_a_sender_that_hashes_nothing_is_refused_on_request() -> None:
    headers = signed(body_hash=EMPTY_BODY_HASH)
    verify(headers)
    verify(signed(), require_body_hash=True)
    with pytest.raises(errors.BodyMismatch):
        verify(headers, require_body_hash=True)


def test_nonces_that_count_uptime_need_a_memory_of_their_own() -> None:
    headers = signed(nonce_ns=UPTIME, version=synapse_headers.version_number("6.12.4"))
    with pytest.raises(errors.StaleRequest):
        verify(headers)
    guard, uptime_guard = ReplayGuard(window_s=16), UptimeGuard()
    caller = verify(headers, guard=guard, uptime_guard=uptime_guard)
    assert (caller.nonce_ns, len(guard), len(uptime_guard)) == (UPTIME, 0, 1)
    with pytest.raises(errors.ReplayedRequest):
        verify(headers, guard=guard, uptime_guard=uptime_guard)


def test_an_uptime_nonce_is_not_fresh_unless_asked_for() -> None:
    claim = synapse_headers.parse_claim(signed(nonce_ns=UPTIME))
    with pytest.raises(errors.StaleRequest):
        synapse_headers.check_fresh(claim, NOW)


def test_an_uptime_nonce_that_came_past_the_age_check_is_still_refused() -> None:
    claim = synapse_headers.parse_claim(signed(nonce_ns=UPTIME))
    synapse_headers.check_fresh(claim, NOW, allow_uptime_nonces=True)
    with pytest.raises(errors.StaleRequest):
        synapse_headers.prove(claim, receiver=BOB.ss58_address, now_ns=NOW, guard=None)


def test_a_modern_nonce_is_fresh_or_refused_whether_or_not_uptimes_are_allowed() -> None:
    uptime_guard = UptimeGuard()
    verify(signed(), uptime_guard=uptime_guard)
    assert len(uptime_guard) == 0
    for age_ns in (17 * S, -3 * S, 40 * 365 * 86_400 * S):
        with pytest.raises(errors.StaleRequest):
            verify(signed(), now_ns=NOW + age_ns, uptime_guard=uptime_guard)


FORGED = {**signed(), D + "signature": "0x" + "ab" * 64}


@given(
    st.dictionaries(
        st.sampled_from([*SIGNED_HEADERS, "timeout", "bt_header_axon_hotkey", D + "version"]),
        st.text(max_size=140) | st.integers().map(str) | st.sampled_from([*FORGED.values(), HASH]),
    ),
    st.sampled_from([FORGED, {}]),
    st.booleans(),
)
def test_any_headers_end_in_a_refusal_and_nothing_else(
    changes: dict[str, str], base: dict[str, str], uptime: bool
) -> None:
    with pytest.raises((errors.AuthError, errors.MalformedRequest)):
        verify({**base, **changes}, uptime_guard=UptimeGuard() if uptime else None)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"receiver": None}, errors.ConfigError),
        ({"receiver": "a.b"}, errors.InvalidAddress),
        ({"uuid": "a.b"}, errors.ConfigError),
        ({"uuid": ""}, errors.ConfigError),
        ({"body_hash": ""}, errors.ConfigError),
        ({"timeout": float("inf")}, errors.ConfigError),
        ({"timeout": float("nan")}, errors.ConfigError),
        ({"timeout": -1}, errors.ConfigError),
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
def test_a_key_that_old_axons_do_not_know_can_not_sign(keypair: Keypair) -> None:
    with pytest.raises(errors.WalletError):
        signed(keypair)


def test_the_receiver_is_signed_as_the_axon_itself_writes_it() -> None:
    headers = signed(receiver=ss58_encode(BOB.public_key, 0))
    assert headers["bt_header_axon_hotkey"] == BOB.ss58_address
    verify(headers)


def test_our_version_asks_modern_axons_for_their_age_check() -> None:
    assert synapse_headers.VERSION >= 7_002_000
    assert signed()[D + "version"] == str(synapse_headers.VERSION)


@pytest.mark.parametrize(
    ("text", "number"),
    [("6.0.0", 600), ("7.0.0", 700), ("7.1.2", 712), ("7.2.0", 7_002_000), ("7.3.1", 7_003_001)],
)
def test_both_schemes_of_version_numbers(text: str, number: int) -> None:
    assert synapse_headers.version_number(text) == number


@pytest.mark.parametrize("text", ["", "10.5", "10.5.0rc1", "1.2.3.4", "a.b.c", "9999.0.0", "1.2.٣"])
def test_a_version_is_three_numbers(text: str) -> None:
    with pytest.raises(errors.ConfigError):
        synapse_headers.version_number(text)
