from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from node.network.record import Record, SealedRecord, parse_endpoint, seal_record, serve_payload
from node.network.verified import VerifiedRecords

from .conftest import key, peer_of

ALICE = key("Alice")


def sealed(port: int) -> SealedRecord:
    payload = serve_payload(peer_of(ALICE, port))
    return seal_record(ALICE, kind="serve", netuid=8, issued_ns=1, payload=payload)


def read(cache: VerifiedRecords, record: SealedRecord, netuid: int = 8) -> object:
    return cache.read(
        parse_endpoint, record, kind="serve", netuid=netuid, public_key=ALICE.public_key
    )


def test_one_record_is_checked_once() -> None:
    calls: list[Record] = []

    def parse(record: Record) -> int:
        calls.append(record)
        return 7

    cache, record = VerifiedRecords(), sealed(1)
    for _ in range(3):
        got = cache.read(parse, record, kind="serve", netuid=8, public_key=ALICE.public_key)
        assert got == 7
    assert len(calls) == 1
    assert repr(cache) == "<VerifiedRecords 1 of 16384>"


def test_the_place_is_part_of_what_is_remembered() -> None:
    cache, record = VerifiedRecords(), sealed(1)
    assert read(cache, record) == peer_of(ALICE, 1)
    assert read(cache, record, netuid=9) is None
    assert read(cache, replace(record, signature=bytes(64))) is None
    assert read(cache, record) == peer_of(ALICE, 1)


def test_a_bad_record_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    cache, bad = VerifiedRecords(), replace(sealed(1), signature=bytes(64))
    with caplog.at_level(logging.WARNING, logger="node.network"):
        assert read(cache, bad) is None
        assert read(cache, bad) is None
    (warning,) = caplog.records
    assert warning.getMessage() == (
        f"netuid 8: the serve record of {ALICE.ss58_address} is left out: "
        "its signature is not valid"
    )


def test_memory_is_bounded() -> None:
    cache = VerifiedRecords(max_entries=3)
    for port in range(10):
        assert read(cache, sealed(port)) == peer_of(ALICE, port)
        assert len(cache) <= 3
