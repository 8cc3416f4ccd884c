"""The settings of one run, each with the place that it came from.

A `Config` is made by `resolve` (resolver.py) and does not change afterwards. Names are dotted, as
flags are (`axon.port`), and may be read as attributes or as one key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from node.errors import ConfigError

from .values import nearest

__all__ = ["FLAG_ONLY", "Config", "Section", "Setting"]

FLAG_ONLY = frozenset({"config", "print_config"})
"""Settings of the run itself, which a profile can't have."""

_SECRET = re.compile(
    r"(^|[._])(password|passphrase|secret|token|api_?key|mnemonic|seed|private_?key)$",
    re.IGNORECASE,
)


class Setting:
    """One value and where it came from.

    Attributes:
        value: The value, of the type that its flag's checker returns.
        source: "flag", "environment NAME", "file PATH" or "default".
    """

    __slots__ = ("source", "value")

    def __init__(self, value: Any, source: str) -> None:
        self.value = value
        self.source = source

    def __repr__(self) -> str:
        return f"Setting(source={self.source!r})"


class Section:
    """The settings under one prefix: `config.axon`, whose `port` is `axon.port`."""

    __slots__ = ("_config", "_prefix")

    def __init__(self, config: Config, prefix: str) -> None:
        self._config = config
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        return self._config.lookup(self._prefix + name)

    def __repr__(self) -> str:
        return f"Section({self._prefix.rstrip('.')})"


class Config:
    """Settings by dotted name: `config.axon.port` and `config["axon.port"]` are the same value.

    Args:
        settings: Every setting of the parser that it was resolved from.

    Raises:
        ConfigError: One name is a setting and also the first part of another's.
    """

    def __init__(self, settings: Mapping[str, Setting]) -> None:
        self._settings = dict(settings)
        self._prefixes = {
            name[: dot.end()] for name in settings for dot in re.finditer(r"\.", name)
        }
        for prefix in self._prefixes:
            if prefix[:-1] in self._settings:
                raise ConfigError(f"{prefix[:-1]} can't be a flag and a group of flags at once.")

    def lookup(self, name: str) -> Any:
        """Returns the value of a dotted name, or the `Section` of a prefix.

        Raises:
            AttributeError: There is neither; the text has the nearest name.
        """
        if name.rpartition(".")[2].startswith("_"):
            raise AttributeError(name)
        if name in self._settings:
            return self._settings[name].value
        if name + "." in self._prefixes:
            return Section(self, name + ".")
        raise AttributeError(f"config has no {name}{nearest(name, self._settings)}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.lookup(name)

    def __getitem__(self, name: str) -> Any:
        try:
            return self._settings[name].value
        except KeyError:
            raise KeyError(f"config has no {name}{nearest(name, self._settings)}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._settings

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)

    def get(self, name: str, default: Any = None) -> Any:
        """Returns the value of a dotted name, or `default` where there is no such setting."""
        return self._settings[name].value if name in self._settings else default

    def source(self, name: str) -> str:
        """Returns where a value came from: "flag", "environment NAME", "file PATH", "default".

        Raises:
            KeyError: There is no such setting.
        """
        return self._settings[name].source

    def to_yaml(self) -> str:
        """Returns every setting as YAML lines with its source as a comment, in parser order.

        The text can be given back with `--config`; what no profile may set is a comment. A
        setting whose name says that it is a secret (`*.password`, `*.api_key`, ...) is a comment
        without its value, and a password inside a URL is replaced by `***`.
        """
        lines = [(_line(name, setting.value), setting.source) for name, setting in self.items()]
        width = max((len(line) for line, _ in lines if len(line) <= 60), default=0)
        return "".join(f"{line:<{width}}  # {source}\n" for line, source in lines)

    def items(self) -> Iterator[tuple[str, Setting]]:
        """Yields each name with its setting, in parser order."""
        yield from self._settings.items()

    def __repr__(self) -> str:
        given = sum(setting.source != "default" for setting in self._settings.values())
        return f"Config({len(self)} settings, {given} given)"


def _line(name: str, value: Any) -> str:
    if value is not None and _SECRET.search(name):
        return f"# {name}: hidden"
    if name in FLAG_ONLY:
        return f"# {name}: {_scalar(value)}"
    return f"{name}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    import yaml  # only --print_config needs it

    if isinstance(value, list | tuple):
        plain: Any = [_printable(item) for item in value]
    else:
        plain = _printable(value)
    style = '"' if isinstance(plain, str) and not plain.isprintable() else None
    shown: str = yaml.safe_dump(
        plain, default_flow_style=True, default_style=style, width=10**6, allow_unicode=True
    )
    return shown.removesuffix("...\n").strip()


def _printable(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    return _without_password(str(value))


def _without_password(shown: str) -> str:
    """Replaces the password of a URL such as redis://user:password@host."""
    if "://" not in shown or "@" not in shown:
        return shown
    try:
        parts = urlsplit(shown)
    except ValueError:
        return "***"
    if parts.password is None:
        return shown
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{parts.username or ''}:***@{host}").geturl()
