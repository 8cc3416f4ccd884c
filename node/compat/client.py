"""`bt.dendrite`: asks peers in the words of SDK 6-10.

One object serves every event loop and every thread that uses it, each with a dendrite of the
library's own behind it. Such a one closes when its loop ends under `asyncio.run`, or when this
object goes away, so that code which closes nothing leaves nothing open.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
import weakref
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any, Self

from node import dendrite as native
from node.dendrite.dialects import DIALECTS
from node.network.dual_mode import is_loop_running
from node.synapse import StreamingSynapse, TerminalInfo
from node.wire.synapse_headers import VERSION, signed_payload

from .endpoint import as_peer
from .keyring import Keypair, Wallet, as_signer
from .messages import Synapse
from .settings import COMMAND_LINE

__all__ = ["Dendrite"]

_Guard = AsyncGenerator[None, None]
_Open = dict[asyncio.AbstractEventLoop, tuple[native.Dendrite, _Guard]]


class Dendrite:
    """Sends signed requests to peers.

    `await dendrite(axons, synapse)` and `dendrite.query(axons, synapse)` without a loop. Nothing is
    looked up when one is made.

    Args:
        wallet: A wallet or keypair; the default wallet if none is given.

    Attributes:
        keypair: What signs.
        uuid: A name for this object, which SDK 6-10 sign too.

    Raises:
        WalletError: The hotkey can't be loaded.
    """

    def __init__(self, wallet: Any = None) -> None:
        COMMAND_LINE.check()
        self._signer = as_signer(Wallet() if wallet is None else wallet)
        self.keypair = Keypair.of(self._signer)
        self.uuid = str(uuid.uuid4())
        self._open: _Open = {}
        weakref.finalize(self, _close_all, self._open)

    async def __call__(self, *args: Any, **options: Any) -> Any:
        """Ask one axon or a list of them, as `forward` does."""
        return await self.forward(*args, **options)

    async def forward(
        self,
        axons: Any,
        synapse: Any = None,
        timeout: float | None = 12.0,
        deserialize: bool = True,
        run_async: bool = True,
        streaming: bool = False,
    ) -> Any:
        """Ask one axon or a list of them.

        Failures are values: the reply's `dendrite.status_code` and `status_message` tell them.

        Args:
            axons: An `AxonInfo`, an axon, a `Peer`, or a list of them.
            synapse: What to ask; a `Synapse` without fields by default, which every axon answers.
            timeout: Seconds for each exchange in all; None for no limit.
            deserialize: Whether replies, and the last items of streams, are `deserialize()` of
                the synapse.
            run_async: Whether axons are asked at once; otherwise one after another.
            streaming: Whether the reply is a stream. It always is for a `StreamingSynapse`, as it
                was in SDK 10.

        Returns:
            For one axon one reply, for a list a list in its order. A stream is an async generator
            of chunks whose last item is the synapse; its request is on the wire already.

        Raises:
            ConfigError: An axon is none, or the timeout is not above 0.
        """
        here = await self._here()
        question = Synapse() if synapse is None else synapse
        many = isinstance(axons, list | tuple)
        peers = [as_peer(axon) for axon in (axons if many else [axons])]
        replies: list[Any] = await here(
            peers,
            question,
            timeout,
            deserialize,
            run_async,
            streaming or isinstance(question, StreamingSynapse),
        )
        replies = [_items(r) if isinstance(r, native.Stream) else r for r in replies]
        return replies if many else replies[0]

    async def call(
        self,
        target_axon: Any,
        synapse: Any = None,
        timeout: float | None = 12.0,
        deserialize: bool = True,
    ) -> Any:
        """Ask one axon and return its finished reply, streamed or not.

        Raises:
            ConfigError: As `forward`.
        """
        here = await self._here()
        return await here.call(
            as_peer(target_axon), Synapse() if synapse is None else synapse, timeout, deserialize
        )

    async def call_stream(
        self,
        target_axon: Any,
        synapse: StreamingSynapse,
        timeout: float | None = 12.0,
        deserialize: bool = True,
    ) -> AsyncGenerator[Any, None]:
        """Ask one axon and yield the chunks of its reply and then the synapse.

        Raises:
            ConfigError: As `forward`.
        """
        here = await self._here()
        stream = await here.stream(as_peer(target_axon), synapse, timeout, deserialize)
        async with contextlib.aclosing(_items(stream)) as items:
            async for item in items:
                yield item

    def query(
        self,
        axons: Any,
        synapse: Any = None,
        timeout: float | None = 12.0,
        deserialize: bool = True,
        run_async: bool = True,
        streaming: bool = False,
    ) -> Any:
        """Ask from code without an event loop, and return the finished replies.

        Streams are read to their end. Arguments and errors as for `forward`; `streaming` makes no
        difference.

        Raises:
            RuntimeError: A loop is running here; there, await the dendrite instead.
        """
        if is_loop_running():
            raise RuntimeError("query is for code without an event loop; here, await dendrite(...)")
        # A loop factory, so that the thread's "current loop" is left alone.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(self._query(axons, synapse, timeout, deserialize, run_async))

    async def aquery(self, *args: Any, **options: Any) -> Any:
        """Ask as by calling the dendrite, and close this loop's session afterwards."""
        try:
            return await self(*args, **options)
        finally:
            await self.aclose_session()

    async def _query(
        self, axons: Any, synapse: Any, timeout: float | None, deserialize: bool, run_async: bool
    ) -> Any:
        many = isinstance(axons, list | tuple)
        peers = [as_peer(axon) for axon in (axons if many else [axons])]
        question = Synapse() if synapse is None else synapse
        async with self._new() as here:
            replies: list[Any] = await here(peers, question, timeout, deserialize, run_async, False)
        return replies if many else replies[0]

    def preprocess_synapse_for_request(
        self, target_axon_info: Any, synapse: Any, timeout: float = 12.0
    ) -> Any:
        """Fill and sign a synapse for code that sends its `to_headers()` itself, as SDK 6-10 do.

        Nothing of this library needs it. The body travels as `synapse.model_dump()`.

        Raises:
            WalletError: The key can't sign.
            MalformedRequest: As `Synapse.body_hash`.
        """
        peer = as_peer(target_axon_info)
        nonce_ns = time.time_ns()
        synapse.timeout = timeout
        synapse.axon = TerminalInfo(ip=peer.ip, port=peer.port, hotkey=peer.hotkey)
        payload = signed_payload(
            nonce_ns=nonce_ns,
            sender=self._signer.ss58_address,
            receiver=peer.hotkey,
            uuid=self.uuid,
            body_hash=synapse.body_hash,
        )
        synapse.dendrite = TerminalInfo(
            version=VERSION,
            nonce=nonce_ns,
            uuid=self.uuid,
            hotkey=self._signer.ss58_address,
            signature="0x" + self._signer.sign(payload).hex(),
        )
        return synapse

    async def aclose_session(self) -> None:
        """Close what this loop has open; safe to call twice. Asking again opens it anew."""
        entry = self._open.get(asyncio.get_running_loop())
        if entry is not None:
            await entry[1].aclose()

    def close_session(self, using_new_loop: bool = False) -> None:
        """Close what loops that are not running have open; safe to call twice.

        Raises:
            RuntimeError: A loop is running here; there, await `aclose_session`.
        """
        if is_loop_running():
            raise RuntimeError("in a running event loop, await aclose_session() instead")
        _close_all(self._open)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose_session()

    def _new(self) -> native.Dendrite:
        return native.Dendrite(self._signer, protocols=tuple(DIALECTS))

    async def _here(self) -> native.Dendrite:
        """Return the dendrite of the running loop, which the end of the loop closes."""
        loop = asyncio.get_running_loop()
        entry = self._open.get(loop)
        if entry is None:
            for ended in [other for other in self._open if other.is_closed()]:
                del self._open[ended]
            fresh = self._new()
            guard = _close_at_end(fresh, self._open, loop)
            self._open[loop] = entry = (fresh, guard)
            await anext(guard)
        return entry[0]

    def __repr__(self) -> str:
        return f"dendrite({self.keypair.ss58_address})"


async def _close_at_end(
    dendrite: native.Dendrite, open_: _Open, loop: asyncio.AbstractEventLoop
) -> _Guard:
    """Close a dendrite when this generator is closed, as a loop does with all at its end."""
    try:
        yield
    finally:
        open_.pop(loop, None)
        await dendrite.aclose()


def _close_all(open_: _Open) -> None:
    """Close what is open, as far as its loops can still do so."""
    for loop, (_, guard) in list(open_.items()):
        if loop.is_closed() or loop.is_running():
            # A running loop closes the guard itself once nobody holds it.
            open_.pop(loop, None)
        elif not is_loop_running():
            loop.run_until_complete(guard.aclose())


async def _items(stream: native.Stream) -> AsyncGenerator[Any, None]:
    async with contextlib.aclosing(stream):
        async for item in stream:
            yield item
