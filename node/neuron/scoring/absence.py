"""Whom a validator would have asked, had they been there."""

from __future__ import annotations

from collections.abc import Callable, Collection
from random import Random

from node.network import Metagraph, Peer

from .averages import Averages
from .reasons import Reason

__all__ = ["absentees"]


def absentees(
    metagraph: Metagraph,
    scores: Averages,
    *,
    asked: int,
    seen: Collection[str],
    rng: Random,
    own_key: bytes,
    is_dormant: Callable[[Peer], bool],
) -> list[tuple[int, str, Reason]]:
    """Pick the peers that get a zero for not being there.

    Who is not there is not asked, and would keep its score for as long as it stays away. So each
    such peer that has a score is picked with the chance that the others had of being asked. Takes
    time in proportion to the size of the subnet.

    Args:
        metagraph: The subnet.
        scores: What the peers have earned so far.
        asked: How many were asked in this step; with 0 nobody is picked.
        seen: Hotkeys that this step has judged already.
        rng: The source of chance.
        own_key: Public key of the one who asks, 32 bytes.
        is_dormant: Tells whether a peer that serves is left alone for now.

    Returns:
        Uid, hotkey, and `DORMANT` or `NOT_SERVING`, for each.
    """
    if not asked:
        return []
    there = 0
    absent: list[tuple[int, str, Reason]] = []
    earned = scores.for_hotkeys(metagraph.hotkeys)
    for uid, (peer, score) in enumerate(zip(metagraph.axons, earned, strict=True)):
        if peer.public_key == own_key:
            continue
        if peer.is_serving and not is_dormant(peer):
            there += 1
        elif score > 0 and peer.hotkey not in seen:
            reason = Reason.DORMANT if peer.is_serving else Reason.NOT_SERVING
            absent.append((uid, peer.hotkey, reason))
    share = min(1.0, asked / there) if there else 1.0
    return [entry for entry in absent if rng.random() < share]
