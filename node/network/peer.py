"""Where a neuron answers: one address, one key, the protocols it speaks.

A `Peer` is a value. It is checked and made canonical when it is constructed, so that whatever holds
one need not check again: the addresses are normalised to SS58 prefix 42, an IP address is in its
shortest form, a host name is lower case.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node import errors
from node.keys import normalise_address, ss58_decode

__all__ = ["Peer", "load_peers", "parse_peers"]

MAX_PORT = 65535
MAX_HOST_CHARS = 253
MAX_PROTOCOLS = 8
MAX_ROUTES = 64
MAX_CAPACITY = 2**20
MAX_VERSION = 2**32 - 1
MAX_PEERS_FILE_BYTES = 2**20

FORM = "HOTKEY@HOST:PORT"
# Underscores are not in RFC 1123, but Docker Compose service names have them.
HOST_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
PROTOCOL_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}")
ROUTE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
KEYS = ("hotkey", "ip", "host", "port", "protocols", "coldkey", "version", "capacity")


@dataclass(frozen=True, slots=True, repr=False)
class Peer:
    """One neuron's public endpoint.

    Args:
        hotkey: SS58 address of the neuron's key, any prefix.
        ip: IPv4 or IPv6 address without brackets, or an ASCII host name.
        port: 0 to 65535. 0 means that the neuron does not serve.
        protocols: Names of the signing protocols that it accepts, most wanted first; empty where
            unknown, so that a dendrite that speaks several asks.
        coldkey: SS58 address of the owner's key, any prefix, or "" where unknown.
        version: The node's own version number, 0 where unknown; at most 32 bits.
        capacity: Requests that the neuron serves at once, by route; a mapping, or pairs. Kept as
            pairs in order of their names, so that a peer can be hashed. A route that is not in it
            has declared nothing.

    Raises:
        errors.ConfigError: A part can't be used; the text names the part and what is wrong.
    """

    hotkey: str
    ip: str
    port: int
    protocols: tuple[str, ...] = ()
    coldkey: str = ""
    version: int = 0
    capacity: Mapping[str, int] | tuple[tuple[str, int], ...] = ()
    _key: bytes = field(init=False, compare=False, default=b"")

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "hotkey", _checked_address("hotkey", self.hotkey))
        put(self, "ip", _checked_host(self.ip))
        _check_integer("port", self.port, MAX_PORT)
        put(self, "protocols", _checked_protocols(self.protocols))
        if self.coldkey != "":
            put(self, "coldkey", _checked_address("coldkey", self.coldkey))
        _check_integer("version", self.version, MAX_VERSION)
        put(self, "capacity", _checked_capacity(self.capacity))
        put(self, "_key", ss58_decode(self.hotkey))

    @classmethod
    def parse(cls, text: str) -> Peer:
        """Read `HOTKEY@HOST:PORT`; an IPv6 address is in brackets, as in `HOTKEY@[::1]:8091`.

        Raises:
            errors.ConfigError: The text is not of that form, or a part of it can't be used.
        """
        hotkey, at, endpoint = text.strip().partition("@")
        if not at:
            raise errors.ConfigError(f"peer {_shown(text)} has no '@'; write {FORM}")
        try:
            host, port = _split_endpoint(endpoint)
            return cls(hotkey=hotkey, ip=host, port=_parsed_port(port))
        except errors.ConfigError as error:
            raise errors.ConfigError(f"peer {_shown(text)}: {error}") from error

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Peer:
        """Make a peer from a JSON or YAML mapping, as `to_mapping` writes it.

        `host` may be written for `ip`. `protocols`, `coldkey`, `version` and `capacity` may be
        absent.

        Raises:
            errors.ConfigError: A key is missing or unknown (the text has the nearest good one), or
                a value can't be used.
        """
        for key in mapping:
            if key not in KEYS:
                raise errors.ConfigError(f"a peer has no key {_shown(key)}{_nearest(str(key))}")
        values = dict(mapping)
        if "host" in values:
            if "ip" in values:
                raise errors.ConfigError("a peer has 'ip' or 'host', not both")
            values["ip"] = values.pop("host")
        for key in ("hotkey", "ip", "port"):
            if key not in values:
                raise errors.ConfigError(f"a peer needs the key '{key}'")
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """Every field as plain JSON values; `from_mapping` reads it back."""
        return {
            "hotkey": self.hotkey,
            "ip": self.ip,
            "port": self.port,
            "protocols": list(self.protocols),
            "coldkey": self.coldkey,
            "version": self.version,
            "capacity": dict(self.capacity),
        }

    def capacity_of(self, route: str) -> int | None:
        """Requests that the neuron says it serves at once on a route; None if it says nothing."""
        return dict(self.capacity).get(route) if self.capacity else None

    @property
    def public_key(self) -> bytes:
        """The 32 bytes behind `hotkey`."""
        return self._key

    @property
    def endpoint(self) -> str:
        """`HOST:PORT`, an IPv6 address in brackets."""
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """`http://HOST:PORT`, without a path."""
        return f"http://{self.endpoint}"

    @property
    def is_serving(self) -> bool:
        """Whether the neuron names a port at all."""
        return self.port > 0

    def __str__(self) -> str:
        return f"{self.hotkey}@{self.endpoint}"

    def __repr__(self) -> str:
        return f"Peer({str(self)!r}, protocols={self.protocols!r})"


def parse_peers(text: str) -> list[Peer]:
    """Read `HOTKEY@HOST:PORT,HOTKEY@HOST:PORT,...`; spaces around commas are ignored.

    Raises:
        errors.ConfigError: The list is empty, has an empty item, or names one hotkey twice; or as
            `Peer.parse`.
    """
    items = [item.strip() for item in text.split(",")]
    if not any(items):
        raise errors.ConfigError(f"the list of peers is empty; write {FORM},{FORM},...")
    if not all(items):
        raise errors.ConfigError("the list of peers has a comma with no peer beside it")
    return _checked_distinct(Peer.parse(item) for item in items)


def load_peers(path: str | Path) -> list[Peer]:
    """Read a YAML file: a list of `HOTKEY@HOST:PORT` texts or of mappings as `Peer.from_mapping`.

    Raises:
        errors.ConfigError: The file can't be read, is over 1 MiB, is not YAML or not a list, or an
            item is not a peer; the text names the file and the item, counted from 1.
    """
    import yaml  # not needed by the many users who never read a file

    file = Path(path).expanduser()
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_PEERS_FILE_BYTES + 1)
    except OSError as error:
        raise errors.ConfigError(f"peers file {file} can't be read: {error.strerror}") from error
    if len(content) > MAX_PEERS_FILE_BYTES:
        raise errors.ConfigError(f"peers file {file} is over {MAX_PEERS_FILE_BYTES} bytes")
    try:
        items = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise errors.ConfigError(f"peers file {file} is not YAML{_place(error)}") from error
    if not isinstance(items, list) or not items:
        raise errors.ConfigError(f"peers file {file} must hold a list with at least one peer")
    try:
        return _checked_distinct(
            _peer_of_item(number, item) for number, item in enumerate(items, start=1)
        )
    except errors.ConfigError as error:
        raise errors.ConfigError(f"peers file {file}: {error}") from error


def _peer_of_item(number: int, item: object) -> Peer:
    try:
        if isinstance(item, str):
            return Peer.parse(item)
        if isinstance(item, Mapping):
            return Peer.from_mapping(item)
    except errors.ConfigError as error:
        raise errors.ConfigError(f"item {number}: {error}") from error
    raise errors.ConfigError(f"item {number} must be {FORM} or a mapping with hotkey, ip, port")


def _checked_distinct(peers: Iterable[Peer]) -> list[Peer]:
    known: dict[str, Peer] = {}
    for peer in peers:
        if peer.hotkey in known:
            raise errors.ConfigError(f"hotkey {peer.hotkey} is in the list of peers twice")
        known[peer.hotkey] = peer
    return list(known.values())


def _checked_address(part: str, address: object) -> str:
    if not isinstance(address, str):
        raise errors.ConfigError(f"the {part} must be an SS58 address as text")
    try:
        return normalise_address(address)
    except errors.InvalidAddress as error:
        raise errors.ConfigError(f"the {part} is not usable: {error}") from error


def _checked_host(host: object) -> str:
    """The canonical form of an address or host name.

    A name whose last label is all digits is refused unless it is an IPv4 address, because
    resolvers read such names as addresses in several ways (WHATWG URL, "ends in a number").
    """
    if not isinstance(host, str) or not host:
        raise errors.ConfigError("the host is empty; it must be an IP address or a host name")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        if "%" in host:
            raise errors.ConfigError(
                f"the host {_shown(host)} has a zone, which means nothing on other machines"
            )
        return str(address)
    name = host.lower()
    labels = name.split(".")
    if len(name) > MAX_HOST_CHARS or not all(HOST_LABEL.fullmatch(label) for label in labels):
        raise errors.ConfigError(
            f"the host {_shown(host)} is not an IP address or a host name in ASCII"
        )
    if labels[-1].isdigit():
        raise errors.ConfigError(f"the host {_shown(host)} is not a valid IPv4 address")
    return name


def _checked_protocols(protocols: object) -> tuple[str, ...]:
    if isinstance(protocols, str) or not isinstance(protocols, Iterable):
        raise errors.ConfigError("the protocols must be a list of names")
    names = tuple(protocols)
    if len(names) > MAX_PROTOCOLS or len(set(map(str, names))) != len(names):
        raise errors.ConfigError(f"the protocols must be up to {MAX_PROTOCOLS} different names")
    for name in names:
        if not isinstance(name, str) or not PROTOCOL_NAME.fullmatch(name):
            raise errors.ConfigError(
                f"the protocol {_shown(name)} is not a name of lower-case letters and digits"
            )
    return names


def _checked_capacity(capacity: object) -> tuple[tuple[str, int], ...]:
    try:
        pairs = sorted(dict(capacity).items()) if capacity else []  # type: ignore[call-overload]
    except (TypeError, ValueError) as error:
        raise errors.ConfigError("the capacity must be a mapping of routes to numbers") from error
    if len(pairs) > MAX_ROUTES:
        raise errors.ConfigError(f"the capacity must name up to {MAX_ROUTES} routes")
    for route, count in pairs:
        if not isinstance(route, str) or not ROUTE_NAME.fullmatch(route):
            raise errors.ConfigError(f"the capacity names {_shown(route)}, which is no route")
        _check_integer(f"capacity of {route}", count, MAX_CAPACITY)
        if count == 0:
            raise errors.ConfigError(f"the capacity of {route} must be 1 or more")
    return tuple(pairs)


def _check_integer(part: str, value: object, most: int) -> None:
    # bool is an int in Python; `port: yes` in YAML is a mistake, not port 1.
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise errors.ConfigError(
            f"the {part} {_shown(value)} is not a whole number from 0 to {most}"
        )


def _split_endpoint(endpoint: str) -> tuple[str, str]:
    """Host without brackets, and port, both unchecked."""
    if endpoint.startswith("["):
        host, colon, port = endpoint[1:].partition("]:")
        if colon and ":" not in host:
            raise errors.ConfigError("only an IPv6 host has brackets")
    else:
        host, colon, port = endpoint.rpartition(":")
        if ":" in host:
            raise errors.ConfigError("an IPv6 host needs brackets, as in HOTKEY@[::1]:8091")
    if not colon:
        raise errors.ConfigError(f"there is no ':PORT' at its end; write {FORM}")
    return host, port


def _parsed_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PORT))):
        raise errors.ConfigError(
            f"the port {_shown(text)} is not a whole number from 0 to {MAX_PORT}"
        )
    return int(text)


def _nearest(key: str) -> str:
    close = difflib.get_close_matches(key, KEYS, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; it has {', '.join(KEYS)}"


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f" (line {mark.line + 1})"


def _shown(value: object) -> str:
    """At most 120 characters of a value, quoted, for an error text."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
