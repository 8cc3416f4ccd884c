"""Reads a profile: a YAML file of settings, nested (`axon: {port: 1}`) or dotted (`axon.port: 1`).

Rule 1: a value is taken as the text that the file has, so that `wallet.name: 007` stays `007` and
each value goes through the same checker as the flag of that name.
Rule 2: every complaint has the file, the line and the key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from node.errors import ConfigError

from .values import nearest

if TYPE_CHECKING:
    from yaml import MappingNode, Node

__all__ = ["Entry", "load_profile"]

_MAX_BYTES = 2**20
_NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting of a profile.

    Attributes:
        value: The text as written, a tuple of texts for a YAML list, None for null.
        where: "FILE line N", for messages.
    """

    value: str | tuple[str, ...] | None
    where: str


def load_profile(path: str, known: Collection[str]) -> dict[str, Entry]:
    """Reads a profile; an empty file has no settings.

    Args:
        path: The file; `~` is the home folder.
        known: The dotted names that it may set.

    Raises:
        ConfigError: The file can't be read, is not YAML, has a key that is not known, the same
            key twice, or a value that is neither text nor a list of texts.
    """
    import yaml  # 20 ms that a start without a profile need not pay

    try:
        with Path(path).expanduser().open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
        if len(raw) > _MAX_BYTES:
            raise ConfigError(f"{path} has more than {_MAX_BYTES} bytes: it is not a profile")
        root = yaml.compose(raw.decode("utf-8"), Loader=yaml.SafeLoader)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"the profile {path} can't be read: {reason}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"the profile {path} is not YAML{_line_of(error)}") from None
    if root is None or root.tag == _NULL:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"the profile {path} must have keys and values, such as `netuid: 8`")
    return _collect(path, root, frozenset(known))


def _line_of(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " in UTF-8" if isinstance(error, UnicodeDecodeError) else ""
    return f" at line {mark.line + 1}: {getattr(error, 'problem', 'it can not be parsed')}"


def _collect(path: str, root: MappingNode, known: frozenset[str]) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for name, where, node in _leaves(path, root, "", known):
        if name in entries:
            raise ConfigError(f"{where}: {name} is set twice, first at {entries[name].where}")
        entries[name] = Entry(_value_of(name, where, node), where)
    return entries


def _leaves(
    path: str, mapping: MappingNode, prefix: str, known: frozenset[str]
) -> Iterator[tuple[str, str, Node]]:
    """Yields the settings of a mapping; the known names bound how deep it goes."""
    import yaml

    for key, value in mapping.value:
        where = f"{path} line {key.start_mark.line + 1}"
        name = prefix + (key.value if isinstance(key, yaml.ScalarNode) else "?")
        if name in known:
            yield name, where, value
            continue
        if not any(other.startswith(name + ".") for other in known):
            raise ConfigError(f"{where}: unknown key {name}{nearest(name, known)}")
        if isinstance(value, yaml.MappingNode):
            yield from _leaves(path, value, name + ".", known)
        elif value.tag != _NULL:
            raise ConfigError(f"{where}: {name} must have keys below it, not a value")


def _value_of(name: str, where: str, node: Node) -> str | tuple[str, ...] | None:
    import yaml

    if node.tag.startswith("!") or "python/" in node.tag:
        raise ConfigError(f"{where}: {name} has the tag {node.tag}; write the value alone")
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag == _NULL else str(node.value)
    if isinstance(node, yaml.SequenceNode):
        items = [item for item in node.value if isinstance(item, yaml.ScalarNode)]
        if len(items) == len(node.value):
            return tuple(str(item.value) for item in items)
    raise ConfigError(f"{where}: {name} must have a value, not keys or lists below it")
