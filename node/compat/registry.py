"""A network of this library as old code meets it: by name or by config, and blocking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from node import network as networks

from .loop_thread import run_here
from .settings import COMMAND_LINE, Config, defaults, setting

__all__ = ["Registry"]


class Registry:
    """A network. Every call blocks, inside a running event loop too.

    Args:
        network: Its name; `local` and `local:PATH` are those of this version. A config may
            stand here too.
        config: Where it is read if not given: `subtensor.network`, or `subtensor.chain_endpoint`
            where only that one was set. Without both it is the default of `--subtensor.network`.

    Attributes:
        network: The name.
        chain_endpoint: The name too; there is no other address.

    Raises:
        ConfigError: There is no network of that name.
    """

    def __init__(self, network: str | Mapping[str, Any] | None = None, config: Any = None) -> None:
        COMMAND_LINE.check()
        if isinstance(network, Mapping):
            network, config = None, network
        self.network = self.chain_endpoint = network or _chosen(config)
        self._native = networks.open_network(self.network)

    def read(self, netuid: int) -> networks.Metagraph:
        """Return a subnet as this library's own metagraph.

        Raises:
            NetworkError: The network can't be read.
        """
        graph: networks.Metagraph = run_here(lambda: self._native.metagraph(netuid))
        return graph

    def close(self) -> None:
        """Release what the network holds; safe to call twice."""
        run_here(self._native.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.network}>"


def _chosen(config: Any) -> str:
    """Return the network of a config: what was set before what is a default, the name first."""
    names = ("subtensor.network", "subtensor.chain_endpoint")
    is_set = config.is_set if isinstance(config, Config) else lambda name: False
    for name in (*filter(is_set, names), *names):
        if value := setting(config, name):
            return str(value)
    return str(setting(defaults(), "subtensor.network"))
