"""Epistula 2, for peers that speak it (WIRE.md §4)."""

from __future__ import annotations

import uuid

from node.dendrite.question import Question
from node.keys import Keypair
from node.network import Peer
from node.wire import SignedRequest, epistula

from .btauth import BtauthDialect

__all__ = ["EpistulaDialect"]


class EpistulaDialect(BtauthDialect):
    """The same requests under other signing headers; routes and streams are ours.

    Args:
        bound: Whether requests name their receiver.
        secret_signatures: Whether to send the three that the protocol's Python dialect has.
    """

    name = epistula.PROTOCOL

    def __init__(self, *, bound: bool = True, secret_signatures: bool = False, **_: object) -> None:
        super().__init__(bound=bound)
        self._secret_signatures = secret_signatures

    def sign(
        self, keypair: Keypair, question: Question, peer: Peer, nonce_ns: int
    ) -> SignedRequest:
        """Return the signing headers.

        Raises:
            WalletError: The key has no secret, or is not sr25519.
        """
        token = str(uuid.uuid4())
        receiver = peer.hotkey if self._bound else None
        headers = epistula.sign_digest(
            keypair,
            digest=question.digest,
            receiver=receiver,
            nonce_ns=nonce_ns,
            uuid=token,
            secret_signatures=self._secret_signatures and self._bound,
        )
        payload = epistula.signed_payload(
            digest=question.digest,
            uuid=token,
            timestamp_ms=nonce_ns // 1_000_000,
            receiver=receiver,
        )
        return SignedRequest(headers, payload)
