"""A keypair of ours in the shape that the official SDK signs with."""

from __future__ import annotations

from node.keys import Keypair

__all__ = ["ChainSigner"]

_CRYPTO_TYPE = {"ed25519": 0, "sr25519": 1}


class ChainSigner:
    """Signs for the SDK with a keypair that stays ours: the SDK never holds the secret.

    It has the members of the SDK's `Signer` protocol, and no others.

    Args:
        keypair: One that can sign.
    """

    __slots__ = ("_keypair",)

    ss58_format = 42

    def __init__(self, keypair: Keypair) -> None:
        self._keypair = keypair

    @property
    def ss58_address(self) -> str:
        """The address with prefix 42."""
        return self._keypair.ss58_address

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return self._keypair.public_key

    @property
    def crypto_type(self) -> int:
        """0 for ed25519, 1 for sr25519, as the chain numbers them."""
        return _CRYPTO_TYPE[self._keypair.scheme]

    def sign(self, payload: bytes) -> bytes:
        """The 64-byte signature of what the SDK puts together."""
        return self._keypair.sign(payload)

    def __repr__(self) -> str:
        return f"<ChainSigner {self.ss58_address}>"
