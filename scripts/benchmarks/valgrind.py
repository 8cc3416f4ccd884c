"""Counting the instructions of a program and of its forks with valgrind.

Of its tools, cachegrind without a simulated cache is the fastest that tells a total. A fork goes on
from the count of its parent and writes a log of its own.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from .program import BenchError

__all__ = ["counting_command", "find_valgrind", "parse_count", "read_count"]

_TOTAL = re.compile(r"^==\d+== I +refs: +([\d,]+)$", re.MULTILINE)


def find_valgrind() -> str:
    """Return the path of valgrind.

    Raises:
        BenchError: It is not installed.
    """
    found = shutil.which("valgrind")
    if found is None:
        raise BenchError("valgrind, which counts instructions, is not installed; most systems "
                         "have a package of that name")  # fmt: skip
    return found


def counting_command(valgrind: str, logs: Path) -> list[str]:
    """Return the command that runs a program and counts.

    Args:
        valgrind: What `find_valgrind` returned.
        logs: Directory for one log of each process.
    """
    return [
        valgrind, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null",
        f"--log-file={logs}/%p.log",
    ]  # fmt: skip


def read_count(logs: Path, pid: int) -> int:
    """Return the instructions of a process that has ended.

    Args:
        logs: As for `counting_command`.
        pid: The process.

    Raises:
        BenchError: There is no count of it.
    """
    path = logs / f"{pid}.log"
    try:
        return parse_count(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError) as error:
        raise BenchError(f"valgrind counted nothing: {error}") from error


def parse_count(log: str) -> int:
    """Return the total that a log of cachegrind ends with.

    Raises:
        ValueError: It has none, or several.
    """
    totals = _TOTAL.findall(log)
    if len(totals) != 1:
        raise ValueError(f"a log with {len(totals)} totals: {log[-300:]!r}")
    return int(totals[0].replace(",", ""))
