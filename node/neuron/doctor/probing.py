"""HTTP as the doctor speaks it: one request, one short reply, and when each came and went.

Rule: whatever a peer answers is a value here, or `PeerUnreachable`; its text is cut, not trusted.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp
import pydantic_core
from yarl import URL

from node.dendrite.public_socket import UnroutableError, public_socket
from node.errors import PeerUnreachable
from node.version import VERSION

__all__ = ["Answer", "Page", "Prober"]

_MAX_BYTES = 64 * 1024
_MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply.

    Attributes:
        status: HTTP status.
        document: Its JSON object, empty where it is none.
        date: The `Date` header, or "".
        sent_ns: This machine's clock before the request.
        received_ns: The same when the head of the reply was there.
    """

    status: int
    document: Mapping[str, Any] = field(default_factory=dict)
    date: str = ""
    sent_ns: int = 0
    received_ns: int = 0

    @property
    def round_trip_s(self) -> float:
        """Seconds between the two."""
        return max(0.0, (self.received_ns - self.sent_ns) / 1e9)

    @property
    def code(self) -> str:
        """The error's machine-readable code, or ""."""
        return str(self.document.get("code", ""))[:_MAX_TEXT]

    @property
    def said(self) -> str:
        """The status and the error's sentence."""
        message = str(self.document.get("message", ""))[:_MAX_TEXT]
        return f"{self.status} {message}".strip()


@dataclass(frozen=True, slots=True)
class Page:
    """What a node says of itself at `/`; everything is "" or empty where it is no node of ours."""

    hotkey: str = ""
    version: str = ""
    protocols: tuple[str, ...] = ()

    @classmethod
    def of(cls, answer: Answer) -> Page:
        """Read the page; what has not the form that ours has is left out."""
        said = answer.document
        if answer.status != 200 or said.get("node") != "ganglion":
            return cls()
        protocols = said.get("protocols")
        return cls(
            hotkey=str(said.get("hotkey", ""))[:_MAX_TEXT],
            version=str(said.get("version", ""))[:_MAX_TEXT],
            protocols=tuple(str(name)[:_MAX_TEXT] for name in protocols[:16])
            if isinstance(protocols, list)
            else (),
        )


class Prober:
    """A client session. Use it as `async with`.

    Args:
        allow_private: Whether to connect to addresses that are not of the open net.
        timeout_s: Seconds that one request may take in all.
        clock_ns: Gives Unix nanoseconds.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        timeout_s: float,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._allow_private = allow_private
        self._timeout_s = timeout_s
        self.clock_ns = clock_ns
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                force_close=True,
                socket_factory=None if self._allow_private else public_socket,
            ),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"ganglion-doctor/{VERSION}", "Accept-Encoding": "identity"},
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def page(self, url: str) -> Page:
        """Read what a node says of itself.

        Raises:
            PeerUnreachable: No connection, no HTTP, or not in time; the text says which.
        """
        return Page.of(await self.get(url + "/"))

    async def get(self, url: str) -> Answer:
        """Fetch a page. Raises as `page`."""
        return await self._request("GET", url)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a request with a JSON body. Raises as `page`."""
        content = {"Content-Type": "application/json"}
        return await self._request("POST", url, data=body, headers={**headers, **content})

    async def _request(self, method: str, url: str, **options: Any) -> Answer:
        assert self._session is not None, "use it as `async with Prober(...)`"
        sent_ns = self.clock_ns()
        try:
            async with self._session.request(
                method, URL(url, encoded=True), allow_redirects=False, **options
            ) as response:
                received_ns = self.clock_ns()
                return Answer(
                    status=response.status,
                    document=await _document(response),
                    date=response.headers.get("Date", ""),
                    sent_ns=sent_ns,
                    received_ns=received_ns,
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:  # the border to aiohttp
            raise PeerUnreachable(self._reason(error)) from error

    def _reason(self, error: Exception) -> str:
        if isinstance(error, TimeoutError | asyncio.TimeoutError):
            return f"no answer within {self._timeout_s:g} s"
        cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
        if isinstance(cause, UnroutableError):
            return str(cause)
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return "its name is not known"
        if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
            return os.strerror(cause.errno).lower()
        if isinstance(error, aiohttp.ServerDisconnectedError):
            return "the connection was closed without an answer"
        return f"what answers is no HTTP ({type(error).__name__})"


async def _document(response: aiohttp.ClientResponse) -> Mapping[str, Any]:
    held = bytearray()
    while len(held) < _MAX_BYTES and (piece := await response.content.readany()):
        held += piece
    try:
        document = pydantic_core.from_json(bytes(held[:_MAX_BYTES]), allow_inf_nan=False)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
