"""The one HTTP session of a dendrite, and what it tells about each request on its way out."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from node.version import VERSION

from .deadlines import PhaseClock
from .public_socket import public_socket
from .startline import StartLine
from .timing import StreamTiming

__all__ = ["CallTrace", "Dial", "Session"]

Dial = Callable[[str, int], Awaitable[socket.socket | None]]


@dataclass(slots=True)
class CallTrace:
    """One request on its way out.

    Attributes:
        clock: Moved on to `first_byte` when the connection stands.
        timing: Gets the times.
        line: Where it waits for others, or None.
        sent: Set when the request has been written, or has failed.
        request: What was signed, once it was.
        request_digest: Its digest, by which a receipt names it.
    """

    clock: PhaseClock
    timing: StreamTiming
    line: StartLine | None = None
    sent: asyncio.Event = field(default_factory=asyncio.Event)
    request: bytes = b""
    request_digest: str = ""


_current: ContextVar[CallTrace] = ContextVar("current call")


class Session:
    """Makes the aiohttp session on first use, since that needs a running loop.

    The number of connections is not limited here, so no request waits in a pool and no peer's
    time is charged with waiting. Whoever made it closes it.

    Args:
        allow_private: Whether to connect to addresses that are not of the open net.
        dial: As for `Dendrite`.
    """

    def __init__(self, *, allow_private: bool = True, dial: Dial | None = None) -> None:
        self._socket_factory = None if allow_private else public_socket
        self._dial = dial
        self._session: aiohttp.ClientSession | None = None

    @property
    def closed(self) -> bool:
        """Whether there is no open session."""
        return self._session is None or self._session.closed

    async def post(
        self, url: Any, body: bytes, headers: dict[str, str], trace: CallTrace
    ) -> aiohttp.ClientResponse:
        """Send one request and return its reply when the status is there.

        aiohttp's errors pass. The caller closes or releases the reply.
        """
        token = _current.set(trace)
        try:
            return await self._get().post(
                url, data=body, headers=headers, allow_redirects=False, trace_request_ctx=trace
            )
        finally:
            _current.reset(token)

    async def get(self, url: str, trace: CallTrace) -> aiohttp.ClientResponse:
        """Fetch a page that needs no signature; otherwise as `post`."""
        token = _current.set(trace)
        try:
            return await self._get().get(url, allow_redirects=False, trace_request_ctx=trace)
        finally:
            _current.reset(token)

    def _get(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=_Connector(
                    limit=0,
                    limit_per_host=0,
                    socket_factory=self._socket_factory,
                    dial=self._dial,
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                trace_configs=[_trace_config()],
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"ganglion/{VERSION}", "Accept-Encoding": "identity"},
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        """Close the session and its connections; safe to call twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class _Connector(aiohttp.TCPConnector):
    """Notes when a request's connection stands, and holds it there if it waits for others."""

    def __init__(self, *, dial: Dial | None, **options: Any) -> None:
        super().__init__(**options)
        self._dial = dial

    async def connect(self, *args: Any, **options: Any) -> aiohttp.connector.Connection:
        connection = await super().connect(*args, **options)
        trace = _current.get()
        try:
            trace.timing.connected_s = trace.timing.now()
            if trace.line is not None:
                trace.clock.pause()
                await trace.line.ready()
            trace.clock.enter("first_byte")
        except BaseException:
            connection.close()
            raise
        return connection

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        """Make a new connection, over a socket of `dial` where it gives one.

        The method that aiohttp's connectors differ in; its `UnixConnector` is the model.
        """
        key = req.connection_key
        sock: socket.socket | None = None
        if self._dial is not None:
            sock = await self._dial(key.host, key.port or 80)
        if sock is None:
            return await super()._create_connection(req, traces, timeout)
        try:
            _, protocol = await self._loop.create_connection(self._factory, sock=sock)
        except BaseException:
            sock.close()
            raise
        return protocol


def _trace_config() -> aiohttp.TraceConfig:
    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(_sent)
    return config


async def _sent(_session: Any, context: SimpleNamespace, _params: Any) -> None:
    trace: CallTrace = context.trace_request_ctx
    trace.timing.sent_s = trace.timing.now()
    trace.sent.set()
