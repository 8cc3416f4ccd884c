"""When a validator sets weights, and what it sets."""

from __future__ import annotations

from node.keys import Wallet
from node.network import Metagraph, Network

from .keeper import StateKeeper
from .scoring import Averages, prepare_weights

__all__ = ["Weighing"]


class Weighing:
    """Turns scores into weights and gives them to the network, once an epoch.

    Args:
        network: Where; stays open.
        netuid: The subnet.
        wallet: Whose judgement it is.
        keeper: Where it is remembered that weights were set.
        epoch_blocks: Blocks between two settings; the network's own rate limit may ask for more.

    Attributes:
        last_block: The block of the last weights that this validator knows of; 0 for none.
    """

    def __init__(
        self,
        network: Network,
        netuid: int,
        wallet: Wallet,
        keeper: StateKeeper,
        *,
        epoch_blocks: int,
    ) -> None:
        self.last_block = 0
        self._network = network
        self._netuid = netuid
        self._wallet = wallet
        self._keeper = keeper
        self._epoch_blocks = epoch_blocks

    def next_block(self, metagraph: Metagraph, uid: int) -> int:
        """The block from which on weights are due, by the epoch alone.

        A neuron's last update is what the network knows of it: of its weights, or before the first
        of its registration, so that a restart does not begin the wait anew.
        """
        return max(self.last_block, metagraph.last_update[uid]) + self._epoch_blocks

    async def is_due(self, metagraph: Metagraph, uid: int) -> bool:
        """Whether to set weights now, by the epoch and by the network's rate limit.

        Raises:
            NetworkError: The network's rules can't be read.
        """
        due = self.next_block(metagraph, uid)
        if metagraph.block < due:
            return False
        rules = await self._network.hyperparameters(self._netuid)
        last = due - self._epoch_blocks
        return bool(metagraph.block >= last + rules.weights_rate_limit)

    async def set(self, metagraph: Metagraph, scores: Averages, *, version_key: int = 0) -> int:
        """Set weights from the scores as they are, whenever the last time was.

        Returns:
            How many uids got weight. Without a score above 0 there is nothing to say, and it is 0.

        Raises:
            NetworkError: The network refused or can't be written.
            StateError: They were set, and that could not be saved.
        """
        rules = await self._network.hyperparameters(self._netuid)
        vacant = [uid for uid in metagraph.uids if metagraph.is_vacant(uid)]
        row = scores.for_hotkeys(metagraph.hotkeys)
        uids, weights = prepare_weights(row, rules, never=vacant)
        if not uids:
            return 0
        await self._network.set_weights(
            self._netuid, self._wallet, uids, weights, version_key=version_key
        )
        self.last_block = metagraph.block
        await self._keeper.save_weights(metagraph.block, uids, weights)
        return len(uids)
