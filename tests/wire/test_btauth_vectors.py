"""Every `btauth1` vector, made by bittensor 11.3.0: signing, the accepted and the refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from node import errors
from node.keys import Keypair, normalise_address
from node.wire import Caller, ReplayGuard, btauth

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "btauth.json").read_text())
POSITIVE = VECTORS["btauth1"]["positive"]
NEGATIVE = VECTORS["btauth1"]["negative"]

# The reference says MalformedAuth for two things that are told apart here: nobody signed, and
# somebody signed wrongly. Both are 401.
SAME_FAULT: dict[str, tuple[type[errors.AuthError], ...]] = {
    "MalformedAuth": (errors.MissingSignature, errors.BadSignature),
    "BadSignature": (errors.BadSignature,),
    "WrongReceiver": (errors.WrongReceiver,),
    "StaleRequest": (errors.StaleRequest,),
    "ReplayedRequest": (errors.ReplayedRequest,),
}


def keypair_of(case: dict[str, Any]) -> Keypair:
    if case["scheme"] == "ed25519":
        return Keypair.from_seed(bytes(range(32)), scheme="ed25519")
    return Keypair.from_uri("//Alice")


def by_name(case: dict[str, Any]) -> str:
    return str(case["name"])


@pytest.mark.parametrize("case", POSITIVE, ids=by_name)
def test_the_signed_payload_is_the_same_to_the_byte(case: dict[str, Any]) -> None:
    payload = btauth.signed_payload(
        scheme=case["scheme"],
        method=case["method"],
        target=case["path"],
        digest=hashlib.sha256(bytes.fromhex(case["body_hex"])).digest(),
        nonce_ns=case["nonce_ns"],
        sender=keypair_of(case).ss58_address,
        receiver=case["receiver"],
    )
    assert payload.hex() == case["payload_hex"]


@pytest.mark.parametrize("case", POSITIVE, ids=by_name)
def test_headers_of_the_reference_are_accepted(case: dict[str, Any]) -> None:
    caller = btauth.verify(
        case["headers"],
        bytes.fromhex(case["body_hex"]),
        method=case["method"],
        target=case["path"],
        receiver=case["receiver"] or Keypair.from_uri("//Bob").ss58_address,
        now_ns=case["verify_now_ns"],
        guard=ReplayGuard(),
        require_receiver=case["receiver"] is not None,
    )
    assert caller.hotkey == case["caller"]["hotkey"]
    assert caller.nonce_ns == case["caller"]["nonce_ns"]
    assert caller.scheme == case["scheme"]
    assert caller.protocol == "btauth"


@pytest.mark.parametrize("case", POSITIVE, ids=by_name)
def test_our_headers_are_those_of_the_reference(case: dict[str, Any]) -> None:
    headers = btauth.sign(
        keypair_of(case),
        method=case["method"],
        target=case["path"],
        body=bytes.fromhex(case["body_hex"]),
        receiver=case["receiver"],
        nonce_ns=case["nonce_ns"],
    )
    expected = dict(case["headers"])
    if case["scheme"] == "sr25519":  # randomised, so only its shape can be compared
        assert len(headers.pop("X-Bittensor-Signature")) == len(
            expected.pop("X-Bittensor-Signature")
        )
    assert headers == expected


def verify_times(case: dict[str, Any], guard: ReplayGuard) -> Caller:
    for _ in range(case["times"]):
        caller = btauth.verify(
            case["headers"],
            bytes.fromhex(case["body_hex"]),
            method=case["method"],
            target=case["path"],
            receiver=case["self_hotkey"],
            now_ns=case["now_ns"],
            guard=guard,
            **case["verify_kwargs"],
        )
    return caller


def prepared_guard(case: dict[str, Any]) -> ReplayGuard:
    """Return the memory as it was when the reference ran the case."""
    guard = ReplayGuard()
    if case["name"] == "different_request_same_nonce_same_sender":
        verify_times(next(case for case in NEGATIVE if case["name"] == "then_good_still_ok"), guard)
    return guard


@pytest.mark.parametrize("case", NEGATIVE, ids=by_name)
def test_edge_cases_end_as_they_do_with_the_reference(case: dict[str, Any]) -> None:
    expected = case["result_of_last_call"]
    guard = prepared_guard(case)
    if expected["ok"]:
        caller = verify_times(case, guard)
        assert caller.hotkey == normalise_address(expected["hotkey"])
        assert caller.nonce_ns == expected["nonce_ns"]
    else:
        with pytest.raises(SAME_FAULT[expected["error_class"]]):
            verify_times(case, guard)
