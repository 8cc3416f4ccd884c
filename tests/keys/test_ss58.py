from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import errors
from node.keys import normalise_address, ss58_decode, ss58_encode
from node.keys import ss58 as module

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "ss58.json").read_text()
)
ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
ALICE_KEY = bytes.fromhex("d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d")


def address_of(prefix_bytes: bytes, key: bytes, checksum: bytes | None = None) -> str:
    """An address with a right checksum of whatever is put in, well-formed or not."""
    payload = prefix_bytes + key
    good = hashlib.blake2b(b"SS58PRE" + payload).digest()[:2]
    return module._base58_encode(payload + (good if checksum is None else checksum))


@pytest.mark.parametrize("case", VECTORS["encode"], ids=lambda c: f"{c['name']}-{c['prefix']}")
def test_encode_vectors_both_ways(case: dict[str, Any]) -> None:
    key = bytes.fromhex(case["pubkey_hex"])
    assert ss58_encode(key, case["prefix"]) == case["address"]
    assert ss58_decode(case["address"]) == key
    assert normalise_address(case["address"]) == ss58_encode(key, 42)


@pytest.mark.parametrize("case", VECTORS["decode_cases"], ids=lambda c: c["name"])
def test_decode_vectors(case: dict[str, Any]) -> None:
    if not case["ss58_decode"].startswith("ValueError"):
        assert ss58_decode(case["address"]).hex() == case["ss58_decode"]
        return
    with pytest.raises(errors.InvalidAddress):
        ss58_decode(case["address"])


@given(key=st.binary(min_size=32, max_size=32), prefix=st.integers(0, 16383))
def test_every_key_and_prefix_comes_back(key: bytes, prefix: int) -> None:
    address = ss58_encode(key, prefix)
    assert ss58_decode(address) == key
    assert normalise_address(address) == ss58_encode(key)


@given(key=st.binary(min_size=32, max_size=32), at=st.integers(0, 46), data=st.data())
def test_one_changed_letter_never_gives_another_key(key: bytes, at: int, data: Any) -> None:
    address = ss58_encode(key)
    letter = data.draw(st.sampled_from(sorted(set(module._ALPHABET) - {address[at]})))
    changed = address[:at] + letter + address[at + 1 :]
    try:
        decoded = ss58_decode(changed)
    except errors.InvalidAddress:
        return
    # Two bytes of checksum let one in 65536 through; it must at least be what it says.
    assert normalise_address(changed) == ss58_encode(decoded)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        # Prefix 42 spelt in two bytes: one key and prefix would have two texts.
        (address_of(bytes([0x40 | 42 >> 2, (42 & 3) << 6]), ALICE_KEY), "canonical"),
        (address_of(bytes([0x40 | 63 >> 2, (63 & 3) << 6]), ALICE_KEY), "canonical"),
        (address_of(bytes([128]), ALICE_KEY), "prefix is unknown"),
        (address_of(bytes([255]), ALICE_KEY), "prefix is unknown"),
        (address_of(b"\x2a", ALICE_KEY[:31]), "length"),
        (address_of(b"\x2a", ALICE_KEY + b"\0"), "length"),
        (address_of(b"\x2a", b""), "length"),
        (address_of(b"\x2a", ALICE_KEY, b"\0\0"), "checksum"),
        ("1", "length"),
        (ALICE + " ", "base58"),
        (ALICE + "\n", "base58"),
        (ALICE.replace("5", "0", 1), "base58"),
        ("é" * 48, "base58"),
        ("1" * 51, "length"),
        # Found too long before a letter of it is looked at.
        ("0" * 51, "length"),
    ],
)
def test_what_is_no_address(address: str, reason: str) -> None:
    with pytest.raises(errors.InvalidAddress, match=reason):
        ss58_decode(address)


@pytest.mark.parametrize("value", [None, 42, ALICE.encode(), ["5"]])
def test_what_is_not_text(value: Any) -> None:
    with pytest.raises(errors.InvalidAddress, match="text"):
        ss58_decode(value)


def test_the_error_names_the_address_and_cuts_it() -> None:
    with pytest.raises(errors.InvalidAddress) as short:
        ss58_decode("5Grw\x1b[31m")
    assert "'5Grw\\x1b[31m'" in str(short.value)
    with pytest.raises(errors.InvalidAddress) as long:
        ss58_decode("x" * 1_000_000)
    assert len(str(long.value)) < 150


@pytest.mark.parametrize("key", [b"", ALICE_KEY[:31], ALICE_KEY + b"\0", ALICE_KEY.hex(), None])
def test_only_32_bytes_have_an_address(key: Any) -> None:
    with pytest.raises(errors.InvalidAddress):
        ss58_encode(key)


@pytest.mark.parametrize("prefix", [-1, 16384])
def test_prefix_range(prefix: int) -> None:
    with pytest.raises(errors.InvalidAddress, match="prefix"):
        ss58_encode(ALICE_KEY, prefix)


def test_bad_addresses_are_not_remembered() -> None:
    module._decode.cache_clear()
    for number in range(50):
        with pytest.raises(errors.InvalidAddress):
            ss58_decode(f"bad{number}")
    assert module._decode.cache_info().currsize == 0
    assert module._decode.cache_info().maxsize is not None
    assert module._encode.cache_info().maxsize is not None
