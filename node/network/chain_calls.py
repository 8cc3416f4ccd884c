"""What is asked of the official SDK: its documented calls, and nothing besides them.

Every coroutine takes the SDK's connected `Client`. A test compares each name and argument here with
the SDK that is installed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from .chain_signer import ChainSigner

__all__ = [
    "AXON_PROTOCOL",
    "execute",
    "read_hyperparameters",
    "read_seat",
    "read_size",
    "read_subnet",
    "read_uid",
    "serve_intent",
    "weights_intent",
]

# What the SDK has always put there for HTTP over TCP.
AXON_PROTOCOL = 4
# Again, where the pool refused for a reason that passes within a block.
RETRIES = 2


async def read_uid(client: Any, netuid: int, hotkey: str) -> int | None:
    """The uid of a hotkey, or None."""
    uid: int | None = await client.read("uid", netuid=netuid, hotkey_ss58=hotkey)
    return uid


async def read_size(sdk: Any, client: Any, netuid: int, hotkey: str) -> tuple[int | None, int]:
    """The uid of a hotkey, or None; and how many uids there are."""
    view = await client.at()
    uid, size = await asyncio.gather(
        view.read("uid", netuid=netuid, hotkey_ss58=hotkey),
        view.query(sdk.storage.SubtensorModule.SubnetworkN, [netuid]),
    )
    return uid, int(size or 0)


async def read_seat(
    sdk: Any, client: Any, netuid: int, hotkey: str
) -> tuple[int | None, Mapping[str, Any] | None]:
    """The uid of a hotkey, or None; and its axon as the chain holds it, or None."""
    view = await client.at()
    uid, axon = await asyncio.gather(
        view.read("uid", netuid=netuid, hotkey_ss58=hotkey),
        view.query(sdk.storage.SubtensorModule.Axons, [netuid, hotkey]),
    )
    return uid, axon


async def read_subnet(
    sdk: Any, client: Any, netuid: int
) -> tuple[Mapping[str, Any] | None, Mapping[int, Mapping[int, float]]]:
    """A subnet's metagraph as the runtime gives it, or None; and its weights, at one block.

    The runtime's own record is read rather than the SDK's typed one, which can't be made when a
    single neuron has published an IPv4 address over 32 bits.
    """
    view = await client.at()
    graph, weights = await asyncio.gather(
        view.runtime(sdk.runtime_api.SubnetInfoRuntimeApi.get_metagraph, [netuid]),
        view.read("weights", netuid=netuid),
    )
    return graph, weights


async def read_hyperparameters(client: Any, netuid: int) -> Mapping[str, Any] | None:
    """A subnet's hyperparameters by name, or None where there is no such subnet."""
    rules: Mapping[str, Any] | None = await client.read("subnet_hyperparameters", netuid=netuid)
    return rules


def serve_intent(sdk: Any, netuid: int, ip: str, port: int, version: int) -> Any:
    """What publishes an endpoint, or with port 0 takes it back."""
    if port == 0:
        return sdk.ResetAxon(netuid=netuid)
    return sdk.ServeAxon(netuid=netuid, ip=ip, port=port, protocol=AXON_PROTOCOL, version=version)


def weights_intent(
    sdk: Any, netuid: int, uids: Sequence[int], weights: Sequence[float], version_key: int
) -> Any:
    """What sets weights, or commits them where the subnet hides them."""
    return sdk.SetWeights(
        netuid=netuid, uids=list(uids), weights=list(weights), version_key=version_key
    )


async def execute(client: Any, intent: Any, signer: ChainSigner) -> Any:
    """Sign and submit, and wait until a block holds it; returns the SDK's result.

    Inclusion is enough: what a reorganisation undoes is set again an epoch later.
    """
    return await client.execute(
        intent, signer, wait_for_inclusion=True, wait_for_finalization=False, retries=RETRIES
    )
