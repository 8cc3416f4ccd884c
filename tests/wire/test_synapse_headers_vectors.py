"""The `synapse` vectors: what real SDKs signed, and what their axons said beside what we say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from node import errors
from node.keys import Keypair
from node.wire import Caller, ReplayGuard, synapse_headers

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "synapse.json").read_text())
SHAPES = VECTORS["shapes"]
SIGNED = [*SHAPES, *VECTORS["same_request_from_other_sdks"].values()]
CASES = {case["name"]: case for case in VECTORS["axon_verify_cases"]}
RESULTS = VECTORS["axon_verify_results_by_sdk"]
ALICE = Keypair.from_uri("//Alice")
BOB = Keypair.from_uri("//Bob")
NOW = 1_735_689_600_123_456_789
UUID = "11111111-2222-1333-8444-555555555555"


def verify(headers: dict[str, str], now_ns: int, **options: Any) -> Caller:
    return synapse_headers.verify(
        headers,
        b"",
        method="POST",
        target="/Any",
        receiver=BOB.ss58_address,
        now_ns=now_ns,
        **{"guard": ReplayGuard(window_s=16), **options},
    )


@pytest.mark.parametrize("case", SIGNED, ids=lambda case: case["name"])
def test_the_signed_text_is_the_same_to_the_byte(case: dict[str, Any]) -> None:
    payload = synapse_headers.signed_payload(
        nonce_ns=NOW,
        sender=ALICE.ss58_address,
        receiver=BOB.ss58_address,
        uuid=UUID,
        body_hash=case["body_hash"],
    )
    assert payload.decode() == case["message"]


@pytest.mark.parametrize("case", SIGNED, ids=lambda case: case["name"])
def test_headers_of_real_dendrites_are_accepted(case: dict[str, Any]) -> None:
    caller = verify(case["headers"], NOW + 1)
    assert (caller.hotkey, caller.protocol) == (ALICE.ss58_address, "synapse")
    assert (caller.nonce_ns, caller.scheme) == (NOW, "sr25519")
    claim = synapse_headers.parse_claim(case["headers"])
    assert claim.body_hash == case["body_hash"]


@pytest.mark.parametrize("case", SHAPES, ids=lambda case: case["name"])
def test_our_headers_are_those_of_sdk_10(case: dict[str, Any]) -> None:
    expected = dict(case["headers"])
    inputs = {
        name: tuple(value) if case["name"] == "tuple_field" else value
        for name, value in case["values_json"].items()
        if "bt_header_input_obj_" + name in expected
    }
    headers = synapse_headers.sign(
        ALICE,
        method="POST",
        target="/" + case["class_name"],
        body=b"",
        receiver=BOB.ss58_address,
        nonce_ns=NOW,
        name=case["class_name"],
        timeout=12,
        uuid=UUID,
        body_hash=case["body_hash"],
        inputs=inputs,
        axon_ip="192.0.2.7",
        axon_port=8091,
        dendrite_ip="127.0.0.2",
    )
    signature = headers.pop("bt_header_dendrite_signature")
    assert len(signature) == len(expected.pop("bt_header_dendrite_signature"))
    assert headers == expected
    verify({**headers, "bt_header_dendrite_signature": signature}, NOW)


@pytest.mark.parametrize("text", VECTORS["version_ints"])
def test_version_numbers(text: str) -> None:
    assert synapse_headers.version_number(text) == VECTORS["version_ints"][text]


class Verdict(NamedTuple):
    """What we say about a case: the error or None, and why that is not what 10.5.0 says."""

    error: type[errors.AuthError] | None
    why: str = ""


# Where `why` is empty we say what 10.5.0 says. Elsewhere it is a weakness of WIRE.md §2.10.
VERDICTS = {
    "ok": Verdict(None),
    "replay_second_call": Verdict(errors.ReplayedRequest),
    "tampered_body": Verdict(errors.BodyMismatch),
    "tampered_body_hash_header": Verdict(errors.BadSignature),
    "receiver_header_rewritten_only": Verdict(None),
    "wrong_signer": Verdict(errors.BadSignature),
    "stale_16s_exact": Verdict(None),
    "stale_16s_minus_1ns": Verdict(None),
    "stale_16s_minus_1us": Verdict(None),
    "stale_17s": Verdict(errors.StaleRequest),
    "stale_17s_but_timeout_header_60": Verdict(
        errors.StaleRequest, "2: the timeout is not signed, so it never widens the window"
    ),
    "stale_1day_version_header_1": Verdict(
        errors.StaleRequest, "1: the version is not signed, so it switches off nothing"
    ),
    "future_1h": Verdict(
        errors.StaleRequest, "10: a nonce of the future outlives any memory of it"
    ),
    "missing_signature": Verdict(errors.MissingSignature),
    "zero_signature": Verdict(errors.BadSignature),
    "missing_nonce": Verdict(errors.MissingSignature),
    "missing_hotkey": Verdict(errors.MissingSignature),
    "bad_hotkey_checksum": Verdict(errors.BadSignature),
    "ss58_prefix0_alias": Verdict(None),
}


def run(case: dict[str, Any]) -> Caller:
    """Do what an axon does with the case: verify as often as it says, then check the body."""
    guard = ReplayGuard(window_s=16)
    for _ in range(case["times"]):
        caller = verify(case["headers"], case["now_ns"], guard=guard)
    claim = synapse_headers.parse_claim(case["headers"])
    synapse_headers.check_body_hash(claim.body_hash, [case["body"]["text"]])
    return caller


@pytest.mark.parametrize("name", CASES)
def test_a_request_that_an_axon_was_sent_ends_as_the_table_says(name: str) -> None:
    verdict = VERDICTS[name]
    if verdict.error is None:
        # Also when the address is spelt with another prefix: it is one caller.
        assert run(CASES[name]).hotkey == ALICE.ss58_address
    else:
        with pytest.raises(errors.AuthError) as caught:
            run(CASES[name])
        assert type(caught.value) is verdict.error


@pytest.mark.parametrize("name", CASES)
def test_the_table_differs_from_the_sdk_only_where_it_says_why(name: str) -> None:
    verdict = VERDICTS[name]
    theirs_accepts = RESULTS["10.5.0"][name]["stage"] == "verified"
    assert (theirs_accepts != (verdict.error is None)) == bool(verdict.why)
    # And where it differs, then by being stricter.
    assert theirs_accepts or verdict.error is not None


def test_the_table_is_complete() -> None:
    assert set(VERDICTS) == set(CASES) == set(RESULTS["10.5.0"])
