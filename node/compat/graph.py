"""`bt.metagraph`: a subnet's neurons as columns, read when it is made.

Columns are NumPy arrays where NumPy is installed (`rows`). What only a chain's consensus works out
is 0.0 for every neuron of a network without one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from node.network.metagraph import Metagraph as NativeMetagraph
from node.network.metagraph import Snapshot

from .endpoint import AxonInfo
from .registry import Registry
from .rows import Count, column

__all__ = ["Metagraph", "NeuronInfo"]

_COLUMNS = ("rank", "trust", "consensus", "validator_trust", "dividends", "emission")


@dataclass(frozen=True, slots=True)
class NeuronInfo:
    """One row of a metagraph."""

    uid: int
    netuid: int
    hotkey: str
    coldkey: str
    axon_info: AxonInfo
    stake: float
    validator_permit: bool
    incentive: float
    last_update: int

    @property
    def total_stake(self) -> float:
        """The stake."""
        return self.stake


class Metagraph:
    """The state of one subnet when it was last read. Nothing here needs closing.

    Args:
        netuid: The subnet.
        network: Name of the network; its default is that of `--subtensor.network`.
        lite: Whether to leave out `weights`.
        sync: Whether to read now. Otherwise it is empty until `sync` is called.
        subtensor: Read through this one instead.

    Attributes:
        netuid: As given.
        network: Name of the network.
        subtensor: What it reads through.
        n: How many uids there are.
        block: The network's block number.
        uids: 0 to n-1, as are the positions in all the columns.
        hotkeys: SS58 addresses, a list.
        coldkeys: SS58 addresses, "" where unknown, a list.
        axons: Where each neuron answers, a list of `AxonInfo`.
        neurons: A list of `NeuronInfo`.
        stake: In the network's unit; also `S`, `total_stake`, `alpha_stake` and `tao_stake`.
        validator_permit: Whether each may validate.
        incentive: Its share of the weights; also `I`.
        last_update: The block of its last weights.
        active: 1 for each.
        weights: What each set, a row for each neuron; empty if `lite`. Also `W`.

    Raises:
        ConfigError: There is no such network.
        NetworkError: It can't be read.
    """

    uids: Any
    stake: Any
    validator_permit: Any
    incentive: Any
    last_update: Any
    active: Any
    rank: Any
    trust: Any
    consensus: Any
    validator_trust: Any
    dividends: Any
    emission: Any
    weights: Any

    def __init__(
        self,
        netuid: int,
        network: str | None = None,
        lite: bool = True,
        sync: bool = True,
        subtensor: Registry | None = None,
    ) -> None:
        self.netuid = netuid
        self.subtensor = Registry(network) if subtensor is None else subtensor
        self.network = self.subtensor.network
        self.chain_endpoint = self.subtensor.chain_endpoint
        self._take(Snapshot())
        if sync:
            self.sync(lite=lite)

    def sync(
        self, block: int | None = None, lite: bool = True, subtensor: Registry | None = None
    ) -> None:
        """Read the network again. It blocks, also inside a running event loop.

        Args:
            block: Only None: a registry tells of now.
            lite: As for the class.
            subtensor: Read through this one, and keep it.

        Raises:
            ValueError: A block was given.
            NetworkError: The network can't be read; the contents stay as they were.
        """
        if block is not None:
            raise ValueError(f"network {self.network} tells of now only, not of block {block}")
        if subtensor is not None:
            self.subtensor = subtensor
        read = self.subtensor.read(self.netuid)
        rows = [] if lite else [read.weights(uid) for uid in read.uids]
        self._take(read)
        self.weights = column(rows, "float32")

    def _take(self, read: Snapshot | NativeMetagraph) -> None:
        size = len(read.hotkeys)
        self.n = Count(size)
        self.block = Count(read.block)
        self.hotkeys: list[str] = list(read.hotkeys)
        self.coldkeys: list[str] = list(read.coldkeys)
        self.axons: list[AxonInfo] = [AxonInfo.of(peer) for peer in read.axons]
        self.uids = column(range(size), "int64")
        self.stake = column(read.stake, "float32")
        self.validator_permit = column(read.validator_permit, "bool")
        self.incentive = column(read.incentive, "float32")
        self.last_update = column(read.last_update, "int64")
        self.active = column([1] * size, "int64")
        for name in _COLUMNS:
            setattr(self, name, column([0.0] * size, "float32"))
        self.weights = column([], "float32")
        self.neurons = [self._neuron(read, uid) for uid in range(size)]

    def _neuron(self, read: Snapshot | NativeMetagraph, uid: int) -> NeuronInfo:
        return NeuronInfo(
            uid=uid,
            netuid=self.netuid,
            hotkey=read.hotkeys[uid],
            coldkey=read.coldkeys[uid],
            axon_info=self.axons[uid],
            stake=read.stake[uid],
            validator_permit=read.validator_permit[uid],
            incentive=read.incentive[uid],
            last_update=read.last_update[uid],
        )

    @property
    def S(self) -> Any:  # noqa: N802  the field's own letter, as are the following
        """Stake."""
        return self.stake

    @property
    def total_stake(self) -> Any:
        """Stake."""
        return self.stake

    alpha_stake = tao_stake = total_stake

    @property
    def I(self) -> Any:  # noqa: E743, N802
        """Incentive."""
        return self.incentive

    @property
    def R(self) -> Any:  # noqa: N802
        """Rank."""
        return self.rank

    @property
    def T(self) -> Any:  # noqa: N802
        """Trust."""
        return self.trust

    @property
    def C(self) -> Any:  # noqa: N802
        """Consensus."""
        return self.consensus

    @property
    def Tv(self) -> Any:  # noqa: N802
        """Validator trust."""
        return self.validator_trust

    @property
    def D(self) -> Any:  # noqa: N802
        """Dividends."""
        return self.dividends

    @property
    def E(self) -> Any:  # noqa: N802
        """Emission."""
        return self.emission

    @property
    def W(self) -> Any:  # noqa: N802
        """Weights."""
        return self.weights

    @property
    def addresses(self) -> list[str]:
        """The address of each neuron as `/ipv4/1.2.3.4:8091`."""
        return [axon.ip_str() for axon in self.axons]

    def __len__(self) -> int:
        return int(self.n)

    def __repr__(self) -> str:
        return (
            f"metagraph(netuid:{self.netuid}, n:{self.n}, block:{self.block}, "
            f"network:{self.network})"
        )
