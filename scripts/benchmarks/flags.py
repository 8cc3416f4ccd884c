"""The command line of `scripts/bench`."""

from __future__ import annotations

import argparse
from pathlib import Path

from .measures.catalogue import MEASURES, QUICK_MEASURES
from .sizes import FULL

__all__ = ["PEERS", "make_parser"]

PEERS = ("raw", "grpc", "sdk")

_ABOUT = """
Measures Ganglion beside raw aiohttp, bittensor 10.5.0 and grpc.aio, by turns, on this machine.
Prints a table and writes bench.json. Loopback only; ends by itself, in about twenty minutes, with
--quick in about two.
"""


def make_parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=_ABOUT, allow_abbrev=False)
    _add_measuring(parser.add_argument_group("what is measured"))
    _add_showing(parser.add_argument_group("what is done with it"))
    _add_looking_inside(parser.add_argument_group("instead of measuring"))
    return parser


def _add_measuring(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--quick",
        action="store_true",
        help=f"a short run against raw aiohttp: {', '.join(QUICK_MEASURES)}",
    )
    group.add_argument(
        "--instructions",
        dest="only",
        action="append_const",
        const="instructions",
        help="count the instructions of both ends with valgrind, beside raw aiohttp's; about a "
        "minute, and the same count on a machine that does other work",
    )
    group.add_argument(
        "--only",
        action="append",
        choices=MEASURES,
        metavar="MEASURE",
        help=f"take this one; may be given several times; of {', '.join(MEASURES)}",
    )
    group.add_argument(
        "--against",
        type=_peers,
        metavar="PEERS",
        help=f"with commas, of {', '.join(PEERS)}; default: all, with --quick raw",
    )
    group.add_argument(
        "--rounds",
        type=_whole,
        metavar="N",
        help=f"turns of each contender; default: {FULL.rounds}",
    )
    group.add_argument(
        "--from",
        dest="read",
        type=Path,
        metavar="FILE",
        help="measure nothing, take a run that was written before",
    )


def _add_showing(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--out",
        type=Path,
        default=Path("bench.json"),
        metavar="FILE",
        help="where the run is written; default: bench.json",
    )
    group.add_argument(
        "--check",
        type=Path,
        metavar="FLOORS",
        help="exit with 1 when a figure is below its floor in this file, less slack",
    )
    group.add_argument(
        "--plot",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="draw the run, as .png or .svg; may be given several times",
    )
    group.add_argument(
        "--page", type=Path, metavar="FILE", help="put the run's tables into this page"
    )


def _add_looking_inside(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--profile",
        type=Path,
        metavar="DIR",
        help="profile our own two ends under load; files for pstats go there",
    )
    group.add_argument(
        "--flame",
        type=Path,
        metavar="DIR",
        help="draw flame graphs of our own two ends under load there; needs py-spy",
    )


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _peers(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(PEERS):
        raise argparse.ArgumentTypeError(f"no {sorted(unknown)[0]!r}; there are {', '.join(PEERS)}")
    return names
