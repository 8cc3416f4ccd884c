"""bench.json: what a run wrote, to be read again years later.

Schema 1 has these keys: `schema`, `started` (UTC), `seconds` that the run took, `quick`, `rounds`,
`commit`, `machine`, `versions` by contender, `notes`, `failed` (measure to reason), `turns`
(measure to turns in their order, each with `round`, `contender` and its raw quantities) and
`figures`, each with `key`, `measure`, `name`, `unit`, `values` by round, `median`, `low`, `high`,
`target` and `holds`; the last two are null without a target.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .figures import Figure, Target
from .rounds import Rounds

__all__ = ["SCHEMA", "figure_document", "figures_in", "read_document", "turns_document"]

SCHEMA = 1


def figure_document(measure: str, figure: Figure) -> dict[str, Any]:
    """Return one entry of `figures`."""
    target = figure.target
    return {
        "key": figure.key,
        "measure": measure,
        "name": figure.name,
        "unit": figure.unit,
        "values": list(figure.values),
        "median": figure.median,
        "low": figure.low,
        "high": figure.high,
        "target": None if target is None else {"relation": target.relation, "bound": target.bound},
        "holds": figure.holds,
    }


def turns_document(rounds: Rounds) -> list[dict[str, Any]]:
    """Return one entry of `turns`."""
    return [{"round": turn.number, "contender": turn.contender, **turn.result} for turn in rounds]


def read_document(path: Path) -> dict[str, Any]:
    """Return what a run wrote.

    Raises:
        ValueError: It is no document of this schema.
        OSError: It can't be read.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ValueError(f"{path} is no bench.json of schema {SCHEMA}")
    return document


def figures_in(document: Mapping[str, Any]) -> list[Figure]:
    """Return the figures of a document."""
    return [
        Figure(
            entry["key"],
            entry["name"],
            entry["unit"],
            tuple(entry["values"]),
            Target(**entry["target"]) if entry["target"] else None,
        )
        for entry in document["figures"]
    ]
