"""One request's leave to go: its place among those that are out, and what its end says of its peer.

This is where it is decided which failures mean that a peer is not there. They are a connection that
does not come about or closes before the reply, a deadline that passes, and a reply that breaks off.
Any HTTP answer, a refusal too, comes from somebody who is there. What this machine lacks, and a
request that its own caller cancelled, say nothing.
"""

from __future__ import annotations

import errno
from types import TracebackType

from node.errors import (
    BadReceipt,
    BadReply,
    PeerRefused,
    PeerTimeout,
    PeerUnreachable,
    StreamInterrupted,
)
from node.network import Peer

from .dormancy import Dormancy
from .gate import Place

__all__ = ["Turn"]

# No fault of a peer: this process or machine has no descriptors, ports, memory or network left.
_OWN_TROUBLE = frozenset(
    {
        errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENETDOWN, errno.ENETUNREACH, errno.ENFILE,
        errno.ENOBUFS, errno.ENOMEM,
    }
)  # fmt: skip


class Turn:
    """Entered before a request goes, and left when its reply has come or failed.

    Entering waits for the place, and raises `PeerDormant` without any I/O for a dormant peer,
    before it waits and after. Who has entered leaves by `leave`, or at the end of a `with` block.

    Args:
        peer: Whom the request is for.
        place: Its place, not yet taken; None where nothing limits it.
        dormancy: What is told of the outcome, or None.
    """

    __slots__ = ("_answered", "_dormancy", "_peer", "_place", "_probe")

    def __init__(self, peer: Peer, place: Place | None, dormancy: Dormancy | None) -> None:
        self._peer = peer
        self._place = place
        self._dormancy = dormancy if peer.is_serving else None
        self._probe = False
        self._answered = False

    async def enter(self) -> None:
        """Enter, once there is a place.

        Raises:
            PeerDormant: The peer is dormant.
        """
        if self._place is not None:
            if self._dormancy is not None:
                self._dormancy.check(self._peer)
            await self._place.take()
        self._begin()

    def enter_now(self) -> bool:
        """Enter if that waits for nothing, and tell whether it did; otherwise as `enter`.

        Raises:
            PeerDormant: The peer is dormant.
        """
        if self._place is not None:
            return False
        self._begin()
        return True

    def _begin(self) -> None:
        if self._dormancy is not None:
            try:
                self._probe = self._dormancy.begin(self._peer)
            except BaseException:
                if self._place is not None:
                    self._place.leave()
                raise

    def answered(self) -> None:
        """Note that a streamed reply has begun."""
        self._answered = True
        if self._probe and self._dormancy is not None:
            self._dormancy.answered(self._peer)

    def __enter__(self) -> None:
        """Do nothing: a `with` block is what comes between entering and leaving."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave(error)

    def leave(self, error: BaseException | None) -> None:
        """Give the place back and tell how the request went; as the end of the block does."""
        if self._place is not None:
            self._place.leave()
        if self._dormancy is None:
            return
        there = _verdict(error, answered=self._answered)
        if there is None:
            self._dormancy.abandoned(self._peer, probe=self._probe)
        elif there:
            self._dormancy.succeeded(self._peer)
        else:
            self._dormancy.failed(self._peer, probe=self._probe)


def _verdict(error: BaseException | None, *, answered: bool) -> bool | None:
    """Tell whether an outcome shows that a peer is there or is not; None if it shows neither.

    Args:
        error: What the request failed with, or None.
        answered: Whether a streamed reply had begun. A peer that streams for longer than its
            caller waits in all is there; one that stops in the middle is not.
    """
    if error is None:
        return True
    if isinstance(error, PeerTimeout):
        return None if answered and error.phase != "idle" else False
    if isinstance(error, PeerUnreachable):
        return None if _is_own_trouble(error.__cause__) else False
    if isinstance(error, StreamInterrupted):
        return False
    if isinstance(error, PeerRefused):
        return None if error.code == "no_common_protocol" else True
    return True if isinstance(error, BadReply | BadReceipt) else None


def _is_own_trouble(cause: BaseException | None) -> bool:
    return isinstance(cause, OSError) and cause.errno in _OWN_TROUBLE
