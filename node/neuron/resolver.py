"""Turns a parser, a command line, the environment and a profile into a `Config`.

Rule 1: flag > environment > profile > default, wherever `--config` stands on the command line.
Rule 2: a value goes through its flag's own checker, whichever source it came from.
Rule 3: what is not known is refused by name, with the nearest name that is; nothing is skipped.

Any `argparse.ArgumentParser` will do, those that a subclass of `Miner` builds for itself too.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from node.errors import ConfigError

from .config import FLAG_ONLY, Config, Setting
from .flags import KINDS, flags_of
from .parsers import (
    RefusedSwitch,
    constants_of,
    defaults_of,
    is_boolean,
    refuse_unknown,
    settable,
    switches_of,
    takes_many,
    telling_only_what_is_given,
)
from .profiles import Entry, load_profile
from .values import CommaList, nearest, parse_switch

__all__ = ["environment_name", "resolve"]

PREFIX = "GANGLION_"
_SDK_NAMES = {
    "wallet.name": "BT_WALLET_NAME",
    "wallet.hotkey": "BT_WALLET_HOTKEY",
    "wallet.path": "BT_WALLET_PATH",
}
_NOT_SETTINGS = frozenset({"GANGLION_HOME", "GANGLION_WALLET_PASSWORD"})


def environment_name(name: str) -> str:
    """Returns the variable of a setting: GANGLION_AXON_PORT for axon.port."""
    return PREFIX + name.replace(".", "_").replace("-", "_").upper()


def resolve(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Reads every setting of a parser from where it is set.

    An empty environment variable counts as not set. A profile may set what has a default of none
    to `null`. `--print_config`, where the parser has it, prints the result and exits with 0.

    Args:
        parser: Any parser; it is left as it was.
        argv: The arguments, without the program's name. None takes this process's own, and then
            an error is printed and ends the process with 2, as argparse does it.
        environ: None takes this process's own.

    Raises:
        ConfigError: A flag, variable, key or value is wrong or missing; `argv` was given.
        SystemExit: As above, and for `--help`.
    """
    variables = os.environ if environ is None else environ
    if argv is not None:
        return _resolve(parser, argv, variables)
    try:
        return _resolve(parser, sys.argv[1:], variables)
    except ConfigError as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        raise SystemExit(2) from None


def _resolve(
    parser: argparse.ArgumentParser, argv: Sequence[str], environ: Mapping[str, str]
) -> Config:
    actions = settable(parser)
    given = _from_flags(parser, argv)
    given = _from_environment(actions, environ) | given
    given = _from_profile(actions, given.get("config")) | given
    settings = defaults_of(parser, _default) | given
    settings |= {name: Setting(value, "default") for name, value in constants_of(parser).items()}
    config = Config(settings)
    _check_refused(actions, config)
    if config.get("print_config"):
        sys.stdout.write(config.to_yaml())
        raise SystemExit(0)
    _check_required(actions, given)
    return config


def _from_flags(parser: argparse.ArgumentParser, argv: Sequence[str]) -> dict[str, Setting]:
    switches = switches_of(parser)
    turned: dict[str, bool] = {}
    rest = []
    for argument in argv:
        option, equals, value = argument.partition("=")
        if equals and option in switches:
            turned[switches[option]] = _checked(option, parse_switch, value)
        else:
            turned.pop(switches.get(argument, ""), None)
            rest.append(argument)
    with telling_only_what_is_given(parser):
        namespace, extras = parser.parse_known_args(rest)
    refuse_unknown(parser, extras)
    return {name: Setting(value, "flag") for name, value in (vars(namespace) | turned).items()}


def _from_environment(
    actions: Mapping[str, argparse.Action], environ: Mapping[str, str]
) -> dict[str, Setting]:
    names = {environment_name(name): name for name in actions if name != "print_config"}
    _check_variables(names, environ)
    names = {sdk: name for name, sdk in _SDK_NAMES.items() if name in actions} | names
    return {
        name: Setting(_value(f"environment {variable}", actions[name], environ[variable]), source)
        for variable, name in names.items()
        if environ.get(variable)
        for source in (f"environment {variable}",)
    }


def _check_variables(names: Iterable[str], environ: Mapping[str, str]) -> None:
    """Refuses GANGLION_ variables that no program has.

    One environment often serves a miner and a query, so what another program here would take is
    no mistake.
    """
    known = {environment_name(flag.name) for kind in KINDS for flag in flags_of(kind)}
    known |= {*names, *_NOT_SETTINGS}
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in known:
            raise ConfigError(f"unknown environment variable {variable}{nearest(variable, known)}")


def _from_profile(
    actions: Mapping[str, argparse.Action], chosen: Setting | None
) -> dict[str, Setting]:
    if chosen is None or chosen.value is None:
        return {}
    path = str(chosen.value)
    known = [name for name in actions if name not in FLAG_ONLY]
    return {
        name: Setting(_entry_value(f"{entry.where}: {name}", actions[name], entry), f"file {path}")
        for name, entry in load_profile(path, known).items()
    }


def _entry_value(where: str, action: argparse.Action, entry: Entry) -> Any:
    if entry.value is None:
        if action.default is None and not action.required:
            return None
        raise ConfigError(f"{where} must have a value")
    if isinstance(entry.value, str):
        return _value(where, action, entry.value)
    if isinstance(action.type, CommaList):
        return _value(where, action, ",".join(entry.value))
    if takes_many(action):
        return [_value_of_one(where, action, item) for item in entry.value]
    raise ConfigError(f"{where} must be one value, not a list")


def _value(where: str, action: argparse.Action, written: str) -> Any:
    """Converts the text of a variable or a profile as argparse would have converted a flag's."""
    if is_boolean(action):
        return _checked(where, parse_switch, written)
    if action.nargs == 0:
        raise ConfigError(f"{where} can be given only as a flag")
    if takes_many(action):
        return [_value_of_one(where, action, item.strip()) for item in written.split(",")]
    return _value_of_one(where, action, written)


def _value_of_one(where: str, action: argparse.Action, written: str) -> Any:
    value = _checked(where, action.type if callable(action.type) else str, written)
    if action.choices is not None and value not in action.choices:
        names = ", ".join(str(choice) for choice in action.choices)
        raise ConfigError(
            f"{where} must be one of {names}, not {written!r}{nearest(written, action.choices)}"
        )
    return value


def _checked(where: str, check: Callable[[str], Any], written: str) -> Any:
    try:
        return check(written)
    except argparse.ArgumentTypeError as error:
        raise ConfigError(f"{where} {error}") from None
    except (TypeError, ValueError):
        kind = getattr(check, "__name__", repr(check))
        raise ConfigError(f"{where} must be a valid {kind}, not {written!r}") from None


def _default(action: argparse.Action) -> Setting:
    """The default as argparse would give it: a text goes through the flag's checker."""
    value = action.default
    if value is None and action.nargs == "*" and not action.option_strings:
        value = []
    elif isinstance(value, str) and callable(action.type):
        value = _checked(f"the default of {action.dest}", action.type, value)
    return Setting(value, "default")


def _check_refused(actions: Mapping[str, argparse.Action], config: Config) -> None:
    for name, action in actions.items():
        if isinstance(action, RefusedSwitch) and config[name]:
            raise ConfigError(f"--{name} {action.reason}")


def _check_required(actions: Mapping[str, argparse.Action], given: Mapping[str, Setting]) -> None:
    for name, action in actions.items():
        if action.required and name not in given and action.nargs != "*":
            flag = action.option_strings[-1] if action.option_strings else name.upper()
            raise ConfigError(
                f"{flag} is required: give it on the command line, as {environment_name(name)} "
                f"in the environment, or as `{name}` in a --config file"
            )
