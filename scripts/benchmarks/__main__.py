"""`scripts/bench`: runs the measures that are named, or all, and prints one table."""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path

import backpressure
import silent_peers
from figures import Figure
from rich.console import Console
from rich.table import Table

MEASURES: dict[str, Callable[[], Coroutine[None, None, list[Figure]]]] = {
    "backpressure": backpressure.measure,
    "silent_peers": silent_peers.measure,
}


def main() -> int:
    """Run what the command line names; 0 when every target holds."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__, allow_abbrev=False)
    parser.add_argument("measure", nargs="*", help=f"of {', '.join(MEASURES)}; all by default")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    if unknown := set(arguments.measure) - set(MEASURES):
        parser.error(f"no measure {sorted(unknown)[0]!r}; there are {', '.join(MEASURES)}")
    figures: list[Figure] = []
    for name in arguments.measure or MEASURES:
        print(f"{name} ...", file=sys.stderr)
        figures += asyncio.run(MEASURES[name]())
    show(figures)
    if arguments.json:
        document = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "figures": [asdict(figure) for figure in figures],
        }
        arguments.json.write_text(json.dumps(document, indent=2))
    return 0 if all(figure.holds for figure in figures) else 1


def show(figures: list[Figure]) -> None:
    """Print the table."""
    table = Table("measure", "figure", "target", "holds")
    for figure in figures:
        holds = "yes" if figure.holds else "NO"
        table.add_row(figure.name, f"{figure.value:.4g} {figure.unit}", figure.target, holds)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
