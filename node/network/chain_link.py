"""One connection of the official SDK to the chain, in an event loop and a thread of its own.

The SDK is asyncio, keeps its connection between calls and tries again by itself; some of that has
no deadline, or does not stop when it is cancelled. Here each call has one, and whatever the SDK is
doing then, the link ends: its tasks are cancelled, its sockets closed, its thread gone. A link that
has ended is never used again; whoever owned it opens another.

Nothing here knows what is asked of the chain.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future, wait
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

from node import errors

from .chain_address import shown_name

__all__ = ["ChainLink", "load_sdk"]

SDK_MAJOR = "11"
INSTALL = "pip install 'ganglion[chain]'"
# For a farewell to the node, and for tasks to end after they were cancelled.
FAREWELL_S = 1.0
MAX_TEXT_CHARS = 400

Result = TypeVar("Result")
_log = logging.getLogger(__name__)


class ChainLink:
    """A connection, made by the first `connect` and ended by `close` or by a loss.

    Safe to use from several threads at once; calls go side by side.

    Args:
        sdk: The SDK, as `load_sdk` gives it.
        network: `finney`, `test`, `archive`, or the address of a node.

    Attributes:
        ended: Done once the thread has let go of everything.
    """

    def __init__(self, sdk: Any, network: str) -> None:
        self.ended: Future[None] = Future()
        self.ended.set_running_or_notify_cancel()  # so that a waiter can't cancel it
        self._sdk = sdk
        self._network = network
        self._shown = shown_name(network)
        self._lock = threading.Lock()
        self._is_open = True
        self._loop = _Loop()
        self._loop.set_exception_handler(_log_debris)
        self._farewell: asyncio.Task[None] | None = None
        self._client: Any = sdk.Client(network)
        self._thread = threading.Thread(target=self._main, name="chain link", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether it can be asked; not whether the node still answers."""
        return self._is_open

    def connect(self, timeout_s: float) -> None:
        """Connect, and read what the node's runtime is.

        Raises:
            errors.NetworkError: The node can't be reached, or gave no answer in time. The link has
                ended.
        """
        try:
            self.call(lambda client: client.connect(), timeout_s)
        except BaseException:
            self.close(wait_for_end=False)
            raise

    def call(
        self,
        work: Callable[[Any], Coroutine[Any, Any, Result]],
        timeout_s: float,
        if_lost: str = "",
    ) -> Result:
        """Run a coroutine with the SDK's client and wait for its result.

        Args:
            work: Given the client, makes the coroutine.
            timeout_s: The deadline; when it passes, the link ends.
            if_lost: Added to the error's text where it is not known how far the call came.

        Raises:
            errors.NetworkError: The node is not there, did not answer in time, or answered with an
                error. Its cause is the SDK's own error, where there is one.
        """
        future = self._started(work)
        try:
            wait([future], timeout_s)
        except BaseException:
            future.cancel()
            raise
        if not future.done():
            future.cancel()
            self.close(wait_for_end=False)
            raise errors.NetworkError(
                f"{self._shown} gave no answer within {timeout_s:g} s{if_lost}"
            )
        try:
            return future.result()
        except CancelledError:
            raise errors.NetworkError(
                f"the connection to {self._shown} was closed{if_lost}"
            ) from None
        except Exception as error:  # the border to the SDK
            raise self._translated(error, if_lost) from error

    def close(self, *, wait_for_end: bool = True) -> None:
        """End the connection and the thread; calls under way fail. May be called again.

        Args:
            wait_for_end: Whether to wait for the thread, up to a few seconds; else `ended` tells.
        """
        with self._lock:
            if self._is_open:
                self._is_open = False
                self._loop.call_soon_threadsafe(self._begin_farewell)
        if wait_for_end:
            self._thread.join()

    def _started(self, work: Callable[[Any], Coroutine[Any, Any, Result]]) -> Future[Result]:
        # The lock puts what is started before the farewell into the loop before it, too.
        with self._lock:
            if not self._is_open:
                raise errors.NetworkError(f"the connection to {self._shown} was closed")
            return asyncio.run_coroutine_threadsafe(work(self._client), self._loop)

    def _translated(self, error: Exception, if_lost: str) -> errors.NetworkError:
        """What a caller is told of an error of the SDK; ends the link where that is no use now."""
        sdk = self._sdk
        text = self._clean(str(error))
        if not self._is_open:  # then it was that, whatever the SDK makes of it
            return errors.NetworkError(f"the connection to {self._shown} was closed{if_lost}")
        if isinstance(error, sdk.RpcPolicyError):
            self.close(wait_for_end=False)
            return errors.NetworkError(f"{self._shown} turns this machine away: {text}")
        if isinstance(error, sdk.RpcConnectionError | sdk.ConnectionNotReady | OSError):
            self.close(wait_for_end=False)
            return errors.NetworkError(f"{self._shown} can't be reached: {text}{if_lost}")
        if isinstance(error, sdk.BittensorError):
            return errors.NetworkError(f"{self._shown} says: {text}")
        self.close(wait_for_end=False)
        return errors.NetworkError(
            f"{self._shown} sent what the SDK can't read: {type(error).__name__}: {text}{if_lost}"
        )

    def _clean(self, text: str) -> str:
        """An error's text in one line of sane length, without what an address keeps secret."""
        line = " ".join(
            re.sub(r"[^\w\s!-~]", " ", text.replace(self._network, self._shown)).split()
        )
        return line if len(line) <= MAX_TEXT_CHARS else f"{line[: MAX_TEXT_CHARS - 3]}..."

    def _main(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()
            self.ended.set_result(None)

    def _begin_farewell(self) -> None:
        self._farewell = self._loop.create_task(self._say_farewell())
        self._farewell.add_done_callback(lambda _: self._loop.stop())

    async def _say_farewell(self) -> None:
        closing = self._loop.create_task(self._client.close())
        await asyncio.wait([closing], timeout=FAREWELL_S)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=FAREWELL_S)
        for task in (closing, *left):
            if task.done() and not task.cancelled():
                task.exception()  # looked at, so that asyncio does not log it as lost
        self._loop.abort_connections()
        await asyncio.sleep(0)  # the transports close their sockets in the next turn
        await self._loop.shutdown_asyncgens()


def _log_debris(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # Such as the end of the SDK's own task after a loss, which each caller was told of already.
    _log.debug("%s", context.get("message"), exc_info=context.get("exception"))


class _Loop(asyncio.SelectorEventLoop):
    """A loop that knows its connections, so that it can close those that were left open."""

    def __init__(self) -> None:
        super().__init__()
        self._connections: list[asyncio.BaseTransport] = []

    async def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        transport, protocol = await super().create_connection(*args, **kwargs)
        self._connections = [one for one in self._connections if not one.is_closing()]
        self._connections.append(transport)
        return transport, protocol

    def abort_connections(self) -> None:
        for transport in self._connections:
            with contextlib.suppress(OSError):
                if isinstance(transport, asyncio.WriteTransport):
                    transport.abort()


def load_sdk() -> Any:
    """The official SDK.

    Raises:
        errors.ConfigError: It is not installed, or not the version that this is written for; the
            text has the command that installs it.
    """
    try:
        found = version("bittensor")
    except PackageNotFoundError:
        raise errors.ConfigError(
            f"the Bittensor chain is reached through the official SDK, which is not installed; "
            f"run: {INSTALL}"
        ) from None
    if found.partition(".")[0] != SDK_MAJOR:
        raise errors.ConfigError(
            f"the Bittensor chain is reached through the official SDK {SDK_MAJOR}, and {found} is "
            f"installed; in an environment of its own run: {INSTALL}"
        )
    try:
        return import_module("bittensor")
    except ImportError as error:
        raise errors.ConfigError(
            f"the official SDK can't be imported ({error}); run: {INSTALL}"
        ) from error
