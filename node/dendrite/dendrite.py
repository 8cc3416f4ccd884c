"""The dendrite: asks peers, and hands each reply back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Self

from node.errors import ConfigError
from node.keys import Keypair, Wallet, signer_of
from node.network import Peer
from node.streams import StreamMode
from node.synapse import StreamingSynapse, Synapse

from .asker import Asker
from .deadlines import Deadlines
from .dormancy import Dormancy
from .fan import first_good, merge
from .gate import Gate
from .opening import OpeningStream, all_sent
from .reply_limits import ReplyLimits
from .request import Outbound, Signer
from .session import Dial, Session
from .stream import After, Stream
from .voices import Voices

__all__ = ["Dendrite"]


class Dendrite:
    """Sends signed requests to peers.

    Use it as `async with Dendrite(wallet) as dendrite:` or call `aclose`. It belongs to one event
    loop, except for `query`, which needs none. Constructing one does no I/O and looks nothing up.

    Args:
        wallet: The caller's wallet or bare keypair; its hotkey signs.
        connect: Seconds until a connection must stand, 4 by default; None for no limit.
        first_byte: Seconds from then until the first chunk of a stream or the first byte of a
            unary reply's body, however soon the head comes; None, the default, leaves that to the
            call's timeout.
        idle: Seconds between two reads of a reply after that, heartbeats included; None likewise.
        protocols: Signing protocols that may be spoken, the preferred one first, of `btauth`,
            `synapse` (axons of SDK 6 to 10) and `epistula`. A peer whose record names what it
            accepts gets the first in common; one that names nothing is asked once. None that is
            left out is ever spoken.
        mode: How streams travel: `frames`, `sse` or `raw`. Only the first two tell a complete
            stream from one that was cut, and carry receipts.
        at_once: Requests that may be out in all, or None. Those beyond wait; their clock starts
            when they go.
        per_peer: Requests that may be out to one peer, or None. Whatever it is, no more are out to
            a peer for one route than the peer declares as its capacity for it.
        dormancy: What lets a peer rest that was not there several times in a row: calls to it fail
            at once with `PeerDormant` until it is time to try again. True, the default, rests it
            for 1 s after 5 failures, twice as long after each further one, and 30 s at the most;
            False asks every time; a `Dormancy` sets the numbers.
        allow_private: Whether to connect to addresses that are private, loopback or the like. Turn
            it off for peers of a network that strangers write to, whose records may point at
            services of this machine; what a name resolves to is judged too.
        receipts: Whether unary replies should be signed; streams are whenever the peer signs.
        bound: Whether requests name their receiver, as nearly all nodes demand.
        secret_signatures: Whether Epistula requests carry its optional secret signatures.
        max_reply_bytes: Longest unary reply, 64 MiB by default.
        max_chunk_bytes: Longest chunk of a stream, 16 MiB by default.
        dial: Makes connections: called with host and port, it returns a connected, non-blocking
            socket, which this dendrite then owns, or None for an ordinary connection, or raises
            OSError. None, the default, makes all of them by TCP.
        clock_ns: Gives Unix nanoseconds; for tests.

    Raises:
        ConfigError: A deadline or limit is not above 0, or the mode is unknown.
        WalletError: The wallet's hotkey can't be loaded.
    """

    def __init__(
        self,
        wallet: Wallet | Keypair,
        *,
        connect: float | None = 4.0,
        first_byte: float | None = None,
        idle: float | None = None,
        protocols: Iterable[str] = ("btauth",),
        mode: StreamMode | str = StreamMode.FRAMES,
        at_once: int | None = None,
        per_peer: int | None = None,
        dormancy: Dormancy | bool = True,
        allow_private: bool = True,
        receipts: bool = True,
        bound: bool = True,
        secret_signatures: bool = False,
        max_reply_bytes: int = 64 * 2**20,
        max_chunk_bytes: int = 16 * 2**20,
        dial: Dial | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        deadlines = Deadlines(connect=connect, first_byte=first_byte, idle=idle)
        for name, limit in (("at_once", at_once), ("per_peer", per_peer)):
            if limit is not None and limit < 1:
                raise ConfigError(f"a dendrite's {name} must be 1 or more, not {limit}")
        signer = Signer(signer_of(wallet), clock_ns=clock_ns)
        self._hotkey = signer.hotkey
        self._dormancy = _dormancy_of(dormancy)
        self._session = Session(allow_private=allow_private, dial=dial)
        voices = Voices(
            protocols, bound=bound, hotkey=self._hotkey, secret_signatures=secret_signatures
        )
        self._asker = Asker(
            Outbound(self._session, signer, voices),
            deadlines,
            ReplyLimits(reply_bytes=max_reply_bytes, frame_bytes=max_chunk_bytes),
            Gate(at_once=at_once, per_peer=per_peer),
            self._dormancy,
            mode=_check_mode(mode),
            receipts=receipts,
        )

    def __repr__(self) -> str:
        return f"<Dendrite {self.hotkey[:8]}, {self._asker.open_streams} streams open>"

    @property
    def hotkey(self) -> str:
        """The address that requests are signed with."""
        return self._hotkey

    @property
    def dormancy(self) -> Dormancy | None:
        """What keeps count of peers that are not there; None if it was turned off."""
        return self._dormancy

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every open stream and the session; safe to call twice."""
        await self._asker.aclose()
        await self._session.close()

    async def __call__(
        self,
        peers: Any,
        synapse: Synapse,
        timeout: float | None = 12.0,
        deserialize: bool = True,
        run_async: bool = True,
        streaming: bool | None = None,
        *,
        barrier: bool = False,
    ) -> Any:
        """Ask one peer or many.

        Failures are values: the reply's `dendrite.status_code` and `status_message` tell them,
        and one peer's failure never disturbs another's reply. When streams are returned, every
        request is on the wire.

        Args:
            peers: One peer or a list; a `Peer`, its text `HOTKEY@HOST:PORT`, or anything whose
                `info()` gives one, such as an axon.
            synapse: What to ask. Every peer gets a copy, so replies share nothing.
            timeout: Seconds for each exchange in all; None for no limit.
            deserialize: Whether results are `deserialize()` of the synapse, which is the synapse
                itself unless a subclass says otherwise.
            run_async: Whether peers are asked at once; otherwise one after another.
            streaming: Whether to return streams; by default when the synapse is a
                `StreamingSynapse`. False waits for the finished synapses.
            barrier: Whether streams are signed and connected first and then let go together;
                `stream.timing.sent_at` tells when each went. Peers that take over two seconds to
                connect are not waited for.

        Returns:
            For one peer one reply, a synapse or a `Stream`; for a list a list in its order.

        Raises:
            ConfigError: A peer is none, or the timeout is not above 0.
        """
        many = isinstance(peers, Sequence) and not isinstance(peers, str)
        if streaming is None:
            streaming = isinstance(synapse, StreamingSynapse)
        if not (many or streaming):
            return await self.call(peers, synapse, timeout, deserialize)
        targets = [_as_peer(peer) for peer in (peers if many else [peers])]
        replies: list[Any]
        if not streaming:
            replies = await self._asker.ask_all(
                targets, synapse, timeout, deserialize, at_once=run_async
            )
        elif isinstance(synapse, StreamingSynapse):
            replies = []
            try:
                for group in [targets] if run_async else [[target] for target in targets]:
                    opened = self._asker.open_all(
                        group, synapse, timeout, barrier=barrier, deserialize=deserialize
                    )
                    replies += opened
                    await all_sent(opened)
            except BaseException:
                for stream in replies:
                    stream.abandon()
                raise
        else:
            finished = await self._asker.ask_all(
                targets, synapse, timeout, False, at_once=run_async
            )
            replies = [
                Stream.from_synapse(reply, peer=peer, deserialize=deserialize)
                for peer, reply in zip(targets, finished, strict=True)
            ]
        return replies if many else replies[0]

    async def call(
        self,
        peer: Any,
        synapse: Synapse,
        timeout: float | None = 12.0,
        deserialize: bool = True,
        *,
        raise_errors: bool = False,
    ) -> Any:
        """Ask one peer and return its finished reply, streamed or not.

        Args:
            peer: As for calling the dendrite.
            synapse: What to ask.
            timeout: Seconds in all; None for no limit.
            deserialize: Whether the result is `deserialize()` of the synapse.
            raise_errors: Whether a failure raises instead of being a value.

        Raises:
            CallError: The call failed and `raise_errors` is set.
            ConfigError: As for calling the dendrite.
        """
        target = _as_peer(peer)
        return await self._asker.ask(
            target, synapse, timeout, deserialize, raise_errors=raise_errors
        )

    def stream(
        self,
        peer: Any,
        synapse: Synapse,
        timeout: float | None = 12.0,
        deserialize: bool = True,
        *,
        raise_errors: bool = False,
        after: After | None = None,
        lock: AbstractAsyncContextManager[Any] | None = None,
    ) -> OpeningStream:
        """Ask one peer and return its stream.

        Await the result for the `Stream`, once its request is on the wire; or iterate over it or
        enter it with `async with` directly.

        Args:
            peer: As for calling the dendrite.
            synapse: What to ask.
            timeout: Seconds in all; None for no limit.
            deserialize: Whether the last item is `deserialize()` of the synapse.
            raise_errors: Whether a failure raises from the stream.
            after: As for `Stream`.
            lock: As for `Stream`.

        Raises:
            ConfigError: As for calling the dendrite.
        """
        return OpeningStream(
            self._asker.open(
                _as_peer(peer), synapse, timeout, deserialize=deserialize,
                raise_errors=raise_errors, after=after, lock=lock,
            )
        )  # fmt: skip

    @asynccontextmanager
    async def fan_out(
        self,
        peers: Sequence[Any],
        synapse: StreamingSynapse,
        timeout: float | None = 12.0,
        deserialize: bool = True,
        *,
        raise_errors: bool = False,
        barrier: bool = False,
    ) -> AsyncIterator[list[Stream]]:
        """Ask many peers and enter their streams; leaving the block closes every one.

        A stream that is used after the block tells that it was closed, and does not hang.

        Args:
            peers: As for calling the dendrite.
            synapse: What to ask.
            timeout: Seconds for each exchange in all; None for no limit.
            deserialize: As for calling the dendrite.
            raise_errors: Whether a failure raises from its stream.
            barrier: As for calling the dendrite.

        Raises:
            ConfigError: As for calling the dendrite.
        """
        targets = [_as_peer(peer) for peer in peers]
        streams = self._asker.open_all(
            targets,
            synapse,
            timeout,
            barrier=barrier,
            deserialize=deserialize,
            raise_errors=raise_errors,
        )
        try:
            await all_sent(streams)
            yield streams
        finally:
            await asyncio.gather(*(stream.aclose() for stream in streams))

    def merge(self, streams: Sequence[Stream]) -> AsyncIterator[tuple[Peer | None, Any]]:
        """Yield pairs of peer and chunk as they come from many streams.

        A stream whose call failed just ends, and its `final` tells why. Leaving the loop closes
        the streams.

        Raises:
            Exception: What a stream raises, in `raise_errors` or from a hook of its synapse.
        """
        return merge(streams)

    async def first(
        self,
        peers: Sequence[Any],
        synapse: Synapse,
        n: int = 1,
        timeout: float | None = 12.0,
    ) -> list[Synapse]:
        """Return the first `n` replies that succeed, in order of arrival, and cancel the rest.

        Fewer come back when fewer succeed.

        Args:
            peers: As for calling the dendrite.
            synapse: What to ask; streams are read to their end.
            n: How many replies are enough.
            timeout: Seconds for each exchange in all; None for no limit.

        Raises:
            ConfigError: As for calling the dendrite, or `n` is below 1.
        """
        if n < 1:
            raise ConfigError(f"first waits for 1 reply or more, not {n}")
        targets = [_as_peer(peer) for peer in peers]
        return await first_good([self.call(peer, synapse, timeout, False) for peer in targets], n)

    def query(
        self, peers: Any, synapse: Synapse, timeout: float | None = 12.0, deserialize: bool = True
    ) -> Any:
        """Ask from a script that has no event loop, and return the finished replies.

        Streams are read to their end. It opens a session for this one call and closes it.

        Raises:
            RuntimeError: A loop is running here; there, await the dendrite instead.
            ConfigError: As for calling the dendrite.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self._query(peers, synapse, timeout, deserialize))
        raise RuntimeError("query is for scripts without an event loop; here, await dendrite(...)")

    async def _query(
        self, peers: Any, synapse: Synapse, timeout: float | None, deserialize: bool
    ) -> Any:
        try:
            return await self(peers, synapse, timeout, deserialize, streaming=False)
        finally:
            await self.aclose()


def _dormancy_of(dormancy: Dormancy | bool) -> Dormancy | None:
    """Return what counts failures; the default is mild, for somebody who starts a peer late."""
    if dormancy is True:
        return Dormancy(after=5, first_s=1.0, longest_s=30.0)
    return dormancy if isinstance(dormancy, Dormancy) else None


def _check_mode(mode: StreamMode | str) -> StreamMode:
    try:
        return StreamMode(mode)
    except ValueError:
        raise ConfigError(
            f"a dendrite's mode is one of {', '.join(StreamMode)}, not {mode!r}"
        ) from None


def _as_peer(peer: Any) -> Peer:
    if isinstance(peer, Peer):
        return peer
    if isinstance(peer, str):
        return Peer.parse(peer)
    info = getattr(peer, "info", None)
    described = info() if callable(info) else None
    if isinstance(described, Peer):
        return described
    raise ConfigError(
        f"{type(peer).__name__} is not a peer; give a Peer, its text HOTKEY@HOST:PORT, or an axon"
    )
