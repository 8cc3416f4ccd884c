"""Keeping a neuron's address on its network: written once, looked at again, renewed in time."""

from __future__ import annotations

import asyncio
import logging
import time

from node.axon import Axon
from node.errors import NetworkError
from node.keys import Wallet
from node.network import Network, Peer
from node.network.backend import Expiring
from node.network.ending import end_tasks

__all__ = ["Publisher"]

logger = logging.getLogger(__name__)

_RETRY_S = 30.0


class Publisher:
    """Makes a network list an axon where it serves, from `start` to `stop`.

    Args:
        network: Where; stays open.
        netuid: The subnet.
        wallet: Whose axon it is.
        axon: The axon; it serves by the time of `start`.
        look_every_s: Seconds between two looks; fewer where what is published expires sooner.
    """

    def __init__(
        self, network: Network, netuid: int, wallet: Wallet, axon: Axon, *, look_every_s: float
    ) -> None:
        self._network = network
        self._netuid = netuid
        self._wallet = wallet
        self._axon = axon
        self._look_every_s = look_every_s
        self._task: asyncio.Task[None] | None = None
        # When what was published expires, by the monotonic clock; before `start` nobody knows.
        self._expires_at = 0.0

    async def start(self) -> int:
        """Publish, and look after it until `stop`.

        The hotkey is registered if need be, on a network that gives uids for the asking.

        Returns:
            The uid.

        Raises:
            NetworkError: The network can't be read or written.
            NotRegistered: The hotkey has no uid, on a network where one must be got first.
        """
        uid = await self._publish()
        self._task = asyncio.create_task(self._look_again(), name="publisher")
        return uid

    async def stop(self) -> None:
        """End the looking; what is published stays. May be called again."""
        task, self._task = self._task, None
        if task is not None:
            await end_tasks([task])

    async def _publish(self) -> int:
        """Write what differs, or would expire before the next look but one."""
        here = self._axon.info()
        metagraph = await self._network.metagraph(self._netuid)
        uid: int | None = metagraph.uid_of(here.hotkey)
        if uid is None:
            uid = await self._network.register(self._netuid, self._wallet)
        elif _lists(metagraph.axons[uid], here) and not self._expires_soon():
            return uid
        began = time.monotonic()
        await self._network.serve(self._netuid, self._wallet, here)
        if isinstance(self._network, Expiring):
            self._expires_at = began + self._network.serve_ttl_s
        return int(uid)

    def _expires_soon(self) -> bool:
        if not isinstance(self._network, Expiring):
            return False
        return time.monotonic() + 2 * self._pause_s() > self._expires_at

    def _pause_s(self) -> float:
        if isinstance(self._network, Expiring):
            return min(self._look_every_s, self._network.serve_ttl_s / 4)
        return self._look_every_s

    async def _look_again(self) -> None:
        """Look now and then: a registry may have been replaced or its record dropped."""
        pause_s = self._pause_s()
        while True:
            await asyncio.sleep(pause_s)
            pause_s = self._pause_s()
            try:
                await self._publish()
            except NetworkError as error:
                logger.warning("the network does not list this neuron: %s", error)
                pause_s = min(pause_s, _RETRY_S)


def _lists(listed: Peer, here: Peer) -> bool:
    """Tell whether a registry says where a neuron is, and what it takes if it says that at all."""
    there = (listed.ip, listed.port) == (here.ip, here.port)
    spoken = listed.protocols in ((), here.protocols)
    return there and spoken and listed.capacity in ((), here.capacity)
