"""Loads that a client puts on its server, the same for every contender."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

__all__ = ["keep_busy", "sample"]

Call = Callable[[], Awaitable[bool]]


async def keep_busy(call: Call, *, at_once: int, seconds: float) -> dict[str, float]:
    """Keep `at_once` calls running for `seconds`; those that run then are let end.

    Args:
        call: Makes one call and tells whether its reply was the right one.
        at_once: How many run at a time; 1 is one after another.
        seconds: For how long calls are started.

    Returns:
        `calls` that were answered rightly, `failed` that were not, the `seconds` that it took and
        the processor seconds `cpu_s` of this process.
    """
    calls = failed = 0
    cpu, began = time.process_time(), time.perf_counter()
    end = began + seconds

    async def work() -> None:
        nonlocal calls, failed
        while time.perf_counter() < end:
            if await call():
                calls += 1
            else:
                failed += 1

    await asyncio.gather(*(work() for _ in range(at_once)))
    return {
        "calls": calls,
        "failed": failed,
        "seconds": time.perf_counter() - began,
        "cpu_s": time.process_time() - cpu,
    }


async def sample(
    measure: Callable[[], Awaitable[list[float]]], *, seconds: float
) -> dict[str, float]:
    """Take samples one after another for `seconds`, and return their quartiles.

    Args:
        measure: Makes one call and returns its samples.
        seconds: For how long calls are started; two are made at the least.
    """
    samples: list[float] = []
    end = time.perf_counter() + seconds
    calls = 0
    while calls < 2 or time.perf_counter() < end:
        samples += await measure()
        calls += 1
    low, middle, high = statistics.quantiles(samples, n=4)
    return {"calls": calls, "low_s": low, "median_s": middle, "high_s": high}
