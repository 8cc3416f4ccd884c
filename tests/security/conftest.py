from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from node import Axon, Keypair
from node.wire import ReplayGuard
from tests.functional.synapses import Echo
from tests.raw_http import RawReply, RawRequest, ask, signed_request

BODY = b'{"text": "hello"}'


class Target:
    """A node under attack.

    Attributes:
        guard: Its replay memory; whoever is not authenticated must leave it empty.
        texts: What reached its forward.
        offset_ns: How far its clock is off.
    """

    def __init__(
        self,
        keypair: Keypair,
        sender: Keypair,
        *,
        guard: ReplayGuard | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        **options: Any,
    ) -> None:
        self.guard = ReplayGuard() if guard is None else guard
        self.texts: list[str] = []
        self.hotkeys: list[str | None] = []
        self.offset_ns = 0
        self.sender = sender
        self.axon = Axon(
            keypair,
            ip="127.0.0.1",
            port=0,
            guard=self.guard,
            clock_ns=lambda: clock_ns() + self.offset_ns,
            **options,
        )
        self.axon.attach(self.echo)

    async def echo(self, synapse: Echo) -> Echo:
        self.texts.append(synapse.text)
        self.hotkeys.append(synapse.dendrite.hotkey)
        return synapse

    @property
    def hotkey(self) -> str:
        return self.axon.hotkey

    def good(self, target: str = "/Echo?timeout=5", body: bytes = BODY) -> RawRequest:
        """Return a request that this node would take now."""
        return signed_request(self.sender, self.hotkey, target, body)

    async def ask(self, request: RawRequest | bytes) -> RawReply:
        return await ask(self.axon.port, request)

    async def check_refused(self, request: RawRequest | bytes, status: int, code: str) -> RawReply:
        """Send a request that must be refused before the forward, and leave nothing behind."""
        calls, held = len(self.texts), len(self.guard)
        reply = await self.ask(request)
        assert (reply.status, reply.json()["code"]) == (status, code)
        assert (len(self.texts), len(self.guard)) == (calls, held)
        return reply

    async def check_taken(self, request: RawRequest | bytes) -> RawReply:
        calls = len(self.texts)
        reply = await self.ask(request)
        assert reply.status == 200, reply.body
        assert len(self.texts) == calls + 1
        return reply


@pytest.fixture
async def target(bob: Keypair, alice: Keypair) -> AsyncIterator[Target]:
    """Bob's node, started; Alice sends to it."""
    target = Target(bob, alice, max_body_bytes=2**20, body_timeout_s=0.5)
    async with target.axon:
        yield target
