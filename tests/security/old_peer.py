"""A peer that speaks an old protocol, or says that it does, and counts what it is sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from node import Keypair, Peer
from tests.raw_http import read_request, reply_head, scripted_peer

__all__ = [
    "BOTH",
    "HOTKEY",
    "OK",
    "Answer",
    "OldPeer",
    "document",
    "echoes",
    "old_page",
    "protocol_of",
]

BOTH = ("btauth", "synapse")
HOTKEY = Keypair.from_uri("//Bob").ss58_address
OK = ("bt_header_axon_status_code: 200", "bt_header_axon_status_message: Success")
NOT_FOUND = json.dumps({"message": "Synapse name '' not found. Available synapses []"}).encode()

Answer = Callable[[bytes, bytes], bytes]


def document(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    framing = f"Content-Length: {len(body)}"
    return reply_head("application/json", framing, *lines, status=status) + body


def old_page(head: bytes, body: bytes) -> bytes:
    return document(NOT_FOUND, status="404 Not Found")


class OldPeer:
    """A peer that answers each request on its kept connections, and counts them.

    Attributes:
        gets: How often it was asked what it is.
        posts: Heads of the requests that it was sent.
    """

    def __init__(self, answer: Answer, page: Answer = old_page) -> None:
        self._answer, self._page = answer, page
        self.gets = 0
        self.posts: list[bytes] = []

    async def script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await read_request(reader)
            if head.startswith(b"GET "):
                self.gets += 1
                reply = self._page(head, body)
            else:
                self.posts.append(head)
                reply = self._answer(head, body)
            writer.write(reply)
            await writer.drain()

    @asynccontextmanager
    async def serve(self, *protocols: str) -> AsyncIterator[Peer]:
        async with scripted_peer(self.script, HOTKEY) as peer:
            yield replace(peer, protocols=protocols)

    @property
    def spoken(self) -> list[str]:
        """The protocol of each request that came."""
        return [protocol_of(head) for head in self.posts]


def protocol_of(head: bytes) -> str:
    lowered = head.lower()
    for name, header in (
        ("btauth", b"\r\nx-bittensor-signature:"),
        ("synapse", b"\r\nbt_header_dendrite_signature:"),
        ("epistula", b"\r\nepistula-request-signature:"),
    ):
        if header in lowered:
            return name
    return "none"


def echoes(head: bytes, body: bytes) -> bytes:
    text = json.loads(body)["text"]
    return document(json.dumps({"text": text, "answer": text.upper()}).encode(), *OK)
