"""Checking a signature of either scheme: the one decision whether a key signed a message.

Strict: the message itself was signed, with the scheme that was named. The SDK's own
`Keypair.verify` also takes a signature over `<Bytes>` + message + `</Bytes>` (WIRE.md,
primitives); no signer of requests makes one, so here it is refused.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import sr25519

from node import errors

from .ss58 import KEY_BYTES

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["SCHEMES", "SIGNATURE_BYTES", "verify_signature"]

SCHEMES: Final = ("sr25519", "ed25519")
SIGNATURE_BYTES = 64


def verify_signature(scheme: str, public_key: bytes, message: bytes, signature: bytes) -> None:
    """Check that the holder of `public_key` signed exactly `message` with that scheme.

    A key of small order (32 zero bytes, for one, which chains use for "nobody") has signatures
    that everybody can make, and is refused.

    Raises:
        BadSignature: The signature, its length, the key or the scheme is not good. The text says
            nothing of the message or the signature.
    """
    if len(signature) != SIGNATURE_BYTES or len(public_key) != KEY_BYTES:
        raise errors.BadSignature(f"a signature is {SIGNATURE_BYTES} bytes, a key {KEY_BYTES}")
    if scheme == "sr25519":
        good = public_key not in _WEAK_SR25519 and _verify_sr25519(public_key, message, signature)
    elif scheme == "ed25519":
        good = public_key not in _WEAK_ED25519 and _verify_ed25519(public_key, message, signature)
    else:
        raise errors.BadSignature("the signature's scheme is unknown")
    if not good:
        raise errors.BadSignature


def _verify_sr25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        return bool(sr25519.verify(signature, message, public_key))
    except ValueError:
        return False


def _verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        _ed25519_public_key(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=1024)
def _ed25519_public_key(public_key: bytes) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(public_key)


def _small_order_keys() -> frozenset[bytes]:
    """Every encoding of the eight ed25519 points of small order (RFC 8032, 5.1), loose ones too."""
    prime = 2**255 - 19
    order_eight = int("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7", 16)
    heights = [0, 1, prime - 1, order_eight, prime - order_eight, prime, prime + 1]
    return frozenset((y | sign << 255).to_bytes(32, "little") for y in heights for sign in (0, 1))


_WEAK_ED25519 = _small_order_keys()
_WEAK_SR25519 = frozenset([bytes(KEY_BYTES)])
