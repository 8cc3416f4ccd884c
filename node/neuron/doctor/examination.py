"""Which checks there are, what each needs, and that none takes too long or breaks the others.

First what stands alone (settings, software, folders, network, port), at once. Then what needs the
network's or the axon's answer, at once again. The wallet was checked before (`key_check`).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from node.errors import ConfigError, NodeError
from node.network import Network, Peer, open_network
from node.network.routability import published
from node.neuron.chosen_network import allows_private, network_name
from node.neuron.config import Config

from .calls import check_protocols, check_receipt
from .clocks import check_clock
from .finding import Diagnosis, Finding
from .key_check import Key
from .ports import NOBODY, Local, check_port, check_reach
from .probing import Prober
from .registry import (
    Registry,
    check_address,
    check_record,
    check_registration,
    planned_endpoint,
    read_registry,
    serves,
)
from .surroundings import check_folders, check_settings, check_software

__all__ = ["CHECKS", "examine"]

CHECKS: Mapping[str, str] = {
    "settings": "where the settings came from",
    "software": "versions, and what the network needs of them",
    "folders": "whether logs and state can be written",
    "wallet": "whether the hotkey is there and can sign, and who may read it",
    "network": "whether the network can be read",
    "registration": "whether the hotkey has a uid",
    "address": "whether others can reach the address that would be published",
    "record": "what the network tells others of this neuron",
    "port": "whether the port is free, or this neuron's own axon listens",
    "reach": "who answers at the published address",
    "clock": "how far this clock is from that of peers",
    "protocols": "whether the running axon takes signed requests",
    "receipt": "whether it answers a prompt and signs the answer",
}
"""Every check, in the order of reports, with what it is about."""

Value = TypeVar("Value")
Arguments = ParamSpec("Arguments")

_CLOSE_S = 1.0
_PEER_S = 4.0


@dataclass(frozen=True, slots=True)
class _Patient:
    """What is examined, and how."""

    config: Config
    key: Key
    planned: Peer | None
    timeout_s: float
    clock_ns: Callable[[], int]
    rng: random.Random

    @property
    def answer_s(self) -> float:
        """Seconds for what a check waits for, so that this ends before the check does."""
        return 0.9 * self.timeout_s


async def examine(
    config: Config,
    key: Key,
    wallet: Finding,
    *,
    skip: Collection[str] = (),
    timeout_s: float = 10.0,
    clock_ns: Callable[[], int] = time.time_ns,
    rng: random.Random | None = None,
) -> Diagnosis:
    """Make every check.

    A check that takes too long, or breaks, is one that failed. What it started in a thread, such
    as reading a network that does not answer, may go on in that thread.

    Args:
        config: The settings of a miner or validator.
        key: What `check_wallet` returned.
        wallet: Likewise.
        skip: Names of checks to leave out.
        timeout_s: Seconds that one check may take.
        clock_ns: Gives Unix nanoseconds.
        rng: Picks the peers whose clocks are asked.
    """
    patient = _Patient(
        config,
        key,
        _planned(config, key),
        timeout_s,
        clock_ns,
        rng or random.Random(),  # noqa: S311  it hides nothing
    )
    guard = _Guard(timeout_s, frozenset(skip))
    async with _opened(config) as network:
        await _examine(patient, network, guard)
    findings = guard.findings if "wallet" in skip else [wallet, *guard.findings]
    return Diagnosis.of(findings, CHECKS)


@asynccontextmanager
async def _opened(config: Config) -> AsyncIterator[Network | ConfigError]:
    """The network with every address as it was published, or why it can't be opened."""
    try:
        # In a thread, as importing a backend reads files.
        network = await asyncio.to_thread(open_network, network_name(config), True)
    except ConfigError as error:
        yield error
        return
    try:
        yield network
    finally:
        # A thread that still waits for the network would hold this up for as long.
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await network.close()


def _planned(config: Config, key: Key) -> Peer | None:
    try:
        return planned_endpoint(config, key.address) if key.address else None
    except ConfigError:
        return None


async def _examine(patient: _Patient, network: Network | ConfigError, guard: _Guard) -> None:
    config, answer_s = patient.config, patient.answer_s
    async with Prober(
        allow_private=True, timeout_s=answer_s, clock_ns=patient.clock_ns
    ) as own:  # of this neuron's own addresses, whichever they are
        registry, local, *_ = await asyncio.gather(
            guard.ground("network", _read, patient, network),
            guard.ground("port", check_port, config, patient.key.address, own),
            guard.check("settings", check_settings, config),
            guard.check("software", check_software, config),
            guard.check("folders", check_folders, config),
        )
        here = local or Local(Peer(NOBODY, "127.0.0.1", 0))
        listed = registry.own if registry is not None else None
        routes = [*dict(listed.capacity)] if listed is not None else []
        await asyncio.gather(
            guard.check("registration", _check_registration, patient, registry),
            guard.check("address", _check_address, patient),
            guard.check("record", _check_record, patient, registry),
            guard.check("reach", _check_reach, patient, listed, here, own),
            guard.check("clock", _check_clock, patient, registry),
            guard.check("protocols", check_protocols, config, patient.key, here, routes, own),
            guard.check(
                "receipt", check_receipt, patient.key, here, routes,
                timeout_s=answer_s, clock_ns=patient.clock_ns,
            ),
        )  # fmt: skip


async def _read(patient: _Patient, network: Network | ConfigError) -> tuple[Registry, Finding]:
    if isinstance(network, ConfigError):
        raise network
    return await read_registry(patient.config, network, patient.key)


async def _check_registration(patient: _Patient, registry: Registry | None) -> Finding:
    if registry is None:
        return Finding.skip("registration", "the network could not be read")
    return check_registration(patient.config, registry, patient.key)


async def _check_address(patient: _Patient) -> Finding:
    if patient.planned is None:
        return Finding.skip("address", "the hotkey could not be read")
    return check_address(patient.config, patient.planned)


async def _check_record(patient: _Patient, registry: Registry | None) -> Finding:
    if registry is None or patient.planned is None:
        what = "network" if registry is None else "hotkey"
        return Finding.skip("record", f"the {what} could not be read")
    return check_record(patient.config, registry, patient.planned, patient.clock_ns)


async def _check_reach(patient: _Patient, listed: Peer | None, here: Local, own: Prober) -> Finding:
    if not serves(patient.config):
        return Finding.skip("reach", "--neuron.axon_off: nothing is served")
    planned = patient.planned if patient.planned is not None and patient.planned.port else None
    return await check_reach(listed or planned, listed is not None, here, own)


async def _check_clock(patient: _Patient, registry: Registry | None) -> Finding:
    if registry is None:
        return Finding.skip("clock", "the network could not be read, so there is nobody to ask")
    private = allows_private(patient.config)
    axons = [published(peer, private) for peer in registry.metagraph.axons]
    peers = [peer for peer in axons if peer.is_serving and peer.hotkey != patient.key.address]
    timeout_s = min(_PEER_S, patient.answer_s / 2)  # a peer may be asked twice
    async with Prober(
        allow_private=private, timeout_s=timeout_s, clock_ns=patient.clock_ns
    ) as prober:
        return await check_clock(
            prober,
            peers,
            serves=serves(patient.config),
            is_local=network_name(patient.config).partition(":")[0] == "local",
            rng=patient.rng,
        )


class _Guard:
    """Makes checks, bounds each, and turns what it raises into a finding.

    Args:
        timeout_s: Seconds for each.
        skip: Those that are left out.
    """

    def __init__(self, timeout_s: float, skip: frozenset[str]) -> None:
        self._timeout_s = timeout_s
        self._skip = skip
        self.findings: list[Finding] = []

    async def check(
        self,
        name: str,
        function: Callable[Arguments, Awaitable[Finding]],
        *args: Arguments.args,
        **options: Arguments.kwargs,
    ) -> None:
        """Make a check, unless it is left out."""

        async def alone() -> tuple[None, Finding]:
            return None, await function(*args, **options)

        if name not in self._skip:
            await self.ground(name, alone)

    async def ground(
        self,
        name: str,
        function: Callable[Arguments, Awaitable[tuple[Value, Finding]]],
        *args: Arguments.args,
        **options: Arguments.kwargs,
    ) -> Value | None:
        """Make a check that others build on.

        Returns:
            What they need, None where the check broke. One that is left out is made for their
            sake, and only its finding is left out.
        """
        value: Value | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                value, finding = await function(*args, **options)
        except TimeoutError:
            found = f"no answer within {self._timeout_s:g} s"
            finding = Finding.fail(name, found, "see what holds it up, or give it --timeout")
        except NodeError as error:
            found, _, advice = str(error).partition("; ")
            finding = Finding.fail(name, found, advice or "check --subtensor.network")
        except Exception as error:  # noqa: BLE001  the border: one check must not end the others
            found = f"the check itself broke ({type(error).__name__})"
            finding = Finding.fail(name, found, "please report this")
        if name not in self._skip:
            self.findings.append(finding)
        return value
