from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import bittensor_core
import pytest

from node import errors
from node.keys import SCHEMES, Keypair
from node.keys.keyfile import encode_keyfile, parse_keyfile

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "keyfiles.json").read_text()
)
WRITERS = ("bittensor_11_3", "bittensor_wallet_4_1_1", "bittensor_7_4_0")
SEED = bytes(range(32))
PHRASE = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"
ALICE = Keypair.from_uri("//Alice")
BOB = Keypair.from_uri("//Bob")
ADDRESSES = {
    "alice_uri": ALICE.ss58_address,
    "public_only": ALICE.ss58_address,
    "dev_mnemonic": "5DfhGyQdFobKM8NsWvEeAKk5EQQgYe9AydgJ7rMB6E1EqRzV",
    "sr_seed": "5HB7kpn92RS7uF9uWn8bXSvPVKFPg8kPUFDd5sbveGjX6Dbi",
    "ed_seed": "5C9TqVEs5Q51zUdjvp6tSsjHAfLseJKq1Dq6ULcuSLqEuRSf",
}

# Where this reader differs from SDK 11.3 on purpose: that one takes a bare public key for a seed
# and gives an address that belongs to nobody.
DEVIATIONS = {"hex_string_only": ALICE.ss58_address}


def plain_files() -> list[Any]:
    """Every key file of the vectors as plain text, by writer."""
    found = []
    for writer in WRITERS:
        for number, file in enumerate(VECTORS[writer]["files"]):
            text = file.get("plaintext") or file["text"]
            found.append(pytest.param(file["key"], text, id=f"{writer}-{number}-{file['key']}"))
            if not file.get("encrypted") and "bytes_b64" in file:
                assert base64.b64decode(file["bytes_b64"]).decode() == text
    return found


def parse(**fields: Any) -> Keypair:
    return parse_keyfile(json.dumps(fields).encode())


@pytest.mark.parametrize(("key", "text"), plain_files())
def test_every_writers_files(key: str, text: str) -> None:
    keypair = parse_keyfile(text.encode())
    assert keypair.ss58_address == ADDRESSES[key]
    assert keypair.scheme == ("ed25519" if key == "ed_seed" else "sr25519")
    assert keypair.can_sign == (key != "public_only")
    if keypair.can_sign:
        keypair.verify(b"hello", keypair.sign(b"hello"))


@pytest.mark.parametrize("name", VECTORS["bittensor_11_3"]["read_tolerance"])
def test_read_tolerance(name: str) -> None:
    case = VECTORS["bittensor_11_3"]["read_tolerance"][name]
    if isinstance(case["result"], str):
        with pytest.raises(errors.CorruptKeyfile):
            parse_keyfile(case["text"].encode())
        return
    keypair = parse_keyfile(case["text"].encode())
    assert keypair.ss58_address == DEVIATIONS.get(name, case["result"]["ss58"])
    assert SCHEMES[1 - case["result"]["crypto_type"]] == keypair.scheme


def test_a_bare_public_key_can_not_sign() -> None:
    keypair = parse_keyfile(f"0x{ALICE.public_key.hex()}\n".encode())
    assert keypair == ALICE
    assert not keypair.can_sign


@pytest.mark.parametrize(
    "keypair",
    [
        ALICE,
        ALICE.public_half(),
        Keypair.from_mnemonic(PHRASE),
        Keypair.from_mnemonic(PHRASE, "ed25519"),
        Keypair.from_seed(SEED),
        Keypair.from_seed(SEED, "ed25519"),
        Keypair.from_uri("//Alice", "ed25519").public_half(),
    ],
    ids=str,
)
def test_what_we_write_we_and_the_sdk_read(keypair: Keypair) -> None:
    data = encode_keyfile(keypair)
    back = parse_keyfile(data)
    assert back == keypair
    assert back.can_sign == keypair.can_sign
    theirs = bittensor_core.deserialize_keypair_from_keyfile_data(data)
    assert theirs.ss58_address == keypair.ss58_address
    assert theirs.crypto_type == {"ed25519": 0, "sr25519": 1}[keypair.scheme]
    if keypair.can_sign:
        assert back.secret == keypair.secret
        keypair.verify(b"m", bytes(theirs.sign(b"m")))
        written = json.loads(bittensor_core.serialized_keypair_to_keyfile_data(theirs))
        assert json.loads(data) == written


def test_a_public_half_is_written_without_secrets() -> None:
    assert set(json.loads(encode_keyfile(ALICE.public_half()))) == {
        "accountId",
        "publicKey",
        "ss58Address",
        "cryptoType",
    }


def test_the_unreadable_seed_of_wallet_4_1_1() -> None:
    private_key = "0x" + ALICE.secret.private_key.hex()
    raw = "0x\x00\x01\ufffd"
    stored = {"secretSeed": raw, "privateKey": private_key}
    assert parse(**stored, ss58Address=ALICE.ss58_address).can_sign
    with pytest.raises(errors.CorruptKeyfile, match="does not belong"):
        parse(**stored, ss58Address=BOB.ss58_address)
    with pytest.raises(errors.CorruptKeyfile, match="secretSeed"):
        parse(**stored)  # nothing to compare the private key with
    with pytest.raises(errors.CorruptKeyfile, match="secretSeed"):
        parse(secretSeed=raw, ss58Address=ALICE.ss58_address)


def test_small_tolerances() -> None:
    hex_seed = SEED.hex()
    seeded = Keypair.from_seed(SEED)
    assert parse(secretSeed=hex_seed) == seeded
    assert parse(secretSeed="0x" + hex_seed.upper()) == seeded
    assert parse(secretSeed=hex_seed, cryptoType="0").scheme == "ed25519"
    assert parse(secretSeed=hex_seed, cryptoType=None) == seeded
    assert parse(secretSeed=hex_seed, secretPhrase="") == seeded
    assert parse(secretSeed=hex_seed, unknown={"a": 1}) == seeded
    assert parse(publicKey=ALICE.public_key.hex()) == ALICE
    assert parse(**{" ss58Address": ALICE.ss58_address}) == ALICE
    # Another prefix is the same key.
    polkadot = "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5"
    assert parse(ss58Address=polkadot, publicKey=ALICE.public_key.hex()) == ALICE
    with_mark = b"\xef\xbb\xbf" + encode_keyfile(ALICE) + b"\n"
    assert parse_keyfile(with_mark) == ALICE


@pytest.mark.parametrize(
    "fields",
    [
        {"secretSeed": SEED.hex(), "publicKey": ALICE.public_key.hex()},
        {"secretSeed": SEED.hex(), "accountId": ALICE.public_key.hex()},
        {"secretSeed": SEED.hex(), "ss58Address": ALICE.ss58_address},
        {"privateKey": ALICE.secret.private_key.hex(), "ss58Address": BOB.ss58_address},
        {"publicKey": ALICE.public_key.hex(), "ss58Address": BOB.ss58_address},
        {"publicKey": ALICE.public_key.hex(), "accountId": BOB.public_key.hex()},
        # The scheme is part of what the address vouches for.
        {"secretSeed": SEED.hex(), "cryptoType": 1, "ss58Address": ADDRESSES["ed_seed"]},
        {"secretSeed": SEED.hex(), "cryptoType": 0, "ss58Address": ADDRESSES["sr_seed"]},
    ],
)
def test_a_file_that_contradicts_itself(fields: dict[str, Any]) -> None:
    with pytest.raises(errors.CorruptKeyfile):
        parse(**fields)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe\x00",
        b"hello",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"5",
        b"[" * 100_000,
        b"{}",
        b'{"cryptoType": 1}',
        b'{"cryptoType": 2, "ss58Address": "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"}',
        b'{"cryptoType": true, "ss58Address": "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"}',
        b'{"secretSeed": 5}',
        b'{"secretSeed": "0x00"}',
        b'{"secretPhrase": ["a"]}',
        b'{"secretPhrase": "not a phrase"}',
        b'{"privateKey": "0x00"}',
        b'{"privateKey": "zz"}',
        b'{"publicKey": "0x00"}',
        b'{"ss58Address": 5}',
        b'{"ss58Address": "5Grw"}',
        b'{"encoded": "x", "encoding": {}, "address": "y"}',
        b"0x1234",
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_no_key_file(data: bytes) -> None:
    with pytest.raises(errors.CorruptKeyfile) as caught:
        parse_keyfile(data)
    assert len(str(caught.value)) < 120


def test_errors_quote_nothing_of_the_file() -> None:
    secrets = [SEED.hex(), PHRASE, ALICE.secret.private_key.hex()]
    for data in (
        {"secretPhrase": PHRASE + " walk"},
        {"secretSeed": SEED.hex() + "00"},
        {"privateKey": ALICE.secret.private_key.hex(), "ss58Address": BOB.ss58_address},
        {"secretPhrase": PHRASE, "ss58Address": BOB.ss58_address},
    ):
        with pytest.raises(errors.CorruptKeyfile) as caught:
            parse(**data)
        assert not any(secret in str(caught.value) for secret in secrets)
        assert caught.value.__cause__ is None


def test_a_missing_package_is_not_a_corrupt_file(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_keyfile(Keypair.from_seed(SEED))
    monkeypatch.setitem(__import__("sys").modules, "bittensor_core", None)
    with pytest.raises(errors.WalletError, match="bittensor-core") as caught:
        parse_keyfile(data)
    assert not isinstance(caught.value, errors.CorruptKeyfile)
