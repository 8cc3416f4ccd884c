"""SS58 addresses: the text form of a 32-byte public key.

An address is base58 of `prefix | key | checksum`, where the checksum is the first two bytes of
blake2b-512 over `"SS58PRE" | prefix | key` (WIRE.md, primitives). A prefix below 64 takes one
byte, one up to 16383 takes two. Bittensor's is 42.

One key has one address per prefix, so an address is no identity: compare the 32 bytes that
`ss58_decode` gives, or the text that `normalise_address` gives.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from node import errors

__all__ = ["BITTENSOR_PREFIX", "normalise_address", "ss58_decode", "ss58_encode"]

BITTENSOR_PREFIX = 42
KEY_BYTES = 32

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGIT = {letter: value for value, letter in enumerate(_ALPHABET)}
_CHECKSUM_BYTES = 2
_FIRST_LONG_PREFIX = 64
_LAST_PREFIX = 16383
# 36 bytes, the longest payload, never take more base58 letters than this. Checked first, because
# the decoding of a long text takes time that grows with the square of its length.
_MAX_ADDRESS_CHARS = 50
_SHOWN_CHARS = 60
_CACHED = 8192


def ss58_encode(public_key: bytes, prefix: int = BITTENSOR_PREFIX) -> str:
    """The address of a public key.

    Args:
        public_key: 32 bytes.
        prefix: Network prefix, 0 to 16383.

    Raises:
        InvalidAddress: The key is not 32 bytes, or the prefix is out of range.
    """
    if not isinstance(public_key, bytes) or len(public_key) != KEY_BYTES:
        raise errors.InvalidAddress(f"an address is made of a key of {KEY_BYTES} bytes")
    if not 0 <= prefix <= _LAST_PREFIX:
        raise errors.InvalidAddress(f"an address prefix is 0 to {_LAST_PREFIX}, not {prefix}")
    return _encode(public_key, prefix)


def ss58_decode(address: str) -> bytes:
    """The 32-byte public key that an address stands for, whatever its prefix.

    Raises:
        InvalidAddress: Not base58, a wrong length or checksum, or a prefix that is not written
            in its one canonical form. The text holds the address, cut to 60 characters.
    """
    if not isinstance(address, str):
        raise errors.InvalidAddress(f"an address is text, not {type(address).__name__}")
    return _decode(address)


def normalise_address(address: str) -> str:
    """The same key's address with prefix 42, so that one key has one text.

    Raises:
        InvalidAddress: As `ss58_decode`.
    """
    return _encode(ss58_decode(address), BITTENSOR_PREFIX)


@lru_cache(maxsize=_CACHED)
def _encode(public_key: bytes, prefix: int) -> str:
    payload = _prefix_bytes(prefix) + public_key
    return _base58_encode(payload + _checksum(payload))


# Only addresses that decode are remembered: a raised error leaves no entry.
@lru_cache(maxsize=_CACHED)
def _decode(address: str) -> bytes:
    if not address or len(address) > _MAX_ADDRESS_CHARS:
        raise _invalid(address, "its length is wrong")
    raw = _base58_decode(address)
    prefix_bytes = _prefix_length(address, raw)
    if len(raw) != prefix_bytes + KEY_BYTES + _CHECKSUM_BYTES:
        raise _invalid(address, "its length is wrong")
    payload, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
    if checksum != _checksum(payload):
        raise _invalid(address, "its checksum is wrong, so a letter is mistyped")
    return payload[prefix_bytes:]


def _prefix_bytes(prefix: int) -> bytes:
    if prefix < _FIRST_LONG_PREFIX:
        return bytes([prefix])
    # The two bytes hold 14 bits: 01 and bits 2-7, then bits 0-1 and bits 8-13.
    return bytes([0x40 | (prefix >> 2) & 0x3F, (prefix & 0x03) << 6 | prefix >> 8])


def _prefix_length(address: str, raw: bytes) -> int:
    if not raw or raw[0] < _FIRST_LONG_PREFIX:
        return 1
    if raw[0] >= 2 * _FIRST_LONG_PREFIX or len(raw) < 2:
        raise _invalid(address, "its prefix is unknown")
    prefix = (raw[0] & 0x3F) << 2 | raw[1] >> 6 | (raw[1] & 0x3F) << 8
    if prefix < _FIRST_LONG_PREFIX:
        # Else one key and prefix would have two texts.
        raise _invalid(address, "its prefix is not canonical")
    return 2


def _checksum(payload: bytes) -> bytes:
    return hashlib.blake2b(b"SS58PRE" + payload).digest()[:_CHECKSUM_BYTES]


def _base58_encode(raw: bytes) -> str:
    number = int.from_bytes(raw, "big")
    letters = []
    while number:
        number, digit = divmod(number, 58)
        letters.append(_ALPHABET[digit])
    zeros = len(raw) - len(raw.lstrip(b"\0"))
    return _ALPHABET[0] * zeros + "".join(reversed(letters))


def _base58_decode(address: str) -> bytes:
    number = 0
    for letter in address:
        digit = _DIGIT.get(letter)
        if digit is None:
            raise _invalid(address, f"{letter!r} is not a base58 letter")
        number = number * 58 + digit
    zeros = len(address) - len(address.lstrip(_ALPHABET[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _invalid(address: str, reason: str) -> errors.InvalidAddress:
    shown = address if len(address) <= _SHOWN_CHARS else address[:_SHOWN_CHARS] + "..."
    return errors.InvalidAddress(f"{shown!r} is not an SS58 address: {reason}")
