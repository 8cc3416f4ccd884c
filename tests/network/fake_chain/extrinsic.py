"""Signed extrinsics (version 4), read without the SDK's help, so that what it signs is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from node import errors
from node.keys import ss58_encode, verify_signature

from .metadata import SPEC_VERSION, TRANSACTION_VERSION
from .scale import read_compact

SIGNED_V4 = 0x84
SCHEMES = {0: "ed25519", 1: "sr25519"}
MAX_PLAIN_PAYLOAD = 256


class Invalid(Exception):
    """An extrinsic that a node does not let into its pool."""


@dataclass(frozen=True)
class Extrinsic:
    """What an extrinsic that passed its checks says."""

    data: bytes
    hotkey: str
    scheme: str
    nonce: int
    call: bytes

    @property
    def hash(self) -> str:
        return hash_of(self.data)


def read_extrinsic(data: bytes, head: int, hash_at: Callable[[int], bytes]) -> Extrinsic:
    """Check an extrinsic as a node does when it is submitted.

    Args:
        data: With its length before it.
        head: The number of the newest block.
        hash_at: Gives the hash of a block by its number.

    Raises:
        Invalid: It is malformed, or its signature is not for this chain, runtime and time.
    """
    length, at = read_compact(data)
    if length != len(data) - at or data[at] != SIGNED_V4 or data[at + 1] != 0:
        raise Invalid("malformed")
    public_key = data[at + 2 : at + 34]
    scheme = SCHEMES.get(data[at + 34], "")
    signature = data[at + 35 : at + 99]
    start = at + 99
    birth, at = _read_era(data, start, head)
    nonce, at = read_compact(data, at)
    _tip, at = read_compact(data, at)
    if data[at] != 0:
        raise Invalid("a metadata hash was not asked for")
    extra, call = data[start : at + 1], data[at + 1 :]
    additional = (
        SPEC_VERSION.to_bytes(4, "little")
        + TRANSACTION_VERSION.to_bytes(4, "little")
        + hash_at(0)
        + hash_at(birth)
        + b"\0"
    )
    payload = call + extra + additional
    if len(payload) > MAX_PLAIN_PAYLOAD:
        payload = blake2b(payload, digest_size=32).digest()
    try:
        verify_signature(scheme, public_key, payload, signature)
    except errors.NodeError:
        raise Invalid("bad signature") from None
    return Extrinsic(data, ss58_encode(public_key), scheme, nonce, call)


def hash_of(data: bytes) -> str:
    return "0x" + blake2b(data, digest_size=32).hexdigest()


def _read_era(data: bytes, at: int, head: int) -> tuple[int, int]:
    """The block that an era begins with, and the offset behind it."""
    if data[at] == 0:
        return 0, at + 1
    packed = int.from_bytes(data[at : at + 2], "little")
    period = 2 << (packed % 16)
    phase = (packed >> 4) * max(period >> 12, 1)
    birth = (max(head, phase) - phase) // period * period + phase
    if not birth <= head < birth + period:
        raise Invalid("outdated")
    return birth, at + 2
