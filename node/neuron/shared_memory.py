"""The memory that processes of one hotkey share, as the settings name it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.errors import ConfigError
from node.network.redis_address import SCHEMES, without_password
from node.network.shared import open_shared_memory

from .chosen_network import network_name
from .config import Config

if TYPE_CHECKING:
    from node.network.redis_shared import RedisSharedMemory

__all__ = ["shared_memory_of"]


def shared_memory_of(config: Config) -> RedisSharedMemory | None:
    """Returns the memory that `--axon.shared_memory` names, None where it names none.

    `auto` is the Redis of the network. While it can't be reached requests pass for as long as
    `--axon.max_stale_s`, or with `--axon.refuse_unshared` not at all. Whoever calls this closes it.

    Raises:
        ConfigError: It can't be read, or is `auto` on a network without a Redis.
    """
    address = config["axon.shared_memory"]
    if address is None:
        return None
    if address == "auto":
        address = network_name(config)
        if address.partition(":")[0] not in SCHEMES:
            raise ConfigError(
                f"--axon.shared_memory auto is the Redis of the network, and "
                f"{without_password(address)} has none; give an address, as in redis://host:port/0"
            )
    lost_s = 0.0 if config["axon.refuse_unshared"] else config["axon.max_stale_s"]
    return open_shared_memory(address, max_lost_s=lost_s)
