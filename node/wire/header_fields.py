"""Readings of the headers that the older protocols sign with: one value, bounded, one spelling.

Their signed texts are fields joined by dots. A field that could hold a dot, or be spelt in two
ways, would let one signature stand for two requests, so each field here has a shape without
either. No signer of SDK 6-10 or of Epistula writes anything else (docs/decisions/0009).

Every error is `MissingSignature` or `BadSignature`; no text holds a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from node.errors import BadSignature, InvalidAddress, MissingSignature
from node.keys.ss58 import ss58_decode

__all__ = [
    "is_token",
    "parse_digits",
    "parse_sender",
    "parse_signature",
    "parse_token",
    "pick_headers",
    "required",
]

_DIGITS = re.compile(r"0|[1-9][0-9]{0,19}")
_TOKEN = re.compile(r"[0-9A-Za-z_-]{1,64}")
_SIGNATURE = re.compile(r"0x[0-9A-Fa-f]{128}")


def pick_headers(headers: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    """Return the headers of these lower-case names, whatever case they came in.

    Raises:
        BadSignature: One of them appears twice, so that two readers could take two values.
    """
    picked: dict[str, str] = {}
    for name, value in headers.items():
        lowered = name.lower()
        if lowered in names:
            if lowered in picked:
                raise BadSignature("a signing header appears twice")
            picked[lowered] = value
    return picked


def required(fields: Mapping[str, str], name: str) -> str:
    """Return a header's value.

    Raises:
        MissingSignature: It is absent or empty.
    """
    value = fields.get(name)
    if not value:
        raise MissingSignature("a signing header is absent")
    return value


def parse_digits(text: str) -> int:
    """Read a count of time: up to twenty ASCII digits, no sign, no leading zero.

    Raises:
        BadSignature: It is written in any other way.
    """
    if _DIGITS.fullmatch(text) is None:
        raise BadSignature("a signing header is not a plain decimal integer")
    return int(text)


def parse_signature(text: str) -> bytes:
    """Return the 64 bytes of `0x` and 128 hex digits of either case (WIRE.md §2.4).

    Raises:
        BadSignature: It is anything else.
    """
    if _SIGNATURE.fullmatch(text) is None:
        raise BadSignature("the signature is not 0x and 128 hex digits")
    return bytes.fromhex(text[2:])


def parse_sender(text: str) -> bytes:
    """Return the 32-byte key of an address of any prefix.

    Raises:
        BadSignature: It is not an SS58 address.
    """
    try:
        return ss58_decode(text)
    except InvalidAddress as error:
        raise BadSignature("the sender's address is not SS58") from error


def is_token(text: str) -> bool:
    """Whether a text is 1 to 64 ASCII letters, digits, `-` and `_`, as every UUID is."""
    return _TOKEN.fullmatch(text) is not None


def parse_token(text: str) -> str:
    """Return a request's or a session's UUID as it was written.

    Raises:
        BadSignature: It is no token.
    """
    if not is_token(text):
        raise BadSignature("the uuid is not 1 to 64 letters, digits, - and _")
    return text
