"""Whether a caller may call, by its place in the network.

Without a network every verified caller may. With one, the axon keeps a snapshot of the metagraph
and refreshes it by itself, at once where the network tells of changes. A key that the snapshot
lacks waits for an early refresh, of which there is at most one a second for all that wait: so a
newly registered caller is let in at once, and strangers can't make work.

While the network can't be read the last snapshot is used. When that has grown too old it no longer
says who may call, and those for whom that matters are refused until the network can be read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from node.errors import Forbidden, NetworkError, OutOfTouch
from node.network import Metagraph, Network
from node.network.backend import Announcing
from node.network.ending import end_tasks
from node.wire import Caller

__all__ = ["MAX_STALE_S", "Standing", "StandingRules"]

logger = logging.getLogger(__name__)

MAX_STALE_S = 600.0
_EARLY_REFRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class StandingRules:
    """Which registered callers may call.

    Attributes:
        allow_non_registered: Also those that the metagraph does not list.
        force_validator_permit: Of the listed, only those with a validator permit.
        minimum_stake: Of the listed, only those with at least this stake.
    """

    allow_non_registered: bool = False
    force_validator_permit: bool = False
    minimum_stake: float = 0.0

    @property
    def let_everybody_in(self) -> bool:
        """Whether no caller is refused by its standing."""
        return (
            self.allow_non_registered
            and not self.force_validator_permit
            and self.minimum_stake <= 0
        )


class Standing:
    """Answers whether a key may call, from a metagraph snapshot.

    Args:
        network: Where the metagraph comes from, or None to admit every verified caller.
        netuid: Which one; needed with a network.
        rules: Which callers may call.
        refresh_s: Seconds between refreshes, 12 by default (one block).
        max_stale_s: Age in seconds from which a snapshot says nothing any more.
    """

    def __init__(
        self,
        network: Network | None,
        netuid: int | None,
        rules: StandingRules,
        *,
        refresh_s: float = 12.0,
        max_stale_s: float = MAX_STALE_S,
    ) -> None:
        self._network = network
        self._netuid = netuid
        self._rules = rules
        self._refresh_s = refresh_s
        self._max_stale_s = max_stale_s
        self._metagraph: Metagraph | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._refreshing = asyncio.Lock()
        self._refreshed_at = 0.0
        self._read_at = 0.0
        self._is_failing = False

    @property
    def metagraph(self) -> Metagraph | None:
        """The snapshot in use; None without a network or before `start`."""
        return self._metagraph

    async def start(self) -> None:
        """Take the first snapshot and keep it fresh until `stop`.

        Raises:
            NetworkError: The network can't be read.
        """
        if self._network is None or self._netuid is None:
            return
        self._refreshed_at = self._read_at = asyncio.get_running_loop().time()
        self._metagraph = await self._network.metagraph(self._netuid)
        self._keep(self._keep_fresh(), "axon metagraph refresh")
        if isinstance(self._network, Announcing):
            self._keep(self._follow(self._network, self._netuid), "axon metagraph changes")

    async def stop(self) -> None:
        """End the refreshing; safe to call twice."""
        tasks, self._tasks = self._tasks, []
        await end_tasks(tasks)

    def lists(self, public_key: bytes) -> bool:
        """Return whether it is certain, without waiting, that `check_known` would pass."""
        if self._metagraph is None:
            return True
        return self._is_fresh() and (
            self._rules.allow_non_registered or self._metagraph.uid_of_key(public_key) is not None
        )

    async def check_known(self, public_key: bytes) -> None:
        """Check that a claimed sender could be allowed, before its signature costs anything.

        Raises:
            Forbidden: The network doesn't list the key, also when it was read anew, and the rules
                want it listed.
            OutOfTouch: Nobody can tell, because the snapshot is too old.
        """
        if self._metagraph is None or self.lists(public_key):
            return
        self._check_fresh()
        await self._refresh_early(self._metagraph)
        if self._metagraph.uid_of_key(public_key) is None:
            raise Forbidden(
                f"This caller is not registered on netuid {self._netuid} of this node's network."
            )

    def check_allowed(self, caller: Caller) -> None:
        """Check a proved caller's permit and stake.

        Raises:
            Forbidden: The rules ask for more than it has; the text says what.
            OutOfTouch: Nobody can tell, because the snapshot is too old.
        """
        if self._metagraph is None:
            return
        self._check_fresh()
        uid = self._metagraph.uid_of_key(caller.public_key)
        if uid is None:
            return  # check_known let it in
        if self._rules.force_validator_permit and not self._metagraph.validator_permit[uid]:
            raise Forbidden("This node answers only callers with a validator permit.")
        if self._metagraph.stake[uid] < self._rules.minimum_stake:
            raise Forbidden(
                f"This node answers only callers with a stake of {self._rules.minimum_stake:g} "
                "or more."
            )

    def _is_fresh(self) -> bool:
        return self._rules.let_everybody_in or self._age_s() <= self._max_stale_s

    def _age_s(self) -> float:
        return asyncio.get_running_loop().time() - self._read_at

    def _check_fresh(self) -> None:
        if not self._is_fresh():
            age_s = self._age_s()
            raise OutOfTouch(
                f"the metagraph is {age_s:.0f} s old and the limit is {self._max_stale_s:g} s",
                retry_after=self._refresh_s,
            )

    def _keep(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))

    async def _refresh_early(self, metagraph: Metagraph) -> None:
        """Return once the snapshot is newer than this call; callers that wait share a refresh."""
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        async with self._refreshing:
            if self._refreshed_at > arrived:
                return
            await asyncio.sleep(self._refreshed_at + _EARLY_REFRESH_S - loop.time())
            await self._refresh(metagraph)

    async def _keep_fresh(self) -> None:
        while self._metagraph is not None:
            await asyncio.sleep(self._refresh_s)
            async with self._refreshing:
                await self._refresh(self._metagraph)

    async def _follow(self, network: Announcing, netuid: int) -> None:
        async with contextlib.aclosing(network.changes(netuid)) as changes:
            async for _ in changes:
                if self._metagraph is not None:
                    await self._refresh_early(self._metagraph)

    async def _refresh(self, metagraph: Metagraph) -> None:
        began = self._refreshed_at = asyncio.get_running_loop().time()
        try:
            await metagraph.sync()
        except NetworkError as error:
            # Serving goes on with what is known; the next refresh tries again.
            logger.log(
                logging.DEBUG if self._is_failing else logging.WARNING,
                "the metagraph could not be refreshed, and is used for %g s as it was: %s",
                self._max_stale_s, error,
            )  # fmt: skip
            self._is_failing = True
            return
        if self._is_failing:
            logger.warning("the metagraph is refreshed again")
        self._is_failing = False
        self._read_at = began
