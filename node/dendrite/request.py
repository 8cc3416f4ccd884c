"""One signed request to one peer."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from yarl import URL

from node.errors import BadReply, PeerUnreachable
from node.keys import Keypair
from node.network import Peer
from node.synapse import Synapse
from node.wire import btauth

from .deadlines import Deadlines
from .session import CallTrace, Session
from .translate import refusal

__all__ = ["Question", "Signer", "send"]

_MAX_ERROR_BYTES = 64 * 1024


class Signer:
    """Signs requests with one key; no two of them carry the same nonce.

    Args:
        keypair: The caller's hotkey.
        bound: Whether requests name their receiver; unbound ones most nodes refuse.
        clock_ns: Gives Unix nanoseconds; for tests.
    """

    def __init__(
        self, keypair: Keypair, *, bound: bool = True, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._keypair = keypair
        self._bound = bound
        self._clock_ns = clock_ns
        self._last_ns = 0

    @property
    def hotkey(self) -> str:
        """The caller's address."""
        return self._keypair.ss58_address

    def sign(self, question: Question, receiver: str) -> btauth.Signed:
        """Return the signing headers for one peer; each call takes a fresh nonce."""
        # Two requests of one key in the same nanosecond would look like a replay.
        self._last_ns = max(self._last_ns + 1, self._clock_ns())
        return btauth.sign_digest(
            self._keypair,
            method="POST",
            target=question.target,
            digest=question.digest,
            receiver=receiver if self._bound else None,
            nonce_ns=self._last_ns,
        )


@dataclass(frozen=True, slots=True)
class Question:
    """A request as bytes, the same for every peer of a fan-out.

    Attributes:
        target: Path and query.
        body: JSON.
        digest: SHA-256 of the body.
        deadlines: How long to wait for each peer.
    """

    target: str
    body: bytes
    digest: bytes
    deadlines: Deadlines

    @classmethod
    def of(
        cls,
        synapse: Synapse,
        deadlines: Deadlines,
        *,
        mode: str | None = None,
        receipt: bool = True,
    ) -> Question:
        """Return the question that a synapse asks.

        Args:
            synapse: What to ask.
            deadlines: How long to wait.
            mode: A stream mode, or None for a unary reply.
            receipt: Whether a unary reply should be signed.
        """
        body = synapse.encode_body()
        query = [] if deadlines.total is None else [f"timeout={deadlines.total!r}"]
        if mode is not None:
            query.append(f"stream={mode}")
        if not receipt:
            query.append("receipt=0")
        target = synapse.route_path() + ("?" + "&".join(query) if query else "")
        return cls(target, body, hashlib.sha256(body).digest(), deadlines)


async def send(
    session: Session, signer: Signer, peer: Peer, question: Question, trace: CallTrace
) -> aiohttp.ClientResponse:
    """Sign and send one request, and return the reply when its status is 200.

    The caller releases the response. Runs inside the trace's clock; aiohttp's errors pass.

    Raises:
        PeerUnreachable: The peer publishes no address.
        PeerRefused: The status is not 200.
        BadReply: The reply is encoded.
    """
    if not peer.is_serving:
        raise PeerUnreachable("it publishes no address", peer=str(peer), retry_safe=True)
    signed = signer.sign(question, peer.hotkey)
    trace.request_digest = signed.request_digest
    response = await session.post(
        URL(peer.url + question.target, encoded=True),
        question.body,
        {**signed.headers, "Content-Type": "application/json"},
        trace,
    )
    trace.timing.headers_s = trace.timing.now()
    trace.clock.enter("idle")
    try:
        await _check_status(response, peer)
    except BaseException:
        response.close()
        raise
    return response


async def _check_status(response: aiohttp.ClientResponse, peer: Peer) -> None:
    if response.status != 200:
        body = await _read_some(response, _MAX_ERROR_BYTES)
        raise refusal(str(peer), response.status, body, response.headers.get("Retry-After"))
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise BadReply("it sent an encoded reply, which was not asked for", peer=str(peer))


async def _read_some(response: aiohttp.ClientResponse, limit: int) -> bytes:
    held = bytearray()
    while len(held) < limit and (piece := await response.content.readany()):
        held += piece
    return bytes(held[:limit])
