"""The command line of a process whose settings are read in several passes.

SDK 6-10 code reads `sys.argv` more than once, with parsers that each know a part of the flags: a
base class's first, then its subclass's. So a flag that one parser does not know is no mistake yet.
It is one as soon as the program goes on to use its settings, by making a wallet, a subtensor, an
axon or a dendrite or setting up logging, and no parser has known the flag until then. A flag under
`wallet.`, `axon.`, `subtensor.` or `logging.` that nobody can mean is refused at once.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Collection, Sequence
from typing import NoReturn

from node.neuron.flags import flags_of
from node.neuron.parsers import option_names
from node.neuron.values import nearest

__all__ = ["GROUPS", "CommandLine", "refuse"]

GROUPS = ("wallet", "axon", "subtensor", "logging")
"""The prefixes whose flags belong to this library."""

_NUMBER = re.compile(r"-\d+(\.\d*)?|-\.\d+")


class CommandLine:
    """What the passes over one command line have known, and what none of them has."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._left: dict[str, str] = {}

    def take(self, parser: argparse.ArgumentParser, argv: Sequence[str]) -> list[str]:
        """Return the arguments that a parser knows, and keep the others in mind.

        Raises:
            SystemExit: A flag of this library's own groups is no flag of it; code 2.
        """
        names = option_names(parser)
        self._known |= names
        mine, others = split(argv, names)
        for name in others:
            if _is_misspelt(name):
                refuse(parser.prog, name, names)
        self._left = dict.fromkeys([*self._left, *others], parser.prog)
        return mine

    def check(self) -> None:
        """Check that every flag was known to some parser so far; afterwards it starts anew.

        Raises:
            SystemExit: One was not; its name and the nearest good one are printed, and the code
                is 2.
        """
        left, self._left = self._left, {}
        for name, program in left.items():
            if name not in self._known:
                refuse(program, name, self._known)


def split(argv: Sequence[str], names: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the arguments up to unknown options with their values, and those options' names."""
    mine: list[str] = []
    others: list[str] = []
    dropping = False
    for argument in argv:
        if argument.startswith("-") and not _NUMBER.fullmatch(argument) and argument != "-":
            name = argument.partition("=")[0]
            dropping = name.startswith("--") and name not in names and name != "--"
            if dropping:
                others.append(name)
        if not dropping:
            mine.append(argument)
    return mine, others


def refuse(program: str, name: str, known: Collection[str]) -> NoReturn:
    """End the process, as argparse does, for a flag that is none.

    Raises:
        SystemExit: Always, with code 2.
    """
    good = [option for option in known if option.startswith("--")]
    sys.stderr.write(f"{program}: unknown flag {name}{nearest(name, good)}\n")
    raise SystemExit(2)


def _is_misspelt(name: str) -> bool:
    group = name.removeprefix("--").partition(".")[0]
    return group in GROUPS and name.removeprefix("--") not in _OURS


_OURS = frozenset(flag.name for kind in ("miner", "validator", "client") for flag in flags_of(kind))
