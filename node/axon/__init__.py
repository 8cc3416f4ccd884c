"""The answering half of a node.

A request passes, in this order: `connection` (HTTP, of a `server`) → `admission` (who sent it) →
`standing` (may they) → `body` → `routes` (typed parse) → `hooks` → `slots` (priority queue) →
`forward` (the user's function in any of its forms) → `reply`, or `streaming` into an `open_reply`.
Each is one file; `axon` joins them.
"""

from __future__ import annotations

from .axon import Axon

__all__ = ["Axon"]
