"""Network names, and the backend that each one means."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from node import errors

from .backend import Network

if TYPE_CHECKING:
    from .local import LocalNetwork

__all__ = ["DEFAULT_HOME", "open_network"]

DEFAULT_HOME = "~/.ganglion"
ELSEWHERE = ("finney", "test", "archive", "redis", "rediss", "ws", "wss")


def open_network(name: str = "local") -> Network:
    """The network of that name. Does no I/O: the first call on it does.

    Args:
        name: `local` is the file `local.db` in the folder that the environment variable
            GANGLION_HOME names, `~/.ganglion` without it. `local:PATH` is that file.

    Returns:
        A network; whoever opens it closes it, by `close`, `with` or `async with`.

    Raises:
        errors.ConfigError: This version has no network of that name.
    """
    kind, colon, path = name.partition(":")
    if name == "local":
        home = os.environ.get("GANGLION_HOME") or DEFAULT_HOME
        return _local(Path(home) / "local.db", name)
    if kind == "local" and path:
        return _local(path, name)
    if kind == "local" and colon:
        raise errors.ConfigError("network 'local:' has no path; write 'local' or 'local:PATH'")
    if kind in ELSEWHERE:
        raise errors.ConfigError(
            f"network {name!r} is not one that this version speaks; use 'local' or 'local:PATH', "
            "as in --subtensor.network local"
        )
    close = difflib.get_close_matches(kind, ("local", *ELSEWHERE), n=1)
    hint = f"did you mean '{close[0]}'?" if close else "use 'local' or 'local:PATH'"
    raise errors.ConfigError(f"there is no network {name!r}; {hint}")


def _local(path: str | Path, name: str) -> LocalNetwork:
    from .local import LocalNetwork  # sqlite3 is not needed by those who give peers outright

    return LocalNetwork(path, name=name)
