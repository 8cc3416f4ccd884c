"""What is asked, as bytes, the same for every peer that speaks one protocol."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from node.streams import StreamMode
from node.wire import DigestName

from .deadlines import Deadlines

__all__ = ["Question"]


class Question(NamedTuple):
    """A request without what differs from peer to peer, its signature above all.

    Attributes:
        target: Path and query.
        body: JSON.
        digest: SHA-256 of the body.
        deadlines: How long to wait for each peer.
        mode: How a stream was asked to travel; None for a unary reply.
        body_hash: What SDK 6-10 sign of the body; other protocols leave it empty.
        headers: Headers that go beside the signing ones.
        reply_digest: By what a stream was asked to be digested; peers may not know it.
    """

    target: str
    body: bytes
    digest: bytes
    deadlines: Deadlines
    mode: StreamMode | None
    body_hash: str = ""
    headers: Mapping[str, str] = MappingProxyType({})
    reply_digest: DigestName = DigestName.SHA256
