"""What `scripts/bench` runs."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from .contenders.catalogue import CONTENDERS
from .contest import Contest
from .document import figures_in, read_document
from .flags import PEERS, make_parser
from .flames import find_sampler, take_flames
from .floors import Floors, broken_floors, read_floors
from .measures.catalogue import MEASURES, QUICK_MEASURES
from .page import fill_page
from .profiles import take_profiles
from .program import BenchError
from .sizes import FULL, QUICK, Sizes
from .table import figure_table
from .take import prepare, take


def main(argv: list[str] | None = None) -> int:
    """Run.

    Returns:
        0; 1 when a measure could not be taken or a floor is broken.
    """
    arguments = make_parser().parse_args(argv)
    try:
        floors = read_floors(arguments.check) if arguments.check else None
        if arguments.profile or arguments.flame:
            return look_inside(arguments)
        document = read_document(arguments.read) if arguments.read else measure(arguments)
        return show(document, arguments, floors)
    except (BenchError, ValueError, OSError) as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def chosen_measures(arguments: argparse.Namespace) -> list[str]:
    """Return the measures that the command line names, or those that can be taken here."""
    if arguments.only:
        return [name for name in MEASURES if name in arguments.only]
    if arguments.quick:
        return list(QUICK_MEASURES)
    return [name for name in MEASURES if name != "instructions" or shutil.which("valgrind")]


def chosen_sizes(arguments: argparse.Namespace) -> Sizes:
    """Return the sizes that the command line asks for."""
    sizes = QUICK if arguments.quick else FULL
    return dataclasses.replace(sizes, rounds=arguments.rounds or sizes.rounds)


def chosen_contenders(arguments: argparse.Namespace) -> list[str]:
    """Return the contenders beside Ganglion that the command line names."""
    if arguments.against:
        return [name for name in CONTENDERS if name in arguments.against]
    only_raw = arguments.quick or arguments.only == ["instructions"]
    return ["raw"] if only_raw else list(PEERS)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure, write the run to its file, and return it.

    Raises:
        BenchError: A contender can't be set up.
    """
    against = chosen_contenders(arguments)
    prepare(against)
    document = asyncio.run(
        take(
            chosen_measures(arguments),
            chosen_sizes(arguments),
            against,
            quick=arguments.quick,
            say=lambda line: print(line, file=sys.stderr),
        )
    )
    arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return document


def show(document: dict[str, Any], arguments: argparse.Namespace, floors: Floors | None) -> int:
    """Print and draw a run, and hold it against floors; returns the exit status."""
    figures = figures_in(document)
    console = Console()
    for title, has_target in (("targets", True), ("beside", False)):
        if shown := [each for each in figures if (each.target is not None) is has_target]:
            console.print(figure_table(title, shown))
    for note in document["notes"]:
        console.print(f"note: {note}")
    for path in arguments.plot:
        from .plot import draw  # matplotlib takes long to import, and few runs draw

        draw(document, path)
    if arguments.page:
        page = fill_page(arguments.page.read_text(encoding="utf-8"), document)
        arguments.page.write_text(page, encoding="utf-8")
    faults = [f"{name} failed: {reason}" for name, reason in document["failed"].items()]
    if floors is not None:
        measured = {*document["turns"], *document["failed"]}
        faults += broken_floors(floors, figures, measured)
    for fault in faults:
        print(f"scripts/bench: {fault}", file=sys.stderr)
    return 1 if faults else 0


def look_inside(arguments: argparse.Namespace) -> int:
    """Take profiles or flame graphs, and print what takes most time or where the graphs are.

    Raises:
        BenchError: They can't be taken.
    """
    folder: Path = (arguments.profile or arguments.flame).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ganglion-bench-") as home:
        contest = Contest(chosen_sizes(arguments), frozenset({"ganglion"}), Path(home))
        if arguments.profile:
            for table in asyncio.run(take_profiles(contest, folder)):
                Console(width=140).print(table)
        else:
            for path in asyncio.run(take_flames(contest, folder, find_sampler())):
                print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
