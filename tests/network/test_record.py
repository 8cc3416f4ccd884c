from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import Peer, errors
from node.network.record import (
    DOMAIN_LINE,
    MAX_RECORD_BYTES,
    MAX_UIDS,
    Record,
    SealedRecord,
    expiry_ns,
    open_record,
    parse_endpoint,
    parse_record,
    parse_registration,
    parse_weights,
    seal_record,
    serve_payload,
    weights_payload,
)

from .conftest import START_NS, key, peer_of

ALICE, BOB = key("Alice"), key("Bob")


def sealed(
    kind: str = "serve", netuid: int = 8, scheme: str = "sr25519", **payload: Any
) -> SealedRecord:
    return seal_record(
        key("Alice", scheme), kind=kind, netuid=netuid, issued_ns=START_NS, payload=payload
    )


def signed(message: bytes) -> SealedRecord:
    return SealedRecord(message, "sr25519", ALICE.sign(message))


def message_of(**changes: Any) -> bytes:
    fields = {
        "kind": "serve",
        "netuid": 8,
        "hotkey": ALICE.ss58_address,
        "issued_ns": 5,
        "payload": {},
        "registry": 0,
        "expires_ns": 0,
        **changes,
    }
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return DOMAIN_LINE + text.encode()


def record(kind: str, payload: Any) -> Record:
    return Record(kind, 8, ALICE.ss58_address, START_NS, payload)


class TestSealAndOpen:
    @pytest.mark.parametrize("scheme", ["sr25519", "ed25519"])
    def test_what_was_sealed_opens(self, scheme: str) -> None:
        signer = key("Alice", scheme)
        opened = open_record(
            sealed(scheme=scheme, ip="é"), kind="serve", netuid=8, public_key=signer.public_key
        )
        assert opened == Record("serve", 8, signer.ss58_address, START_NS, {"ip": "é"})

    def test_the_bytes_are_these(self) -> None:
        assert sealed(b=1, a="é").message == (
            b'ganglion/record/2\n{"expires_ns":0,"hotkey":"' + ALICE.ss58_address.encode() + b'",'
            b'"issued_ns":1700000000000000000,"kind":"serve","netuid":8,'
            b'"payload":{"a":"\\u00e9","b":1},"registry":0}'
        )

    def test_every_changed_byte_is_refused(self) -> None:
        good = sealed()
        for position in range(len(good.message)):
            message = bytearray(good.message)
            message[position] ^= 1
            bad = SealedRecord(bytes(message), good.scheme, good.signature)
            with pytest.raises(errors.NetworkError, match="signature"):
                open_record(bad, kind="serve", netuid=8, public_key=ALICE.public_key)

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"kind": "weights"}, "serve record"),
            ({"netuid": 9}, "netuid 8"),
            ({"public_key": BOB.public_key}, "signature"),
        ],
    )
    def test_stored_in_another_place(self, changes: dict[str, Any], reason: str) -> None:
        place: Any = {"kind": "serve", "netuid": 8, "public_key": ALICE.public_key, **changes}
        with pytest.raises(errors.NetworkError, match=reason):
            open_record(sealed(), **place)

    def test_signed_for_another_registry(self) -> None:
        payload: dict[str, Any] = {"coldkey": ""}
        here = seal_record(
            ALICE, kind="register", netuid=8, issued_ns=1, payload=payload, registry=7
        )
        place: Any = {"kind": "register", "netuid": 8, "public_key": ALICE.public_key}
        assert open_record(here, **place, registry=7).registry == 7
        for other in (0, 8):
            with pytest.raises(errors.NetworkError, match="another registry"):
                open_record(here, **place, registry=other)

    def test_expiry(self) -> None:
        at = expiry_ns(START_NS, 1.5)
        assert at == START_NS + 1_500_000_000
        mortal = replace(record("serve", {}), expires_ns=at)
        assert [mortal.is_expired(now) for now in (at - 1, at, at + 1)] == [False, True, True]
        assert not replace(mortal, expires_ns=expiry_ns(START_NS, None)).is_expired(2**62)

    @pytest.mark.parametrize("ttl_s", [0, -1, float("nan"), float("inf")])
    def test_a_ttl_that_is_none(self, ttl_s: float) -> None:
        with pytest.raises(errors.ConfigError, match="ttl_s"):
            expiry_ns(START_NS, ttl_s)

    def test_signed_by_one_hotkey_about_another(self) -> None:
        about_bob = signed(message_of(hotkey=BOB.ss58_address))
        with pytest.raises(errors.NetworkError, match="another hotkey"):
            open_record(about_bob, kind="serve", netuid=8, public_key=ALICE.public_key)

    def test_other_scheme_is_refused(self) -> None:
        good = sealed()
        for scheme in ("ed25519", "SR25519", ""):
            bad = SealedRecord(good.message, scheme, good.signature)
            with pytest.raises(errors.NetworkError, match="signature"):
                open_record(bad, kind="serve", netuid=8, public_key=ALICE.public_key)

    def test_too_long(self) -> None:
        with pytest.raises(errors.NetworkError, match="over"):
            sealed(x="y" * MAX_RECORD_BYTES)
        with pytest.raises(errors.NetworkError, match="over"):
            open_record(
                signed(b"x" * (MAX_RECORD_BYTES + 1)),
                kind="serve",
                netuid=8,
                public_key=ALICE.public_key,
            )

    def test_the_largest_judgement_fits(self) -> None:
        payload = weights_payload(range(MAX_UIDS), [1 / 3 / MAX_UIDS] * MAX_UIDS)
        seal_record(ALICE, kind="weights", netuid=8, issued_ns=START_NS, payload=payload)


class TestParse:
    def test_good(self) -> None:
        assert parse_record(message_of()).issued_ns == 5

    @pytest.mark.parametrize(
        ("message", "reason"),
        [
            (b"", "version"),
            (message_of().replace(b"record/2", b"record/1"), "version"),
            (message_of().removeprefix(DOMAIN_LINE), "version"),
            (DOMAIN_LINE, "not JSON"),
            (DOMAIN_LINE + b"\xff", "not JSON"),
            (DOMAIN_LINE + b"[" * 100_000, "not JSON"),
            (DOMAIN_LINE + b"[]", "fields"),
            (message_of(extra=1), "fields"),
            (message_of(kind="other"), "fields"),
            (message_of(kind=[]), "fields"),
            (message_of(netuid=True), "fields"),
            (message_of(netuid=-1), "fields"),
            (message_of(netuid=2**16), "fields"),
            (message_of(netuid="8"), "fields"),
            (message_of(hotkey=None), "fields"),
            (message_of(issued_ns=-1), "fields"),
            (message_of(issued_ns=2**63), "fields"),
            (message_of(issued_ns=1.5), "fields"),
            (message_of(expires_ns=-1), "fields"),
            (message_of(registry=True), "fields"),
            (message_of(payload=[]), "fields"),
            (message_of() + b" ", "canonical"),
            (message_of().replace(b'"netuid":8', b'"netuid":8,"netuid":8'), "canonical"),
            (message_of().replace(b":5,", b": 5,"), "canonical"),
            (message_of(payload={"x": float("nan")}), "canonical"),
            (message_of(payload={"x": float("inf")}), "canonical"),
        ],
    )
    def test_bad(self, message: bytes, reason: str) -> None:
        with pytest.raises(errors.NetworkError, match=reason):
            parse_record(message)

    @given(st.binary())
    def test_any_bytes_are_refused_cleanly(self, tail: bytes) -> None:
        for message in (tail, DOMAIN_LINE + tail):
            with pytest.raises(errors.NetworkError):
                parse_record(message)


class TestPayloads:
    def test_registration(self) -> None:
        assert parse_registration(record("register", {"coldkey": ""})) == ""
        coldkey = BOB.ss58_address
        assert parse_registration(record("register", {"coldkey": coldkey})) == coldkey

    @pytest.mark.parametrize(
        "payload", [{}, {"coldkey": 1}, {"coldkey": "x"}, {"coldkey": "", "a": 1}]
    )
    def test_bad_registration(self, payload: Any) -> None:
        with pytest.raises(errors.NetworkError, match=r"registration|address"):
            parse_registration(record("register", payload))

    def test_endpoint(self) -> None:
        peer = Peer(ALICE.ss58_address, "::1", 5, protocols=("epistula",), version=3)
        assert parse_endpoint(record("serve", serve_payload(peer))) == peer

    @pytest.mark.parametrize(
        "changes",
        [{"port": 99999}, {"ip": ""}, {"protocols": [[]]}, {"hotkey": "x"}, {"version": None}],
    )
    def test_bad_endpoint(self, changes: dict[str, Any]) -> None:
        payload = {**serve_payload(peer_of(ALICE)), **changes}
        with pytest.raises(errors.NetworkError, match="endpoint"):
            parse_endpoint(record("serve", payload))

    def test_weights(self) -> None:
        judged = parse_weights(record("weights", weights_payload([3, 1], [0.25, 0.75])))
        assert (judged.uids, judged.weights) == ((3, 1), (0.25, 0.75))

    @pytest.mark.parametrize(
        ("uids", "weights", "reason"),
        [
            ([0], [0.5], "sum"),
            ([], [], "sum"),
            ([0, 1], [1.0], "match"),
            ([0, 0], [0.5, 0.5], "match"),
            ([-1], [1.0], "uids"),
            ([MAX_UIDS], [1.0], "uids"),
            ([True], [1.0], "uids"),
            ([[]], [1.0], "uids"),
            ([0, 1], [1.5, -0.5], "weights"),
            ([0], [float("nan")], "weights"),
            ([0], [1], "weights"),
            ([0], ["1"], "weights"),
            ({}, [1.0], "list of uids"),
            ([0], None, "list of weights"),
        ],
    )
    def test_bad_weights(self, uids: Any, weights: Any, reason: str) -> None:
        with pytest.raises(errors.NetworkError, match=reason):
            parse_weights(record("weights", {"uids": uids, "weights": weights}))
