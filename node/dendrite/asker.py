"""Making the calls of a dendrite: each with a turn, with deadlines, and with its own synapse."""

from __future__ import annotations

import math
import time
from collections.abc import Coroutine
from typing import Any

from node.errors import CallError
from node.network import Peer
from node.streams import StreamMode
from node.synapse import StreamingSynapse, Synapse

from .deadlines import Deadlines
from .dormancy import Dormancy
from .fan import together
from .gate import Gate
from .pump import Pump
from .reply_limits import ReplyLimits
from .request import Outbound
from .settle import OwnCopy, copy_to_ask, result_of, settle
from .startline import StartLine
from .stream import Stream
from .turn import Turn
from .unary import call_unary
from .voices import Asking

__all__ = ["Asker"]

_BARRIER_S = 2.0


class Asker:
    """Asks peers, once there is a turn for it, and keeps what reads the streams.

    Its methods take what the dendrite's do, but for peers: here each is a `Peer` already.

    Args:
        outbound: What every request goes through.
        deadlines: Those of a call, but for its total.
        limits: How long replies may be.
        gate: What requests wait at.
        dormancy: What lets peers rest that are not there, or None.
        mode: How streams travel.
        receipts: Whether unary replies should be signed.
    """

    def __init__(
        self,
        outbound: Outbound,
        deadlines: Deadlines,
        limits: ReplyLimits,
        gate: Gate,
        dormancy: Dormancy | None,
        *,
        mode: StreamMode,
        receipts: bool,
    ) -> None:
        self._outbound = outbound
        self._deadlines = deadlines
        self._limits = limits
        self._gate = gate
        self._dormancy = dormancy
        self._mode = mode
        self._receipts = receipts
        self._pumps: set[Pump] = set()

    @property
    def open_streams(self) -> int:
        """How many streams are being read."""
        return len(self._pumps)

    async def aclose(self) -> None:
        """Close every open stream; safe to call twice."""
        pumps = list(self._pumps)
        for pump in pumps:
            pump.cancel()
        for pump in pumps:
            await pump.closed()

    def ask(
        self,
        peer: Peer,
        synapse: Synapse,
        timeout: float | None,
        deserialize: bool,
        *,
        raise_errors: bool = False,
    ) -> Coroutine[Any, Any, Any]:
        """Return a coroutine that asks one peer and returns its finished reply, streamed or not.

        It raises CallError where the call fails and `raise_errors` is set.

        Raises:
            ConfigError: The timeout is not above 0.
        """
        if isinstance(synapse, StreamingSynapse):
            return self._finish(peer, synapse, timeout, deserialize, raise_errors)
        asking = self._ask_once(synapse, timeout)
        return self._call(peer, synapse, asking, deserialize, raise_errors)

    async def ask_all(
        self,
        peers: list[Peer],
        synapse: Synapse,
        timeout: float | None,
        deserialize: bool,
        *,
        at_once: bool,
    ) -> list[Any]:
        """Ask many peers, and return their finished replies in order.

        Args:
            peers: Whom to ask.
            synapse: What to ask.
            timeout: Seconds for each exchange in all; None for no limit.
            deserialize: Whether the results are `deserialize()` of the synapses.
            at_once: Whether they are asked together, or one after another.

        Raises:
            ConfigError: The timeout is not above 0.
        """
        if isinstance(synapse, StreamingSynapse):
            calls = (self._finish(peer, synapse, timeout, deserialize, False) for peer in peers)
        else:
            asking = self._ask_once(synapse, timeout)
            calls = (self._call(peer, synapse, asking, deserialize, False) for peer in peers)
        if at_once:
            return await together(list(calls))
        return [await call for call in calls]

    def open(self, peer: Peer, synapse: Synapse, timeout: float | None, **options: Any) -> Stream:
        """Ask one peer and return its stream; `options` as for `Stream`.

        Raises:
            ConfigError: The timeout is not above 0.
        """
        asking = self._ask_stream(synapse, timeout)
        pump = self._pump(peer, synapse, asking)
        pump.send()
        # Only now: the peer is at work meanwhile.
        pump.listen()
        try:
            copy = copy_to_ask(synapse, peer, self._outbound.hotkey, asking.deadlines.total)
            return Stream(copy, peer, pump, **options)
        except BaseException:
            pump.cancel()
            raise

    def open_all(
        self,
        peers: list[Peer],
        synapse: StreamingSynapse,
        timeout: float | None,
        *,
        barrier: bool,
        **options: Any,
    ) -> list[Stream]:
        """Ask many peers and return their streams in order; `options` as for `Stream`.

        Raises:
            ConfigError: The timeout is not above 0.
        """
        if len(peers) == 1:
            return [self.open(peers[0], synapse, timeout, **options)]
        asking = self._ask_stream(synapse, timeout)
        line = None
        if barrier and peers:
            # More than may be out at once can't be at the line together.
            runners = self._gate.together(peers, type(synapse).__name__)
            line = StartLine(runners, _BARRIER_S)
        total = asking.deadlines.total
        copies = [copy_to_ask(synapse, peer, self._outbound.hotkey, total) for peer in peers]
        pumps = [self._pump(peer, synapse, asking, line) for peer in peers]
        streams = [
            Stream(copy, peer, pump, **options)
            for copy, peer, pump in zip(copies, peers, pumps, strict=True)
        ]
        # All is made before: with work left over the first replies would seem late.
        for pump in pumps:
            pump.send()
        for pump in pumps:
            pump.listen()
        return streams

    def _turn(self, peer: Peer, synapse: Synapse) -> Turn:
        return Turn(peer, self._gate.place(peer, type(synapse).__name__), self._dormancy)

    def _within(self, timeout: float | None) -> Deadlines:
        """Return the deadlines of a call; those of the call before if its timeout is the same."""
        if timeout is not self._deadlines.total:
            self._deadlines = self._deadlines.within(timeout)
        return self._deadlines

    def _ask_stream(self, synapse: Synapse, timeout: float | None) -> Asking:
        return Asking(synapse, self._within(timeout), mode=self._mode)

    def _ask_once(self, synapse: Synapse, timeout: float | None) -> Asking:
        return Asking(synapse, self._within(timeout), receipt=self._receipts)

    def _pump(
        self, peer: Peer, synapse: Synapse, asking: Asking, line: StartLine | None = None
    ) -> Pump:
        """Return what will read a stream, which is still to be started."""
        turn = self._turn(peer, synapse)
        pump = Pump(self._outbound, peer, asking, self._limits, turn, line, self._pumps.discard)
        self._pumps.add(pump)
        return pump

    async def _finish(
        self,
        peer: Peer,
        synapse: StreamingSynapse,
        timeout: float | None,
        deserialize: bool,
        raise_errors: bool,
    ) -> Any:
        """Read a stream to its end."""
        async with self.open(
            peer, synapse, timeout, deserialize=deserialize, raise_errors=raise_errors
        ) as stream:
            return await stream.final()

    async def _call(
        self,
        peer: Peer,
        synapse: Synapse,
        asking: Asking,
        deserialize: bool,
        raise_errors: bool,
    ) -> Any:
        """Make a call whose reply is in one piece."""
        copy = OwnCopy(synapse, peer, self._outbound.hotkey, asking.deadlines.total)
        turn = self._turn(peer, synapse)
        began = math.inf
        try:
            if not turn.enter_now():
                copy.get()
                asking.keep()
                await turn.enter()
            with turn:
                began = time.perf_counter()
                await call_unary(
                    self._outbound,
                    peer,
                    asking,
                    copy,
                    max_reply_bytes=self._limits.reply_bytes,
                )
        except CallError as error:
            # Not kept beyond this: its traceback refers to this frame.
            settle(copy.get(), error, _seconds_since(began))
            if raise_errors:
                raise
        else:
            settle(copy.get(), None, _seconds_since(began))
        return result_of(copy.get(), deserialize=deserialize, raise_errors=raise_errors)


def _seconds_since(began: float) -> float:
    """Return how long a call took; one that never began took none of its peer's time."""
    return max(0.0, time.perf_counter() - began)
