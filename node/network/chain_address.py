"""Names of Bittensor chains and addresses of their nodes, and how they are shown."""

from __future__ import annotations

from urllib.parse import urlsplit

from node import errors

__all__ = ["CHAINS", "SCHEMES", "shown_name"]

CHAINS = ("finney", "test", "archive")
SCHEMES = ("ws", "wss")


def shown_name(network: str) -> str:
    """A chain as it may be logged: its name, or of a node's address only scheme, host and port.

    The rest of an address is where those who rent nodes out put keys.

    Args:
        network: One of `CHAINS`, or `ws://HOST[:PORT][/...]`, or `wss://...`.

    Raises:
        errors.ConfigError: It is none of these; the text does not repeat an address.
    """
    if network in CHAINS:
        return network
    try:
        parts = urlsplit(network)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _unreadable() from None
    if parts.scheme not in SCHEMES or not host or port == 0 or parts.fragment:
        raise _unreadable()
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + ("" if port is None else f":{port}")


def _unreadable() -> errors.ConfigError:
    return errors.ConfigError(
        f"this is no chain and no address of a chain's node; use {', '.join(CHAINS)}, "
        "ws://HOST:PORT or wss://HOST:PORT"
    )
