"""Network names, and the backend that each one means."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from node import errors

from .backend import Network
from .chain_address import CHAINS
from .chain_address import SCHEMES as CHAIN_SCHEMES
from .redis_address import SCHEMES as REDIS_SCHEMES
from .redis_address import needing_redis, without_password

if TYPE_CHECKING:
    from .local import LocalNetwork

__all__ = ["DEFAULT_HOME", "open_network"]

DEFAULT_HOME = "~/.ganglion"
KNOWN = ("local", *REDIS_SCHEMES, *CHAINS, *CHAIN_SCHEMES)


def open_network(name: str = "local", allow_private: bool = False) -> Network:
    """The network of that name. Does no I/O: the first call on it does.

    Args:
        name: `local` is the file `local.db` in the folder that the environment variable
            GANGLION_HOME names, `~/.ganglion` without it. `local:PATH` is that file.
            `redis://[user:password@]host[:port][/db][?prefix=NAME]`, `rediss://...` (TLS) and
            `unix:///path/to/redis.sock[?db=N&prefix=NAME]` are registries in a Redis, for which
            the extra `ganglion[redis]` must be installed.
            `finney`, `test`, `archive`, `ws://HOST:PORT` and `wss://...` are Bittensor chains, by
            name or by a node's address, for which the extra `ganglion[chain]` must be installed.
        allow_private: Whether addresses that only some machines can reach (`routability`) may be
            published and are listed; `local` allows them always.

    Returns:
        A network; whoever opens it closes it, by `close`, `with` or `async with`.

    Raises:
        errors.ConfigError: This version has no network of that name, or its address can't be
            read, or a package that it needs is not installed.
    """
    kind, colon, path = name.partition(":")
    if name == "local":
        home = os.environ.get("GANGLION_HOME") or DEFAULT_HOME
        return _local(Path(home) / "local.db", name)
    if kind == "local" and path:
        return _local(path, name)
    if kind == "local" and colon:
        raise errors.ConfigError("network 'local:' has no path; write 'local' or 'local:PATH'")
    if kind in REDIS_SCHEMES:
        with needing_redis(name):
            from .redis_network import RedisNetwork

        return RedisNetwork(name, allow_private=allow_private)
    if name in CHAINS or (kind in CHAIN_SCHEMES and colon):
        from .chain import ChainNetwork

        return ChainNetwork(name, allow_private=allow_private)
    close = difflib.get_close_matches(kind, KNOWN, n=1)
    hint = f"did you mean '{close[0]}'?" if close else "use 'local' or 'local:PATH'"
    # A misspelt scheme may be followed by a password.
    raise errors.ConfigError(f"there is no network {without_password(name)!r}; {hint}")


def _local(path: str | Path, name: str) -> LocalNetwork:
    from .local import LocalNetwork  # sqlite3 is not needed by those who give peers outright

    return LocalNetwork(path, name=name)
