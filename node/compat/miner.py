"""`bt.Miner`: the base class that the streaming tutorial's miners have.

It is `node.Miner`, which reads the flags, registers on a local network, serves and drains. Its
config may be written to, `config()` may return a `bt.config` of a few flags, and the forward may be
called `prompt`.
"""

from __future__ import annotations

import argparse
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from node import axon as native
from node.neuron import config as settings
from node.neuron import miner
from node.neuron.flags import build_parser

from .loop_thread import LoopThread
from .settings import COMMAND_LINE, Config

__all__ = ["Miner"]


class Miner(miner.Miner):
    """Base of miners. `with miner:` serves for the time of the block, without an event loop.

    A subclass has a method `forward`, or `prompt`, whose annotation makes the route. See
    `node.Miner` for the others, and for `run` and `launch`.

    Args:
        config: The settings; those that it lacks of a miner's come from the command line.
            None takes what `config()` returns.

    Raises:
        SystemExit: A flag is wrong; the reason is printed and the code is 2.
        NodeError: As `node.Miner`.
    """

    if not TYPE_CHECKING:

        def config(self) -> Config:
            """Return the settings of this process; an override may return those of a few flags.

            Raises:
                SystemExit: A flag is wrong; the reason is printed and the code is 2.
            """
            return Config(self._parser())

    def __init__(self, config: Any = None) -> None:
        given = self.config() if config is None else config
        chosen = Config(self._parser())
        chosen.merge(Config.of(given) if isinstance(given, settings.Config) else given)
        COMMAND_LINE.check()
        super().__init__(chosen.native())
        self.config = chosen
        self._thread: LoopThread | None = None

    def _parser(self) -> argparse.ArgumentParser:
        parser = build_parser("miner")
        self.add_args(parser)
        return parser

    def attach(self, axon: native.Axon) -> None:
        """Attach `prompt` where the subclass has one, or else `forward`, with the hooks."""
        forward = getattr(self, "prompt", self.forward)
        axon.attach(forward, self.blacklist, self.priority, self.verify)

    def __enter__(self) -> Self:
        thread = LoopThread("miner")
        thread.start()
        try:
            thread.run(self.start())
        except BaseException:
            thread.close()
            raise
        self._thread = thread
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            try:
                thread.run(self.stop())
            finally:
                thread.close()
