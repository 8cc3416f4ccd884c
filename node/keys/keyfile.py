"""The plain text of a key file: one JSON object, read from any Bittensor writer (WIRE.md §6).

Rules of this file:

1. No I/O and no password: bytes to `Keypair` and back.
2. Whatever the file says of its own address is checked against the key that it holds. A file
   that contradicts itself is refused; guessing would sign as somebody else.
3. No text of an error holds anything from the file but field names.
"""

from __future__ import annotations

import json
import re
from typing import Any

from node import errors

from .keypair import Keypair
from .ss58 import KEY_BYTES, ss58_decode

__all__ = ["encode_keyfile", "parse_keyfile"]

_SCHEME_OF_TYPE = {"0": "ed25519", "1": "sr25519"}
_TYPE_OF_SCHEME = {"ed25519": 0, "sr25519": 1}
_BARE_PUBLIC_KEY = re.compile(r"0x[0-9a-fA-F]{64}")
_HEX = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2})+)")
_POLKADOT_FIELDS = {"encoded", "encoding"}


def parse_keyfile(data: bytes) -> Keypair:
    """The keypair in the plain text of a key file.

    The phrase counts before the seed, that before the private key, and without any of them the
    address or public key gives a keypair that can't sign. A missing `cryptoType` means sr25519,
    nulls count as missing. A bare `0x` + 64 hex digits, the oldest form of `coldkeypub.txt`, is
    an sr25519 public key. A seed that can't be read (bittensor_wallet 4.1.1 wrote raw bytes
    there) is passed over when the private key agrees with the stored address.

    Raises:
        CorruptKeyfile: Not such a file, or one that contradicts itself. The text is a clause
            without the file's name, which the caller knows.
        WalletError: The key needs `bittensor_core`, which is not installed.
    """
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise errors.CorruptKeyfile("it is not text") from None
    if _BARE_PUBLIC_KEY.fullmatch(text):
        return Keypair(bytes.fromhex(text[2:]))
    record = _parse_record(text)
    scheme = _parse_scheme(record)
    stored = _stored_public_key(record)
    try:
        keypair = _derive(record, scheme, stored)
    except errors.InvalidSecret as error:
        raise errors.CorruptKeyfile(str(error)) from None
    if stored is not None and keypair.public_key != stored:
        raise errors.CorruptKeyfile(
            "its address does not belong to the key that it holds (or its cryptoType is wrong)"
        )
    return keypair


def encode_keyfile(keypair: Keypair) -> bytes:
    """The plain text of a key file, as SDK 7.4, 10 and 11 read it.

    Fields that are not known are left out, not null. A keypair that can't sign gives the text
    of a `coldkeypub.txt`.
    """
    public_key = "0x" + keypair.public_key.hex()
    record: dict[str, Any] = {"accountId": public_key, "publicKey": public_key}
    if keypair.can_sign:
        secret = keypair.secret
        record["privateKey"] = "0x" + secret.private_key.hex()
        if secret.phrase is not None:
            record["secretPhrase"] = secret.phrase
        if secret.seed is not None:
            record["secretSeed"] = "0x" + secret.seed.hex()
    record["ss58Address"] = keypair.ss58_address
    record["cryptoType"] = _TYPE_OF_SCHEME[keypair.scheme]
    return json.dumps(record).encode()


def _parse_record(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        raise errors.CorruptKeyfile("it is not JSON") from None
    if not isinstance(parsed, dict):
        raise errors.CorruptKeyfile("it is not a JSON object")
    if parsed.keys() >= _POLKADOT_FIELDS:
        raise errors.CorruptKeyfile(
            "it is a polkadot.js export, which is another format; export the phrase instead"
        )
    # Some old writers put a space before `ss58Address`.
    return {name.strip(): value for name, value in parsed.items() if value not in (None, "")}


def _parse_scheme(record: dict[str, Any]) -> str:
    # Some writers made a numeric text of it.
    crypto_type = str(record.get("cryptoType", 1)).strip()
    scheme = _SCHEME_OF_TYPE.get(crypto_type)
    if scheme is None:
        raise errors.CorruptKeyfile("its cryptoType is neither 0 (ed25519) nor 1 (sr25519)")
    return scheme


def _stored_public_key(record: dict[str, Any]) -> bytes | None:
    """The one public key that all public fields of the file agree on."""
    keys = set()
    for name in ("accountId", "publicKey"):
        if name in record:
            key = _parse_hex(record[name])
            if key is None or len(key) != KEY_BYTES:
                raise errors.CorruptKeyfile(f"its {name} is not a public key")
            keys.add(key)
    if "ss58Address" in record:
        try:
            keys.add(ss58_decode(record["ss58Address"]))
        except errors.InvalidAddress:
            raise errors.CorruptKeyfile("its ss58Address is not an address") from None
    if len(keys) > 1:
        raise errors.CorruptKeyfile("its ss58Address and publicKey are of different keys")
    return keys.pop() if keys else None


def _derive(record: dict[str, Any], scheme: str, stored: bytes | None) -> Keypair:
    private_key = _parse_hex(record.get("privateKey"))
    if "secretPhrase" in record:
        if not isinstance(record["secretPhrase"], str):
            raise errors.CorruptKeyfile("its secretPhrase is not text")
        return Keypair.from_mnemonic(record["secretPhrase"], scheme)
    if "secretSeed" in record:
        seed = _parse_hex(record["secretSeed"])
        if seed is not None:
            return Keypair.from_seed(seed, scheme)
        if private_key is None or stored is None:
            raise errors.CorruptKeyfile("its secretSeed is not hex")
    if "privateKey" in record:
        if private_key is None:
            raise errors.CorruptKeyfile("its privateKey is not hex")
        return Keypair.from_private_key(private_key, scheme)
    if stored is not None:
        return Keypair(stored, scheme)
    raise errors.CorruptKeyfile("it holds no phrase, seed, private key or address")


def _parse_hex(value: object) -> bytes | None:
    match = _HEX.fullmatch(value) if isinstance(value, str) else None
    return bytes.fromhex(match[1]) if match else None
