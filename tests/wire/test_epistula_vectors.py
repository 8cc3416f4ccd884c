"""The `epistula` vectors, made by Targon's own code: both versions, accepted and refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from node import errors
from node.keys import Keypair
from node.wire import Caller, ReplayGuard, epistula

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "epistula.json").read_text())
V1, V2 = VECTORS["v1"], VECTORS["v2"]
ALICE = Keypair.from_uri("//Alice")
BOB = Keypair.from_uri("//Bob")
NOW = 1_735_689_600_123_000_000
TIMESTAMP_MS = 1_735_689_600_123
UUID = "3f333df6-90a4-4fda-8dd3-9485d27cee36"
REQUEST: dict[str, Any] = {"method": "POST", "target": "/v1/chat/completions"}


def by_name(case: dict[str, Any]) -> str:
    return str(case["name"])


def verify(headers: dict[str, str], body: bytes, **options: Any) -> Caller:
    return epistula.verify(
        headers, body, **{"receiver": BOB.ss58_address, "now_ns": NOW, **REQUEST, **options}
    )


@pytest.mark.parametrize("case", V2["positive"], ids=by_name)
def test_the_signed_text_is_the_same_to_the_byte(case: dict[str, Any]) -> None:
    payload = epistula.signed_payload(
        digest=hashlib.sha256(bytes.fromhex(case["body_hex"])).digest(),
        uuid=UUID,
        timestamp_ms=TIMESTAMP_MS,
        receiver=case["headers"].get("Epistula-Signed-For"),
    )
    assert payload.hex() == case["message_hex"]


@pytest.mark.parametrize("case", V2["positive"], ids=by_name)
def test_headers_of_the_reference_are_accepted(case: dict[str, Any]) -> None:
    bound = "Epistula-Signed-For" in case["headers"]
    caller = verify(case["headers"], bytes.fromhex(case["body_hex"]), require_receiver=bound)
    assert (caller.hotkey, caller.protocol) == (ALICE.ss58_address, "epistula")
    assert (caller.nonce_ns, caller.scheme) == (NOW, "sr25519")


@pytest.mark.parametrize("case", V2["positive"], ids=by_name)
def test_our_headers_are_those_of_the_reference(case: dict[str, Any]) -> None:
    expected = dict(case["headers"])
    receiver = expected.get("Epistula-Signed-For")
    headers = epistula.sign(
        ALICE,
        body=bytes.fromhex(case["body_hex"]),
        receiver=receiver,
        nonce_ns=NOW + 999_999,
        uuid=UUID,
        secret_signatures=receiver is not None,
        **REQUEST,
    )
    assert set(headers) == set(expected)
    for name, value in headers.items():
        if "Signature" not in name:  # those are randomised
            assert value == expected[name]


def test_secret_signatures_are_those_of_the_python_dialect() -> None:
    case = next(case for case in V2["positive"] if "secret_messages_python_variant" in case)
    headers = epistula.sign(
        ALICE, body=b"", receiver=BOB.ss58_address, nonce_ns=NOW, uuid=UUID,
        secret_signatures=True, **REQUEST,
    )  # fmt: skip
    for made in (headers, case["headers"]):
        for index, message in enumerate(case["secret_messages_python_variant"]):
            signature = bytes.fromhex(made[f"Epistula-Secret-Signature-{index}"][2:])
            ALICE.verify(message.encode(), signature)


class Verdict(NamedTuple):
    """What we say about a case: the error or None, and why that is not what the reference says."""

    error: type[errors.WireError] | None
    why: str = ""


# Where `why` is empty we say what the reference says; an exception of its own is a refusal.
V2_VERDICTS = {
    "stale_8s_exact": Verdict(None),
    "stale_8001ms": Verdict(errors.StaleRequest),
    "future_1h": Verdict(errors.StaleRequest, "a time of the future outlives any memory of it"),
    "signed_for_charlie": Verdict(errors.WrongReceiver),
    "signed_for_None": Verdict(errors.BadSignature),
    "no_signature": Verdict(errors.MissingSignature),
    "no_0x": Verdict(errors.BadSignature),
    "ts_garbage": Verdict(errors.BadSignature),
    "ts_None": Verdict(errors.MissingSignature),
    "uuid_None": Verdict(errors.MissingSignature),
    "bad_address": Verdict(errors.BadSignature),
    "unbound_message_verified_as_unbound": Verdict(None),
}


def headers_of(args: dict[str, Any]) -> dict[str, str]:
    """Return the headers from which the reference's verifier would get those arguments."""
    fields = {
        "Epistula-Version": "2",
        "Epistula-Timestamp": args["timestamp"],
        "Epistula-Uuid": args["uuid"],
        "Epistula-Signed-By": args["signed_by"],
        "Epistula-Signed-For": args["signed_for"],
        "Epistula-Request-Signature": args["signature"],
    }
    return {name: value for name, value in fields.items() if value is not None}


def run_v2(case: dict[str, Any]) -> Caller:
    args = case["args"]
    return verify(
        headers_of(args),
        bytes.fromhex(args["body"]),
        now_ns=args["now"] * 1_000_000,
        # The reference's verifier leaves it to its caller whether a request may be unbound.
        require_receiver=False,
        guard=ReplayGuard(),
    )


@pytest.mark.parametrize("case", V2["negative"], ids=by_name)
def test_v2_ends_as_the_table_says(case: dict[str, Any]) -> None:
    verdict = V2_VERDICTS[case["name"]]
    if verdict.error is None:
        assert run_v2(case).hotkey == ALICE.ss58_address
    else:
        with pytest.raises(errors.WireError) as caught:
            run_v2(case)
        assert type(caught.value) is verdict.error
    assert ((case["result"] is None) != (verdict.error is None)) == bool(verdict.why)


V1_VERDICTS = {
    "ok": Verdict(None),
    "stale_5s_exact": Verdict(None),
    "stale_5s_plus_1ns": Verdict(errors.StaleRequest),
    "future_1h": Verdict(errors.StaleRequest, "a time of the future outlives any memory of it"),
    "no_signature": Verdict(errors.MissingSignature),
    "no_0x": Verdict(errors.BadSignature),
    "replay_same_again": Verdict(errors.ReplayedRequest, "no code of the reference keeps nonces"),
}


def run_v1(case: dict[str, Any]) -> epistula.Letter:
    args = case["args"]
    headers = {} if args["signature"] is None else {"Body-Signature": args["signature"]}
    guard = ReplayGuard()
    for _ in range(2 if case["name"] == "replay_same_again" else 1):
        letter = epistula.verify_v1(
            headers,
            bytes.fromhex(args["body"]),
            receiver=BOB.ss58_address,
            now_ns=args["now"],
            guard=guard,
        )
    return letter


@pytest.mark.parametrize("case", V1["negative"], ids=by_name)
def test_v1_ends_as_the_table_says(case: dict[str, Any]) -> None:
    verdict = V1_VERDICTS[case["name"]]
    if verdict.error is None:
        assert run_v1(case).caller.hotkey == ALICE.ss58_address
    else:
        with pytest.raises(errors.WireError) as caught:
            run_v1(case)
        assert type(caught.value) is verdict.error
    assert ((case["result"] is None) != (verdict.error is None)) == bool(verdict.why)


@pytest.mark.parametrize("case", V1["positive"], ids=by_name)
def test_v1_gives_what_the_sender_said(case: dict[str, Any]) -> None:
    letter = epistula.verify_v1(
        case["headers"],
        bytes.fromhex(case["body_hex"]),
        receiver=BOB.ss58_address,
        now_ns=case["body_json"]["nonce"],
    )
    assert letter.data == case["body_json"]["data"]
    assert letter.caller.nonce_ns == case["body_json"]["nonce"]
    assert (letter.caller.hotkey, letter.caller.protocol) == (case["signer"], "epistula")


def test_the_tables_are_complete() -> None:
    assert set(V2_VERDICTS) == {case["name"] for case in V2["negative"]}
    assert set(V1_VERDICTS) == {case["name"] for case in V1["negative"]}
