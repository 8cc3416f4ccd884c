"""What miners and validators have in common: settings, keys, a network, and how a program ends."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from node.axon import Axon
from node.errors import ConfigError, NodeError
from node.keys import Wallet
from node.network import open_network

from .chosen_network import allows_private, network_name
from .config import Config
from .flags import build_parser
from .lifecycle import end_process, lingering_threads, stop_signals, tell_error
from .log_setup import logging_for
from .publishing import Publisher
from .resolver import resolve
from .wallets import open_wallet

__all__ = ["BLOCK_S", "Neuron"]

logger = logging.getLogger(__name__)


BLOCK_S = 12.0
"""Seconds of a block, as chains of this ecosystem have them."""


class Neuron:
    """Base of `Miner` and `Validator`; it is not used by itself.

    `run` and `launch` are for programs; `async with neuron:` runs from `start` to `stop` and is for
    tests and for programs with a loop of their own.

    Args:
        config: The settings; None takes what `config()` returns.

    Attributes:
        kind: Which flags it has, one of `node.neuron.flags.KINDS`.
        config: The settings. On the class it is the method that makes them.
        wallet: The wallet that the settings name.
        network: The network that they name; closed by `stop`.
        uid: The uid on the network, None before `start`.

    Raises:
        ConfigError: A setting is wrong or missing.
        WalletError: The hotkey can't be read; the text says how to make one.
    """

    kind: ClassVar[str]

    if TYPE_CHECKING:
        # A method until the constructor puts its result in its place, as v6-v10 neurons have it.
        config: Any
        # Overridden as a class method or, as the tutorial has it, a plain one.
        add_args: Any
    else:

        def config(self) -> Config:
            """Returns the settings of this process: its command line, environment and profile.

            An override builds a parser, gives it the neuron's flags
            (`node.neuron.flags.add_flags`) and returns `resolve(parser)`.

            Raises:
                SystemExit: A setting is wrong; the reason is printed and the code is 2.
            """
            summary = (type(self).__doc__ or "").partition("\n")[0]
            parser = build_parser(self.kind, description=summary)
            self.add_args(parser)
            return resolve(parser)

        @classmethod
        def add_args(cls, parser: argparse.ArgumentParser) -> None:
            """Adds a subclass's own flags; one that is there already is replaced.

            It may be overridden as a plain method too.
            """

    def __init__(self, config: Config | None = None) -> None:
        self.config = self._checked(self.config() if config is None else config)
        self.uid: int | None = None
        self.wallet: Wallet = open_wallet(self.config)
        self.network = open_network(network_name(self.config), allows_private(self.config))

    async def start(self) -> None:
        """Begins; a subclass says with what."""
        raise RuntimeError(f"{type(self).__name__} has no start; it is no neuron yet")

    async def stop(self, grace_s: float | None = None) -> None:
        """Ends what `start` began; may be called again."""
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
        """Runs until SIGINT or SIGTERM. In the main thread only.

        Raises:
            NodeError: As `start`.
        """
        with stop_signals() as stopping:
            async with self:
                await self.serve_until(stopping)
            logger.info("stopped")

    async def serve_until(self, stopping: asyncio.Event) -> None:
        """Does what the neuron is there for, until the event; it is started by then."""
        await stopping.wait()

    def run(self) -> None:
        """Sets up logging and runs until a signal; for a program without a loop.

        Raises:
            NodeError: As `start`.
        """
        with logging_for(self.config):
            asyncio.run(self.main())

    def run_to_end(self, program: str | None = None) -> int:
        """Does as `run`, for the last thing that a process does; returns its exit code.

        An error is printed in one line. A thread that is still running after the end, such as a
        sync forward's, does not keep the process alive: it is left behind, and this does not
        return.

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
        """Makes a neuron from this process's command line and runs it; returns the exit code.

        The last line of a neuron's script: `sys.exit(MyMiner.launch())`.
        """
        try:
            neuron = cls()
        except NodeError as error:
            return tell_error(Path(sys.argv[0]).name, error)
        return neuron.run_to_end()

    def _make_publisher(self, axon: Axon) -> Publisher:
        return Publisher(
            self.network,
            self.config["netuid"],
            self.wallet,
            axon,
            look_every_s=self.config["neuron.epoch_length"] * BLOCK_S,
        )

    def _checked(self, config: Any) -> Config:
        needed = [flag for flag in ("netuid", "axon.port", "wallet.hotkey") if flag not in config]
        if needed:
            raise ConfigError(
                f"config() returned no {needed[0]}; give its parser the {self.kind}'s flags with "
                f'node.neuron.flags.add_flags(parser, "{self.kind}")'
            )
        if not isinstance(config, Config):
            raise ConfigError(f"config() returned {type(config).__name__}; return resolve(parser)")
        return config
