"""One signed request to one peer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from node.errors import BadReply, PeerRefused, PeerUnreachable
from node.keys import Keypair
from node.network import Peer

from .dialect import Dialect, SignedRequest
from .http_reply import HttpReply
from .question import Question
from .session import CallTrace, Session
from .translate import refusal
from .voices import Asking, Voices

__all__ = ["Outbound", "Sent", "Signer"]

_MAX_ERROR_BYTES = 64 * 1024


class Signer:
    """Signs requests with one key; no two of them carry the same nonce.

    Args:
        keypair: The caller's hotkey.
        clock_ns: Gives Unix nanoseconds; for tests.
    """

    def __init__(self, keypair: Keypair, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._keypair = keypair
        self._clock_ns = clock_ns
        self._last_ns = 0

    @property
    def hotkey(self) -> str:
        """The caller's address."""
        return self._keypair.ss58_address

    def sign(self, dialect: Dialect, question: Question, peer: Peer) -> SignedRequest:
        """Return the signing headers for one peer; each call takes a fresh nonce.

        Raises:
            WalletError: The key can't sign in this dialect.
        """
        # Two requests of one key in the same nanosecond would look like a replay.
        self._last_ns = max(self._last_ns + 1, self._clock_ns())
        return dialect.sign(self._keypair, question, peer, self._last_ns)


class Sent(NamedTuple):
    """A request that was answered with status 200."""

    response: HttpReply
    question: Question


class Outbound:
    """What every request of a dendrite goes through.

    Args:
        session: The HTTP session.
        signer: Signs with the dendrite's key.
        voices: Picks the protocol for each peer.
    """

    def __init__(self, session: Session, signer: Signer, voices: Voices) -> None:
        self._session = session
        self._signer = signer
        self._voices = voices

    async def send(self, peer: Peer, asking: Asking, trace: CallTrace) -> Sent:
        """Sign and send one request, and return the reply when its status is 200.

        The caller closes or releases the response. Runs inside the trace's clock; aiohttp's
        errors pass.

        Raises:
            PeerUnreachable: The peer publishes no address.
            PeerRefused: The status is not 200, or there is no protocol in common.
            BadReply: The reply is encoded.
            WalletError: The key can't sign in the peer's protocol.
        """
        if not peer.is_serving:
            raise PeerUnreachable("it publishes no address", peer=str(peer), retry_safe=True)
        dialect = await self._voices.pick(peer, self._session, trace)
        question = asking.in_words_of(dialect)
        signed = self._signer.sign(dialect, question, peer)
        trace.request = signed.payload
        response = await self._session.post(
            peer,
            question.target,
            question.body,
            {**question.headers, **signed.headers, "Content-Type": "application/json"},
            trace,
        )
        trace.timing.headers_s = trace.timing.now()
        trace.clock.enter("idle")
        try:
            await _check_status(response, peer)
            dialect.check_reply(response.headers, peer)
        except BaseException as error:
            if isinstance(error, PeerRefused) and error.code == "missing_signature":
                self._voices.forget(peer)
            response.close()
            raise
        return Sent(response, question)


async def _check_status(response: HttpReply, peer: Peer) -> None:
    if response.status != 200:
        body = await _read_some(response, _MAX_ERROR_BYTES)
        raise refusal(str(peer), response.status, body, response.headers.get("Retry-After"))
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise BadReply("it sent an encoded reply, which was not asked for", peer=str(peer))


async def _read_some(response: HttpReply, limit: int) -> bytes:
    held = bytearray()
    while len(held) < limit and (piece := await response.content.readany()):
        held += piece
    return bytes(held[:limit])
