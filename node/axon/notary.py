"""Signing what this axon answered, for verified callers only."""

from __future__ import annotations

from collections.abc import Callable

from node.keys import Keypair
from node.wire import Caller, Receipt, sign_receipt

__all__ = ["Notary"]


class Notary:
    """Signs the receipt of one reply.

    It is made from a `Caller`, so nothing is ever signed for a request that was not verified.

    Args:
        keypair: The axon's hotkey.
        caller: Who asked.
        clock_ns: Gives Unix nanoseconds; read now for the start of the reply.
    """

    def __init__(self, keypair: Keypair, caller: Caller, clock_ns: Callable[[], int]) -> None:
        self._keypair = keypair
        self._caller = caller
        self._clock_ns = clock_ns
        self._started_ns = clock_ns()

    def sign(self, reply: str, *, chunks: int = 0, status: int = 200) -> Receipt:
        """Return the receipt of the reply with this digest, as `Receipt.reply`, which ends now."""
        return sign_receipt(
            self._keypair,
            self._caller,
            status=status,
            chunks=chunks,
            reply=reply,
            started_ns=self._started_ns,
            ended_ns=self._clock_ns(),
        )
