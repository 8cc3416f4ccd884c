"""`ganglion report`: what a validator has found, as one HTML file, also while it runs."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from node.errors import ConfigError
from node.neuron.terminal_text import one_line

from .state_choice import add_state_flags, chosen_state

__all__ = ["DEFAULT_OUT", "add_parser"]

DEFAULT_OUT = "report.html"


def add_parser(subparsers: Any) -> None:
    """Add `report` to the dispatcher's subparsers."""
    about = "Draw what a validator has found, as one HTML file."
    parser = subparsers.add_parser(
        "report",
        help=about,
        description=f"{about} Scores over time, answers, failures by reason, speed, and a table of "
        "all peers. The file holds all that it shows and asks no network for anything. Needs the "
        "extra `plot`: pip install ganglion[plot]",
        allow_abbrev=False,
    )
    parser.set_defaults(run=run_report)
    add_state_flags(parser)
    parser.add_argument(
        "--out",
        default=DEFAULT_OUT,
        metavar="FILE",
        help="the file; one that is there is replaced (default: %(default)s)",
    )


def run_report(args: argparse.Namespace) -> int:
    """Write the report.

    Returns:
        0.

    Raises:
        errors.NodeError: As `chosen_state` and `StateReader`; `ConfigError` where matplotlib is
            missing or the file can't be written.
    """
    from .export_files import check_can_write, replacing

    _check_can_draw()
    out = Path(args.out).expanduser()
    check_can_write(out, "html")
    from node.neuron.state import StateReader
    from node.report import Digest, page_of

    reader = StateReader(chosen_state(args))
    if out.exists() and out.samefile(reader.path):
        raise ConfigError("--out names the state itself; name another file")
    digest = Digest.read(reader)
    page = page_of(digest, time.time_ns())
    with replacing(out) as draft:
        draft.write_bytes(page)
    print(f"{one_line(str(out))}: steps {len(digest.steps)}, peers {len(digest.here)}")
    return 0


def _check_can_draw() -> None:
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "a report needs matplotlib, which is not installed: pip install ganglion[plot]"
        ) from error
