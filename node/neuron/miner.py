"""The miner: an axon that answers prompts, on a network, from start to drain."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from node.axon import Axon
from node.errors import ConfigError, NetworkError
from node.network import Peer
from node.network.backend import Expiring
from protocols.prompting import StreamPrompting

from .config import Config
from .engine import flush_every, make_engine
from .neuron import BLOCK_S, Neuron
from .shared_memory import shared_memory_of

__all__ = ["Miner"]

logger = logging.getLogger(__name__)

_RETRY_S = 30.0


class Miner(Neuron):
    """Base of miners, and a miner itself: it streams prompts back through its engine.

    A subclass overrides `forward`, whose annotation makes the route, and any of `blacklist`,
    `priority`, `verify`, `add_args`, `attach`. Constructing one reads the settings and the hotkey
    and does no network I/O. `run` and `launch` are for programs; `async with miner:` serves for
    the time of the block and is for tests and for programs with a loop of their own.

    Args:
        config: The settings; None takes what `config()` returns.

    Attributes:
        config: The settings. On the class it is the method that makes them.
        wallet: The wallet that the settings name.
        network: The network that they name; closed by `stop`.
        engine: What answers prompts.
        axon: The axon, with this miner's forward attached.
        uid: The uid on the network, None before `start`.

    Raises:
        ConfigError: A setting is wrong or missing.
        WalletError: The hotkey can't be read; the text says how to make one.
        RouteError: An annotation of `forward` or of a hook is wrong.
    """

    kind = "miner"

    if TYPE_CHECKING:
        # Subclasses take another synapse, which a declared method would not let them.
        forward: Any
    else:

        async def forward(self, synapse: StreamPrompting) -> AsyncIterator[str]:
            """Streams the engine's answer to the last message."""
            async with aclosing(self.answer(synapse)) as chunks:
                async for chunk in chunks:
                    yield chunk

    def __init__(self, config: Config | None = None) -> None:
        super().__init__(config)
        self.engine = make_engine(self.config)
        self._shared = shared_memory_of(self.config)
        self.axon = self._make_axon()
        self.attach(self.axon)
        self._limit_routes()
        self._publisher: asyncio.Task[None] | None = None
        # When what was published expires, by the monotonic clock; before `start` nobody knows.
        self._expires_at = 0.0

    def answer(self, synapse: StreamPrompting) -> Any:
        """Streams the engine's answer to the last message, in chunks of `--neuron.flush_every`."""
        prompt = synapse.messages[-1] if synapse.messages else ""
        return flush_every(self.engine.tokens(prompt), self.config["neuron.flush_every"])

    def blacklist(self, synapse: Any) -> Any:
        """Tells whether to refuse a verified request: a bool, or a pair of a bool and a reason."""
        return False

    def priority(self, synapse: Any) -> Any:
        """Returns what orders waiting requests, highest first: by default the caller's stake."""
        metagraph = self.axon.metagraph
        if metagraph is None:
            return 0.0
        uid = metagraph.uid_of(synapse.dendrite.hotkey)
        return 0.0 if uid is None else metagraph.stake[uid]

    def verify(self, synapse: Any) -> Any:
        """Checks a request beyond its signature; False or an exception refuses it."""
        return True

    def attach(self, axon: Axon) -> None:
        """Attaches the forwards; an override may attach more, each with hooks of its own."""
        axon.attach(self.forward, self.blacklist, self.priority, self.verify)

    async def start(self) -> None:
        """Serves and publishes where.

        On a network that gives uids for the asking the hotkey is registered if need be.

        The port is taken first, so that a start that fails has changed nothing on the network.

        Raises:
            ConfigError: The port is taken or can't be used.
            NetworkError: The network can't be read or written, or the shared memory not reached.
            NotRegistered: The hotkey has no uid, on a network where one must be got first.
        """
        try:
            if self._shared is not None:
                await self._shared.check()
            await self.axon.start()
            await self._publish()
        except BaseException:
            await self.stop(grace_s=0.0)
            raise
        self._publisher = asyncio.create_task(self._keep_published(), name="miner publisher")
        logger.info(
            "uid %s on netuid %s of %s serves as %s",
            self.uid, self.config["netuid"], self.network.name, self.axon.info(),
        )  # fmt: skip

    async def stop(self, grace_s: float | None = None) -> None:
        """Drains the axon and closes the network; may be called again.

        Args:
            grace_s: Seconds that running replies get; `--axon.grace_s` by default.
        """
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.cancel()
            with suppress(asyncio.CancelledError):
                await publisher
        try:
            await self.axon.stop(grace_s)
        finally:
            if self._shared is not None:
                await self._shared.aclose()
            await super().stop()

    def _make_axon(self) -> Axon:
        config = self.config
        return Axon(
            self.wallet,
            ip=config["axon.ip"],
            port=config["axon.port"],
            external_ip=config["axon.external_ip"],
            external_port=config["axon.external_port"],
            max_workers=config["axon.max_workers"],
            max_queue=config["axon.max_queue"],
            max_body_bytes=config["axon.max_body_bytes"],
            grace_s=config["axon.grace_s"],
            protocols=config["axon.protocols"],
            max_age_s=config["axon.max_age_s"],
            synapse_max_age_s=config["axon.synapse_max_age_s"],
            require_receiver=not config["axon.allow_unbound"],
            require_body_hash=config["axon.require_body_hash"],
            allow_uptime_nonces=not config["axon.refuse_uptime_nonces"],
            heartbeat_s=config["axon.heartbeat_s"],
            stall_s=config["axon.stall_s"],
            max_stale_s=config["axon.max_stale_s"],
            shared=self._shared,
            network=self.network,
            netuid=config["netuid"],
            allow_non_registered=config["blacklist.allow_non_registered"],
            force_validator_permit=config["blacklist.force_validator_permit"],
            minimum_stake=config["blacklist.minimum_stake_requirement"],
        )

    def _limit_routes(self) -> None:
        """Sets what --axon.capacity says, over what was given when a forward was attached."""
        chosen = self.config["axon.capacity"] or ()
        for route, capacity in chosen:
            if [name for name, _ in chosen].count(route) > 1:
                raise ConfigError(f"--axon.capacity names the route {route} twice")
            self.axon.set_capacity(route, capacity)

    async def _publish(self) -> None:
        """Makes the network list this miner where it serves.

        Writes only what differs, or would expire before the next look but one.
        """
        netuid, here = self.config["netuid"], self.axon.info()
        metagraph = await self.network.metagraph(netuid)
        uid = metagraph.uid_of(here.hotkey)
        if uid is None:
            uid = await self._register()
        elif _lists(metagraph.axons[uid], here) and not self._expires_soon():
            self.uid = uid
            return
        began = time.monotonic()
        await self.network.serve(netuid, self.wallet, here)
        if isinstance(self.network, Expiring):
            self._expires_at = began + self.network.serve_ttl_s
        self.uid = uid

    def _expires_soon(self) -> bool:
        if not isinstance(self.network, Expiring):
            return False
        return time.monotonic() + 2 * self._pause_s() > self._expires_at

    def _pause_s(self) -> float:
        """The time between two looks: an epoch, and less where what is published expires sooner."""
        epoch_s: float = self.config["neuron.epoch_length"] * BLOCK_S
        if isinstance(self.network, Expiring):
            return min(epoch_s, self.network.serve_ttl_s / 4)
        return epoch_s

    async def _keep_published(self) -> None:
        """Looks again every epoch: a registry may have been replaced or its record dropped."""
        pause_s = self._pause_s()
        while True:
            await asyncio.sleep(pause_s)
            pause_s = self._pause_s()
            try:
                await self._publish()
            except NetworkError as error:
                logger.warning("the network does not list this miner: %s", error)
                pause_s = min(pause_s, _RETRY_S)


def _lists(listed: Peer, here: Peer) -> bool:
    """Tell whether a registry says where a miner is, and what it takes if it says that at all."""
    there = (listed.ip, listed.port) == (here.ip, here.port)
    spoken = listed.protocols in ((), here.protocols)
    return there and spoken and listed.capacity in ((), here.capacity)
