"""The HTTP server under an axon: one listening socket or none, and draining it.

aiohttp's low-level server is used, without its router, middlewares, requests and responses: an axon
has its own routes as a dict and answers every request in one place (`connection`).
"""

from __future__ import annotations

import asyncio
import errno
import socket

from aiohttp import web

from node.errors import ConfigError, Overloaded

from .connection import Answer, ConnectionServer
from .open_reply import OpenReply
from .reply import Reply, error_reply
from .request import Request

__all__ = ["AxonServer", "reserve_port"]

_KEEPALIVE_S = 75.0
_LINGERING_S = 2.0
_LOOK_S = 0.02


class AxonServer:
    """Takes connections, hands their requests to one handler, and drains on stop.

    A handler whose client leaves is cancelled (`handler_cancellation`); without that an abandoned
    request would run to its end.

    Args:
        answer: Answers every request; raises nothing but ConnectionError and cancellation.
        stall_s: Seconds after which a client that takes nothing of a reply is cut off.
        changing: Headers, in lower case, that may have other values in the next request of a
            connection and say nothing to HTTP.
    """

    def __init__(self, answer: Answer, *, stall_s: float, changing: frozenset[str]) -> None:
        self._answer = answer
        self._stall_s = stall_s
        self._changing = changing
        self._runner: web.ServerRunner | None = None
        self._server: ConnectionServer | None = None
        self._running: set[asyncio.Task[object]] = set()
        self._draining = False

    async def open(self) -> None:
        """Serve the connections that `accept` is given, and listen nowhere."""
        server = ConnectionServer(
            self._handle,
            stall_s=self._stall_s,
            changing=self._changing,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=_LINGERING_S,
        )
        runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await runner.setup()
        self._runner, self._server = runner, server
        self._draining = False

    async def start(self, ip: str, port: int, *, shared: bool = False) -> int:
        """Listen as well.

        Args:
            ip: Interface; `0.0.0.0` for all.
            port: 0 picks a free one.
            shared: Whether other processes of this user listen there too (SO_REUSEPORT).

        Returns:
            The port that it listens on.

        Raises:
            ConfigError: The address can't be used; the text says why and what to do.
        """
        await self.open()
        runner = self._runner
        assert runner is not None
        try:
            await web.TCPSite(runner, ip, port, backlog=1024, reuse_port=shared or None).start()
        except OSError as error:
            self._runner = self._server = None
            await runner.cleanup()
            raise _address_error(error, ip, port) from error
        return int(runner.addresses[0][1])

    async def accept(self, sock: socket.socket) -> None:
        """Serve a connected socket as one that came in; the server is open.

        Args:
            sock: A stream socket, non-blocking; this server's to close from here on.
        """
        assert self._runner is not None
        assert self._server is not None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._server, sock)
        except BaseException:
            sock.close()
            raise

    async def stop(self, grace_s: float) -> None:
        """Stop listening, let running requests end and their replies leave, then cut what is left.

        Args:
            grace_s: Seconds that running requests and their replies get. Safe to call twice.
        """
        runner, self._runner = self._runner, None
        server, self._server = self._server, None
        if runner is None or server is None:
            return
        self._draining = True
        for site in list(runner.sites):
            await site.stop()
        try:
            await self._settle(server, grace_s)
        finally:
            for task in self._running:
                task.cancel()
            server.cut_unsent()
            await runner.cleanup()

    async def _settle(self, server: ConnectionServer, grace_s: float) -> None:
        """Wait until no request runs and no reply is on its way, or the time is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + grace_s
        if self._running:
            await asyncio.wait(set(self._running), timeout=grace_s)
        # No event says that a transport has sent its last byte.
        while server.has_unsent and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)

    async def _handle(self, request: Request) -> Reply | OpenReply:
        if self._draining:
            # Connections that were kept alive outlive the listening socket.
            reply = error_reply(Overloaded("draining", retry_after=5.0))
            reply.closes = True
            return reply
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            return await self._answer(request)
        finally:
            self._running.discard(task)


def reserve_port(ip: str, port: int) -> socket.socket:
    """Take a port for processes that will listen on it together, and for nobody else.

    Args:
        ip: Interface, as an address.
        port: 0 picks a free one.

    Returns:
        A bound socket that takes no connection. While it is open no other program gets the port.

    Raises:
        ConfigError: The address can't be used, or this system lets no processes share a port.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ConfigError(
            "this system has no SO_REUSEPORT, by which processes share a port; leave "
            "--axon.workers at 1"
        )
    reserved = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET)
    try:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((ip, port))
        # Only now, so that a port which others share already counts as taken.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        reserved.close()
        raise _address_error(error, ip, port) from error
    return reserved


def _address_error(error: OSError, ip: str, port: int) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"port {port} on {ip} is already in use; stop what listens there, or choose another "
            "with --axon.port"
        )
    if error.errno == errno.EACCES:
        return ConfigError(f"port {port} needs more rights; choose one above 1023 with --axon.port")
    return ConfigError(
        f"can't listen on {ip} port {port} ({error.strerror or type(error).__name__}); "
        "check --axon.ip and --axon.port"
    )
