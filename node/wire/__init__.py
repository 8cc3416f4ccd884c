"""Request signing and verifying, replay memory, the identity they yield, and receipts.

Rule 1: nothing here does I/O, reads a clock, draws randomness or knows asyncio. Time is an
argument; so every trust decision is a function that a test can drive with bytes.

Rule 2: a `Caller` is made in `caller.py` only, and only the verifiers of this package ask for one.
"""

from __future__ import annotations

from . import btauth, epistula, synapse_headers
from .caller import Caller
from .nonce_store import SharedNonceStore
from .receipt import RECEIPT_HEADER, Receipt, sign_receipt
from .replay import ReplayGuard
from .reply_digest import DIGEST_HEADER, DigestName, ReplyDigest
from .signed import SignedRequest, digest_of_request

__all__ = [
    "DIGEST_HEADER",
    "RECEIPT_HEADER",
    "Caller",
    "DigestName",
    "Receipt",
    "ReplayGuard",
    "ReplyDigest",
    "SharedNonceStore",
    "SignedRequest",
    "btauth",
    "digest_of_request",
    "epistula",
    "sign_receipt",
    "synapse_headers",
]
