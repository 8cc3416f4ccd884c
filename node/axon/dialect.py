"""What differs between the signing protocols that an axon accepts.

A dialect reads the requests of one protocol and writes its replies. Everything between, the order
of the checks above all, is the same for all of them (`exchange`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from node.errors import WireError
from node.synapse import Synapse
from node.wire import Caller, Receipt

from .reply import Reply, error_reply, synapse_reply
from .target import Target, parse_target

__all__ = ["Claim", "Dialect"]


class Claim(Protocol):
    """What the headers of a request say about its sender; nothing of it is proved."""

    @property
    def public_key(self) -> bytes | None:
        """The 32-byte key that is claimed; None where only the body tells."""


class Dialect(ABC):
    """One signing protocol, as an axon meets it.

    `claim` and `prove` are the two halves of admission, before and after the body is read.

    Attributes:
        name: As operators write it.
        receipts: Whether its replies can be signed.
        changing: Headers, in lower case, that have other values in each request of a sender.
    """

    name: ClassVar[str]
    receipts: ClassVar[bool] = True
    changing: ClassVar[frozenset[str]]

    @abstractmethod
    def speaks(self, headers: Mapping[str, str]) -> bool:
        """Whether a request is of this protocol, by its headers' names only."""

    @abstractmethod
    def claim(self, headers: Mapping[str, str]) -> Any:
        """Return the `Claim` of the headers: their shape, the receiver, freshness.

        Raises:
            AuthError: One of them is not good.
        """

    @abstractmethod
    def prove(self, claim: Any, *, method: str, target: str, body: bytes) -> Caller:
        """Check the signature with the body that was read, then that the nonce is new.

        Raises:
            AuthError: It does not hold, or was used before.
            Overloaded: The replay memory is full.
        """

    def nonce_tag(self, claim: Any) -> bytes:
        """Return what tells requests of one nonce apart, as the replay memory keeps it."""
        return b""

    def session_of(self, claim: Any) -> str | None:
        """Return the name that the sender gives its session, or None."""
        return None

    def read_target(self, claim: Any, target: str) -> Target:
        """Return the deadline and the stream mode that a request asks for.

        Raises:
            MalformedRequest: One is out of range.
        """
        return parse_target(target)

    def parse(self, synapse_type: type[Synapse], claim: Any, body: bytes) -> Synapse:
        """Return the synapse in a verified body.

        Raises:
            InvalidBody: It does not fit.
            BodyMismatch: It is not the one that was signed.
        """
        return synapse_type.parse_body(body)

    def success(self, synapse: Synapse, body: bytes, receipt: Receipt | None) -> Reply:
        """Return the reply that carries an answered synapse, whose own fields `body` holds."""
        return synapse_reply(body, receipt)

    def failure(self, error: WireError, headers: Mapping[str, str]) -> Reply:
        """Return the reply for an error to a request with these headers."""
        return error_reply(error)

    def stream_headers(self, synapse: Synapse) -> dict[str, str]:
        """Return headers of a streamed reply beside the usual ones."""
        return {}
