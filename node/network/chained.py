"""Several shared memories as one, such as that of a host and that of all hosts."""

from __future__ import annotations

from .shared import SharedMemory

__all__ = ["ChainedMemory"]


class ChainedMemory:
    """The `SharedMemory` that takes what each of several takes, asked in order.

    What the first refuses the others are not asked for. What a later one refuses stays taken in
    those before it.

    Args:
        memories: The nearest first. Closing this closes them.
    """

    def __init__(self, *memories: SharedMemory) -> None:
        self._memories = memories

    async def accept(self, entry: bytes, *, keep_s: float) -> None:
        """Take an entry once in each; see `SharedMemory.accept`.

        Raises:
            errors.ReplayedRequest: It was taken before.
            errors.OutOfTouch: One can't tell.
        """
        for memory in self._memories:
            await memory.accept(entry, keep_s=keep_s)

    async def take_token(self, key: bytes, *, per_second: float, burst: float) -> float:
        """Take a token of each; see `SharedMemory.take_token`.

        Returns:
            The wait of the first that has none, or 0.0.
        """
        for memory in self._memories:
            if wait_s := await memory.take_token(key, per_second=per_second, burst=burst):
                return wait_s
        return 0.0

    async def aclose(self) -> None:
        """Close each. May be called again."""
        for memory in self._memories:
            await memory.aclose()
