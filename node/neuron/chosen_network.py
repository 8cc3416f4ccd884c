"""The network that the settings name, and what may be reached on it."""

from __future__ import annotations

from .config import Config

__all__ = ["allows_private", "network_name"]


def network_name(config: Config) -> str:
    """Returns the name for `node.open_network`."""
    name: str = config["subtensor.chain_endpoint"] or config["subtensor.network"]
    return name


def allows_private(config: Config) -> bool:
    """Tells whether neurons of the network may have private and loopback addresses.

    Those of `local` may, which is one machine's; those of others where the operator says so.
    """
    is_local = network_name(config).partition(":")[0] == "local"
    return is_local or bool(config["subtensor.allow_private"])
