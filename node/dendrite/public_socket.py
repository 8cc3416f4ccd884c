"""A connection's last check: the address itself, after names were resolved, is one of the open net.

A peer's address is judged when its record is read (`node.network.routability`). A name passes there
by its text, and its owner may let it resolve to a service of the caller's own network, at once or
later. So each address is judged again in the moment in which its socket is made; nothing between
that and the connection looks a name up.
"""

from __future__ import annotations

import socket

import aiohttp

from node.network.routability import why_unroutable

__all__ = ["UnroutableError", "public_socket"]


class UnroutableError(OSError):
    """A connection was about to be made to an address that is not of the open net."""


def public_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Returns a socket for an address that others can reach too; aiohttp's `socket_factory`.

    Args:
        address: Family, type, protocol, name and address, as `getaddrinfo` has them.

    Raises:
        UnroutableError: The address is private, loopback or the like. The text does not name it,
            so that several addresses of one peer that fail alike fail as one.
    """
    family, kind, protocol, _, place = address
    reason = why_unroutable(str(place[0]))
    if reason is not None:
        raise UnroutableError(f"it leads to {reason}")
    return socket.socket(family, kind, protocol)
