"""Whether an address can be reached by others, and what follows where it can't.

A registry that serves many machines is no place for an address that means another machine to each
reader. A node that publishes one is never called; and one that a hostile record names leads who
asks to a service of his own machine or network. So outside the `local` network such addresses are
refused when they are published, and a neuron that published one is listed as not serving, unless
the operator allows them for a network of his own.

Rule 1: no I/O in here; a name is judged by its text. What it resolves to is judged when a
connection is made (`node.dendrite.public_socket`).
Rule 2: the tables are IANA's special-purpose address registries, written down, since what
`ipaddress` calls global differs between versions of Python.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import replace

from node import errors

from .peer import Peer

__all__ = ["check_publishable", "published", "why_unroutable"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Span = tuple[int, int, str]

_IPV4 = (
    ("0.0.0.0/32", "the unspecified address"),
    ("0.0.0.0/8", "an address of no network (RFC 1122)"),
    ("10.0.0.0/8", "a private address (RFC 1918)"),
    ("100.64.0.0/10", "an address inside a provider's network (RFC 6598)"),
    ("127.0.0.0/8", "a loopback address"),
    ("169.254.0.0/16", "a link-local address (RFC 3927)"),
    ("172.16.0.0/12", "a private address (RFC 1918)"),
    ("192.0.0.0/24", "an address for protocols and no host's (RFC 6890)"),
    ("192.0.2.0/24", "a documentation address (RFC 5737)"),
    ("192.88.99.0/24", "an address for protocols and no host's (RFC 7526)"),
    ("192.168.0.0/16", "a private address (RFC 1918)"),
    ("198.18.0.0/15", "a benchmarking address (RFC 2544)"),
    ("198.51.100.0/24", "a documentation address (RFC 5737)"),
    ("203.0.113.0/24", "a documentation address (RFC 5737)"),
    ("224.0.0.0/4", "a multicast address"),
    ("255.255.255.255/32", "the broadcast address"),
    ("240.0.0.0/4", "a reserved address"),
)
_IPV6 = (
    ("::/128", "the unspecified address"),
    ("::1/128", "a loopback address"),
    ("64:ff9b:1::/48", "an address inside a provider's network (RFC 8215)"),
    ("100::/32", "an address that leads nowhere (RFC 6666, RFC 9780)"),
    ("2001::/23", "an address for protocols and no host's (RFC 2928)"),
    ("2001:db8::/32", "a documentation address (RFC 3849)"),
    ("3fff::/20", "a documentation address (RFC 9637)"),
    ("5f00::/16", "an address for protocols and no host's (RFC 9602)"),
    ("fc00::/7", "a private address (RFC 4193)"),
    ("fe80::/10", "a link-local address (RFC 4291)"),
    ("fec0::/10", "a private address (RFC 3879)"),
    ("ff00::/8", "a multicast address"),
    # Only 2000::/3 is given out (RFC 4291); this is the rest.
    ("::/3", "a reserved address"),
    ("4000::/2", "a reserved address"),
    ("8000::/1", "a reserved address"),
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

# Last labels of names that no public name server answers for: RFC 6761, 6762 with its appendix G,
# 7686, 8375, 9476, and `internal`, which ICANN keeps for private use.
_PRIVATE_ENDS = frozenset(
    {
        "alt", "corp", "example", "home", "internal", "intranet", "invalid", "lan", "local",
        "localdomain", "localhost", "onion", "private", "test",
    }
)  # fmt: skip
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def _spans(table: Iterable[tuple[str, str]]) -> tuple[_Span, ...]:
    networks = ((ipaddress.ip_network(text), reason) for text, reason in table)
    return tuple(
        (int(network.network_address), int(network.broadcast_address), reason)
        for network, reason in networks
    )


_SPANS = {4: _spans(_IPV4), 6: _spans(_IPV6)}


def why_unroutable(host: str) -> str | None:
    """Returns why others can't reach an address or name, None where nothing speaks against it.

    The reason follows the word "is": "a private address (RFC 1918)". An IPv4 address inside an IPv6
    one (mapped, NAT64, 6to4) is judged as itself.

    Args:
        host: An IPv4 or IPv6 address, in brackets or not, or a host name.
    """
    text = host.strip().lower().removeprefix("[").removesuffix("]").removesuffix(".")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return _why_private_name(text)
    return _why_unroutable_address(address)


def published(peer: Peer, allow_private: bool) -> Peer:
    """Returns a peer as others may be told of it: not serving where its address is unroutable.

    Args:
        peer: As its record says.
        allow_private: Whether any address will do.
    """
    if allow_private or not peer.is_serving or why_unroutable(peer.ip) is None:
        return peer
    return replace(peer, ip="0.0.0.0", port=0)  # noqa: S104  as a peer that never served


def check_publishable(peer: Peer, allow_private: bool) -> None:
    """Checks that others can reach where a peer is about to say that it answers.

    Args:
        peer: What is to be published; one that does not serve passes.
        allow_private: Whether any address will do.

    Raises:
        errors.ConfigError: They can't; the text names the flags that help.
    """
    reason = why_unroutable(peer.ip)
    if allow_private or not peer.is_serving or reason is None:
        return
    raise errors.ConfigError(
        f"{peer.ip} is {reason}, which others can't reach; give the address that they reach with "
        "--axon.external_ip, or say --subtensor.allow_private on a network of your own"
    )


def _why_unroutable_address(address: _Address) -> str | None:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return _why_unroutable_address(inner)
    number = int(address)
    for first, last, reason in _SPANS[address.version]:
        if first <= number <= last:
            return reason
    return None


def _why_private_name(name: str) -> str | None:
    labels = name.split(".")
    if not name or not all(labels):
        return "no address and no host name"
    if labels[-1] == "localhost":
        return "a name of this machine (RFC 6761)"
    # Resolvers take 127.1 and 127.0.0.0x1 for addresses, not all of them for the same.
    if _NUMBER.fullmatch(labels[-1]):
        return "a number that resolvers read in several ways"
    if len(labels) == 1:
        return "a name without a dot, which only one network knows"
    if labels[-1] in _PRIVATE_ENDS or labels[-2:] == ["home", "arpa"]:
        return f"a name under .{labels[-1]}, which only one network knows"
    return None
