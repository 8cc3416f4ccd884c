"""The command line: finds the command, imports it alone, and tells its errors in one line.

Exit codes: 0 done; 1 the command ran and its answer is no; 2 a setting, file, wallet or network
can't be used as given, with one line on standard error that says what to do.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence

from node.commands import COMMANDS
from node.errors import ConfigError, NodeError
from node.neuron.lifecycle import tell_error
from node.neuron.parsers import Parser, option_names, refuse_unknown, subcommands_of
from node.neuron.values import nearest
from node.version import VERSION

__all__ = ["PROGRAM", "main"]

PROGRAM = "ganglion"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The arguments without the program's name; None takes this process's own.

    Returns:
        The exit code.

    Raises:
        SystemExit: After `--help`, `--version` and `--print_config`.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A peer's text must not end the program on a terminal that lacks a character.
            stream.reconfigure(errors="backslashreplace")
    if not arguments:
        sys.stderr.write(_top_parser().format_help())
        return 2
    try:
        try:
            return _dispatch(arguments[0], arguments[1:])
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader left, as in `ganglion ... | head`; Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _dispatch(name: str, arguments: list[str]) -> int:
    try:
        if name.startswith("-"):
            parser = _top_parser()
            refuse_unknown(parser, parser.parse_known_args([name])[1])
        if name not in COMMANDS:
            raise ConfigError(f"unknown command {name!r}{nearest(name, COMMANDS)}")
        return _run(name, arguments)
    except NodeError as error:
        return tell_error(f"{PROGRAM} {name}" if name in COMMANDS else PROGRAM, error)


def _top_parser() -> Parser:
    parser = Parser(prog=PROGRAM, description="One process that is both halves of a network node.")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {VERSION}")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    for name, purpose in COMMANDS.items():
        commands.add_parser(name, help=purpose)
    parser.epilog = f"`{PROGRAM} COMMAND --help` shows the flags of a command."
    return parser


def _run(name: str, arguments: list[str]) -> int:
    module = importlib.import_module(f"node.commands.{name}")
    if hasattr(module, "main"):
        return int(module.main(arguments, f"{PROGRAM} {name}"))
    parser = Parser(prog=PROGRAM)
    module.add_parser(parser.add_subparsers(metavar="COMMAND", required=True))
    leaf = _leaf(parser, [name, *arguments])
    # Misspelt flags first: argparse would rather complain of the required one that is missing.
    known = option_names(leaf)
    flags = [item.partition("=")[0] for item in arguments if item.startswith("--") and item != "--"]
    refuse_unknown(leaf, [flag for flag in flags if flag not in known])
    args, extras = parser.parse_known_args([name, *arguments])
    refuse_unknown(leaf, extras)
    return int(args.run(args))


def _leaf(parser: Parser, arguments: Sequence[str]) -> Parser:
    """The parser of the innermost subcommand that the arguments name."""
    for argument in arguments:
        inner = subcommands_of(parser).get(argument)
        if isinstance(inner, Parser):
            parser = inner
    return parser
