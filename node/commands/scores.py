"""`ganglion scores show|export`: what a validator has found, also while it runs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.errors import ConfigError
from node.neuron.terminal_text import one_line

from .state_choice import add_state_flags, chosen_state

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from node.neuron.state import Saved, Standing, StateReader

__all__ = ["add_parser"]

_WHATS = ("scores", "events", "steps", "weights")
_FORMATS = ("csv", "parquet")
_PIPE_COLUMNS = 200
_LONG_HOTKEY_CHARS = 48
_ROOM_FOR_THE_OTHERS = 76  # the widest that the columns beside the hotkey get
_AGES = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def add_parser(subparsers: Any) -> None:
    """Add `scores` and its own commands to the dispatcher's subparsers."""
    about = "Show or export what a validator has found."
    parser = subparsers.add_parser("scores", help=about, description=about, allow_abbrev=False)
    commands = parser.add_subparsers(dest="scores_command", required=True, metavar="{show,export}")
    _add_show(commands)
    _add_export(commands)


def _add_show(commands: Any) -> None:
    parser = _add_command(commands, "show", run_show, "List scores, the highest first.")
    parser.add_argument("--limit", type=_count, metavar="N", help="list only the first N")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add_export(commands: Any) -> None:
    parser = _add_command(
        commands,
        "export",
        run_export,
        "Write scores, or what they came from, to a CSV or Parquet file.",
    )
    parser.add_argument(
        "--what", choices=_WHATS, default="scores", help="which table (default: %(default)s)"
    )
    parser.add_argument(
        "--format", choices=_FORMATS, help="the file's format (default: by its ending)"
    )
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="the file; one that is there is replaced"
    )


def _add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], about: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=about, description=about, allow_abbrev=False
    )
    parser.set_defaults(run=run)
    add_state_flags(parser)
    return parser


def run_show(args: argparse.Namespace) -> int:
    """Print scores as a table, or as JSON.

    Returns:
        0.

    Raises:
        errors.NodeError: As `chosen_state` and `StateReader`.
    """
    from node.neuron.state import NO_UID, StateReader

    reader = StateReader(chosen_state(args))
    with closing(reader.standings()) as rows:
        # Those who lost their uid come last, whatever they had.
        standings = sorted(rows, key=lambda row: (row.uid == NO_UID, -row.score, row.uid))
    saved = reader.load()
    shown = standings[: args.limit]
    if args.json:
        _print_json(reader, saved, shown)
        return 0
    identity = reader.identity
    print(one_line(f"netuid {identity.netuid} of {identity.network}, by {identity.hotkey}"))
    weights = f"weights set at block {saved.last_weights_block}"
    print(f"step {saved.step}, {weights if saved.last_weights_block else 'no weights set yet'}")
    if shown:
        _print_table(shown)
        if len(shown) < len(standings):
            print(f"{len(standings) - len(shown)} more, without --limit")
    else:
        print("no scores yet")
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Write one table of a state to a file.

    Returns:
        0.

    Raises:
        errors.NodeError: As `chosen_state` and `StateReader`; `ConfigError` where the format is
            not known, pyarrow is missing, or the file can't be written.
    """
    from node.neuron.state import StateReader

    from .export_files import check_can_write, write_rows
    from .export_tables import EXPORTS

    out = Path(args.out).expanduser()
    file_format = args.format or _format_of(out)
    check_can_write(out, file_format)
    reader = StateReader(chosen_state(args))
    if out.exists() and out.samefile(reader.path):
        raise ConfigError("--out names the state itself; name another file")
    export = EXPORTS[args.what]
    with closing(export.rows(reader)) as rows:
        count = write_rows(out, file_format, export.columns, rows)
    print(f"{count} rows of {args.what} in {out}")
    return 0


def _format_of(out: Path) -> str:
    ending = out.suffix.lower().removeprefix(".")
    if ending not in _FORMATS:
        raise ConfigError("--out ends in neither .csv nor .parquet; say which with --format")
    return ending


def _count(text: str) -> int:
    count = int(text) if text.isascii() and text.isdigit() else 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return count


def _print_json(reader: StateReader, saved: Saved, standings: Sequence[Standing]) -> None:
    import json
    from dataclasses import asdict

    document = {
        **asdict(reader.identity),
        "step": saved.step,
        "last_weights_block": saved.last_weights_block,
        "scores": [asdict(standing) for standing in standings],
    }
    print(json.dumps(document, indent=2))


def _print_table(standings: Sequence[Standing]) -> None:
    from rich.console import Console

    width = Console().width if sys.stdout.isatty() else _PIPE_COLUMNS
    console = Console(width=width, markup=False, emoji=False, highlight=False)
    console.print(_table_of(standings, width, time.time_ns()))


def _table_of(standings: Sequence[Standing], width: int, now_ns: int) -> Table:
    from rich.table import Table

    from node.neuron.state import NO_UID

    is_wide = width >= _LONG_HOTKEY_CHARS + _ROOM_FOR_THE_OTHERS
    table = Table()
    table.add_column("uid", justify="right", no_wrap=True)
    table.add_column("hotkey", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("reward", justify="right", no_wrap=True)
    table.add_column("reason", overflow="fold", min_width=8)
    table.add_column("step", justify="right", no_wrap=True)
    table.add_column("answered", justify="right", no_wrap=True)
    for row in standings:
        table.add_row(
            "-" if row.uid == NO_UID else str(row.uid),
            row.hotkey if is_wide else f"{row.hotkey[:6]}...{row.hotkey[-4:]}",
            f"{row.score:.4f}",
            "-" if row.reward is None else f"{row.reward:.4f}",
            _reason(row.reason),
            str(row.updated_step),
            "never" if row.answered_ns is None else _age(now_ns - row.answered_ns),
        )
    return table


def _reason(reason: str | None) -> Text:
    from rich.text import Text

    if reason is None:
        return Text("-", "dim")
    return Text(one_line(reason), "green" if reason == "ok" else "red")


def _age(ns: int) -> str:
    seconds = max(0, ns // 10**9)
    for size, unit in _AGES:
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "now"
