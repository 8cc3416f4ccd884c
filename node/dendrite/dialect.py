"""What differs between the signing protocols that a dendrite speaks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from node.keys import Keypair
from node.network import Peer
from node.streams import StreamMode
from node.synapse import Synapse
from node.wire import SignedRequest

from .deadlines import Deadlines
from .question import Question

__all__ = ["Dialect"]


class Dialect(ABC):
    """One signing protocol, as a dendrite speaks it."""

    name: ClassVar[str]

    @abstractmethod
    def ask(
        self,
        synapse: Synapse,
        deadlines: Deadlines,
        *,
        mode: StreamMode | None = None,
        receipt: bool = True,
    ) -> Question:
        """Return the question that a synapse asks.

        Args:
            synapse: What to ask.
            deadlines: How long to wait.
            mode: The stream mode that is wanted, or None for a unary reply. A protocol that has
                only one takes that.
            receipt: Whether a unary reply should be signed.
        """

    @abstractmethod
    def sign(
        self, keypair: Keypair, question: Question, peer: Peer, nonce_ns: int
    ) -> SignedRequest:
        """Return the headers that prove `keypair` asks this of this peer.

        Raises:
            WalletError: The key has no secret, or not the scheme that the protocol knows.
        """

    def check_reply(self, headers: Mapping[str, str], peer: Peer) -> None:  # noqa: B027
        """Check what the headers of a reply with status 200 say of the outcome; nothing here.

        Raises:
            PeerRefused: They tell a failure.
        """
