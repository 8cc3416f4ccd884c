"""Whom a validator asks next."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from node import errors
from node.keys import ss58_decode
from node.network import Metagraph, Peer

__all__ = ["DEFAULT_VPERMIT_TAO_LIMIT", "sample"]

DEFAULT_VPERMIT_TAO_LIMIT = 4096.0


def sample(
    metagraph: Metagraph,
    size: int,
    *,
    rng: Random,
    own_hotkey: str | None,
    vpermit_tao_limit: float = DEFAULT_VPERMIT_TAO_LIMIT,
    skip: Callable[[Peer], bool] | None = None,
) -> list[int]:
    """Pick peers at random, each with the same chance and none twice.

    Only serving peers are picked; never oneself; never one with a validator permit and more stake
    than the limit, which is a validator and not a miner (as the flag `--neuron.vpermit_tao_limit`
    has it). Takes time in proportion to the size of the subnet.

    Args:
        metagraph: The subnet.
        size: Most peers to pick, from 0.
        rng: The source of chance.
        own_hotkey: Address of the one who asks, any prefix; None where it has none.
        vpermit_tao_limit: In the network's unit of stake.
        skip: Called once with each peer that could be picked; True leaves it out. What it raises
            is passed on.

    Returns:
        Uids, in the order of picking: fewer than `size` where there are fewer peers.

    Raises:
        errors.ConfigError: `size` is negative.
        errors.InvalidAddress: `own_hotkey` is not an address.
    """
    if size < 0:
        raise errors.ConfigError(f"the size of a sample is 0 or more, not {size}")
    own_key = None if own_hotkey is None else ss58_decode(own_hotkey)
    stake, permit = metagraph.stake, metagraph.validator_permit
    candidates = [
        uid
        for uid, peer in enumerate(metagraph.axons)
        if peer.is_serving
        and peer.public_key != own_key
        and not (permit[uid] and stake[uid] > vpermit_tao_limit)
        and not (skip is not None and skip(peer))
    ]
    return rng.sample(candidates, min(size, len(candidates)))
