"""What several processes that serve one hotkey must remember together.

A signed request is addressed to a hotkey, not to a process. Where several processes answer for one
hotkey, each with a replay memory of its own, a captured request is taken once by each of them, and
a limit of requests per second is worth as many times what it says. A `SharedMemory` closes both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from node import errors

from .redis_address import SCHEMES, needing_redis, without_password

if TYPE_CHECKING:
    from .redis_shared import RedisSharedMemory

__all__ = ["MAX_LOST_S", "SharedMemory", "open_shared_memory"]

MAX_LOST_S = 600.0


class SharedMemory(Protocol):
    """A memory that processes share. Whoever makes it closes it, by `aclose`.

    It is asked after the process's own memory, never instead of it. So an implementation that has
    lost the others may let requests pass: then each process guards itself alone.
    """

    async def accept(self, entry: bytes, *, keep_s: float) -> None:
        """Take an entry once over all processes.

        Args:
            entry: What must not be taken twice; a few hundred bytes at most.
            keep_s: Seconds for which it is remembered at least.

        Raises:
            errors.ReplayedRequest: It was taken before.
            errors.OutOfTouch: Nobody can tell now; `retry_after` says when to come back.
        """

    async def take_token(self, key: bytes, *, per_second: float, burst: float) -> float:
        """Take a token from a bucket that all processes draw from.

        Args:
            key: Which bucket; a full one is made where there is none.
            per_second: Tokens that a bucket gains each second.
            burst: Tokens that it holds at the most, 1 or more.

        Returns:
            0.0 where a token was taken, else the seconds until there is one.
        """

    async def aclose(self) -> None:
        """Release what it holds. May be called again."""


def open_shared_memory(address: str, *, max_lost_s: float = MAX_LOST_S) -> RedisSharedMemory:
    """Return the shared memory at an address. Does no I/O.

    Args:
        address: Of a Redis, as `open_network` takes it; a registry there is not in the way.
        max_lost_s: As for `RedisSharedMemory`.

    Raises:
        errors.ConfigError: The address can't be read, the number is out of range, or the package
            redis is not installed.
    """
    if address.partition(":")[0] not in SCHEMES:
        raise errors.ConfigError(
            f"{without_password(address)!r} is no shared memory; give the address of a Redis, as "
            "in redis://host:port/db"
        )
    with needing_redis(address):
        from .redis_shared import RedisSharedMemory

    return RedisSharedMemory(address, max_lost_s=max_lost_s)
