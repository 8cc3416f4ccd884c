"""`AxonInfo`: where a neuron answers, with the fields and spellings of SDK 6-10."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from node.errors import ConfigError
from node.network import Peer

__all__ = ["AxonInfo", "as_peer"]

_NOWHERE = "0.0.0.0"  # noqa: S104  what a chain lists for a neuron that does not serve


@dataclass
class AxonInfo:
    """Where a neuron answers. Nothing is checked before it is asked.

    Attributes:
        version: Version number of its software, 0 where unknown.
        ip: Address.
        port: Port; 0 for one that does not serve.
        ip_type: 4 or 6.
        hotkey: SS58 address.
        coldkey: SS58 address, or "".
        protocol: Kept for older code; not used.
        placeholder1: Kept for older code; not used.
        placeholder2: Kept for older code; not used.
        protocols: Signing protocols that it is known to accept; None where it is not known.
    """

    version: int
    ip: str
    port: int
    ip_type: int
    hotkey: str
    coldkey: str
    protocol: int = 4
    placeholder1: int = 0
    placeholder2: int = 0
    protocols: tuple[str, ...] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, peer: Peer) -> Self:
        """Return a peer in this form."""
        return cls(
            version=peer.version,
            ip=peer.ip,
            port=peer.port,
            ip_type=6 if ":" in peer.ip else 4,
            hotkey=peer.hotkey,
            coldkey=peer.coldkey,
            protocols=peer.protocols,
        )

    def to_peer(self) -> Peer:
        """Return it as this library's own `Peer`.

        Raises:
            ConfigError: The hotkey, address or port can't be used.
        """
        return Peer(
            hotkey=self.hotkey,
            ip=self.ip,
            port=self.port,
            protocols=self.protocols or (),
            coldkey=self.coldkey,
            version=self.version,
        )

    @property
    def is_serving(self) -> bool:
        """Whether it names an address and a port at all."""
        return self.ip != _NOWHERE and self.port > 0

    def ip_str(self) -> str:
        """Return `/ipv4/1.2.3.4:8091`, as SDK 6-10 write it."""
        return f"/ipv{self.ip_type}/{self.ip}:{self.port}"

    def to_string(self) -> str:
        """Return its fields as JSON."""
        return json.dumps({name: value for name, value in asdict(self).items() if name in _FIELDS})

    @classmethod
    def from_string(cls, text: str) -> Self:
        """Read what `to_string` wrote.

        Raises:
            ConfigError: It is not that.
        """
        try:
            return cls(**{name: json.loads(text)[name] for name in _FIELDS})
        except (ValueError, KeyError, TypeError):
            raise ConfigError("this text is not an AxonInfo, as to_string() writes it") from None

    def __str__(self) -> str:
        return f"AxonInfo( {self.ip_str()}, {self.hotkey}, {self.coldkey}, {self.version} )"


_FIELDS = tuple(name for name in AxonInfo.__dataclass_fields__ if name != "protocols")


def as_peer(target: Any) -> Peer:
    """Return whom a call of SDK 6-10 is for.

    Args:
        target: An `AxonInfo`, a `Peer`, its text `HOTKEY@HOST:PORT`, or what has an `info()` that
            gives one, such as an axon.

    Raises:
        ConfigError: It is none of them, or can't be used.
    """
    if isinstance(target, Peer):
        return target
    if isinstance(target, AxonInfo):
        return target.to_peer()
    if isinstance(target, str):
        return Peer.parse(target)
    info = getattr(target, "info", None)
    described = info() if callable(info) else None
    if isinstance(described, Peer | AxonInfo):
        return as_peer(described)
    raise ConfigError(
        f"{type(target).__name__} is not an axon; give an AxonInfo, an axon or a Peer"
    )
