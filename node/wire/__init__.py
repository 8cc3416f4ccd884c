"""Request signing and verifying, replay memory, and the identity they yield.

Rule 1: nothing here does I/O, reads a clock, draws randomness or knows asyncio. Time is an
argument; so every trust decision is a function that a test can drive with bytes.

Rule 2: a `Caller` is made in `caller.py` only, and only the verifiers of this package ask for one.
"""

from __future__ import annotations

from . import btauth
from .caller import Caller
from .replay import ReplayGuard

__all__ = ["Caller", "ReplayGuard", "btauth"]
