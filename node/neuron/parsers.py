"""argparse with what Ganglion adds: refusals that name the nearest good word, and no guessing.

The one file that looks inside argparse, which has no public way to list a parser's arguments.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from node.errors import ConfigError

from .values import nearest

__all__ = [
    "Parser",
    "RefusedSwitch",
    "constants_of",
    "defaults_of",
    "is_boolean",
    "option_names",
    "refuse_unknown",
    "settable",
    "subcommands_of",
    "switches_of",
    "takes_many",
    "telling_only_what_is_given",
]

T = TypeVar("T")

_NOT_SETTINGS = (argparse._HelpAction, argparse._VersionAction, argparse._SubParsersAction)  # noqa: SLF001


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises `ConfigError` where argparse would print and exit.

    Flags are never abbreviated. A flag that is added again replaces the first one, so that a
    subclass may give a flag of its base another default. `--help` prints and exits as usual.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        kwargs.setdefault("conflict_handler", "resolve")
        kwargs.setdefault("formatter_class", _Formatter)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Raises the message as a `ConfigError`, without argparse's "argument" before a name."""
        raise ConfigError(_sentence(message))


class RefusedSwitch(argparse.Action):
    """A switch that other programs have and this one can't honour: setting it is an error.

    Args:
        reason: What to do instead; it follows the flag's name in the message.
    """

    def __init__(self, option_strings: Sequence[str], dest: str, reason: str, **kw: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, const=True, default=False, **kw)
        self.reason = reason

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Notes that it was given; `resolve` refuses it."""
        setattr(namespace, self.dest, True)


class _Formatter(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34)


def settable(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Returns a parser's arguments by name, in the order of their definition.

    Help, version and subcommands are not among them. Of several arguments for one name the first
    counts, as in argparse.
    """
    found: dict[str, argparse.Action] = {}
    for action in parser._actions:  # noqa: SLF001
        if action.dest != argparse.SUPPRESS and not isinstance(action, _NOT_SETTINGS):
            found.setdefault(action.dest, action)
    return found


def option_names(parser: argparse.ArgumentParser) -> set[str]:
    """Returns every option of a parser as it is spelt, dashes and all."""
    return {name for action in parser._actions for name in action.option_strings}  # noqa: SLF001


def switches_of(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Returns the options that are bare flags for true, each with the name that it sets."""
    return {
        option: action.dest
        for action in parser._actions  # noqa: SLF001
        if action.nargs == 0 and action.const is True
        for option in action.option_strings
    }


def is_boolean(action: argparse.Action) -> bool:
    """Tells whether an argument has no value on the command line and stands for true or false."""
    on_off = isinstance(action, argparse.BooleanOptionalAction)
    return on_off or (action.nargs == 0 and isinstance(action.const, bool))


def takes_many(action: argparse.Action) -> bool:
    """Tells whether an argument's value is a list."""
    repeated = isinstance(action, argparse._AppendAction)  # noqa: SLF001
    return repeated or isinstance(action.nargs, int) or action.nargs in ("*", "+")


def defaults_of(
    parser: argparse.ArgumentParser, convert: Callable[[argparse.Action], T]
) -> dict[str, T]:
    """Returns what `convert` makes of each argument that has a default."""
    return {
        name: convert(action)
        for name, action in settable(parser).items()
        if action.default != argparse.SUPPRESS
    }


def constants_of(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Returns what `set_defaults` gave the parser beside the defaults of its arguments."""
    there = settable(parser)
    return {name: value for name, value in parser._defaults.items() if name not in there}  # noqa: SLF001


@contextmanager
def telling_only_what_is_given(parser: argparse.ArgumentParser) -> Iterator[None]:
    """Makes a parser tell what the arguments say and no more, and puts it back as it was.

    Inside, it fills in no default, requires nothing, guesses no abbreviation, and raises
    `ConfigError` for an error.
    """
    actions = list(settable(parser).values())
    before = [(action, action.default, action.required) for action in parser._actions]  # noqa: SLF001
    abbrev, error, defaults = parser.allow_abbrev, parser.error, parser._defaults  # noqa: SLF001
    try:
        parser.allow_abbrev = False
        parser.error = _raise  # type: ignore[method-assign]
        parser._defaults = {}  # noqa: SLF001
        for action in actions:
            action.default, action.required = argparse.SUPPRESS, False
        yield
    finally:
        parser.allow_abbrev = abbrev
        parser.error = error  # type: ignore[method-assign]
        parser._defaults = defaults  # noqa: SLF001
        for action, default, required in before:
            action.default, action.required = default, required


def _raise(message: str) -> NoReturn:
    raise ConfigError(_sentence(message))


def subcommands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Returns a parser's subcommands by name; {} where it has none."""
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            return dict(action.choices)
    return {}


def refuse_unknown(parser: argparse.ArgumentParser, extras: Sequence[str]) -> None:
    """Raises for what `parse_known_args` did not know.

    Args:
        parser: The parser that did not know it.
        extras: The second value of `parse_known_args`.

    Raises:
        ConfigError: There is something; the text names the first flag, and the nearest good one.
    """
    flags = [extra for extra in extras if extra.startswith("-") and extra != "--"]
    if flags:
        name = flags[0].partition("=")[0]
        raise ConfigError(f"unknown flag {name}{nearest(name, _long(option_names(parser)))}")
    if extras:
        raise ConfigError(f"there is no place for the argument {extras[0]!r}")


def _long(names: set[str]) -> Iterator[str]:
    return (name for name in names if name.startswith("--"))


def _sentence(message: str) -> str:
    """Turns "argument --axon.port: must be ..." into "--axon.port must be ..."."""
    match = re.fullmatch(r"argument (\S+): (.*)", message, re.DOTALL)
    if match is None:
        return message
    name = match[1].split("/")[-1]
    return f"{name} {match[2] if match[2].startswith(('must ', 'needs ')) else _plainer(match[2])}"


def _plainer(reason: str) -> str:
    choice = re.fullmatch(r"invalid choice: '?(.*?)'? \(choose from (.*)\)", reason)
    if choice is None:
        return f"can't be used: {reason}"
    known = [name.strip("'") for name in choice[2].split(", ")]
    return f"must be one of {', '.join(known)}, not {choice[1]!r}{nearest(choice[1], known)}"
