"""`bt.config`: the settings of a run as a tree that code may write to.

The values are resolved as everywhere (`node.neuron.resolver`): flag, environment, `--config` file,
default. What differs is what old code counts on: the tree is a dict, attributes can be set, and an
attribute that nobody set is None.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from node.axon.dialects import DIALECTS
from node.errors import ConfigError
from node.neuron import config as settings
from node.neuron.flags import Flag, flags_of
from node.neuron.parsers import Parser, option_names
from node.neuron.resolver import resolve

from .argv import GROUPS, CommandLine

__all__ = ["COMMAND_LINE", "Config", "add_group", "check_group", "defaults", "setting"]

COMMAND_LINE = CommandLine()
"""The process's own."""

_GENERAL = ("config", "strict", "no_prompt")
# An old miner is asked by old validators, so it takes every protocol unless told otherwise.
_DEFAULTS = {"axon.protocols": tuple(DIALECTS)}
_IGNORED = "accepted for old scripts; there is nothing to check"


class Config(dict[str, Any]):
    """Settings by group and name: `config.axon.port`, `config["axon"]["port"]`, `["axon.port"]`.

    With a parser it holds the parser's flags, as the command line, the environment and a `--config`
    file set them. Without one it holds the defaults of the wallet, axon, subtensor and logging
    settings, and the command line is not looked at.

    Args:
        parser: Gets `--config`, `--strict` and `--no_prompt` if it has not got them.
        args: The arguments; None takes the process's own.
        strict: Whether a flag that this parser does not know is refused here and now; otherwise
            another parser of the program may know it (see `argv`). `--strict` does the same.
        default: Values beside those of the parser, as a mapping.
        withconfig: Accepted and not used.

    Raises:
        SystemExit: A flag or value is wrong; the reason is printed and the code is 2.
        ConfigError: Likewise, where `args` was given.
    """

    __slots__ = ("_given",)

    _given: frozenset[str]

    def __init__(
        self,
        parser: argparse.ArgumentParser | None = None,
        args: Sequence[str] | None = None,
        strict: bool = False,
        default: Mapping[str, Any] | None = None,
        withconfig: bool = False,
    ) -> None:
        super().__init__()
        object.__setattr__(self, "_given", frozenset())
        for name, value in (default or {}).items():
            _place(self, name, _tree(value))
        if parser is None:
            _fill(self, _group_defaults())
        else:
            _fill(self, _resolved(parser, args, strict))

    @classmethod
    def of(cls, resolved: settings.Config) -> Config:
        """Return settings of this library's own class in this form."""
        config = cls.empty()
        _fill(config, resolved)
        return config

    @classmethod
    def empty(cls) -> Config:
        """Return a config without any setting."""
        config = cls.__new__(cls)
        object.__setattr__(config, "_given", frozenset())
        return config

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise AttributeError(name)
        del self[name]

    def __missing__(self, name: str) -> Any:
        group, dot, rest = name.partition(".")
        if dot and isinstance(self.get(group), Config):
            return self[group][rest]
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        if super().__contains__(name) or not isinstance(name, str):
            return super().__contains__(name)
        group, dot, rest = name.partition(".")
        section = super().get(group) if dot else None
        return isinstance(section, Config) and rest in section

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a name, dotted or not; `default` where it is not set."""
        try:
            return self[name]
        except KeyError:
            return default

    def merge(self, other: Mapping[str, Any]) -> None:
        """Take every setting of another config; its values replace those here."""
        for name, value in other.items():
            mine = self.get(name)
            if isinstance(mine, Config) and isinstance(value, Mapping):
                mine.merge(value)
            else:
                self[name] = deepcopy(value)
        if isinstance(other, Config):
            object.__setattr__(self, "_given", self._given | other.given_names())

    def is_set(self, name: str) -> bool:
        """Tell whether a flag, variable or file set this dotted name, and no default."""
        return name in self._given

    def given_names(self) -> frozenset[str]:
        """Return the dotted names of which `is_set` is true."""
        return self._given

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dict of plain dicts."""
        return {
            name: value.to_dict() if isinstance(value, Config) else value
            for name, value in self.items()
        }

    toDict = to_dict  # noqa: N815  the name in SDK 7 and earlier

    def flat(self) -> Iterator[tuple[str, Any]]:
        """Yield each dotted name with its value."""
        for name, value in self.items():
            if isinstance(value, Config):
                yield from ((f"{name}.{rest}", inner) for rest, inner in value.flat())
            else:
                yield name, value

    def native(self) -> settings.Config:
        """Return the settings as this library's own class, as they stand now."""
        return settings.Config(
            {
                name: settings.Setting(value, "flag" if name in self._given else "default")
                for name, value in self.flat()
            }
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Config:
        copy = Config.empty()
        memo[id(self)] = copy
        for name, value in self.items():
            copy[name] = deepcopy(value, memo)
        object.__setattr__(copy, "_given", self._given)
        return copy

    def copy(self) -> Config:
        """Return a copy of this level; the groups are shared."""
        copy = Config.empty()
        copy.update(self)
        object.__setattr__(copy, "_given", self._given)
        return copy

    def __str__(self) -> str:
        """Return YAML lines; passwords, tokens and keys are hidden."""
        return "\n" + self.native().to_yaml()

    def __repr__(self) -> str:
        return f"<Config of {', '.join(self) or 'nothing'}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.to_dict(), self._given)


def setting(config: Any, name: str) -> Any:
    """Return the value of a dotted name in a config of any make; None where it has none.

    Args:
        config: A `Config`, one of this library's own, a mapping, or a namespace; or None.
        name: Dotted, such as `axon.port`.
    """
    value = config
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
    return value


def defaults() -> Config:
    """Return the settings of a program without a command line; the environment counts."""
    return Config()


def add_group(parser: argparse.ArgumentParser, group: str, prefix: str | None = None) -> None:
    """Add one group's flags to a parser, less those that it has already.

    Args:
        parser: Any parser.
        group: One of `argv.GROUPS`.
        prefix: Put before each name, with a dot.
    """
    there = option_names(parser)
    for flag in flags_of("miner"):
        name = f"--{prefix}.{flag.name}" if prefix else f"--{flag.name}"
        if flag.name.startswith(group + ".") and name not in there:
            _add_flag(parser, name, flag)


def check_group(config: Any, group: str) -> None:
    """Check that a config has settings of one group.

    Raises:
        ConfigError: It has none.
    """
    if not setting(config, group):
        raise ConfigError(f"the config has no {group} settings; call bt.{group}.add_args(parser)")


def _add_flag(parser: argparse.ArgumentParser, name: str, flag: Flag) -> None:
    if flag.check is None:
        parser.add_argument(name, action="store_true", help=flag.help)
        return
    parser.add_argument(
        name,
        type=flag.check,
        default=_DEFAULTS.get(flag.name, flag.default),
        metavar=flag.metavar,
        help=flag.help,
    )


def _resolved(
    parser: argparse.ArgumentParser, args: Sequence[str] | None, strict: bool
) -> settings.Config:
    for flag in flags_of("miner"):
        if flag.name in _GENERAL and f"--{flag.name}" not in option_names(parser):
            _add_flag(parser, f"--{flag.name}", flag)
    if "--no_version_checking" not in option_names(parser):
        parser.add_argument("--no_version_checking", action="store_true", help=_IGNORED)
    if args is not None:
        return resolve(parser, args, os.environ)
    try:
        arguments = sys.argv[1:]
        if not strict and "--strict" not in arguments:
            arguments = COMMAND_LINE.take(parser, arguments)
        return resolve(parser, arguments, os.environ)
    except ConfigError as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        raise SystemExit(2) from None


def _group_defaults() -> settings.Config:
    parser = Parser(add_help=False)
    for group in GROUPS:
        add_group(parser, group)
    return resolve(parser, [], os.environ)


def _fill(config: Config, resolved: settings.Config) -> None:
    given = set(config.given_names())
    for name, entry in resolved.items():
        _place(config, name, entry.value)
        if entry.source != "default":
            given.add(name)
    object.__setattr__(config, "_given", frozenset(given))


def _place(tree: Config, name: str, value: Any) -> None:
    """Set a dotted name."""
    *groups, last = name.split(".")
    for group in groups:
        if not isinstance(tree.get(group), Config):
            tree[group] = Config.empty()
        tree = tree[group]
    tree[last] = value


def _tree(value: Any) -> Any:
    """Return a mapping as a `Config`, whatever it is nested in."""
    if not isinstance(value, Mapping):
        return value
    tree = Config.empty()
    for name, inner in value.items():
        tree[name] = _tree(inner)
    return tree


def _restored(tree: dict[str, Any], given: frozenset[str]) -> Config:
    config: Config = _tree(tree)
    object.__setattr__(config, "_given", given)
    return config
