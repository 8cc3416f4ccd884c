"""Requests of one connection are answered one at a time, in order, each in a task of its own."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from node import Axon, Keypair
from node.wire import ReplayGuard
from tests.functional.synapses import Echo, Words
from tests.raw_http import RawConnection, ask, chunked, signed_request

from .serving import BODY, no_request_in_hand, request_of

CHUNKED = ("Transfer-Encoding", "chunked")

mark = contextvars.ContextVar("mark", default="unset")


async def test_what_a_forward_sets_in_its_context_is_not_there_in_the_next(
    axon: Axon, alice: Keypair
) -> None:
    seen: list[str] = []

    async def echo(synapse: Echo) -> Echo:
        seen.append(mark.get())
        mark.set(synapse.text)
        return synapse

    async with axon.attach(echo), await RawConnection.open(axon.port) as connection:
        for _ in range(2):
            await connection.send(request_of(alice, axon))
            assert (await connection.read_reply()).status == 200
        await connection.send(request_of(alice, axon) + request_of(alice, axon))
        for _ in range(2):
            assert (await connection.read_reply()).status == 200
    assert seen == ["unset"] * 4


async def test_pipelined_requests_run_one_after_another_in_order(
    axon: Axon, alice: Keypair
) -> None:
    log: list[str] = []

    async def echo(synapse: Echo) -> Echo:
        log.append(f"+{synapse.text}")
        await asyncio.sleep(0.02 if synapse.text == "0" else 0)
        log.append(f"-{synapse.text}")
        return synapse

    async with axon.attach(echo), await RawConnection.open(axon.port) as connection:
        bodies = [b'{"text": "%d"}' % number for number in range(3)]
        await connection.send(b"".join(request_of(alice, axon, body) for body in bodies))
        texts = [(await connection.read_reply()).json()["text"] for _ in bodies]
    assert texts == ["0", "1", "2"]
    assert log == ["+0", "-0", "+1", "-1", "+2", "-2"]


async def test_more_pipelined_requests_than_may_wait_are_all_answered(axon: Axon) -> None:
    """aiohttp holds the connection back when its queue is full; it must go on again."""
    async with axon, await RawConnection.open(axon.port) as connection:
        count = 3000
        await connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * count)
        statuses = [(await connection.read_reply()).status for _ in range(count)]
    assert statuses == [200] * count


async def test_what_comes_on_several_connections_by_turns_stays_apart(
    axon: Axon, alice: Keypair
) -> None:
    """All are read into one buffer."""
    texts = ["a" * 3, "b" * 90_000, "c" * 300_000]

    async def echo(synapse: Echo) -> Echo:
        return synapse

    async with axon.attach(echo), AsyncExitStack() as stack:
        connections = [
            await stack.enter_async_context(await RawConnection.open(axon.port)) for _ in texts
        ]
        requests = [request_of(alice, axon, json.dumps({"text": text}).encode()) for text in texts]
        for part in range(5):
            for connection, request in zip(connections, requests, strict=True):
                size = len(request) // 5 + 1
                await connection.send(request[part * size : (part + 1) * size])
                await asyncio.sleep(0)
        replies = [await connection.read_reply() for connection in connections]
    assert [reply.json()["text"] for reply in replies] == texts


@pytest.mark.parametrize(
    ("line", "version", "stays"),
    [
        ("", "1.1", True),
        ("Connection: close\r\n", "1.1", False),
        ("", "1.0", False),
        ("Connection: keep-alive\r\n", "1.0", True),
    ],
)
async def test_a_connection_stays_as_its_client_asks(
    axon: Axon, line: str, version: str, stays: bool
) -> None:
    page = f"GET /health HTTP/{version}\r\nHost: x\r\n{line}\r\n".encode()
    async with axon, await RawConnection.open(axon.port) as connection:
        await connection.send(page)
        reply = await connection.read_reply()
        assert reply.json() == {"status": "ok"}
        said = {"1.1": None, "1.0": "keep-alive"}[version] if stays else "close"
        assert reply.header("Connection") == said
        assert await connection.is_closed_by_peer(within_s=0.2) is not stays


async def test_a_head_request_gets_the_length_and_no_body(axon: Axon) -> None:
    async with axon, await RawConnection.open(axon.port) as connection:
        await connection.send(b"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await connection.reader.readuntil(b"\r\n\r\n")
        assert b"Content-Length: 16\r\n" in head
        await connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await connection.read_reply()).json() == {"status": "ok"}


async def test_a_reply_names_the_date_and_the_software(axon: Axon) -> None:
    async with axon:
        reply = await ask(axon.port, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (reply.header("Server"), reply.header("Content-Type")) == (
        "ganglion",
        "application/json",
    )
    assert str(reply.header("Date")).endswith(" GMT")


async def test_a_body_that_nobody_wanted_is_read_and_the_connection_goes_on(axon: Axon) -> None:
    async with axon, await RawConnection.open(axon.port) as connection:
        await connection.send(b"POST /Nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        assert (await connection.read_reply()).status == 404
        await connection.send(b"whole" + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await connection.read_reply()).status == 200


async def test_a_body_that_never_ends_closes_the_connection(
    axon: Axon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.axon.server._LINGERING_S", 0.1)
    async with axon, await RawConnection.open(axon.port) as connection:
        await connection.send(b"POST /Nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        assert (await connection.read_reply()).status == 404
        assert await connection.is_closed_by_peer(within_s=8)


async def test_an_unwanted_body_in_bad_chunks_closes_the_connection(axon: Axon) -> None:
    async with axon, await RawConnection.open(axon.port) as connection:
        await connection.send(
            b"POST /Nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        )
        assert (await connection.read_reply()).status == 404
        await connection.send(b"no size\r\n")
        assert await connection.is_closed_by_peer(within_s=8)


async def test_a_body_in_bad_chunks_is_refused_at_once(axon: Axon, alice: Keypair) -> None:
    async def echo(synapse: Echo) -> Echo:
        return synapse

    head = signed_request(alice, axon.hotkey, "/Echo", BODY).head(CHUNKED)
    async with axon.attach(echo), await RawConnection.open(axon.port) as connection:
        await connection.send(head + b"3\r\nabc\r\n")
        await asyncio.sleep(0.05)
        await connection.send(b"no size\r\n")
        reply = await connection.read_reply(within_s=8)
        assert (reply.status, reply.json()["code"]) == (400, "malformed_request")
        assert await connection.is_closed_by_peer(within_s=8)


async def test_bad_chunks_of_a_request_that_waits_are_refused_when_it_is_its_turn(
    axon: Axon, alice: Keypair
) -> None:
    go_on = asyncio.Event()

    async def echo(synapse: Echo) -> Echo:
        await go_on.wait()
        return synapse

    head = signed_request(alice, axon.hotkey, "/Echo", BODY).head(CHUNKED)
    async with axon.attach(echo), await RawConnection.open(axon.port) as connection:
        await connection.send(request_of(alice, axon))
        await asyncio.sleep(0.05)
        await connection.send(head + b"3\r\nabc\r\n")
        await asyncio.sleep(0.05)
        for _ in range(3):
            await connection.send(b"no size\r\n")
            await asyncio.sleep(0.05)
        go_on.set()
        assert (await connection.read_reply()).status == 200
        reply = await connection.read_reply(within_s=15)
        assert (reply.status, reply.json()["code"]) == (400, "malformed_request")
        assert await connection.is_closed_by_peer(within_s=10)


@pytest.mark.parametrize("turns", range(4))
async def test_bad_chunks_that_come_as_their_request_starts_are_refused_at_once(
    axon: Axon, alice: Keypair, turns: int
) -> None:
    """They may be read just before or after the request is taken out of the queue."""
    with socket.socket() as plain:

        async def echo(synapse: Echo) -> Echo:
            await asyncio.sleep(0.05)
            plain.send(b"no size\r\n")
            for _ in range(turns):
                await asyncio.sleep(0)
            return synapse

        head = signed_request(alice, axon.hotkey, "/Echo", BODY).head(CHUNKED)
        async with axon.attach(echo):
            plain.setblocking(False)
            await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", axon.port))
            async with RawConnection(
                *await asyncio.open_connection(sock=plain.dup())
            ) as connection:
                await connection.send(request_of(alice, axon) + head + b"3\r\nabc\r\n")
                assert (await connection.read_reply()).status == 200
                assert (await connection.read_reply(within_s=15)).status == 400


async def test_what_is_no_http_breaks_no_body_before_it(axon: Axon, alice: Keypair) -> None:
    """Whose body is whole gets an answer, and then what is no HTTP gets its own."""
    go_on = asyncio.Event()

    async def echo(synapse: Echo) -> Echo:
        await go_on.wait()
        return synapse

    async with axon.attach(echo), await RawConnection.open(axon.port) as connection:
        await connection.send(request_of(alice, axon))
        await asyncio.sleep(0.05)
        head = signed_request(alice, axon.hotkey, "/Echo", BODY).head(
            ("Transfer-Encoding", "chunked")
        )
        await connection.send(head + chunked(BODY, end=False))
        await asyncio.sleep(0.05)
        await connection.send(b"0\r\n\r\n")
        await asyncio.sleep(0.05)
        await connection.send(b"no HTTP\r\n\r\n")
        await asyncio.sleep(0.05)
        go_on.set()
        statuses = [(await connection.read_reply()).status for _ in range(3)]
        assert statuses == [200, 200, 400]
        assert await connection.is_closed_by_peer(within_s=10)


async def test_a_connection_that_asks_for_another_protocol_ends_after_its_reply(axon: Axon) -> None:
    upgrade = (
        b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    async with axon, await RawConnection.open(axon.port) as connection:
        await connection.send(upgrade + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        reply = await connection.read_reply()
        assert (reply.status, reply.header("Connection")) == (200, "close")
        assert await connection.reader.read() == b""


async def test_what_is_no_http_gets_the_document_of_an_error(
    axon: Axon, caplog: pytest.LogCaptureFixture
) -> None:
    async with axon, await RawConnection.open(axon.port) as connection:
        await connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await connection.read_reply()).status == 200
        await connection.send(b"SSH-2.0-OpenSSH_9.0\r\n\r\n")
        reply = await connection.read_reply()
        assert (reply.status, reply.json()["code"]) == (400, "malformed_request")
        assert await connection.is_closed_by_peer()
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("what", ["no HTTP", "bad chunks"])
async def test_a_client_that_goes_on_sending_what_is_refused_gets_the_answer(
    axon: Axon, alice: Keypair, what: str
) -> None:
    """A socket that is closed over unread bytes is reset, and the answer is lost with it."""

    async def echo(synapse: Echo) -> Echo:
        return synapse

    async with axon.attach(echo), await RawConnection.open(axon.port) as connection:
        if what == "bad chunks":
            head = signed_request(alice, axon.hotkey, "/Echo", BODY).head(CHUNKED)
            await connection.send(head + b"3\r\nabc\r\n")
            await asyncio.sleep(0.05)
        await connection.send(b"no size, no HTTP\r\n\r\n" + bytes(16 * 2**20))
        reply = await connection.read_reply(within_s=8)
        assert (reply.status, reply.json()["code"]) == (400, "malformed_request")
        assert await connection.is_closed_by_peer(within_s=8)
        await asyncio.wait_for(connection.writer.drain(), 8)


async def test_what_is_refused_does_not_stay_as_long_as_its_client_likes(
    axon: Axon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.axon.server._LINGERING_S", 0.1)
    async with axon, await RawConnection.open(axon.port) as connection:
        await connection.send(b"no HTTP\r\n\r\n")
        assert (await connection.read_reply()).status == 400
        with pytest.raises(ConnectionError):
            for _ in range(800):
                await connection.send(b"x")
                await asyncio.sleep(0.01)


async def test_an_idle_connection_is_closed_in_time_and_one_in_use_is_not(
    bob: Keypair, alice: Keypair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.axon.server._KEEPALIVE_S", 0.2)

    async def echo(synapse: Echo) -> Echo:
        await asyncio.sleep(0.6)
        return synapse

    axon = Axon(bob, ip="127.0.0.1", port=0).attach(echo)
    async with axon, await RawConnection.open(axon.port) as connection:
        await connection.send(request_of(alice, axon))
        assert (await connection.read_reply()).status == 200
        assert await connection.is_closed_by_peer(within_s=8)


async def test_a_long_reply_arrives_whole(axon: Axon, alice: Keypair) -> None:
    async def echo(synapse: Echo) -> Echo:
        synapse.answer = "x" * 3_000_000
        return synapse

    async with axon.attach(echo), await RawConnection.open(axon.port) as connection:
        for _ in range(2):
            await connection.send(request_of(alice, axon))
            assert len((await connection.read_reply()).json()["answer"]) == 3_000_000


async def test_replies_that_nobody_reads_hold_back_the_requests_behind_them(
    bob: Keypair, alice: Keypair
) -> None:
    made = 0

    async def echo(synapse: Echo) -> Echo:
        nonlocal made
        made += 1
        synapse.answer = "x" * 4_000_000
        return synapse

    axon = Axon(bob, ip="127.0.0.1", port=0, guard=ReplayGuard()).attach(echo)
    async with axon, await RawConnection.open(axon.port) as connection:
        requests = b"".join(request_of(alice, axon) for _ in range(50))
        await connection.send(requests)
        before = 0
        while before != made or not made:
            before = made
            await asyncio.sleep(0.2)
        assert made < 50


async def test_a_stream_to_an_old_client_ends_with_the_connection(
    axon: Axon, alice: Keypair
) -> None:
    async def words(synapse: Words) -> AsyncIterator[str]:
        yield "one "
        yield "two"

    request = request_of(alice, axon, b"{}", "/Words?stream=raw").replace(b"HTTP/1.1", b"HTTP/1.0")
    async with axon.attach(words), await RawConnection.open(axon.port) as connection:
        await connection.send(request)
        data = await connection.reader.read()
    assert b"Transfer-Encoding" not in data
    assert data.endswith(b"\r\n\r\none two")


async def test_a_header_that_would_begin_another_is_not_sent(
    axon: Axon, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from node.axon import reply

    def split(document: object, *, status: int = 200) -> reply.Reply:
        return reply.Reply(status, b"{}", {"X-A": "1\r\nX-B: 2"})

    monkeypatch.setattr("node.axon.pages.json_reply", split)
    async with axon, await RawConnection.open(axon.port) as connection:
        await connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await connection.reader.read() == b""
    assert "a reply could not be written" in caplog.text


async def test_a_connection_that_is_cut_ends_the_task_of_its_request(
    axon: Axon, alice: Keypair
) -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def echo(synapse: Echo) -> Echo:
        began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return synapse

    async with axon.attach(echo), await RawConnection.open(axon.port) as connection:
        await connection.send(request_of(alice, axon) + request_of(alice, axon))
        await began.wait()
        connection.writer.transport.abort()
        async with asyncio.timeout(5):
            await cancelled.wait()
    assert len([task for task in asyncio.all_tasks() if not task.done()]) == 1


def test_chunks_are_framed_as_http_has_it() -> None:
    from types import SimpleNamespace

    from node.axon.open_reply import OpenReply

    written: list[bytes] = []
    transport = SimpleNamespace(is_closing=lambda: False, write=written.append)
    request = SimpleNamespace(
        transport=transport, takes_chunks=True, keeps_alive=True, writing_paused=False
    )
    reply = OpenReply(request, {"Content-Type": "text/plain"})  # type: ignore[arg-type]
    reply.put(b"one")
    reply.put(b"x" * 17)
    asyncio.run(reply.end(b"last"))
    head, _, rest = b"".join(written).partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head.split(b"\r\n")
    assert rest == chunked(b"one", b"x" * 17, b"last")
    assert len(written) == 3
    assert (reply.started, reply.ended) == (True, True)


async def test_a_refusal_arrives_where_the_connection_closes_after_it(axon: Axon) -> None:
    async with axon, await RawConnection.open(axon.port) as connection:
        await connection.send(
            b"POST /Nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Length: 4000000\r\n\r\n"
        )
        for _ in range(40):
            await connection.send(b"x" * 100_000)
            await asyncio.sleep(0)
        assert (await connection.read_reply()).status == 404


def test_a_status_without_a_name_has_a_head() -> None:
    from node.axon.reply import encode_head

    assert encode_head(499, {}, closes=True).startswith(b"HTTP/1.1 499 \r\n")


def test_a_head_that_is_like_no_other_is_not_kept() -> None:
    """It may hold a receipt, or what an old peer's synapse holds, and be large."""
    from node.axon import reply as replies

    looked_up = replies._encode_same_head.cache_info
    own = replies.body_reply(200, b"{}")
    own.headers["X-Own"] = "0" * 1000
    before = looked_up()
    assert b"X-Own: 000" in own.encode_head(closes=False)
    assert looked_up() == before
    assert replies.body_reply(200, b"{}").encode_head(closes=False).endswith(b"\r\n\r\n")
    assert looked_up() != before


EXPECT = ("Expect", "100-continue")
ASKING = b"POST /Nothing HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 17\r\n\r\n"


async def test_a_body_that_was_asked_for_leaves_the_connection_open(
    axon: Axon, alice: Keypair
) -> None:
    async def echo(synapse: Echo) -> Echo:
        return synapse

    async with axon.attach(echo), await RawConnection.open(axon.port) as connection:
        for _ in range(2):
            request = signed_request(alice, axon.hotkey, "/Echo", BODY)
            await connection.send(request.head(EXPECT, ("Content-Length", str(len(BODY)))))
            assert (await connection.read_reply()).status == 100
            await connection.send(BODY)
            assert (await connection.read_reply()).status == 200


@pytest.mark.parametrize("sent", [b"", BODY[:5]])
async def test_a_body_that_nobody_asked_for_ends_the_connection(axon: Axon, sent: bytes) -> None:
    """The client may send the rest or not, so what comes next has no beginning."""
    page = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    async with axon, await RawConnection.open(axon.port) as connection:
        await connection.send(ASKING + sent)
        reply = await connection.read_reply()
        assert (reply.status, reply.header("Connection")) == (404, "close")
        await connection.send(page)
        assert await connection.reader.read() == b""


async def test_a_client_that_is_refused_its_body_sees_the_end_before_the_lingering_time(
    axon: Axon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.axon.server._LINGERING_S", 60.0)
    async with axon:
        async with await RawConnection.open(axon.port) as connection:
            await connection.send(ASKING)
            assert (await connection.read_reply()).status == 404
            assert await connection.is_closed_by_peer(within_s=15)
        await no_request_in_hand()


async def test_a_client_that_sends_its_body_unasked_gets_its_refusal(axon: Axon) -> None:
    head = (
        b"POST /Nothing HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        b"Content-Length: 4000000\r\n\r\n"
    )
    async with axon, await RawConnection.open(axon.port) as connection:
        await connection.send(head)
        for _ in range(40):
            await connection.send(b"x" * 100_000)
            await asyncio.sleep(0)
        reply = await connection.read_reply()
        assert (reply.status, reply.header("Connection")) == (404, "close")


async def test_a_body_that_came_unasked_with_its_head_leaves_the_connection_open(
    axon: Axon,
) -> None:
    async with axon, await RawConnection.open(axon.port) as connection:
        for _ in range(2):
            await connection.send(ASKING + BODY)
            reply = await connection.read_reply()
            assert (reply.status, reply.header("Connection")) == (404, None)


async def test_a_client_of_http_1_0_is_not_told_to_go_on(axon: Axon, alice: Keypair) -> None:
    """RFC 9110 §10.1.1: it knows no 100 and would take it for the reply."""

    async def echo(synapse: Echo) -> Echo:
        return synapse

    request = signed_request(alice, axon.hotkey, "/Echo", BODY)
    head = request.head(EXPECT, ("Content-Length", str(len(BODY))))
    async with axon.attach(echo), await RawConnection.open(axon.port) as connection:
        await connection.send(head.replace(b"HTTP/1.1", b"HTTP/1.0") + BODY[:5])
        await asyncio.sleep(0.1)
        await connection.send(BODY[5:])
        assert (await connection.read_reply()).status == 200
