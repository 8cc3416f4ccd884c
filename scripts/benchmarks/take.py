"""Taking measures one after another, and the document that comes of them."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .contenders.catalogue import CONTENDERS
from .contest import Contest
from .document import SCHEMA, figure_document, turns_document
from .machine import describe_checkout, describe_machine
from .measures.catalogue import MEASURES
from .program import BenchError
from .sizes import Sizes

__all__ = ["prepare", "take"]

Say = Callable[[str], None]


def prepare(names: Iterable[str]) -> None:
    """Make the environments of contenders that are not there yet.

    Raises:
        BenchError: One can't be made.
    """
    for name in names:
        try:
            CONTENDERS[name].prepare()
        except (OSError, subprocess.CalledProcessError) as error:
            raise BenchError(
                f"the environment of {CONTENDERS[name].title} can't be made ({error}); leave it "
                "out with --against"
            ) from error


async def take(
    measures: Sequence[str], sizes: Sizes, against: Iterable[str], *, quick: bool, say: Say
) -> dict[str, Any]:
    """Take measures, and return the document of the run.

    A measure that can't be taken is told in `failed`, and the others are taken.

    Args:
        measures: Names.
        sizes: How large.
        against: Names of the contenders beside Ganglion.
        quick: Whether the sizes are those of a quick run.
        say: Takes a line of progress.
    """
    started, began = datetime.now(UTC), time.monotonic()
    machine = describe_machine()
    document: dict[str, Any] = {"failed": {}, "turns": {}, "figures": []}
    with tempfile.TemporaryDirectory(prefix="ganglion-bench-") as home:
        contest = Contest(sizes, frozenset({"ganglion", "receipted", *against}), Path(home))
        for name in measures:
            await _take_one(name, contest, document, say)
    return {
        "schema": SCHEMA,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began, 1),
        "quick": quick,
        "rounds": sizes.rounds,
        "commit": describe_checkout(),
        "machine": machine,
        "versions": contest.versions,
        "notes": contest.notes,
        **document,
    }


async def _take_one(name: str, contest: Contest, document: dict[str, Any], say: Say) -> None:
    began = time.monotonic()
    try:
        rounds, figures = await MEASURES[name](contest)
    except BenchError as error:
        document["failed"][name] = str(error)
        say(f"{name}: {error}")
        return
    document["turns"][name] = turns_document(rounds)
    document["figures"] += [figure_document(name, figure) for figure in figures]
    say(f"{name}: {time.monotonic() - began:.1f} s")
