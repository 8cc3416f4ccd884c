"""A shared memory of axons in Redis: nonces that were taken, and buckets of tokens.

What is promised, and what not:

1. While this process reaches Redis, an entry is taken once over all processes that do. A call whose
   outcome is not known is repeated under the same mark, so that its own first try is no replay. If
   Redis answers a ping but not that, the request is refused: nothing is taken on a guess.
2. Redis is lost when it does not answer a ping either. From then on, for at most `max_lost_s`, this
   process's own memory is all that guards it: an entry may be taken once by each process that is
   cut off. After that every request is refused until Redis is back.
3. When it is back, it is told first what was taken without it, and asked only then.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from node.errors import ConfigError, NetworkError, OutOfTouch, ReplayedRequest

from .ending import end_tasks
from .redis_address import RedisAddress
from .redis_link import RedisLink

__all__ = ["RedisSharedMemory"]

logger = logging.getLogger(__name__)

_RETRY_S = 0.5
_RETRY_AFTER_S = 2.0
_MAX_BACKLOG = 262_144
_BATCH = 256

# KEYS what is taken; ARGV who takes it, milliseconds. Gives 1, or 0 where another took it.
_ACCEPT = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end
return 0
"""

# The same for many keys: ARGV has a mark and milliseconds for each.
_ACCEPT_ALL = """
for number, key in ipairs(KEYS) do
    redis.call('SET', key, ARGV[2 * number - 1], 'NX', 'PX', ARGV[2 * number])
end
return #KEYS
"""

# KEYS bucket; ARGV tokens per second, most tokens. Gives '0', or the seconds to wait, as text.
# Redis' own clock, so that the clocks of the processes need not agree.
_TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local rate, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local held = redis.call('HMGET', KEYS[1], 'tokens', 'since')
local tokens, since = tonumber(held[1]) or most, tonumber(held[2]) or now
tokens = math.min(most, tokens + math.max(0, now - since) * rate / 1000000)
local wait = 0
if tokens >= 1 then tokens = tokens - 1 else wait = (1 - tokens) / rate end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens),
    'since', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(most / rate * 1000) + 1000)
return string.format('%.6f', wait)
"""


@dataclass(frozen=True, slots=True)
class _Taken:
    """An entry that was taken while Redis was lost."""

    key: str
    mark: bytes
    expires_at: float


class RedisSharedMemory:
    """The `SharedMemory` of processes that reach one Redis.

    It belongs to the event loop that first calls it. Constructing one does no I/O. Redis must not
    evict keys (`maxmemory-policy noeviction`, its default); `check` warns where it may.

    Args:
        address: As `RedisAddress.parse` reads it.
        max_lost_s: How long requests pass while Redis can't be reached, in seconds; 0 refuses them
            at once.
        timeout_s: Deadline of each exchange with Redis.
        clock: Monotonic seconds; for tests.

    Attributes:
        name: The address as it may be shown.

    Raises:
        errors.ConfigError: The address can't be read, or a number is out of range.
    """

    def __init__(
        self,
        address: str,
        *,
        max_lost_s: float = 600.0,
        timeout_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not max_lost_s >= 0 or not timeout_s > 0:
            raise ConfigError("a shared memory needs a max_lost_s of 0 or more and a timeout_s")
        self._address = RedisAddress.parse(address)
        self.name = self._address.shown
        self._max_lost_s = max_lost_s
        self._clock = clock
        self._link = RedisLink(self._address, timeout_s=timeout_s)
        # A connection of its own: a full pool must not pass for a Redis that is lost.
        self._probe = RedisLink(self._address, timeout_s=timeout_s, connections=1)
        self._probing = asyncio.Lock()
        self._lost_at: float | None = None
        self._backlog: deque[_Taken] = deque()
        self._return: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        state = "ok" if self._lost_at is None else "lost"
        return f"<RedisSharedMemory {self.name}, {state}>"

    @property
    def is_lost(self) -> bool:
        """Whether this process guards itself alone now."""
        return self._lost_at is not None

    async def check(self) -> None:
        """Check that Redis answers; warn where it may forget what it must not.

        Raises:
            errors.NetworkError: It can't be reached, or refuses.
        """
        await self._link.run(_ACCEPT, [self._address.key("once", "check")], [b"check", 1])
        with suppress(NetworkError):  # not every user may ask
            info = await self._link.call("INFO", "memory")
            policy = _read_policy(info)
            if policy not in {"", "noeviction"}:
                logger.warning(
                    "Redis %s evicts keys when its memory is full (%s), and a request whose nonce "
                    "it forgot could be taken again; set maxmemory-policy noeviction",
                    self.name, policy,
                )  # fmt: skip

    async def accept(self, entry: bytes, *, keep_s: float) -> None:
        """Take an entry once over all processes; see `SharedMemory.accept`.

        Raises:
            errors.ReplayedRequest: It was taken before.
            errors.OutOfTouch: Redis fails in part, or is lost for longer than `max_lost_s`.
        """
        key = self._address.key("once", hashlib.sha256(entry).hexdigest())
        mark = secrets.token_bytes(8)
        for is_last in (False, True):
            if self._lost_at is not None:
                break
            try:
                taken = await self._link.run(_ACCEPT, [key], [mark, _milliseconds(keep_s)])
            except NetworkError as error:
                if await self._is_there(error) and is_last:
                    raise OutOfTouch(str(error), retry_after=_RETRY_AFTER_S) from error
            else:
                if not taken:
                    raise ReplayedRequest("another process took this nonce")
                return
        self._accept_alone(_Taken(key, mark, self._clock() + keep_s))

    async def take_token(self, key: bytes, *, per_second: float, burst: float) -> float:
        """Take a token from a bucket of all processes; see `SharedMemory.take_token`.

        Where Redis does not answer, the token is given: the process's own limit holds.
        """
        if self._lost_at is not None:
            return 0.0
        name = self._address.key("pace", hashlib.sha256(key).hexdigest())
        try:
            return float(await self._link.run(_TAKE, [name], [repr(per_second), repr(burst)]))
        except NetworkError as error:
            await self._is_there(error)
            return 0.0

    async def aclose(self) -> None:
        """Close the connections. May be called again."""
        self._closed = True
        returning, self._return = self._return, None
        if returning is not None:
            await end_tasks([returning])
        await self._link.release()
        await self._probe.release()

    async def _is_there(self, error: NetworkError) -> bool:
        """Whether Redis answers a ping after a call failed; if not, it is lost from now on."""
        async with self._probing:
            if self._lost_at is not None:
                return False
            try:
                await self._probe.call("PING")
            except NetworkError:
                self._lose(error)
                return False
            return True

    def _lose(self, error: NetworkError) -> None:
        self._lost_at = self._clock()
        after = (
            f"for {self._max_lost_s:g} s each process guards itself alone, so that a captured "
            "request could be taken once by each; after that they are refused"
            if self._max_lost_s
            else "requests are refused until it is back"
        )
        logger.warning("the shared memory is lost: %s; %s", error, after)
        if not self._closed:
            self._return = asyncio.create_task(self._come_back(), name="shared memory return")

    def _accept_alone(self, taken: _Taken) -> None:
        now = self._clock()
        assert self._lost_at is not None
        if now - self._lost_at >= self._max_lost_s:
            raise OutOfTouch("the shared memory is lost for too long", retry_after=_RETRY_AFTER_S)
        while self._backlog and self._backlog[0].expires_at <= now:
            self._backlog.popleft()
        if len(self._backlog) >= _MAX_BACKLOG:
            raise OutOfTouch("the shared memory is lost, and the backlog is full", retry_after=1.0)
        self._backlog.append(taken)

    async def _come_back(self) -> None:
        """Wait until Redis answers, tell it what it missed, and only then ask it again."""
        while self._lost_at is not None:
            await asyncio.sleep(_RETRY_S)
            with suppress(NetworkError):
                await self._probe.call("PING")
                while self._backlog:
                    await self._tell_batch()
                # Nothing was awaited since the backlog was empty.
                logger.warning(
                    "the shared memory is back after %.0f s", self._clock() - self._lost_at
                )
                self._lost_at = None

    async def _tell_batch(self) -> None:
        now = self._clock()
        batch = [self._backlog[index] for index in range(min(_BATCH, len(self._backlog)))]
        arguments: list[Any] = []
        for taken in batch:
            arguments += [taken.mark, _milliseconds(taken.expires_at - now)]
        await self._link.run(_ACCEPT_ALL, [taken.key for taken in batch], arguments)
        for taken in batch:
            # Expired ones may have gone in the meantime.
            if self._backlog and self._backlog[0] is taken:
                self._backlog.popleft()


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000) + 1)


def _read_policy(info: object) -> str:
    """Return the eviction policy where memory is limited, else ""."""
    if isinstance(info, dict):
        fields = {str(name): str(value) for name, value in info.items()}
    else:
        text = info.decode("utf-8", "replace") if isinstance(info, bytes) else ""
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return "" if fields.get("maxmemory", "0") == "0" else fields.get("maxmemory_policy", "")
