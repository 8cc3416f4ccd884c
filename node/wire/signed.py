"""A request as its sender signed it, whatever the protocol."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

__all__ = ["SignedRequest"]


class SignedRequest(NamedTuple):
    """The headers that sign one request, and what was signed."""

    headers: dict[str, str]
    payload: bytes

    @property
    def request_digest(self) -> str:
        """The digest by which receipts name the request."""
        return hashlib.sha256(self.payload).hexdigest()
