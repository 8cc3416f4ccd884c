"""What an axon asks of the memory that it shares with other processes of its hotkey."""

from __future__ import annotations

from node.errors import RateLimited
from node.network.shared import SharedMemory
from node.wire import Caller

__all__ = ["Sharing"]

_NONCE_BYTES = 8


class Sharing:
    """Keys of a shared memory, so that two nodes in one memory never meet.

    Args:
        memory: What is shared, or None for an axon that serves its hotkey alone.
        receiver: This node's 32-byte key.
        window_s: How far from this node's clock a nonce may be (`ReplayGuard.window_s`).
    """

    def __init__(self, memory: SharedMemory | None, receiver: bytes, *, window_s: float) -> None:
        self._memory = memory
        self._receiver = receiver
        # A nonce may be a window ahead when it is taken, and is good for a window after its time;
        # the third is how far the clocks of the processes may be apart.
        self._keep_s = 3 * window_s

    @property
    def is_shared(self) -> bool:
        """Whether there is a memory to ask."""
        return self._memory is not None

    async def accept(self, caller: Caller, tag: bytes) -> None:
        """Check that no other process took the request that proved this caller.

        Args:
            caller: The request's own guard has taken its nonce.
            tag: What the guard kept with the nonce.

        Raises:
            ReplayedRequest: One did.
            OutOfTouch: Nobody can tell.
        """
        if self._memory is not None:
            nonce = caller.nonce_ns.to_bytes(_NONCE_BYTES, "big", signed=True)
            entry = self._receiver + caller.public_key + nonce + tag
            await self._memory.accept(entry, keep_s=self._keep_s)

    async def take_token(self, public_key: bytes, *, per_second: float, burst: float) -> None:
        """Count a request against the rate of its caller at all processes together.

        Raises:
            RateLimited: The caller is over it; `retry_after` says when to come back.
        """
        if self._memory is None:
            return
        wait_s = await self._memory.take_token(
            self._receiver + public_key, per_second=per_second, burst=burst
        )
        if wait_s > 0:
            raise RateLimited(
                f"This caller may send {per_second:g} requests a second.", retry_after=wait_s
            )
