"""The state of one subnet as lists indexed by uid, and how it is put together.

A backend gives a `Neuron` for each record that it trusts; `Snapshot.of` makes the lists. Nothing
here reads a file or a socket.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from node.keys import ss58_decode, ss58_encode

from .peer import Peer
from .record import Weights

__all__ = ["VACANT_KEY", "Metagraph", "Neuron", "Snapshot"]

# Chains use the key of 32 zero bytes for "nobody". Anybody can sign as it, so it is never found.
VACANT_KEY = bytes(32)
_VACANT = ss58_encode(VACANT_KEY)


@dataclass(frozen=True, slots=True)
class Neuron:
    """What a backend knows of one uid.

    Attributes:
        uid: Position in the lists, from 0.
        public_key: Of the hotkey, 32 bytes.
        peer: Where it answers, or None when it does not serve.
        coldkey: SS58 address, or "".
        stake: In the network's unit, not negative.
        validator_permit: Whether the network lets it validate.
        weights: Its judgement of the others, or None.
        last_update: The block of its last weights, or of its registration.
    """

    uid: int
    public_key: bytes
    peer: Peer | None = None
    coldkey: str = ""
    stake: float = 0.0
    validator_permit: bool = False
    weights: Weights | None = None
    last_update: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class Snapshot:
    """One reading of a subnet; every list has one item per uid. Treat the lists as read-only."""

    block: int = 0
    hotkeys: list[str] = field(default_factory=list)
    coldkeys: list[str] = field(default_factory=list)
    axons: list[Peer] = field(default_factory=list)
    stake: list[float] = field(default_factory=list)
    validator_permit: list[bool] = field(default_factory=list)
    incentive: list[float] = field(default_factory=list)
    last_update: list[int] = field(default_factory=list)
    votes: MappingProxyType[int, Weights] = field(default_factory=lambda: MappingProxyType({}))
    uid_by_key: MappingProxyType[bytes, int] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, neurons: Sequence[Neuron], block: int) -> Snapshot:
        """Lay the neurons out by uid.

        A uid below the highest that no neuron has is vacant: it keeps its position with the address
        of the zero key, does not serve, and no key leads to it.
        """
        by_uid = {neuron.uid: neuron for neuron in neurons}
        size = max(by_uid, default=-1) + 1
        row = [by_uid.get(uid) or Neuron(uid, VACANT_KEY) for uid in range(size)]
        taken = {neuron.public_key: neuron.uid for neuron in row}
        taken.pop(VACANT_KEY, None)
        return cls(
            block=block,
            hotkeys=[ss58_encode(neuron.public_key) for neuron in row],
            coldkeys=[neuron.coldkey for neuron in row],
            axons=[neuron.peer or _absent(neuron) for neuron in row],
            stake=[neuron.stake for neuron in row],
            validator_permit=[neuron.validator_permit for neuron in row],
            incentive=_incentive(row, set(taken.values())),
            last_update=[neuron.last_update for neuron in row],
            votes=MappingProxyType({n.uid: n.weights for n in row if n.weights is not None}),
            uid_by_key=MappingProxyType(taken),
        )


class Metagraph:
    """A subnet's neurons, as they were when it was last read.

    `sync` replaces everything at once. Inside an event loop the replacement happens on the loop, so
    code between two awaits never sees half of it. Nothing here needs closing.

    Args:
        netuid: The subnet.
        network: Name of the network, as it was opened.
        snapshot: The first reading.
        load: Reads again, for `sync`: returns a snapshot, or inside a running loop an awaitable
            of one. None for a metagraph that never changes.

    Attributes:
        netuid: As given.
        network: As given.
    """

    def __init__(
        self,
        netuid: int,
        network: str,
        snapshot: Snapshot,
        load: Callable[[], Snapshot | Awaitable[Snapshot]] | None = None,
    ) -> None:
        self.netuid = netuid
        self.network = network
        self._snapshot = snapshot
        self._load = load

    @property
    def n(self) -> int:
        """How many uids there are."""
        return len(self._snapshot.hotkeys)

    @property
    def block(self) -> int:
        """The network's block number when this was read."""
        return self._snapshot.block

    @property
    def uids(self) -> list[int]:
        """0 to n-1."""
        return list(range(self.n))

    @property
    def hotkeys(self) -> list[str]:
        """SS58 addresses with prefix 42; the zero key's for a vacant uid."""
        return self._snapshot.hotkeys

    @property
    def coldkeys(self) -> list[str]:
        """SS58 addresses with prefix 42, "" where unknown."""
        return self._snapshot.coldkeys

    @property
    def axons(self) -> list[Peer]:
        """Where each neuron answers; one that does not serve has port 0."""
        return self._snapshot.axons

    @property
    def stake(self) -> list[float]:
        """Stake, in the network's unit."""
        return self._snapshot.stake

    @property
    def validator_permit(self) -> list[bool]:
        """Whether the network lets the neuron validate."""
        return self._snapshot.validator_permit

    @property
    def incentive(self) -> list[float]:
        """Each neuron's share of the validators' weights; sums to 1, or to 0 without weights."""
        return self._snapshot.incentive

    @property
    def last_update(self) -> list[int]:
        """The block of each neuron's last weights, or of its registration."""
        return self._snapshot.last_update

    def is_vacant(self, uid: int) -> bool:
        """Whether nobody has the uid; False for one that is out of range."""
        return 0 <= uid < self.n and self._snapshot.hotkeys[uid] == _VACANT

    def weights(self, validator_uid: int) -> list[float]:
        """The weights that one neuron set, by uid; all 0.0 when it set none.

        Raises:
            IndexError: There is no such uid.
        """
        if not 0 <= validator_uid < self.n:
            raise IndexError(f"uid {validator_uid} is not one of {self.n}")
        row = [0.0] * self.n
        vote = self._snapshot.votes.get(validator_uid)
        if vote is not None:
            for uid, weight in zip(vote.uids, vote.weights, strict=True):
                if uid < self.n:
                    row[uid] = weight
        return row

    def uid_of(self, hotkey: str) -> int | None:
        """The uid of an address with any prefix, or None for one that is not registered.

        Raises:
            errors.InvalidAddress: It is not an address at all.
        """
        return self.uid_of_key(ss58_decode(hotkey))

    def uid_of_key(self, public_key: bytes) -> int | None:
        """The uid of a 32-byte key, or None; one dictionary look-up."""
        return self._snapshot.uid_by_key.get(public_key)

    def sync(self) -> Any:
        """Read the network again (dual mode).

        Returns:
            This metagraph; inside a running event loop, an awaitable of it. When the reading fails
            or is cancelled, the contents stay as they were.

        Raises:
            errors.NetworkError: The network can't be read, or is closed.
        """
        if self._load is None:
            raise ValueError("this metagraph was made by hand and has no network to read")
        loaded = self._load()
        if inspect.isawaitable(loaded):
            return self._install_later(loaded)
        self._snapshot = loaded
        return self

    async def _install_later(self, loading: Awaitable[Snapshot]) -> Metagraph:
        self._snapshot = await loading
        return self

    def __len__(self) -> int:
        return self.n

    def __repr__(self) -> str:
        return (
            f"<Metagraph netuid={self.netuid} network={self.network!r} n={self.n} "
            f"block={self.block}>"
        )


def _absent(neuron: Neuron) -> Peer:
    return Peer(ss58_encode(neuron.public_key), "0.0.0.0", 0, coldkey=neuron.coldkey)  # noqa: S104


def _incentive(row: Sequence[Neuron], taken: set[int]) -> list[float]:
    """Mean of the normalised weights, each voter counting by its stake, scaled to sum to 1.

    When no voter has stake, each counts 1. Weights for a vacant uid are dropped. This is the local
    test registry's rule; a chain works its own consensus out.
    """
    voters = [(neuron, neuron.weights) for neuron in row if neuron.weights is not None]
    has_stake = any(neuron.stake > 0 for neuron, _ in voters)
    sums = [0.0] * len(row)
    for neuron, vote in voters:
        power = neuron.stake if has_stake else 1.0
        for uid, weight in zip(vote.uids, vote.weights, strict=True):
            if uid in taken:
                sums[uid] += power * weight
    total = sum(sums)
    return [share / total for share in sums] if total > 0 else sums
