"""Hearing of a subnet's changes through Redis' channels, across its restarts."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any, Self

from redis.asyncio import Redis

from node.errors import NetworkError

from .ending import end_tasks
from .redis_address import RedisAddress
from .redis_link import connect, errors_told

__all__ = ["RedisChanges"]

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_GATHER_S = 0.02
_MAX_GATHERED = 10_000


class RedisChanges:
    """An async iterator with an item for each change; an item is None and says only that.

    The first item comes when it has begun to listen, and one more after each lost connection, since
    nobody knows what was missed before. While Redis can't be reached it waits, and tries again
    every two seconds at the most. One task iterates; `aclose` may be called from any other, and
    ends the iteration.

    Args:
        address: Which Redis.
        channel: Where changes are announced.
        timeout_s: Deadline of connecting, and of an answer to a ping.
        check_s: Silence after which a ping asks whether the connection still is one.
    """

    def __init__(
        self, address: RedisAddress, channel: str, *, timeout_s: float = 5.0, check_s: float = 20.0
    ) -> None:
        self._address = address
        self._channel = channel
        self._timeout_s = timeout_s
        self._check_s = check_s
        self._client: Redis | None = None
        self._pubsub: Any = None  # redis-py's PubSub, of which half is not typed
        self._reading: asyncio.Task[bool] | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> None:
        while not self._closed:
            # In a task of its own, which `aclose` can end while another task waits here.
            reading = self._reading = asyncio.create_task(self._read(), name="redis changes")
            try:
                await asyncio.wait([reading])
            except asyncio.CancelledError:
                await _end(reading)
                raise
            if not reading.cancelled() and reading.result():
                return
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop listening and close the connection. May be called again."""
        self._closed = True
        reading, self._reading = self._reading, None
        if reading is not None:
            await _end(reading)
        await self._drop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<RedisChanges {self._channel} of {self._address.shown}>"

    async def _read(self) -> bool:
        """Whether there is an item; if Redis can't be reached, False after a pause."""
        try:
            with errors_told(self._address.shown, self._timeout_s):
                return await self._has_news()
        except NetworkError as error:
            logger.debug("changes are not heard for now: %s", error)
            await self._drop()
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            return False

    async def _has_news(self) -> bool:
        if self._pubsub is None:
            self._pubsub = await self._subscribe()
            self._pause_s = _FIRST_PAUSE_S
            return True
        message = await self._pubsub.get_message(timeout=self._check_s)
        if message is None:
            await self._check_alive(self._pubsub)
            return False
        if message["type"] != "message":
            return False
        for _ in range(_MAX_GATHERED):
            if await self._pubsub.get_message(timeout=_GATHER_S) is None:
                break
        return True

    async def _subscribe(self) -> Any:
        # A client of its own: a subscription holds its connection for good.
        self._client = connect(self._address, timeout_s=self._timeout_s, connections=1, retries=0)
        pubsub: Any = self._client.pubsub()
        try:
            async with asyncio.timeout(self._timeout_s):
                await pubsub.subscribe(self._channel)
                await _answer(pubsub, self._timeout_s)
        except BaseException:
            await pubsub.aclose()
            raise
        return pubsub

    async def _check_alive(self, pubsub: Any) -> None:
        async with asyncio.timeout(self._timeout_s):
            await pubsub.ping()
            await _answer(pubsub, self._timeout_s)

    async def _drop(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        client, self._client = self._client, None
        if pubsub is not None:
            await pubsub.aclose()
        if client is not None:
            await client.aclose(close_connection_pool=True)


async def _end(task: asyncio.Task[bool]) -> None:
    with suppress(Exception):  # what it was reading is of no use any more
        await end_tasks([task])


async def _answer(pubsub: Any, timeout_s: float) -> Any:
    """Wait for anything at all to come.

    Raises:
        TimeoutError: Nothing did.
    """
    message = await pubsub.get_message(timeout=timeout_s)
    if message is None:
        raise TimeoutError
    return message
