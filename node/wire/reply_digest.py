"""The digest of a streamed reply, by which its END and its receipt name what was sent.

It is over every chunk in order: its bytes, and its length as four bytes, big-endian, so that the
borders of chunks are covered too (docs/protocol.md §6.3). SHA-256 takes each length before its
bytes. BLAKE3 is a tree over blocks of 1,024 bytes, and a quarter slower where a length shifts
what comes after it, so there lengths and bytes have a digest each, and one over both.

Rule: what a digest is compared with says by which function it was made, and that text is signed.
So no digest by one function can pass for one by another.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import chain
from typing import Protocol, Self

from blake3 import blake3

from node.errors import BadReceipt

__all__ = ["DIGEST_HEADER", "DigestName", "ReplyDigest"]

DIGEST_HEADER = "X-Ganglion-Digest"

_LENGTH = struct.Struct(">I")
_SMALL_BYTES = 1024
_SHOWN_CHARS = 16


class DigestName(StrEnum):
    """A hash function, as a target, the head of a reply and its END name it."""

    SHA256 = "sha256"
    BLAKE3 = "blake3"


class _Hash(Protocol):
    def update(self, data: bytes, /) -> object: ...

    def digest(self) -> bytes: ...

    def hexdigest(self) -> str: ...


_HASHES: Mapping[DigestName, Callable[[], _Hash]] = {
    DigestName.SHA256: hashlib.sha256,
    DigestName.BLAKE3: blake3,
}


class ReplyDigest:
    """The running digest of a streamed reply.

    Args:
        name: The hash function; SHA-256 is the one that every reader has.

    Attributes:
        chunks: How many chunks it has taken.
    """

    def __init__(self, name: DigestName = DigestName.SHA256) -> None:
        self.name = name
        self._bytes = _HASHES[name]()
        self._lengths = self._bytes if name is DigestName.SHA256 else _HASHES[name]()
        self.chunks = 0

    @classmethod
    def like(cls, text: str) -> Self:
        """Return an empty one, by the function that made what a receipt has in `reply`.

        Raises:
            BadReceipt: That function is not known here.
        """
        name, colon, _ = text.partition(":")
        if not colon:
            return cls()
        if name != DigestName.BLAKE3:
            raise BadReceipt(
                f"the receipt's digest is {name[:_SHOWN_CHARS]!r}, which is not known here"
            )
        return cls(DigestName.BLAKE3)

    def add(self, chunk: bytes) -> None:
        """Take the next chunk."""
        self.chunks += 1
        self._lengths.update(_LENGTH.pack(len(chunk)))
        self._bytes.update(chunk)

    def add_all(self, chunks: Sequence[bytes]) -> None:
        """Take the next chunks; for many small ones that costs a seventh of `add`."""
        if len(chunks) < 2:
            for chunk in chunks:
                self.add(chunk)
            return
        self.chunks += len(chunks)
        lengths = [_LENGTH.pack(len(chunk)) for chunk in chunks]
        parts: Iterable[bytes] = chunks
        if self._lengths is self._bytes:
            parts = chain.from_iterable(zip(lengths, chunks, strict=True))
        else:
            self._lengths.update(b"".join(lengths))
        if len(chunks[0]) <= _SMALL_BYTES:
            parts = (b"".join(parts),)  # joining long ones would copy them for nothing
        for part in parts:
            self._bytes.update(part)

    def hexdigest(self) -> str:
        """Return the digest of the chunks so far, in hex, as an END has it."""
        if self._lengths is self._bytes:
            return self._bytes.hexdigest()
        both = _HASHES[self.name]()
        both.update(self._lengths.digest() + self._bytes.digest())
        return both.hexdigest()

    def signed_text(self) -> str:
        """Return the digest as a receipt has it: that of SHA-256 alone goes without its name."""
        digest = self.hexdigest()
        return digest if self.name is DigestName.SHA256 else f"{self.name}:{digest}"
