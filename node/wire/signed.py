"""A request as its sender signed it, whatever the protocol."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

__all__ = ["SignedRequest", "digest_of_request"]


def digest_of_request(signed: bytes) -> str:
    """Return SHA-256 in hex of what a sender signed, by which receipts name the request."""
    return hashlib.sha256(signed).hexdigest()


class SignedRequest(NamedTuple):
    """The headers that sign one request, and what was signed."""

    headers: dict[str, str]
    payload: bytes

    @property
    def request_digest(self) -> str:
        """The digest by which receipts name the request."""
        return digest_of_request(self.payload)
