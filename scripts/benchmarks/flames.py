"""Flame graphs of our axon and our dendrite under load, sampled by py-spy from outside.

Sampling slows a program little, so the widths are what its time goes to; waiting is left out.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .contenders.catalogue import GANGLION
from .contest import Contest, Pair
from .profiles import LOADS
from .program import BenchError

__all__ = ["find_sampler", "take_flames"]

_SECONDS = 5
_SAMPLES_PER_S = 500


def find_sampler() -> str:
    """Return the path of py-spy.

    Raises:
        BenchError: It is not installed.
    """
    beside = Path(sys.executable).parent / "py-spy"
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if found is None:
        raise BenchError(f"py-spy is not installed; {sys.executable} -m pip install py-spy")
    return found


async def take_flames(contest: Contest, folder: Path, sampler: str) -> list[Path]:
    """Draw one flame graph of each end under each load.

    Args:
        contest: What starts the programs.
        folder: Absolute path of where the graphs go; it exists.
        sampler: What `find_sampler` returned.

    Returns:
        The graphs, as SVG.

    Raises:
        BenchError: A program failed, or py-spy may not look at it.
    """
    drawn = []
    for name, (command, arguments) in LOADS.items():
        async with contest.pair(GANGLION) as pair:
            await pair.client.ask(command, **arguments, seconds=0.3)
            for end in ("axon", "dendrite"):
                path = folder / f"{name}-{end}.svg"
                await _draw(pair, end, command, arguments, [sampler, *_options(path)])
                drawn.append(path)
    return drawn


def _options(path: Path) -> list[str]:
    return ["record", "--rate", str(_SAMPLES_PER_S), "--duration", str(_SECONDS), "--format",
            "flamegraph", "--function", "--output", str(path)]  # fmt: skip


async def _draw(
    pair: Pair, end: str, command: str, arguments: Mapping[str, Any], sampling: list[str]
) -> None:
    child = pair.server if end == "axon" else pair.client
    spy = await asyncio.create_subprocess_exec(
        *sampling, "--pid", str(child.pid),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        await pair.client.ask(command, **arguments, seconds=_SECONDS + 0.5)
        async with asyncio.timeout(30):
            output, _ = await spy.communicate()
    finally:
        if spy.returncode is None:
            spy.kill()
            await spy.wait()
    if spy.returncode:
        raise BenchError(f"py-spy ended with {spy.returncode}: {output.decode()[-500:]}")
