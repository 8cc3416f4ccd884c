"""Calls to a Redis: one client for each event loop, deadlines, and errors told in one place.

redis-py reconnects by itself: a connection that has broken is found out when it is taken from the
pool. A call that failed is tried twice more within its deadline; whatever is called here may be
repeated.

Rule: modules that need redis-py are imported when a Redis is opened, under `needing_redis`, so that
nobody else must have it.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from node import errors

from .redis_address import RedisAddress

__all__ = ["RedisLink", "connect", "errors_told"]

Reply = Any
Argument = bytes | str | int | float

_RETRIES = 2
# Newer versions look their own version up in the file system for each connection, on the loop.
_SAY_NOTHING = (
    {"driver_info": None}
    if "driver_info" in inspect.signature(AbstractConnection).parameters
    else {}
)
_ERROR_CODE = re.compile(r"[A-Z]{2,24}\b")
_REASONS = {
    "WRONGTYPE": "holds something else under the names of this registry; give another ?prefix=",
    "OOM": "has no memory left; raise its maxmemory",
    "READONLY": "is a replica and takes no writes; give the address of its master",
    "MISCONF": "can't write to its disk and takes no writes; look at its log",
    "NOPERM": "does not allow this user the commands that a registry needs; look at its ACL",
    "NOAUTH": "wants a password; put it into the address, as in redis://:password@host",
    "WRONGPASS": "refuses the user or the password of its address, or wants one",
}
# redis-py takes the code away from the texts of those errors that have a class.
_CODE_OF_TYPE = {
    "AuthenticationError": "WRONGPASS",
    "AuthorizationError": "WRONGPASS",
    "NoPermissionError": "NOPERM",
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
}


def connect(address: RedisAddress, *, timeout_s: float, connections: int, retries: int) -> Redis:
    """Return a client, which connects on its first call and belongs to the running loop.

    Whoever makes it closes it, with `aclose(close_connection_pool=True)`.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": _retrying(retries),
        "protocol": 2,  # the same replies from every version of redis-py
        **_SAY_NOTHING,
    }
    if not address.url.startswith("unix:"):
        options["socket_keepalive"] = True
    pool = BlockingConnectionPool.from_url(
        address.url, max_connections=connections, timeout=timeout_s, **options
    )
    return Redis(connection_pool=pool)


def _retrying(retries: int) -> Retry:
    backoff = ExponentialBackoff(cap=0.2, base=0.05)
    if retries:
        return Retry(backoff, retries)
    # Without errors to retry on it does not connect once more before it gives up, either.
    return Retry(backoff, 0, supported_errors=())


@contextmanager
def errors_told(shown: str, timeout_s: float) -> Iterator[None]:
    """The border where the errors of redis-py and of sockets become ours.

    What Redis says is not repeated, since it may quote what was sent.

    Raises:
        errors.NetworkError: Something went wrong.
    """
    try:
        yield
    except (TimeoutError, exceptions.TimeoutError) as error:
        raise errors.NetworkError(
            f"Redis {shown} did not answer within {timeout_s:g} s; check its host and its load"
        ) from error
    except exceptions.BusyLoadingError as error:
        raise errors.NetworkError(f"Redis {shown} is still loading its data; wait") from error
    except exceptions.RedisError as error:
        raise errors.NetworkError(f"Redis {shown} {_reason(error)}") from error
    except OSError as error:
        raise errors.NetworkError(f"Redis {shown} {_UNREACHABLE}") from error


_UNREACHABLE = "can't be reached; check that it runs, and its host and port"


def _reason(error: Exception) -> str:
    text = str(error)
    found = _ERROR_CODE.match(text)
    code = found.group() if found else _CODE_OF_TYPE.get(type(error).__name__, "")
    if code in _REASONS:
        return _REASONS[code]
    if "unauthenticated" in text:  # where it would not even read a command of many words
        return _REASONS["NOAUTH"]
    if isinstance(error.__cause__ or error.__context__, ssl.SSLError):
        return "can't be spoken to by TLS; check its certificate, or give ?ssl_ca_certs=FILE"
    if isinstance(error, exceptions.ConnectionError):
        return _UNREACHABLE
    return f"refused a command ({code or type(error).__name__})"


class RedisLink:
    """A Redis as its callers here see it. Constructing one does no I/O.

    Args:
        address: Which one.
        timeout_s: Deadline of one call in seconds, with connecting and repeating.
        connections: Most connections of one event loop; more calls wait for a free one.
    """

    def __init__(
        self, address: RedisAddress, *, timeout_s: float = 5.0, connections: int = 16
    ) -> None:
        self.address = address
        self.timeout_s = timeout_s
        self._connections = connections
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Redis] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"<RedisLink {self.address.shown}>"

    async def run(
        self, script: str, keys: Sequence[str], arguments: Sequence[Argument] = ()
    ) -> Reply:
        """Run a Lua script, which Redis does as one step.

        Raises:
            errors.NetworkError: Redis can't be reached, or refuses.
        """
        with errors_told(self.address.shown, self.timeout_s):
            async with asyncio.timeout(self.timeout_s):
                return await self._client().register_script(script)(keys, arguments)

    async def call(self, *command: Argument) -> Reply:
        """Send one command.

        Raises:
            errors.NetworkError: Redis can't be reached, or refuses.
        """
        with errors_told(self.address.shown, self.timeout_s):
            async with asyncio.timeout(self.timeout_s):
                client: Any = self._client()
                return await client.execute_command(*command)

    async def release(self) -> None:
        """Close the connections of the running loop; the next call opens new ones."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose(close_connection_pool=True)

    def _client(self) -> Redis:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = connect(
                self.address,
                timeout_s=self.timeout_s,
                connections=self._connections,
                retries=_RETRIES,
            )
        return client
