"""A miner in several processes that serve one port, as `--axon.workers` asks for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from node.axon.server import reserve_port
from node.errors import NetworkError
from node.network.guard_link import GuardLink

from .config import Config
from .log_setup import logging_for
from .supervisor import Supervisor

__all__ = ["Seat", "run_workers", "wait_for_end"]


@dataclass(frozen=True, slots=True)
class Seat:
    """Which worker a process is, and how it reaches the memory of all.

    Attributes:
        number: From 0; worker 0 is the one that publishes.
        port: Where all listen.
        link: Connected to the guard.
    """

    number: int
    port: int
    link: socket.socket

    @property
    def log_file(self) -> str:
        """The name of the worker's own log file."""
        return f"node.{self.number}.log" if self.number else "node.log"


def run_workers(config: Config, work: Callable[[Seat], int]) -> int:
    """Does a work in `--axon.workers` processes, until a signal; returns the exit code.

    The port is taken before any of them starts, so that 0 means the same one for all.

    Args:
        config: The settings of a miner.
        work: Runs in each of them; returns its exit code.

    Raises:
        ConfigError: The port is taken or can't be used, threads run already, or this system can't
            do it.
    """
    with reserve_port(config["axon.ip"], config["axon.port"]) as reserved, ExitStack() as logging:
        logging.enter_context(logging_for(config, file=None))
        logging.callback(reserved.close)
        port: int = reserved.getsockname()[1]
        supervisor = Supervisor(
            lambda number, link: work(Seat(number, port, link)),
            config["axon.workers"],
            on_fork=logging.close,
        )
        return supervisor.run()


async def wait_for_end(stopping: asyncio.Event, link: GuardLink) -> None:
    """Waits until a worker is told to stop.

    Raises:
        NetworkError: The guard has gone, without whom no worker may serve.
    """
    waits = [asyncio.ensure_future(event.wait()) for event in (stopping, link.lost)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()
    if not stopping.is_set():
        raise NetworkError("the process that started this worker has gone, so the worker ends")
