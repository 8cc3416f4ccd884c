"""Where a program's processor time goes, by function, for whoever makes it faster.

A profile costs time itself, so a run that takes one takes no figures.
"""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["COMMANDS"]

_profile = cProfile.Profile()
# Where an event loop waits for something to do.
_IDLE = "<method 'poll' of 'select.epoll' objects>"


def start_profile() -> None:
    """Profile this thread, which is the event loop's, from here on."""
    _profile.clear()
    _profile.enable()


def stop_profile(path: str, top: int = 20) -> dict[str, Any]:
    """End the profile, and keep it in a file that pstats reads.

    Args:
        path: The file.
        top: How many functions to return.

    Returns:
        `busy_s` without waiting, and the first functions by the time in themselves (`own`) and by
        the time with what they call (`whole`).
    """
    _profile.disable()
    _profile.dump_stats(path)
    stats: Any = pstats.Stats(_profile)
    rows = [
        {"function": _name(*where), "calls": calls, "own_s": own, "whole_s": whole}
        for where, (_, calls, own, whole, _) in stats.stats.items()
        if where[2] != _IDLE
    ]
    return {
        "busy_s": sum(row["own_s"] for row in rows),
        "own": sorted(rows, key=lambda row: -row["own_s"])[:top],
        "whole": sorted(rows, key=lambda row: -row["whole_s"])[:30],
    }


def _name(file: str, line: int, function: str) -> str:
    if file == "~":
        return function
    return f"{'/'.join(Path(file).parts[-2:])}:{line} {function}"


COMMANDS: Mapping[str, Callable[..., Any]] = {
    "start_profile": start_profile,
    "stop_profile": stop_profile,
}
