"""A unary call that fails is freed at once: no error refers to what refers to it.

Validators make such calls by the thousand, and what is in a cycle waits for the collector.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

import node
from node import Dendrite, Keypair, Peer
from node.errors import CallError
from node.streams import FrameKind, StreamMode, encode_frame
from tests.raw_http import chunked, reply_head, scripted_peer

from .stream_bytes import chunked_reply, sends
from .synapses import Echo

JSON = reply_head("application/json", "Content-Length: 100")
CHUNKED = reply_head("application/json", "Transfer-Encoding: chunked")
HOME = node.__path__[0]

# What a peer sends, whether it then holds the connection, and how the call fails.
FAILURES: dict[str, tuple[tuple[bytes, ...], bool, int]] = {
    "closed": ((), False, 503),
    "no HTTP": ((b"\0\0\0\r\n\r\n",), True, 422),
    "no head": ((), True, 408),
    "no body": ((JSON,), True, 408),
    "half a body": ((JSON + b'{"a',), True, 408),
    "a body that is cut": ((JSON + b'{"a',), False, 503),
    "broken chunks": ((CHUNKED + chunked(b"{", end=False), b"zz\r\n"), True, 503),
    "an error": (
        (reply_head("application/json", "Content-Length: 2", status="500 No") + b"{}",), False, 500,
    ),
    "no JSON": ((reply_head("text/plain", "Content-Length: 2") + b"ok",), False, 422),
    "a stream": (
        (chunked_reply(StreamMode.FRAMES, encode_frame(FrameKind.CHUNK, b"x")),), False, 422,
    ),
}  # fmt: skip


@contextmanager
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def left_of_ours() -> list[str]:
    """Return what of this package only the collector could free."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    return [name for found in gc.garbage if (name := _name_of_ours(found))]


def _name_of_ours(found: Any) -> str:
    if isinstance(found, FrameType):
        code = found.f_code
        return code.co_name if code.co_filename.startswith(HOME) else ""
    kind = type(found)
    return kind.__name__ if kind.__module__.startswith("node.") else ""


async def failure(
    keypair: Keypair, peer: Peer, raise_errors: bool, *, connect: float = 4.0, idle: float = 0.5
) -> int:
    """Return the status of a call; `idle` is its `first_byte` as well."""
    async with Dendrite(keypair, connect=connect, first_byte=idle, idle=idle) as dendrite:
        try:
            reply = await dendrite.call(peer, Echo(text=""), 10, raise_errors=raise_errors)
        except CallError as error:
            return error.status
    assert not raise_errors
    status = reply.dendrite.status_code
    assert isinstance(status, int)
    return status


RAISED = pytest.mark.parametrize("raised", [False, True], ids=["as a value", "raised"])


@RAISED
@pytest.mark.parametrize("kind", FAILURES)
async def test_a_call_that_failed_leaves_no_cycle(alice: Keypair, kind: str, raised: bool) -> None:
    sent, hold, status = FAILURES[kind]
    async with scripted_peer(sends(*sent, pause_s=0.05, hold=hold), alice.ss58_address) as peer:
        with without_collector():
            got = await failure(alice, peer, raised)
            await asyncio.sleep(0.05)
            assert (got, left_of_ours()) == (status, [])


@RAISED
async def test_a_call_without_a_connection_leaves_no_cycle(alice: Keypair, raised: bool) -> None:
    async with scripted_peer(sends(), alice.ss58_address) as peer:
        pass
    with without_collector():
        assert await failure(alice, peer, raised) == 503
        assert left_of_ours() == []


@RAISED
async def test_a_call_that_never_connects_leaves_no_cycle(
    alice: Keypair, black_hole: Peer, raised: bool
) -> None:
    with without_collector():
        assert await failure(alice, black_hole, raised, connect=0.2) == 408
        assert left_of_ours() == []
