"""The miner: an axon that answers prompts, on a network, from start to drain."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from node.axon import Axon
from node.errors import ConfigError, NetworkError, NodeError, NotRegistered
from node.network import open_network
from protocols.prompting import StreamPrompting

from .config import Config
from .engine import flush_every, make_engine
from .flags import build_parser
from .lifecycle import end_process, lingering_threads, stop_signals, tell_error
from .log_setup import logging_for
from .resolver import resolve
from .wallets import open_wallet

__all__ = ["Miner"]

logger = logging.getLogger(__name__)

BLOCK_S = 12.0


class Miner:
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

    if TYPE_CHECKING:
        # A method until the constructor puts its result in its place, as v6-v10 miners have it.
        config: Any
        # Overridden as a class method or, as the tutorial has it, a plain one.
        add_args: Any
        # Subclasses take another synapse, which a declared method would not let them.
        forward: Any
    else:

        def config(self) -> Config:
            """Returns the settings of this process: its command line, environment and profile.

            An override builds a parser, gives it the miner's flags (`node.neuron.flags.add_flags`)
            and returns `resolve(parser)`.

            Raises:
                SystemExit: A setting is wrong; the reason is printed and the code is 2.
            """
            summary = (type(self).__doc__ or "").partition("\n")[0]
            parser = build_parser("miner", description=summary)
            self.add_args(parser)
            return resolve(parser)

        @classmethod
        def add_args(cls, parser: argparse.ArgumentParser) -> None:
            """Adds a subclass's own flags; one that the miner has already is replaced.

            It may be overridden as a plain method too.
            """

        async def forward(self, synapse: StreamPrompting) -> AsyncIterator[str]:
            """Streams the engine's answer to the last message."""
            async with aclosing(self.answer(synapse)) as chunks:
                async for chunk in chunks:
                    yield chunk

    def __init__(self, config: Config | None = None) -> None:
        self.config = _checked(self.config() if config is None else config)
        self.uid: int | None = None
        self.wallet = open_wallet(self.config)
        self.engine = make_engine(self.config)
        self.network = open_network(
            self.config["subtensor.chain_endpoint"] or self.config["subtensor.network"]
        )
        self.axon = self._make_axon()
        self.attach(self.axon)
        self._publisher: asyncio.Task[None] | None = None

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
        """Serves and publishes where. On a local network the hotkey is registered if need be.

        The port is taken first, so that a start that fails has changed nothing on the network.

        Raises:
            ConfigError: The port is taken or can't be used.
            NetworkError: The network can't be read or written.
            NotRegistered: The hotkey has no uid, on a network where one must be got first.
        """
        try:
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
            await self.network.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def main(self) -> None:
        """Serves until SIGINT or SIGTERM, then drains. In the main thread only.

        Raises:
            NodeError: As `start`.
        """
        with stop_signals() as stopping:
            async with self:
                await stopping.wait()
            logger.info("stopped")

    def run(self) -> None:
        """Sets up logging and serves until a signal; for a program without a loop.

        Raises:
            NodeError: As `start`.
        """
        with logging_for(self.config):
            asyncio.run(self.main())

    def run_to_end(self, program: str | None = None) -> int:
        """Does as `run`, for the last thing that a process does; returns its exit code.

        An error is printed in one line. A sync forward that is still running in its thread after
        the drain does not keep the process alive: it is left behind, and this does not return.

        Args:
            program: What error lines begin with; the script's name by default.
        """
        name = program or Path(sys.argv[0]).name
        before = set(threading.enumerate())
        try:
            self.run()
        except NodeError as error:
            return tell_error(name, error)
        if threads := lingering_threads(before):
            sys.stderr.write(f"{name}: left behind, still running: {len(threads)} forward(s)\n")
            end_process(0)
        return 0

    @classmethod
    def launch(cls) -> int:
        """Makes a miner from this process's command line and runs it; returns the exit code.

        The last line of a miner's script: `sys.exit(MyMiner.launch())`.
        """
        try:
            miner = cls()
        except NodeError as error:
            return tell_error(Path(sys.argv[0]).name, error)
        return miner.run_to_end()

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
            network=self.network,
            netuid=config["netuid"],
            allow_non_registered=config["blacklist.allow_non_registered"],
            force_validator_permit=config["blacklist.force_validator_permit"],
            minimum_stake=config["blacklist.minimum_stake_requirement"],
        )

    async def _publish(self) -> None:
        """Makes the network list this miner where it serves; writes only what differs."""
        netuid, here = self.config["netuid"], self.axon.info()
        metagraph = await self.network.metagraph(netuid)
        uid = metagraph.uid_of(here.hotkey)
        if uid is None:
            uid = await self._register()
        elif (metagraph.axons[uid].ip, metagraph.axons[uid].port) == (here.ip, here.port):
            self.uid = uid
            return
        await self.network.serve(netuid, self.wallet, here)
        self.uid = uid

    async def _register(self) -> int:
        netuid, name = self.config["netuid"], self.network.name
        if name.partition(":")[0] != "local":
            raise NotRegistered(
                f"hotkey {self.axon.hotkey} is not registered on netuid {netuid} of {name}; "
                "register it first"
            )
        uid: int = await self.network.register(netuid, self.wallet)
        return uid

    async def _keep_published(self) -> None:
        """Looks again every epoch: a registry may have been replaced or its record dropped."""
        while True:
            await asyncio.sleep(self.config["neuron.epoch_length"] * BLOCK_S)
            try:
                await self._publish()
            except NetworkError as error:
                logger.warning("the network does not list this miner: %s", error)


def _checked(config: Any) -> Config:
    needed = [flag for flag in ("netuid", "axon.port", "wallet.hotkey") if flag not in config]
    if needed:
        raise ConfigError(
            f"config() returned no {needed[0]}; give its parser the miner's flags with "
            'node.neuron.flags.add_flags(parser, "miner")'
        )
    if not isinstance(config, Config):
        raise ConfigError(f"config() returned {type(config).__name__}; return resolve(parser)")
    return config
