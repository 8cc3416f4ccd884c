"""Floors: what a figure may not fall below, so that speed that was won is kept.

A file of floors is `{"slack": 0.2, "floors": {"unary.of_raw": {"at_least": 0.6},
"open_streams.served": {"at_least": 1, "slack": 0}, "first_token.of_raw": {"at_most": 1.5}}}`.
Slack is the share by which a figure may miss its floor, for what a shared machine does to it.
Only ratios make good floors: a slower machine slows both sides.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from .figures import Figure, Target, at_least, at_most

__all__ = ["Floors", "broken_floors", "read_floors"]

# What a figure's median must be, slack included, by the figure's key.
Floors = Mapping[str, Target]

_KINDS = {"at_least": at_least, "at_most": at_most}


def broken_floors(
    floors: Floors, figures: Sequence[Figure], measured: Collection[str]
) -> list[str]:
    """Return a sentence for each floor that is not held.

    A floor whose figure is missing is broken, unless its measure was not asked for.

    Args:
        floors: What `read_floors` returned.
        figures: What was found.
        measured: Names of the measures that were asked for.
    """
    found = {figure.key: figure.median for figure in figures}
    sentences = []
    for key, floor in floors.items():
        if key in found and not floor.holds(found[key]):
            sentences.append(f"{key} is {found[key]:.3g}; with slack it may be {floor}")
        elif key not in found and key.partition(".")[0] in measured:
            sentences.append(f"{key} was not measured; with slack it may be {floor}")
    return sentences


def read_floors(path: Path) -> Floors:
    """Return the floors of a file.

    Raises:
        ValueError: It is no file of floors.
        OSError: It can't be read.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    try:
        slack = document["slack"]
        return {key: _read_floor(entry, slack) for key, entry in document["floors"].items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is no file of floors: {error!r}") from error


def _read_floor(entry: dict[str, Any], slack: float) -> Target:
    slack = entry.get("slack", slack)
    if not 0 <= slack < 1:
        raise ValueError(f"slack is a share from 0 to below 1, not {slack}")
    ((kind, bound),) = ((key, value) for key, value in entry.items() if key != "slack")
    return _KINDS[kind](bound * (1 - slack if kind == "at_least" else 1 + slack))
