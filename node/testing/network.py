"""The test network: honest and faulty peers, a registry, a clock, and callers, in one process."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from node.dendrite import Dendrite
from node.errors import ConfigError
from node.keys import Keypair
from node.network import Metagraph, Network, Peer, open_network
from node.network.local import LocalNetwork

from .behaviour import Behaviour
from .clock import Clock
from .faults import FaultyPeers, read_faults
from .member import LoopbackMember, Member, MemoryMember
from .memory import Switchboard, memory_address
from .serving import FaultyAxon
from .source import ForwardSource, MinerSource, Source

if TYPE_CHECKING:
    from node.dendrite.session import Dial
    from node.neuron.miner import Miner

__all__ = ["TestNetwork"]

_TRANSPORTS = ("memory", "loopback")
_OWN_OPTIONS = ("ip", "port", "network", "netuid", "clock_ns", "external_ip", "external_port")
_VALIDATOR_STAKE = 1000.0
_MEMORY_FOLDER = "/dev/shm"  # noqa: S108  only a folder with a name of its own is made in it


class TestNetwork:
    """A network of real axons in this process, for tests and demonstrations.

    `async with TestNetwork(...) as net:` starts everything and ends it again: dendrites, axons,
    registry and files. It belongs to one event loop. Everything is signed, checked and sent as
    between machines; in memory only the sockets are another kind.

    Args:
        miners: Honest peers.
        faulty: The peers beside them: faults and how many of each (`{"dead": 1}`), a list of
            faults, or a number, which `spread_faults` shares out. A fault is a name of `FAULTS`, a
            `Fault` or a `Behaviour` of your own.
        forward: The forward that every peer serves, or several; any form that `Axon.attach`
            takes. By default `StreamPrompting` prompts are streamed back token by token.
        miner: A `Miner` class instead of `forward`, each peer being an object of it. Its forwards
            and hooks serve; its `start` and `stop` are not called. Wallet files are made for it.
        miner_flags: Flags for those miners, as on a command line.
        validators: Keys that are registered with stake and a permit, to call with.
        transport: `memory`, where only `dendrite()`, and a `Dendrite` that is given `dial`, reach
            the peers; or `loopback`, where any process of this machine does.
        clock: What axons, dendrites and registry take the time from; None is the real time.
        seed: Keys are made of it: one seed, one set of addresses.
        network: Where peers are registered: a `Network`, which stays open, or a name, which is
            opened and closed. None makes a `local` one in a temporary file.
        netuid: The subnet there.
        registered_only: Whether axons refuse callers that the network does not list.
        axon: More options for every axon, such as `{"max_workers": 2}`.

    Attributes:
        clock: As given.
        network: The registry; from the start on.
        netuid: As given.
        validators: The validators' keypairs.
        keypairs: The peers' keypairs, in the order of `peers`.
        uids: Their uids, from the start on; 0 upwards on a network of its own.

    Raises:
        ConfigError: A fault, an option or a number is wrong, or two do not go together.
        RouteError: From the start: the forward is no route.
        NetworkError: From the start: the network given can't be used.
    """

    # pytest would take it for a class of tests.
    __test__ = False

    def __init__(
        self,
        miners: int = 4,
        faulty: FaultyPeers = (),
        *,
        forward: Callable[..., Any] | Sequence[Callable[..., Any]] | None = None,
        miner: type[Miner] | None = None,
        miner_flags: Sequence[str] = (),
        validators: int = 1,
        transport: str = "memory",
        clock: Clock | None = None,
        seed: int = 0,
        network: Network | str | None = None,
        netuid: int = 1,
        registered_only: bool = False,
        axon: Mapping[str, Any] | None = None,
    ) -> None:
        _check_count("miners", miners)
        _check_count("validators", validators)
        if transport not in _TRANSPORTS:
            raise ConfigError(
                f"a test network's transport is memory or loopback, not {transport!r}"
            )
        if forward is not None and miner is not None:
            raise ConfigError("a test network serves a forward or a miner class, not both")
        self.clock = clock
        self.netuid = netuid
        self._behaviours = [Behaviour()] * miners + read_faults(faulty)
        self._given_network = network
        self._registered_only = registered_only
        self._axon_options = _checked_options(axon or {})
        self._switchboard = Switchboard() if transport == "memory" else None
        self._seed = seed
        self.keypairs = [self._key("miner", index) for index in range(len(self._behaviours))]
        self.validators = [self._key("validator", index) for index in range(validators)]
        self._source: Source
        if miner is None:
            self._source = ForwardSource(forward, _scope_of_caller())
        else:
            self._source = MinerSource(miner, self.flags_for, miner_flags)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._network: Network | None = None
        self._members: list[Member] = []
        self._dendrites: list[Dendrite] = []
        self._uids: list[int] = []

    def __repr__(self) -> str:
        state = "open" if self.is_open else "not open"
        faulty = sum(type(behaviour) is not Behaviour for behaviour in self._behaviours)
        honest = len(self._behaviours) - faulty
        return f"<TestNetwork of {honest} honest and {faulty} faulty peers, {state}>"

    @property
    def is_open(self) -> bool:
        """Whether it is started and not yet ended."""
        return self._network is not None

    @property
    def network(self) -> Network:
        """The registry that the peers are on. Raises RuntimeError before the start."""
        self._check_open()
        assert self._network is not None
        return self._network

    @property
    def peers(self) -> list[Peer]:
        """Every peer, the honest ones first. Raises RuntimeError before the start."""
        self._check_open()
        return [member.peer for member in self._members]

    @property
    def honest(self) -> list[Peer]:
        """The peers without a fault. Raises RuntimeError before the start."""
        faulty = self.faulty
        return [peer for peer in self.peers if peer not in faulty]

    @property
    def faulty(self) -> dict[Peer, str]:
        """The name of the fault of each peer that has one. Raises RuntimeError before the start."""
        self._check_open()
        return {
            member.peer: member.behaviour.name
            for member in self._members
            if type(member.behaviour) is not Behaviour
        }

    @property
    def uids(self) -> list[int]:
        """The uids of `peers`. Raises RuntimeError before the start."""
        self._check_open()
        return list(self._uids)

    @property
    def dial(self) -> Dial | None:
        """What a `Dendrite(dial=)` reaches the peers with; None where they are on loopback."""
        return None if self._switchboard is None else self._switchboard.dial

    def dendrite(self, wallet: Keypair | None = None, **options: Any) -> Dendrite:
        """Make a dendrite that reaches the peers; the network closes it if nobody else does.

        Args:
            wallet: Who calls; the first validator by default.
            options: As for `Dendrite`.

        Raises:
            ConfigError: As for `Dendrite`, or there is no validator to call.
            RuntimeError: The network is not started.
        """
        self._check_open()
        if wallet is None and not self.validators:
            raise ConfigError("this test network has no validators; give dendrite() a keypair")
        clock_ns = time.time_ns if self.clock is None else self.clock.now_ns
        dendrite = Dendrite(
            self.validators[0] if wallet is None else wallet,
            **{"dial": self.dial, "clock_ns": clock_ns, **options},
        )
        self._dendrites.append(dendrite)
        return dendrite

    async def metagraph(self) -> Metagraph:
        """Read the subnet as it is now.

        Raises:
            NetworkError: The network can't be read.
            RuntimeError: The network is not started.
        """
        metagraph: Metagraph = await self.network.metagraph(self.netuid)
        return metagraph

    async def kill(self, peer: int | Peer) -> None:
        """End a peer at once: its connections break, further ones are refused.

        Its record stays on the network, as that of a miner that has died does. Killing a dead peer
        does nothing.

        Args:
            peer: The peer, or its place in `peers`.

        Raises:
            ConfigError: It is not one of this network's.
            RuntimeError: The network is not started.
        """
        await self._member(peer).stop()

    async def restart(self, peer: int | Peer) -> None:
        """Start a peer that was killed: the same key and address, nothing else remembered.

        Args:
            peer: As for `kill`. One that is up stays up.

        Raises:
            ConfigError: It is not one of this network's, or its port was taken meanwhile.
            RuntimeError: The network is not started.
        """
        await self._member(peer).start()

    async def flags_for(self, keypair: Keypair) -> list[str]:
        """Return flags by which a program finds the network and a wallet with this hotkey.

        The wallet's files are written to the network's temporary folder, without a password.

        Args:
            keypair: One of `keypairs` or `validators`.

        Raises:
            RuntimeError: The network is not started.
        """
        from .wallets import wallet_flags

        name = self.network.name
        folder = await self._make_folder()
        flags = await asyncio.to_thread(wallet_flags, folder, keypair)
        return ["--netuid", str(self.netuid), "--subtensor.network", name, *flags]

    async def __aenter__(self) -> Self:
        if self.is_open:
            raise RuntimeError("this test network is already started")
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        self._network = await self._open_network()
        for index, (keypair, behaviour) in enumerate(
            zip(self.keypairs, self._behaviours, strict=True)
        ):
            member = self._new_member(index, keypair, behaviour)
            self._members.append(member)
            await member.start()
        await self._register()

    async def _stop(self) -> None:
        """Undo `_start`, as far as it came, in reverse."""
        dendrites, self._dendrites = self._dendrites, []
        members, self._members = self._members, []
        network, self._network = self._network, None
        folder, self._folder = self._folder, None
        closers: list[Awaitable[Any]] = [dendrite.aclose() for dendrite in dendrites]
        closers += [member.stop() for member in members]
        closers.append(self._source.close())
        results = await asyncio.gather(*closers, return_exceptions=True)
        if network is not None and network is not self._given_network:
            await network.close()
        if folder is not None:
            await asyncio.to_thread(folder.cleanup)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _open_network(self) -> Network:
        if isinstance(self._given_network, str):
            return open_network(self._given_network)
        if self._given_network is not None:
            return self._given_network
        path = await self._make_folder() / "network.db"
        clock = time.time_ns if self.clock is None else self.clock.now_ns
        return LocalNetwork(path, clock=clock, max_uids=4096)

    async def _make_folder(self) -> Path:
        if self._folder is None:
            self._folder = await asyncio.to_thread(_temporary_folder)
        return Path(self._folder.name)

    async def _register(self) -> None:
        network, netuid = self.network, self.netuid
        self._uids = [await network.register(netuid, keypair) for keypair in self.keypairs]
        for member in self._members:
            await network.serve(netuid, member.keypair, member.peer)
        for keypair in self.validators:
            await network.register(netuid, keypair)
            if isinstance(network, LocalNetwork):
                await network.set_stake(netuid, keypair.ss58_address, _VALIDATOR_STAKE, True)

    def _new_member(self, index: int, keypair: Keypair, behaviour: Behaviour) -> Member:
        async def make_axon(ip: str, port: int) -> FaultyAxon:
            axon = FaultyAxon(keypair, behaviour, ip=ip, port=port, **self._options())
            await self._source.attach(axon, keypair)
            return axon

        if self._switchboard is None:
            return LoopbackMember(keypair, behaviour, make_axon)
        address = memory_address(index)
        return MemoryMember(keypair, behaviour, make_axon, address, self._switchboard)

    def _options(self) -> dict[str, Any]:
        options = dict(self._axon_options)
        if self.clock is not None:
            options["clock_ns"] = self.clock.now_ns
        if self._registered_only:
            options |= {"network": self.network, "netuid": self.netuid}
        return options

    def _member(self, peer: int | Peer) -> Member:
        self._check_open()
        for index, member in enumerate(self._members):
            if peer in (index, member.peer):
                return member
        raise ConfigError(f"{peer!r} is not one of the {len(self._members)} peers of this network")

    def _check_open(self) -> None:
        if self._network is None:
            raise RuntimeError("this test network is not started; enter it with async with")

    def _key(self, role: str, index: int) -> Keypair:
        seed = hashlib.sha256(f"ganglion test network/{self._seed}/{role}/{index}".encode())
        return Keypair.from_seed(seed.digest())


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    # In memory where the system has such a place: a registry waits for its disk at every write.
    in_memory = _MEMORY_FOLDER if os.access(_MEMORY_FOLDER, os.W_OK | os.X_OK) else None
    return tempfile.TemporaryDirectory(prefix="ganglion-", dir=in_memory)


def _check_count(name: str, count: object) -> None:
    if type(count) is not int or count < 0:
        raise ConfigError(f"a test network's {name} are 0 or more, not {count!r}")


def _checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    for name in _OWN_OPTIONS:
        if name in options:
            raise ConfigError(f"a test network sets the axons' {name} itself")
    return dict(options)


def _scope_of_caller() -> dict[str, Any]:
    """The names in the function that makes the network, which annotations as text may mean."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  as in Axon.attach
    while frame is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    return {} if frame is None else dict(frame.f_locals)
