"""What the peers of a test network serve: a function's forward, or a miner class."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol

from node.keys import Keypair
from node.neuron.engine import EchoEngine
from protocols.prompting import StreamPrompting

from .serving import FaultyAxon

if TYPE_CHECKING:
    from node.neuron.config import Config
    from node.neuron.miner import Miner

__all__ = ["ForwardSource", "MinerSource", "Source", "echo"]


class Source(Protocol):
    """Attaches forwards to the axons of a network."""

    async def attach(self, axon: FaultyAxon, keypair: Keypair) -> None:
        """Attach to an axon that is not started, and has this key.

        Raises:
            RouteError: An annotation is wrong.
        """

    async def close(self) -> None:
        """Let go of what `attach` made; safe to call twice."""


async def echo(synapse: StreamPrompting) -> AsyncIterator[str]:
    """Stream the last message back, token by token, as the default miner does."""
    prompt = synapse.messages[-1] if synapse.messages else ""
    async with aclosing(EchoEngine().tokens(prompt)) as tokens:
        async for token in tokens:
            yield token


class ForwardSource:
    """Forwards that all peers share.

    Args:
        forward: One, several, or None for `echo`.
        local_names: Where annotations that are text are looked up, besides their module.
    """

    def __init__(
        self,
        forward: Callable[..., Any] | Sequence[Callable[..., Any]] | None,
        local_names: Mapping[str, Any],
    ) -> None:
        if forward is None:
            forward = echo
        self._forwards = list(forward) if isinstance(forward, Sequence) else [forward]
        self._local_names = local_names

    async def attach(self, axon: FaultyAxon, keypair: Keypair) -> None:
        """Attach every forward."""
        for forward in self._forwards:
            axon.serve_route(forward, self._local_names)

    async def close(self) -> None:
        """Do nothing: functions hold nothing."""


class MinerSource:
    """An object of a miner class for every peer, whose forwards and hooks its axon serves.

    Args:
        miner: The class.
        flags_for: Gives the flags by which a miner finds its wallet and network.
        flags: More flags.
    """

    def __init__(
        self,
        miner: type[Miner],
        flags_for: Callable[[Keypair], Awaitable[list[str]]],
        flags: Sequence[str],
    ) -> None:
        self._class = miner
        self._flags_for = flags_for
        self._more = list(flags)
        self._made: list[Miner] = []

    async def attach(self, axon: FaultyAxon, keypair: Keypair) -> None:
        """Make a miner and let it attach to the axon, which it has for its own from then on."""
        flags = [*await self._flags_for(keypair), *self._more]
        # It reads its wallet from disk.
        miner = await asyncio.to_thread(self._make, flags)
        self._made.append(miner)
        miner.axon = axon
        miner.attach(axon)

    async def close(self) -> None:
        """Close the miners' networks."""
        made, self._made = self._made, []
        for miner in made:
            await miner.network.close()

    def _make(self, flags: list[str]) -> Miner:
        from node.neuron.flags import build_parser
        from node.neuron.resolver import resolve

        def config(self: Miner) -> Config:
            parser = build_parser(self.kind)
            self.add_args(parser)
            # This process's environment is about other programs.
            return resolve(parser, flags, environ={})

        named = type(self._class.__name__, (self._class,), {"config": config})
        miner: Miner = named()
        return miner
