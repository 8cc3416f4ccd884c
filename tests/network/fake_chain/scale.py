"""SCALE, as much of it as a runtime's description needs.

Only descriptions are written with this. Values, storage keys and calls go through the codec that
the SDK itself uses.
"""

from __future__ import annotations

from collections.abc import Iterable


def compact(number: int) -> bytes:
    """A compact integer below 2**30."""
    if number < 1 << 6:
        return bytes([number << 2])
    if number < 1 << 14:
        return (number << 2 | 0b01).to_bytes(2, "little")
    if number < 1 << 30:
        return (number << 2 | 0b10).to_bytes(4, "little")
    raise ValueError(f"{number} is too large for this encoder")


def read_compact(data: bytes, offset: int = 0) -> tuple[int, int]:
    """A compact integer below 2**30, and the offset behind it."""
    mode = data[offset] & 0b11
    size = {0: 1, 1: 2, 2: 4}[mode]
    return int.from_bytes(data[offset : offset + size], "little") >> 2, offset + size


def blob(data: bytes) -> bytes:
    return compact(len(data)) + data


def text(value: str) -> bytes:
    return blob(value.encode())


def vec(items: Iterable[bytes]) -> bytes:
    encoded = list(items)
    return compact(len(encoded)) + b"".join(encoded)


def option(value: bytes | None) -> bytes:
    return b"\0" if value is None else b"\1" + value
