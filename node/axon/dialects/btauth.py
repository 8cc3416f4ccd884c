"""`btauth/1`, the native protocol (docs/protocol.md §5)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from node.axon.admission import Rules
from node.axon.dialect import Dialect
from node.wire import Caller, btauth

__all__ = ["BtauthDialect"]


class BtauthDialect(Dialect):
    """Requests signed as Bittensor 11 signs them; replies are ours.

    Args:
        rules: What all protocols of the axon share.
    """

    name = btauth.PROTOCOL
    changing = frozenset({"x-bittensor-nonce", "x-bittensor-signature"})

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def speaks(self, headers: Mapping[str, str]) -> bool:
        """Whether a version or a signature of `btauth` is there."""
        return "X-Bittensor-Signature" in headers or "X-Bittensor-Version" in headers

    def claim(self, headers: Mapping[str, str]) -> btauth.Claim:
        """Read the signing headers: shape, receiver, freshness.

        Raises:
            AuthError: As `btauth.parse_claim`, `check_receiver` and `check_fresh` do.
        """
        window = self._rules.window
        claim = btauth.parse_claim(headers)
        btauth.check_receiver(claim, self._rules.receiver, require_receiver=window.require_receiver)
        btauth.check_fresh(
            claim,
            self._rules.clock_ns(),
            max_age_s=window.max_age_s,
            allowed_skew_s=window.allowed_skew_s,
        )
        return claim

    def prove(self, claim: btauth.Claim, *, method: str, target: str, body: bytes) -> Caller:
        """Check the signature over the body that was read, then that the nonce is new.

        Raises:
            AuthError: As `btauth.prove` does.
            Overloaded: The replay memory is full.
        """
        return btauth.prove(
            claim,
            method=method,
            target=target,
            digest=hashlib.sha256(body).digest(),
            now_ns=self._rules.clock_ns(),
            guard=self._rules.guard,
        )
