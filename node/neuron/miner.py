"""The miner: an axon that answers prompts, on a network, from start to drain."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from node.axon import Axon
from node.errors import ConfigError
from node.network.chained import ChainedMemory
from node.network.guard_link import GuardLink
from protocols.prompting import StreamPrompting

from .config import Config
from .engine import flush_every, make_engine
from .log_setup import logging_for
from .neuron import Neuron
from .publishing import Publisher
from .serving import limit_routes, make_axon
from .shared_memory import shared_memory_of
from .workers import Seat, run_workers, wait_for_end

__all__ = ["Miner"]

logger = logging.getLogger(__name__)


class Miner(Neuron):
    """Base of miners, and a miner itself: it streams prompts back through its engine.

    A subclass overrides `forward`, whose annotation makes the route, and any of `blacklist`,
    `priority`, `verify`, `add_args`, `attach`. Constructing one reads the settings and the hotkey
    and does no network I/O. `run` and `launch` are for programs; `async with miner:` serves for
    the time of the block and is for tests and for programs with a loop of their own.

    With `--axon.workers` above 1, `run` and `launch` start that many processes, each a copy of this
    object from before its start: what a process needs for itself, such as threads, a graphics card
    or an open file, is made in `start` and not in the constructor.

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
        settings = self.config
        self._link = GuardLink() if settings["axon.workers"] > 1 else None
        self._seat: Seat | None = None
        self._program: str | None = None
        memories = [each for each in (self._link, self._shared) if each is not None]
        self.axon = make_axon(
            settings,
            self.wallet,
            self.network,
            shared=ChainedMemory(*memories) if memories else None,
            processes=settings["axon.workers"],
            allow_non_registered=settings["blacklist.allow_non_registered"],
            force_validator_permit=settings["blacklist.force_validator_permit"],
            minimum_stake=settings["blacklist.minimum_stake_requirement"],
        )
        self.attach(self.axon)
        limit_routes(self.axon, settings["axon.capacity"] or ())
        self._publisher: Publisher | None = None

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
            ConfigError: The port is taken or can't be used, or several workers are wanted and this
                is none of them.
            NetworkError: The network can't be read or written, or the shared memory not reached.
            NotRegistered: The hotkey has no uid, on a network where one must be got first.
        """
        try:
            if self._link is not None:
                await self._take_seat(self._link)
            if self._shared is not None:
                await self._shared.check()
            await self.axon.start()
            await self._show()
            if self._link is not None:
                await self._link.say_ready()
        except BaseException:
            await self.stop(grace_s=0.0)
            raise

    async def _take_seat(self, link: GuardLink) -> None:
        if self._seat is None:
            raise ConfigError(
                "--axon.workers needs processes, which run() and launch() start; where the miner "
                "runs in a loop of yours leave it at 1"
            )
        self.axon.port = self._seat.port
        await link.open(self._seat.link)

    async def _show(self) -> None:
        """Publish where it serves; of several workers the first does it for all."""
        if self._seat is not None and self._seat.number:
            metagraph = self.axon.metagraph
            self.uid = None if metagraph is None else metagraph.uid_of(self.axon.hotkey)
            logger.info("worker %d serves on port %d", self._seat.number, self.axon.port)
            return
        self._publisher = self._make_publisher(self.axon)
        self.uid = await self._publisher.start()
        logger.info(
            "uid %s on netuid %s of %s serves as %s",
            self.uid, self.config["netuid"], self.network.name, self.axon.info(),
        )  # fmt: skip

    async def serve_until(self, stopping: asyncio.Event) -> None:
        """Serves until the event.

        Raises:
            NetworkError: This is one of several workers, and the process that started it has gone.
        """
        if self._link is None:
            await super().serve_until(stopping)
        else:
            await wait_for_end(stopping, self._link)

    def run(self) -> None:
        """Does as `Neuron.run`; with `--axon.workers` above 1 in as many processes.

        Raises:
            NodeError: As `start`, where there is one process.
            SystemExit: There were several, and one could not be kept up; it has told why.
        """
        if self._link is None:
            super().run()
        elif self._seat is not None:
            with logging_for(self.config, file=self._seat.log_file):
                asyncio.run(self.main())
        elif code := run_workers(self.config, self._work):
            raise SystemExit(code)

    def run_to_end(self, program: str | None = None) -> int:
        """As `Neuron.run_to_end`."""
        self._program = program
        return super().run_to_end(program)

    def _work(self, seat: Seat) -> int:
        self._seat = seat
        return self.run_to_end(self._program)

    async def stop(self, grace_s: float | None = None) -> None:
        """Drains the axon and closes the network; may be called again.

        Args:
            grace_s: Seconds that running replies get; `--axon.grace_s` by default.
        """
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            await publisher.stop()
        try:
            await self.axon.stop(grace_s)
        finally:
            for memory in (self._link, self._shared):
                if memory is not None:
                    await memory.aclose()
            await super().stop()
