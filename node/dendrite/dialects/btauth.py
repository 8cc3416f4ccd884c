"""`btauth/1`, the native protocol (docs/protocol.md §5)."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from node.dendrite.deadlines import Deadlines
from node.dendrite.dialect import Dialect
from node.dendrite.question import Question
from node.keys import Keypair
from node.network import Peer
from node.streams import StreamMode
from node.synapse import Synapse
from node.wire import DigestName, SignedRequest, btauth

__all__ = ["BtauthDialect"]

_STREAMS_DIGEST = DigestName.BLAKE3


class BtauthDialect(Dialect):
    """Requests as this protocol and Bittensor 11 sign them.

    Args:
        bound: Whether requests name their receiver, as nearly all nodes demand.
    """

    name = btauth.PROTOCOL

    def __init__(self, *, bound: bool = True, **_: object) -> None:
        self._bound = bound

    def ask(
        self,
        synapse: Synapse,
        deadlines: Deadlines,
        *,
        mode: StreamMode | None = None,
        receipt: bool = True,
    ) -> Question:
        """Return the question; the body holds the synapse's own fields."""
        body = synapse.encode_body()
        target = _target_of(synapse.route_path(), deadlines.total, mode, receipt)
        digest = hashlib.sha256(body).digest()
        return Question(target, body, digest, deadlines, mode, reply_digest=_STREAMS_DIGEST)

    def sign(
        self, keypair: Keypair, question: Question, peer: Peer, nonce_ns: int
    ) -> SignedRequest:
        """Return the signing headers.

        Raises:
            WalletError: The key has no secret.
        """
        return btauth.sign_digest(
            keypair,
            method="POST",
            target=question.target,
            digest=question.digest,
            receiver=peer.hotkey if self._bound else None,
            nonce_ns=nonce_ns,
        )


@lru_cache(maxsize=256, typed=True)
def _target_of(path: str, total_s: float | None, mode: StreamMode | None, receipt: bool) -> str:
    """Return path and query; kept, since a caller asks few things again and again."""
    query = [] if total_s is None else [f"timeout={total_s!r}"]
    if mode is not None:
        query.append(f"stream={mode}")
        if mode is not StreamMode.RAW:  # which has no END, so nothing to digest
            query.append(f"digest={_STREAMS_DIGEST}")
    if not receipt:
        query.append("receipt=0")
    return path + ("?" + "&".join(query) if query else "")
