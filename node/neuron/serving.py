"""The axon that the settings ask for, of a miner or of a validator that serves."""

from __future__ import annotations

from typing import Any

from node.axon import Axon
from node.errors import ConfigError
from node.keys import Wallet
from node.network import Network

from .config import Config

__all__ = ["limit_routes", "make_axon"]


def make_axon(config: Config, wallet: Wallet, network: Network, **options: Any) -> Axon:
    """Return an axon made of the `axon.*` settings, which admits callers of the network.

    Args:
        config: The settings of a miner or a validator.
        wallet: Whose axon it is.
        network: Whose metagraph says who is registered; stays open.
        options: More for `Axon`.

    Raises:
        ConfigError: As `Axon`.
        WalletError: As `Axon`.
    """
    return Axon(
        wallet,
        ip=config["axon.ip"],
        port=config["axon.port"],
        external_ip=config["axon.external_ip"],
        external_port=config["axon.external_port"],
        max_workers=config["axon.max_workers"],
        max_queue=config["axon.max_queue"],
        max_body_bytes=config["axon.max_body_bytes"],
        grace_s=config["axon.grace_s"],
        protocols=config["axon.protocols"],
        max_age_s=config["axon.max_age_s"],
        synapse_max_age_s=config["axon.synapse_max_age_s"],
        require_receiver=not config["axon.allow_unbound"],
        require_body_hash=config["axon.require_body_hash"],
        allow_uptime_nonces=not config["axon.refuse_uptime_nonces"],
        heartbeat_s=config["axon.heartbeat_s"],
        stall_s=config["axon.stall_s"],
        max_stale_s=config["axon.max_stale_s"],
        network=network,
        netuid=config["netuid"],
        **options,
    )


def limit_routes(axon: Axon, chosen: tuple[tuple[str, int], ...]) -> None:
    """Set what `--axon.capacity` says, over what was given when a forward was attached.

    Raises:
        ConfigError: A route is named twice, or is not served.
    """
    for route, capacity in chosen:
        if [name for name, _ in chosen].count(route) > 1:
            raise ConfigError(f"--axon.capacity names the route {route} twice")
        axon.set_capacity(route, capacity)
