"""A program's side of its conversation with the run: one line of JSON at a time.

Standard output carries the lines, so what a contender prints or logs goes to standard error. A
program ends when its standard input does, or at once when the run dies, even while it is paused.
"""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import json
import os
import platform
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, TextIO

__all__ = ["begin", "converse", "die_with_parent", "settings", "usage", "versions", "write"]

_PR_SET_PDEATHSIG = 1


def begin() -> TextIO:
    """Prepare this process; returns where its lines go. Called before the contender's import."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    die_with_parent()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return lines


def die_with_parent() -> None:
    """Have the kernel end this process with the one that started it.

    Elsewhere than on Linux the end of the input has to do, which a paused process can't see.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def settings() -> dict[str, Any]:
    """Return what the run started this program with."""
    given: dict[str, Any] = json.loads(sys.argv[1])
    return given


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python and of installed packages."""
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def usage() -> dict[str, float]:
    """Return what this process has used: processor seconds, memory now and at its peak."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_bytes = peak if sys.platform == "darwin" else peak * 1024
    resident = _resident_bytes() if sys.platform == "linux" else peak_bytes
    return {"cpu_s": time.process_time(), "bytes": resident, "peak_bytes": peak_bytes}


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123  read between turns
        return int(statm.read().split()[1]) * resource.getpagesize()


async def converse(
    lines: TextIO, greeting: Mapping[str, Any], commands: Mapping[str, Callable[..., Any]]
) -> None:
    """Greet, then carry out commands until the input ends.

    A line is `{"do": name, ...arguments}`; its answer is what the command returns, or
    `{"crash": traceback}`.

    Args:
        lines: What `begin` returned.
        greeting: The first line.
        commands: By name; async or not. `usage` is always there.
    """
    known = {"usage": usage, **commands}
    write(lines, greeting)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        write(lines, await _carry_out(known, json.loads(line)))


async def _carry_out(commands: Mapping[str, Callable[..., Any]], asked: dict[str, Any]) -> Any:
    try:
        outcome = commands[asked.pop("do")](**asked)
        return await outcome if inspect.isawaitable(outcome) else outcome
    except Exception:  # noqa: BLE001  border: the run tells whoever started it
        return {"crash": traceback.format_exc()}


def write(lines: TextIO, value: Any) -> None:
    """Write one line."""
    lines.write(json.dumps(value) + "\n")
    lines.flush()
