"""How a long-running program ends: signals, draining, and threads that will not stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import NoReturn

from node.errors import NodeError

__all__ = ["end_process", "lingering_threads", "stop_signals", "tell_error"]

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """Turns SIGINT and SIGTERM into an event, inside a running loop of the main thread.

    The first signal sets the event; a second one ends the process at once with 128 plus its
    number. The handlers are gone after the `with` block.
    """
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def stop(number: signal.Signals) -> None:
        if stopping.is_set():
            logger.warning("%s again: ending at once", number.name)
            end_process(128 + number)
        logger.info("%s: draining; send it again to end at once", number.name)
        stopping.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        yield stopping
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def lingering_threads(
    before: Collection[threading.Thread], wait_s: float = 0.5
) -> list[threading.Thread]:
    """Returns the threads that came after `before` and would keep the process from ending.

    Args:
        before: Threads that are somebody else's.
        wait_s: How long the others may take to end by themselves, in all.
    """
    mine = {*before, threading.current_thread()}
    threads = [t for t in threading.enumerate() if t not in mine and not t.daemon]
    deadline = time.monotonic() + wait_s
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread for thread in threads if thread.is_alive()]


def end_process(code: int) -> NoReturn:
    """Ends the process without waiting for any thread; what was logged is written first."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def tell_error(program: str, error: NodeError) -> int:
    """Prints an error as one line on standard error; returns the exit code for it, 2."""
    sys.stderr.write(f"{program}: {' '.join(str(error).split())}\n")
    return 2
