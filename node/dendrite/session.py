"""The one HTTP session of a dendrite, and the traces that tell when a request went out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import aiohttp

from node.version import VERSION

from .deadlines import PhaseClock
from .timing import StreamTiming

__all__ = ["CallTrace", "Session"]


@dataclass(slots=True)
class CallTrace:
    """What the session reports about one request while it is sent.

    Attributes:
        clock: Moved on to `first_byte` when the connection stands.
        timing: Gets the times.
        sent: Set when the request has been written, or has failed.
    """

    clock: PhaseClock
    timing: StreamTiming
    sent: asyncio.Event = field(default_factory=asyncio.Event)


class Session:
    """Makes the aiohttp session on first use, since that needs a running loop.

    The number of connections is not limited here, so no request waits in a pool and no peer's
    time is charged with waiting. Whoever made it closes it.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    @property
    def closed(self) -> bool:
        """Whether there is no open session."""
        return self._session is None or self._session.closed

    def get(self) -> aiohttp.ClientSession:
        """Return the session, made on first use."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=0),
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


def _trace_config() -> aiohttp.TraceConfig:
    config = aiohttp.TraceConfig()
    config.on_connection_create_end.append(_connected)
    config.on_connection_reuseconn.append(_connected)
    config.on_request_headers_sent.append(_sent)
    return config


async def _connected(_session: Any, context: SimpleNamespace, _params: Any) -> None:
    trace: CallTrace = context.trace_request_ctx
    trace.timing.connected_s = trace.timing.now()
    trace.clock.enter("first_byte")


async def _sent(_session: Any, context: SimpleNamespace, _params: Any) -> None:
    trace: CallTrace = context.trace_request_ctx
    trace.timing.sent_s = trace.timing.now()
    trace.sent.set()
