"""What tests ask of an axon that serves, and see of it from within its process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from node import Axon, Keypair
from tests.raw_http import signed_request

__all__ = ["BODY", "no_request_in_hand", "request_of", "standing_ready"]

BODY = b'{"text": "hello"}'


def request_of(alice: Keypair, axon: Axon, body: bytes = BODY, target: str = "/Echo") -> bytes:
    """Return a signed request to an axon."""
    return signed_request(alice, axon.hotkey, target, body).encode()


def awaited_by(task: asyncio.Task[object]) -> Iterator[str]:
    """Return the names of the coroutines that a task is in, the outermost first."""
    inner: object = task.get_coro()
    while (name := getattr(inner, "__qualname__", None)) is not None:
        yield name
        inner = getattr(inner, "cr_await", None)


def standing_ready() -> list[asyncio.Task[object]]:
    """Return the tasks that wait for a request."""
    return [task for task in asyncio.all_tasks() if [*awaited_by(task)] == ["Standby._run"]]


async def no_request_in_hand() -> None:
    """Wait until no connection of an axon has a request in hand."""
    async with asyncio.timeout(15):
        while any("Connection._serve" in awaited_by(task) for task in asyncio.all_tasks()):
            await asyncio.sleep(0.01)
