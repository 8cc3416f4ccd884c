"""One signed request to one peer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from node.errors import BadReply, PeerRefused, PeerUnreachable
from node.keys import Keypair
from node.network import Peer
from node.streams import StreamMode
from node.wire import SignedRequest

from .connection import Connection
from .deadlines import PhaseClock
from .dialect import Dialect
from .http_reply import HttpReply
from .question import Question
from .session import CallTrace, Session
from .translate import refusal
from .voices import Asking, Voices

__all__ = ["Outbound", "Signer", "Written"]

_FRAMES = (StreamMode.FRAMES.content_type,)
_MAX_ERROR_BYTES = 64 * 1024


class Signer:
    """Signs requests with one key; no two of them carry the same nonce.

    Args:
        keypair: The caller's hotkey.
        clock_ns: Gives Unix nanoseconds; for tests.

    Attributes:
        hotkey: The caller's address.
    """

    def __init__(self, keypair: Keypair, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._keypair = keypair
        self._clock_ns = clock_ns
        self._last_ns = 0
        self.hotkey = keypair.ss58_address

    def sign(self, dialect: Dialect, question: Question, peer: Peer) -> SignedRequest:
        """Return the signing headers for one peer; each call takes a fresh nonce.

        Raises:
            WalletError: The key can't sign in this dialect.
        """
        # Two requests of one key in the same nanosecond would look like a replay.
        self._last_ns = max(self._last_ns + 1, self._clock_ns())
        return dialect.sign(self._keypair, question, peer, self._last_ns)


class Written(NamedTuple):
    """A request that is on the wire.

    Attributes:
        connection: What its reply comes on; whoever has this gives it back.
        dialect: What it was signed in.
        question: What was asked.
    """

    connection: Connection
    dialect: Dialect
    question: Question


class Outbound:
    """What every request of a dendrite goes through.

    Args:
        session: The HTTP session.
        signer: Signs with the dendrite's key.
        voices: Picks the protocol for each peer.

    Attributes:
        hotkey: The address that requests are signed with.
    """

    def __init__(self, session: Session, signer: Signer, voices: Voices) -> None:
        self.hotkey = signer.hotkey
        self._session = session
        self._signer = signer
        self._voices = voices

    def write_now(self, peer: Peer, asking: Asking, trace: CallTrace) -> Written | None:
        """Sign and write a request if nothing has to be waited for, else return None.

        Nothing has to be when a connection was kept and the peer's protocol is known. Raises as
        `write`.
        """
        _check_address(peer)
        dialect = self._voices.known(peer)
        connection = None if dialect is None else self._session.take(peer)
        if dialect is None or connection is None:
            return None
        try:
            question = asking.in_words_of(dialect)
            head = self._signed_head(peer, dialect, question, trace)
            self._session.write(connection, head, question.body, trace, _streams_of(question))
        except BaseException:
            self._session.drop(connection)
            raise
        return Written(connection, dialect, question)

    async def write(self, peer: Peer, asking: Asking, trace: CallTrace) -> Written:
        """Sign and write a request, on a new connection where none was kept.

        Runs inside the trace's clock; aiohttp's errors pass.

        Raises:
            PeerUnreachable: The peer publishes no address.
            PeerRefused: There is no protocol in common.
            WalletError: The key can't sign in the peer's protocol.
        """
        _check_address(peer)
        dialect = await self._voices.pick(peer, self._session, trace)
        question = asking.in_words_of(dialect)
        head = self._signed_head(peer, dialect, question, trace)
        connection = await self._session.start(
            peer, head, question.body, trace, _streams_of(question)
        )
        return Written(connection, dialect, question)

    async def answer(self, peer: Peer, written: Written, trace: CallTrace) -> HttpReply:
        """Wait for the reply to a request and return it when its status is 200.

        The caller closes or releases it. aiohttp's errors pass.

        Raises:
            PeerRefused: The status is another, or a header tells a failure.
            BadReply: The reply is encoded.
        """
        reply = await self._session.reply_on(written.connection)
        trace.timing.headers_s = trace.timing.now()
        try:
            if reply.status != 200:
                raise await self.refusal_in(peer, reply, trace.clock)
            self.check(peer, written, reply)
        except BaseException:
            reply.close()
            raise
        return reply

    def reply_on(self, written: Written) -> HttpReply | None:
        """Return the reply to a request if its head has come; raises as `Connection.reply`."""
        return self._session.reply_now(written.connection)

    def drop(self, written: Written) -> None:
        """Close the connection of a request, whose reply nobody wants any more."""
        self._session.drop(written.connection)

    def check(self, peer: Peer, written: Written, reply: HttpReply) -> None:
        """Check the headers of a reply with status 200.

        Raises:
            BadReply: It is encoded.
            PeerRefused: The headers tell a failure.
        """
        if reply.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise BadReply("it sent an encoded reply, which was not asked for", peer=str(peer))
        written.dialect.check_reply(reply.headers, peer)

    async def refusal_in(self, peer: Peer, reply: HttpReply, clock: PhaseClock) -> PeerRefused:
        """Return the error that an error reply stands for, once its body has come.

        The clock is in `first_byte`, and in a new `idle` after each read.
        """
        body = await reply.read_body(_MAX_ERROR_BYTES, clock)
        error = refusal(
            str(peer), reply.status, body[:_MAX_ERROR_BYTES], reply.headers.get("Retry-After")
        )
        if error.code == "missing_signature":
            self._voices.forget(peer)
        return error

    def _signed_head(
        self, peer: Peer, dialect: Dialect, question: Question, trace: CallTrace
    ) -> bytes:
        signed = self._signer.sign(dialect, question, peer)
        trace.request = signed.payload
        headers = {**question.headers, **signed.headers}
        return self._session.head(peer, question.target, question.body, headers)


def _streams_of(question: Question) -> tuple[str, ...]:
    """Return the media types whose content is cut here: of frames, which may be long."""
    return _FRAMES if question.mode is StreamMode.FRAMES else ()


def _check_address(peer: Peer) -> None:
    if not peer.is_serving:
        raise PeerUnreachable("it publishes no address", peer=str(peer), retry_safe=True)
