"""Both ends of a contender in one process, over loopback, for counting instructions.

It imports all that it needs and then forks once for each job, so that all jobs begin in the same
state and what valgrind counts of two of them differs by their work alone. What could make counts
differ from run to run is fixed: keys, and the clock of the event loop. That one moves by a
microsecond whenever it is looked at, because valgrind slows a program some fifty times, and what
goes by time, such as which tokens leave together, would be counted as on a machine that is so slow.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import itertools
import os
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol

from benchmarks import lines

__all__ = ["LOADS"]

_CLOCK_STEP_S = 1e-6


class Client(Protocol):
    """What a contender's client can do; each returns whether the reply was the right one."""

    async def echo(self) -> bool:
        """Ask once."""

    async def read_tokens(self, route: str, count: int) -> bool:
        """Read one stream of tokens."""

    async def read_blocks(self, count: int) -> bool:
        """Read one large reply."""


async def _ask(client: Client, amount: int) -> bool:
    return all([await client.echo() for _ in range(amount)])


async def _open_streams(client: Client, amount: int) -> bool:
    return all([await client.read_tokens("Tokens", 1) for _ in range(amount)])


LOADS: dict[str, Callable[[Client, int], Awaitable[bool]]] = {
    "request": _ask,
    "stream": _open_streams,
    "token": lambda client, amount: client.read_tokens("Tokens", amount),
    "tick": lambda client, amount: client.read_tokens("Ticks", amount),
    "block": lambda client, amount: client.read_blocks(amount),
}


async def carry_out(server: Any, client: Any, load: str, warm: int, amount: int) -> None:
    """Start both ends, and put one load on them after a smaller one."""
    async with AsyncExitStack() as stack:
        connected: Client = await client.connect(stack, await server.start(stack))
        assert await LOADS[load](connected, warm)
        # Collections happen as usual from here, but what is there is not looked at in each.
        gc.collect()
        gc.freeze()
        assert await LOADS[load](connected, amount)


def in_fork(server: Any, client: Any, job: list[Any]) -> int:
    """Do a job in a process of its own, and return the id that it had once it has ended.

    Raises:
        RuntimeError: It failed.
    """
    pid = os.fork()
    if not pid:
        code = 1
        try:
            lines.die_with_parent()
            asyncio.run(carry_out(server, client, *job))
            code = 0
        except BaseException:  # noqa: BLE001  border: nothing may run on as the parent
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError(f"{job} ended with {os.waitstatus_to_exitcode(status)}")
    return pid


def main() -> None:
    """Do all jobs, and write a line with the id of the process when each is done."""
    written, given = lines.begin(), lines.settings()
    ticks = itertools.count()
    time.monotonic = map(_CLOCK_STEP_S.__mul__, ticks).__next__
    lines.write(written, {"versions": lines.versions(*given["packages"])})
    programs = f"benchmarks.contenders.{given['programs']}"
    server = importlib.import_module(f"{programs}_server")
    client = importlib.import_module(f"{programs}_client")
    for job in given["jobs"]:
        lines.write(written, {"pid": in_fork(server, client, job)})


if __name__ == "__main__":
    main()
