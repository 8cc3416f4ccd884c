"""A head like the one before on its connection means what aiohttp's parser says that it means."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp.http_parser import RawRequestMessage

from node import Axon, Keypair
from node.axon.known_head import HeadMemory, KnownHead
from tests.functional.synapses import Echo
from tests.raw_http import RawConnection, RawReply, RawRequest, chunked, signed_request

from .serving import BODY, request_of

Change = Callable[[bytes], bytes]


@pytest.fixture
async def echoing(axon: Axon) -> AsyncIterator[Axon]:
    async def echo(synapse: Echo) -> Echo:
        return synapse

    async with axon.attach(echo):
        yield axon


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each read whether it was a request of which the head was known."""
    found: list[bool] = []
    request_in = HeadMemory.request_in

    def noted(self: HeadMemory, data: bytes) -> Any:
        request = request_in(self, data)
        found.append(request is not None)
        return request

    monkeypatch.setattr(HeadMemory, "request_in", noted)
    return found


async def exchange(connection: RawConnection, *reads: bytes) -> RawReply:
    """Send a request in so many reads."""
    for read in reads[:-1]:
        await connection.send(read)
        await asyncio.sleep(0.02)
    await connection.send(reads[-1])
    return await connection.read_reply()


async def warmed(axon: Axon, alice: Keypair) -> RawConnection:
    """Return a connection on which the next head may be known."""
    connection = await RawConnection.open(axon.port)
    for _ in range(2):
        await connection.send(request_of(alice, axon))
        assert (await connection.read_reply()).status == 200
    return connection


def said(reply: RawReply) -> tuple[int, bytes, list[str]]:
    """Return what does not differ by the second of the day."""
    return reply.status, reply.body, sorted(name for name, _ in reply.headers)


async def test_it_is_known_from_the_third_request_on(
    echoing: Axon, alice: Keypair, known: list[bool]
) -> None:
    async with await warmed(echoing, alice) as connection:
        for text in ("first", "other", "again"):
            request = request_of(alice, echoing, json.dumps({"text": text}).encode())
            assert (await exchange(connection, request)).json()["text"] == text
    assert known == [False, False, True, True, True]


@pytest.mark.parametrize("name", ["Content-Length", "content-length", "CONTENT-LENGTH"])
async def test_names_may_be_spelt_in_any_case(
    echoing: Axon, alice: Keypair, known: list[bool], name: str
) -> None:
    async with await RawConnection.open(echoing.port) as connection:
        for _ in range(3):
            request = signed_request(alice, echoing.hotkey, "/Echo", BODY)
            lower = tuple((name.lower(), value) for name, value in request.headers)
            data = request.change(headers=lower).head((name, str(len(BODY)))) + BODY
            assert (await exchange(connection, data)).status == 200
    assert known == [False, False, True]


async def test_each_request_has_the_headers_that_it_came_with(axon: Axon, alice: Keypair) -> None:
    nonces: list[int | None] = []

    async def echo(synapse: Echo) -> Echo:
        nonces.append(synapse.dendrite.nonce)
        return synapse

    sent: list[int] = []
    async with axon.attach(echo), await RawConnection.open(axon.port) as connection:
        for _ in range(5):
            request = signed_request(alice, axon.hotkey, "/Echo", BODY)
            sent.append(int(request.value("X-Bittensor-Nonce")))
            assert (await exchange(connection, request.encode())).status == 200
    assert nonces == sent


async def test_a_request_keeps_its_headers_when_the_next_comes(
    alice: Keypair, echoing: Axon, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[RawRequestMessage] = []
    request_in = KnownHead.request_in

    def noted(self: KnownHead, data: bytes) -> Any:
        request = request_in(self, data)
        assert request is not None
        requests.append(request[0])
        return request

    monkeypatch.setattr(KnownHead, "request_in", noted)
    async with await warmed(echoing, alice) as connection:
        for _ in range(3):
            assert (await exchange(connection, request_of(alice, echoing))).status == 200
    assert len({each.headers["X-Bittensor-Signature"] for each in requests}) == 3


async def test_a_replay_with_a_known_head_is_refused(
    echoing: Axon, alice: Keypair, known: list[bool]
) -> None:
    async with await warmed(echoing, alice) as connection:
        request = request_of(alice, echoing)
        assert (await exchange(connection, request)).status == 200
        assert (await exchange(connection, request)).json()["code"] == "replayed_request"
    assert known[-2:] == [True, True]


async def test_a_body_that_was_not_signed_is_refused_with_a_known_head(
    echoing: Axon, alice: Keypair, known: list[bool]
) -> None:
    async with await warmed(echoing, alice) as connection:
        request = request_of(alice, echoing)
        other = request.replace(b"hello", b"hollo")
        assert (await exchange(connection, other)).status == 401
        assert (await exchange(connection, request)).status == 200
    assert known[-2:] == [True, True]


async def test_another_length_is_read_anew_and_then_known(
    echoing: Axon, alice: Keypair, known: list[bool]
) -> None:
    longer = json.dumps({"text": "x" * 200}).encode()
    async with await warmed(echoing, alice) as connection:
        for body in (longer, longer, longer, BODY):
            assert (await exchange(connection, request_of(alice, echoing, body))).status == 200
    assert known[-4:] == [False, False, True, False]


async def test_a_body_that_comes_later_does_not_end_it(
    echoing: Axon, alice: Keypair, known: list[bool]
) -> None:
    async with await warmed(echoing, alice) as connection:
        for cut in (-1, -len(BODY)):
            request = request_of(alice, echoing)
            assert (await exchange(connection, request[:cut], request[cut:])).status == 200
            assert (await exchange(connection, request_of(alice, echoing))).status == 200
    assert known[2:] == [False, True] * 2


@pytest.mark.parametrize("at", [1, 40, 300])
async def test_a_head_that_comes_in_pieces_is_never_known(
    echoing: Axon, alice: Keypair, known: list[bool], at: int
) -> None:
    async with await warmed(echoing, alice) as connection:
        request = request_of(alice, echoing)
        assert (await exchange(connection, request[:at], request[at:])).status == 200
        assert (await exchange(connection, request_of(alice, echoing))).status == 200
    assert not any(known)


async def test_requests_in_one_read_are_all_answered(
    echoing: Axon, alice: Keypair, known: list[bool]
) -> None:
    async with await warmed(echoing, alice) as connection:
        await connection.send(b"".join(request_of(alice, echoing) for _ in range(40)))
        assert [(await connection.read_reply()).status for _ in range(40)] == [200] * 40
        assert (await exchange(connection, request_of(alice, echoing))).status == 200
    assert not any(known)


async def test_a_request_that_comes_while_another_is_in_hand_waits_for_it(
    axon: Axon, alice: Keypair
) -> None:
    order: list[str] = []

    async def echo(synapse: Echo) -> Echo:
        order.append(f"begin {synapse.text}")
        await asyncio.sleep(0.05)
        order.append(f"end {synapse.text}")
        return synapse

    async with axon.attach(echo), await warmed(axon, alice) as connection:
        order.clear()
        for text in ("one", "two"):
            body = json.dumps({"text": text}).encode()
            await connection.send(request_of(alice, axon, body.ljust(len(BODY))))
            await asyncio.sleep(0.02)
        assert [(await connection.read_reply()).json()["text"] for _ in range(2)] == ["one", "two"]
    assert order == ["begin one", "end one", "begin two", "end two"]


async def test_a_body_in_chunks_is_read_where_a_head_is_known(
    echoing: Axon, alice: Keypair
) -> None:
    async with await warmed(echoing, alice) as connection:
        request = signed_request(alice, echoing.hotkey, "/Echo", BODY)
        framed = request.head(("Transfer-Encoding", "chunked")) + chunked(BODY)
        assert (await exchange(connection, framed)).status == 200
        assert (await exchange(connection, request_of(alice, echoing))).status == 200


CHANGES: dict[str, Change] = {
    "a space in the nonce": lambda data: _in_value(data, b"Nonce", b" "),
    "a tab in the nonce": lambda data: _in_value(data, b"Nonce", b"\t"),
    "an underscore in the nonce": lambda data: _in_value(data, b"Nonce", b"_"),
    "a line end in the nonce": lambda data: _in_value(data, b"Nonce", b"\n"),
    "a return in the nonce": lambda data: _in_value(data, b"Nonce", b"\r"),
    "a header in the signature": lambda data: _in_value(
        data, b"Signature", b"\r\nTransfer-Encoding: chunked\r\nX: "
    ),
    "an empty line in the signature": lambda data: _in_value(data, b"Signature", b"\r\n\r\n"),
    "a NUL in the signature": lambda data: _in_value(data, b"Signature", b"\0"),
    "a byte that is no ASCII": lambda data: _in_value(data, b"Signature", b"\xff"),
    "a length with a zero": lambda data: data.replace(b"Length: 17", b"Length: 09"),
    "a length with a sign": lambda data: data.replace(b"Length: 17", b"Length: +7"),
    "a length in hex": lambda data: data.replace(b"Length: 17", b"Length: 0x"),
    "a shorter length": lambda data: data.replace(b"Length: 17", b"Length: 16"),
    "two lengths": lambda data: data.replace(b"\r\n\r\n", b"\r\nContent-Length: 17\r\n\r\n"),
    "another path": lambda data: data.replace(b"/Echo", b"/Each"),
    "another method": lambda data: data.replace(b"POST", b"POXT"),
    "HTTP/1.0": lambda data: data.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "no version of HTTP": lambda data: data.replace(b"HTTP/1.1", b"HTTP/9.9"),
    "junk behind it": lambda data: data + b"\0\0\0",
    "line ends behind it": lambda data: data + b"\r\n",
}


def _in_value(data: bytes, name: bytes, put: bytes) -> bytes:
    """Write over the middle of a header's value, so that the head keeps its length."""
    at = data.index(name + b": ") + len(name) + 9
    return data[:at] + put + data[at + len(put) :]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_changed_head_means_the_same_on_a_new_connection(
    echoing: Axon, alice: Keypair, change: str
) -> None:
    changed = CHANGES[change]
    async with await RawConnection.open(echoing.port) as new:
        expected = await exchange(new, changed(request_of(alice, echoing)))
    async with await warmed(echoing, alice) as connection:
        found = await exchange(connection, changed(request_of(alice, echoing)))
    assert said(found) == said(expected)


# By turns, what ends lines and values, what none may hold, and what changes a name or a value.
PUT = (b"\r", b"\n", b" ", b"\0", b":", b"\xe9", b"Z")


async def test_any_byte_of_a_head_changed_means_the_same_on_a_new_connection(
    echoing: Axon, alice: Keypair
) -> None:
    length = len(request_of(alice, echoing)) - len(BODY)
    for at in range(length):
        put = PUT[at % len(PUT)]
        pair = [
            data[:at] + put + data[at + 1 :]
            for data in (request_of(alice, echoing), request_of(alice, echoing))
        ]
        async with await RawConnection.open(echoing.port) as new:
            await new.send(pair[0])
            new.writer.write_eof()
            expected = await new.read_reply()
        async with await warmed(echoing, alice) as connection:
            await connection.send(pair[1])
            connection.writer.write_eof()
            found = await connection.read_reply()
        assert said(found) == said(expected), (at, put)


async def test_few_heads_are_remembered_of_a_connection_that_many_callers_share(
    echoing: Axon, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered: list[bytes] = []
    of = KnownHead.of

    def noted(head: bytes, *rest: Any) -> KnownHead | None:
        remembered.append(head)
        return of(head, *rest)

    monkeypatch.setattr(KnownHead, "of", noted)
    async with await RawConnection.open(echoing.port) as connection:
        for number in range(8):
            caller = Keypair.from_seed(bytes([number]) * 32)
            assert (await exchange(connection, request_of(caller, echoing))).status == 200
    assert len(remembered) == 3


async def test_heads_that_change_now_and_then_are_all_remembered(
    echoing: Axon, alice: Keypair, known: list[bool]
) -> None:
    async with await RawConnection.open(echoing.port) as connection:
        for number in range(1, 9):
            for _ in range(3):
                request = signed_request(alice, echoing.hotkey, "/Echo", BODY)
                longer = request.also("X-Longer", "x" * number).encode()
                assert (await exchange(connection, longer)).status == 200
    assert known == [False, False, True] * 8


async def test_a_head_with_a_header_twice_is_never_known(
    echoing: Axon, alice: Keypair, known: list[bool]
) -> None:
    async with await RawConnection.open(echoing.port) as connection:
        for _ in range(4):
            request = signed_request(alice, echoing.hotkey, "/Echo", BODY)
            twice = request.also("X-Bittensor-Nonce", request.value("X-Bittensor-Nonce"))
            assert (await exchange(connection, twice.encode())).status == 401
    assert not any(known)


async def test_a_head_without_a_length_is_never_known(echoing: Axon, known: list[bool]) -> None:
    async with await RawConnection.open(echoing.port) as connection:
        for _ in range(4):
            page = RawRequest("GET", "/health", (), b"").head()
            assert (await exchange(connection, page)).status == 200
    assert not any(known)
