"""The verified identity of whoever sent a request.

Rule: `make_caller` is called by the verifiers of `node.wire` after a signature held, and by nobody
else; a test reads the imports and proves it. Whatever needs an identity takes a `Caller`, so no
code path can act for a sender that was only claimed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from node.keys.ss58 import ss58_encode

from .signed import digest_of_request

__all__ = ["Caller", "make_caller"]


@dataclass(frozen=True, slots=True, init=False)
class Caller:
    """Who sent a request, as proved by its signature.

    Attributes:
        hotkey: SS58 address with prefix 42, whatever prefix the sender wrote.
        public_key: The 32-byte key, which is the identity; the address is its spelling.
        scheme: `sr25519` or `ed25519`.
        protocol: The signing protocol, such as `btauth`.
        nonce_ns: The sender's clock when it signed, in Unix nanoseconds.
        signed: The bytes that the sender signed.
    """

    hotkey: str
    public_key: bytes
    scheme: str
    protocol: str
    nonce_ns: int
    signed: bytes = field(repr=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("a Caller is only made by a verifier of node.wire, from a signed request")

    @property
    def request_digest(self) -> str:
        """SHA-256 in hex of what the sender signed, which names this request."""
        return digest_of_request(self.signed)


def make_caller(
    *, public_key: bytes, scheme: str, protocol: str, nonce_ns: int, signed: bytes
) -> Caller:
    """Return the identity for a signature that has just been verified over `signed`."""
    caller = object.__new__(Caller)
    put = object.__setattr__
    put(caller, "hotkey", ss58_encode(public_key))
    put(caller, "public_key", public_key)
    put(caller, "scheme", scheme)
    put(caller, "protocol", protocol)
    put(caller, "nonce_ns", nonce_ns)
    put(caller, "signed", signed)
    return caller
