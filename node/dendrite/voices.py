"""Which protocol to speak with which peer.

A peer that says what it accepts, in its record or because the caller wrote it down, is taken at its
word. Any other is asked once, by `GET /`, and the answer is remembered: what is no node of
ours is taken for an SDK 6-10 axon. Whatever the answer, a protocol that the dendrite was not given
is never spoken, so no peer can talk it down.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import pydantic_core

from node.errors import ConfigError, PeerRefused
from node.network import Peer
from node.synapse import Synapse

from .deadlines import Deadlines
from .dialect import Dialect
from .dialects import DIALECTS
from .http_reply import HttpReply
from .question import Question
from .session import CallTrace, Session
from .timing import StreamTiming

__all__ = ["Asking", "Voices"]

_MAX_REMEMBERED = 65_536
_MAX_PAGE_BYTES = 64 * 1024
_OLD = "synapse"


class Voices:
    """Picks the dialect for each peer. Two first calls at once both ask, and learn the same.

    Args:
        protocols: Names of the protocols that may be spoken, the preferred one first.
        options: Given to every dialect.

    Raises:
        ConfigError: None is given, or one is unknown.
    """

    def __init__(self, protocols: Iterable[str], **options: Any) -> None:
        chosen = tuple(protocols)
        if not chosen or not set(chosen) <= DIALECTS.keys():
            raise ConfigError(
                f"a dendrite's protocols are of {', '.join(DIALECTS)}, not {chosen!r}"
            )
        self._dialects = {name: DIALECTS[name](**options) for name in chosen}
        self._only = self._dialects[chosen[0]] if len(self._dialects) == 1 else None
        self._remembered: OrderedDict[tuple[bytes, str], str] = OrderedDict()

    async def pick(self, peer: Peer, session: Session, trace: CallTrace) -> Dialect:
        """Return the dialect to speak with a peer; asks it once if nothing says.

        Raises:
            PeerRefused: It accepts none that may be spoken, or can't say now.
            aiohttp.ClientError: It could not be asked.
        """
        dialect = self.known(peer)
        if dialect is None:
            dialect = self._common(peer, await _ask(peer, session, trace))
            self._remembered[peer.public_key, peer.url] = dialect.name
            if len(self._remembered) > _MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return dialect

    def known(self, peer: Peer) -> Dialect | None:
        """Return the dialect to speak with a peer, or None if it has to be asked first.

        Raises:
            PeerRefused: It accepts none that may be spoken.
        """
        if peer.protocols:
            return self._common(peer, peer.protocols)
        if self._only is not None:
            return self._only
        name = self._remembered.get((peer.public_key, peer.url))
        return None if name is None else self._dialects[name]

    def forget(self, peer: Peer) -> None:
        """Ask this peer again next time: it did not know the protocol that it was spoken to in."""
        self._remembered.pop((peer.public_key, peer.url), None)

    def _common(self, peer: Peer, accepted: Iterable[str]) -> Dialect:
        names = set(accepted)
        for name, dialect in self._dialects.items():
            if name in names:
                return dialect
        raise PeerRefused(
            f"it accepts {', '.join(sorted(names))[:200]} and this dendrite speaks "
            f"{', '.join(self._dialects)}",
            status=401,
            code="no_common_protocol",
            peer=str(peer),
            retry_safe=True,
        )


async def _ask(peer: Peer, session: Session, trace: CallTrace) -> tuple[str, ...]:
    """Return the protocols that a peer's page names; those of an old axon when it has none.

    Raises:
        PeerRefused: It can't answer now, which is nothing to remember.
        aiohttp.ClientError: It could not be asked.
    """
    # Its times are not those of the call, and it waits at no line.
    response = await session.get(peer, CallTrace(trace.clock, StreamTiming()))
    try:
        if response.status == 429 or response.status >= 500:
            # A node that drains, or a proxy without its node, says nothing of what it speaks.
            raise PeerRefused(
                f"asked what it speaks, it answered with HTTP status {response.status}",
                status=response.status,
                peer=str(peer),
                retry_safe=True,
            )
        page = await _read_page(response)
    finally:
        response.release()
    # Not where it failed: a deadline that has passed can't be moved.
    trace.clock.enter("connect")
    named = page.get("protocols")
    if isinstance(named, list) and all(isinstance(name, str) for name in named) and named:
        return tuple(named[:16])
    return (_OLD,)


async def _read_page(response: HttpReply) -> dict[str, Any]:
    if response.status != 200 or response.content_type != "application/json":
        return {}
    body = await response.read_body(_MAX_PAGE_BYTES)
    try:
        page = pydantic_core.from_json(body[:_MAX_PAGE_BYTES])
    except ValueError:
        return {}
    return page if isinstance(page, dict) else {}


class Asking:
    """One thing to ask of many peers: a question for each protocol, made once.

    Args:
        synapse: What to ask.
        deadlines: How long to wait for each peer.
        options: `mode` and `receipt`, as for `Dialect.ask`.
    """

    def __init__(self, synapse: Synapse, deadlines: Deadlines, **options: Any) -> None:
        self._synapse = synapse
        self._is_kept = False
        self._options = options
        self.deadlines = deadlines
        self._questions: dict[str, Question] = {}

    def keep(self) -> None:
        """Ask what the synapse says now, whatever its owner does to it while a call waits."""
        if not self._is_kept:
            self._synapse = self._synapse.copy_for_call()
            self._is_kept = True

    def in_words_of(self, dialect: Dialect) -> Question:
        """Return the question in a dialect."""
        question = self._questions.get(dialect.name)
        if question is None:
            question = dialect.ask(self._synapse, self.deadlines, **self._options)
            self._questions[dialect.name] = question
        return question
