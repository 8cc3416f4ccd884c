"""The calling half of a node.

A call goes `dendrite` (call forms) → `turn` (its place, and whether the peer is dormant) →
`request` (one signed request) → `session` (which `connection` it goes out on) → `unary` or `pump`
(reading the reply) → `stream` (what the caller iterates). `translate` is the one place where
aiohttp's errors become `CallError`s.
"""

from __future__ import annotations

from .deadlines import Deadlines
from .dendrite import Dendrite
from .dormancy import Dormancy
from .stream import Stream
from .timing import StreamTiming

__all__ = ["Deadlines", "Dendrite", "Dormancy", "Stream", "StreamTiming"]
