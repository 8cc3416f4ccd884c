"""Bodies over the cap are refused before they are held, and slow ones do not stay."""

from __future__ import annotations

import asyncio
import logging
import time
import tracemalloc

import pytest
from aiohttp.http_parser import HttpRequestParserPy

from node import Keypair
from tests.raw_http import RawConnection, RawReply, chunked, signed_request

from .conftest import BODY, Target

CAP = 2**20
MANY = 64 * 2**20
CHUNKED = ("Transfer-Encoding", "chunked")
PIECE = b" " * 65_536


async def push(connection: RawConnection, piece: bytes, limit: int) -> tuple[RawReply | None, int]:
    """Send a piece again and again until a reply comes; return it and how much was sent."""
    reading = asyncio.create_task(connection.read_reply(within_s=10))
    sent = 0
    try:
        while not reading.done() and sent < limit:
            await connection.send(piece)
            sent += len(piece)
    except ConnectionError:
        pass
    try:
        return await reading, sent
    except (ConnectionError, asyncio.IncompleteReadError):
        return None, sent


async def test_a_declared_length_over_the_cap_is_413_before_a_byte_is_sent(
    target: Target,
) -> None:
    for length in (CAP + 1, 2**31, 2**63):
        async with await RawConnection.open(target.axon.port) as connection:
            await connection.send(target.good().head(("Content-Length", str(length))))
            reply = await connection.read_reply()
        assert (reply.status, reply.json()["code"]) == (413, "body_too_large")
        assert str(CAP) in reply.json()["message"]
    assert len(target.guard) == 0


async def test_a_length_that_no_machine_has_is_refused(target: Target) -> None:
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(target.good().head(("Content-Length", "9" * 40)))
        assert (await connection.read_reply()).status in (400, 413)


async def test_a_declared_body_over_the_cap_is_not_held(target: Target) -> None:
    tracemalloc.start()
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(target.good().head(("Content-Length", str(MANY))))
        reply, _ = await push(connection, PIECE, MANY)
        _, held = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reply is not None
    assert reply.status == 413
    assert held < 4 * CAP


@pytest.mark.parametrize("size", [1, 4096, 65_536, CAP])
async def test_a_chunked_body_over_the_cap_is_413_and_not_held(target: Target, size: int) -> None:
    one = chunked(b" " * size, end=False)
    piece = one * max(1, 65_536 // len(one))
    tracemalloc.start()
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(target.good().head(CHUNKED))
        reply, sent = await push(connection, piece, MANY)
        # It goes on sending after the refusal, as who attacks would.
        try:
            for _ in range(256):
                await connection.send(piece)
        except ConnectionError:
            pass
        _, held = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reply is not None
    # Chunks of one byte cost so much parsing here that the body's deadline may come first.
    assert reply.status == 413 or (size == 1 and reply.status == 408)
    assert sent < 24 * 2**20  # the cap and what socket buffers take, in framing of up to 6 to 1
    assert held < 8 * CAP
    assert (target.texts, len(target.guard)) == ([], 0)


async def test_one_chunk_that_claims_to_be_endless_is_413_and_not_held(target: Target) -> None:
    tracemalloc.start()
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(target.good().head(CHUNKED) + b"7fffffffffffffff\r\n")
        reply, _ = await push(connection, PIECE, MANY)
        _, held = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reply is not None
    assert reply.status == 413
    assert held < 8 * CAP


@pytest.mark.parametrize(
    "junk", [b"1;" + b"x" * 65_536, b"0\r\n" + b"X-Trailer: y\r\n" * 4000], ids=["ext", "trailer"]
)
async def test_endless_chunk_extensions_and_trailers_are_not_held(
    target: Target, junk: bytes
) -> None:
    tracemalloc.start()
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(target.good().head(CHUNKED) + junk)
        reply, _ = await push(connection, b"x" * 65_536, MANY)
        _, held = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reply is None or reply.status in (400, 401, 408, 413)
    assert held < 8 * CAP
    assert target.texts == []


async def test_a_body_at_the_cap_is_taken_and_one_byte_more_is_not(
    bob: Keypair, alice: Keypair
) -> None:
    target = Target(bob, alice, max_body_bytes=CAP)
    async with target.axon:
        for extra, status in ((0, 200), (1, 413)):
            body = b'{"text": "hello"}'
            body += b" " * (CAP - len(body) + extra)
            request = signed_request(alice, target.hotkey, "/Echo", body)
            assert (await target.ask(request)).status == status
            request = signed_request(alice, target.hotkey, "/Echo", body)
            pieces = chunked(body[:700_000], body[700_000:])
            assert (await target.ask(request.head(CHUNKED) + pieces)).status == status


@pytest.mark.parametrize("size", [1, 5, 1000])
async def test_a_chunked_body_is_signed_as_a_whole(target: Target, size: int) -> None:
    request = target.good()
    pieces = [BODY[start : start + size] for start in range(0, len(BODY), size)]
    await target.check_taken(request.head(CHUNKED) + chunked(*pieces))
    forged = target.good()
    await target.check_refused(forged.head(CHUNKED) + chunked(*pieces, b" "), 401, "bad_signature")


async def test_a_slow_body_is_408_in_time(target: Target) -> None:
    for framing in (("Content-Length", str(len(BODY))), CHUNKED):
        async with await RawConnection.open(target.axon.port) as connection:
            await connection.send(target.good().head(framing))
            began = time.perf_counter()
            reply = await connection.read_reply()
            took = time.perf_counter() - began
        assert (reply.status, reply.json()["code"]) == (408, "body_timeout")
        assert 0.4 < took < 9  # and not the 16 s that a body has by default
    assert (target.texts, len(target.guard)) == ([], 0)


async def test_a_body_that_trickles_is_408_in_time(target: Target) -> None:
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(target.good().head(("Content-Length", "1000")))
        reading = asyncio.create_task(connection.read_reply())
        began = time.perf_counter()
        while not reading.done() and time.perf_counter() - began < 9:
            await connection.send(b" ")
            await asyncio.sleep(0.02)
        reply = await reading
        assert time.perf_counter() - began < 9
    assert reply.status == 408


async def test_a_slow_body_of_an_unsigned_request_is_not_waited_for(target: Target) -> None:
    request = target.good().without("X-Bittensor-Signature")
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(request.head(("Content-Length", "1000")))
        # Had the body been waited for, it would be a 408.
        assert (await connection.read_reply()).status == 401


async def test_slow_bodies_take_no_workers_place(bob: Keypair, alice: Keypair) -> None:
    target = Target(bob, alice, max_workers=1, body_timeout_s=5)
    async with target.axon:
        connections = [await RawConnection.open(target.axon.port) for _ in range(20)]
        for connection in connections:
            await connection.send(target.good().head(("Content-Length", "1000")))
        await target.check_taken(target.good())
        for connection in connections:
            await connection.close()


async def test_a_client_that_leaves_within_its_body_leaves_nothing(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(target.good().head(("Content-Length", "1000")) + BODY)
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.1)
    assert (target.texts, len(target.guard)) == ([], 0)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    await target.check_taken(target.good())


@pytest.mark.parametrize(
    "framing",
    [b"ZZ\r\nxx\r\n0\r\n\r\n", b"-5\r\nxxxxx\r\n0\r\n\r\n", b"5\r\nxxxxxyyy\r\n0\r\n\r\n"],
)
async def test_broken_chunks_are_400_and_no_noise(
    target: Target, framing: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(target.good().head(CHUNKED) + framing)
        reply = await connection.read_reply()
        assert reply.status == 400
        assert await connection.is_closed_by_peer()
    assert (target.texts, len(target.guard)) == ([], 0)
    assert [one.getMessage() for one in caplog.records if one.name.startswith("node")] == []
    await target.check_taken(target.good())


@pytest.mark.parametrize("framing", [b"ZZ\r\n", b"-5\r\nxxxxx\r\n", b"5\r\nxxxxxyyy\r\n"])
async def test_chunks_that_break_later_are_400_with_the_parser_in_python(
    bob: Keypair,
    alice: Keypair,
    framing: bytes,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """aiohttp has it where no wheel fits, or by AIOHTTP_NO_EXTENSIONS."""
    monkeypatch.setattr("aiohttp.web_protocol.HttpRequestParser", HttpRequestParserPy)
    target = Target(bob, alice)
    async with target.axon:
        for broken in (target.good(), target.good("/Nothing")):
            async with await RawConnection.open(target.axon.port) as connection:
                await connection.send(broken.head(CHUNKED) + chunked(BODY[:5], end=False))
                await asyncio.sleep(0.05)
                await connection.send(framing)
                reply = await connection.read_reply(within_s=15)
                assert reply.status == (400 if broken.target != "/Nothing" else 404)
                assert await connection.is_closed_by_peer(within_s=10)
        assert (target.texts, len(target.guard)) == ([], 0)
        assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []
        await target.check_taken(target.good())


async def test_a_cap_may_be_set(bob: Keypair, alice: Keypair) -> None:
    target = Target(bob, alice, max_body_bytes=20)
    async with target.axon:
        await target.check_taken(target.good())
        await target.check_refused(
            signed_request(alice, target.hotkey, "/Echo", BODY + b"    "), 413, "body_too_large"
        )


async def test_the_cap_is_16_mib_by_default(bob: Keypair, alice: Keypair) -> None:
    target = Target(bob, alice)
    async with target.axon:
        for length, status in ((16 * 2**20, 100), (16 * 2**20 + 1, 413)):
            async with await RawConnection.open(target.axon.port) as connection:
                request = target.good().also("Expect", "100-continue")
                await connection.send(request.head(("Content-Length", str(length))))
                assert (await connection.read_reply()).status == status
