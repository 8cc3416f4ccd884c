from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from node import Axon, Keypair
from node.errors import PeerUnreachable
from node.neuron.doctor.probing import Answer, Page, Prober
from tests.raw_http import Script, read_request, scripted_peer

HOTKEY = Keypair.from_uri("//Bob").ss58_address
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def saying(data: bytes) -> Script:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()

    return serve


async def get(prober: Prober, script: Script) -> Answer:
    async with scripted_peer(script, HOTKEY) as peer:
        return await prober.get(peer.url + "/")


async def test_the_page_of_an_axon(running: Axon, prober: Prober) -> None:
    page = await prober.page(running.info().url)
    assert (page.hotkey, page.protocols) == (running.hotkey, ("btauth",))
    answer = await prober.get(running.info().url + "/")
    assert answer.sent_ns < answer.received_ns
    assert 0 < answer.round_trip_s < 5
    assert answer.date.endswith("GMT")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"node": "other", "hotkey": HOTKEY},
        {"hotkey": HOTKEY},
        {"node": ["ganglion"], "hotkey": HOTKEY},
    ],
)
def test_what_is_no_page_of_ours_is_empty(document: dict[str, Any]) -> None:
    assert Page.of(Answer(200, document)) == Page()


def test_a_page_that_is_hostile_is_cut() -> None:
    page = Page.of(
        Answer(
            200, {"node": "ganglion", "hotkey": "x" * 999, "version": 7, "protocols": ["y"] * 99}
        )
    )
    assert (len(page.hotkey), page.version, len(page.protocols)) == (200, "7", 16)
    assert Page.of(Answer(200, {"node": "ganglion", "protocols": "btauth"})).protocols == ()
    assert Page.of(Answer(503, {"node": "ganglion", "hotkey": HOTKEY})) == Page()


@pytest.mark.parametrize(
    ("data", "document"),
    [
        (HEAD + b'Content-Length: 8\r\n\r\n{"a": 1}', {"a": 1}),
        (HEAD + b"Content-Length: 2\r\n\r\n[]", {}),
        (HEAD + b"Content-Length: 4\r\n\r\n\xff\xfe\x00{", {}),
        (HEAD + b'Content-Length: 10\r\n\r\n{"a": NaN}', {}),
        (HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + gzip.compress(b"{}"), {}),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", {}),
    ],
)
async def test_a_body_is_json_or_nothing(
    prober: Prober, data: bytes, document: dict[str, Any]
) -> None:
    assert (await get(prober, saying(data))).document == document


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "closed without an answer"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "what answers is no HTTP"),
        (HEAD + b"Content-Length: 100\r\n\r\n{", "what answers is no HTTP"),
    ],
)
async def test_what_is_no_answer_says_why(prober: Prober, data: bytes, reason: str) -> None:
    with pytest.raises(PeerUnreachable, match=reason):
        await get(prober, saying(data))


async def test_an_endless_body_is_cut(prober: Prober) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"Connection: close\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with asyncio.timeout(4):
        assert (await get(prober, endless)).document == {}


async def test_a_body_that_drips_ends_in_time() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"Connection: close\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with Prober(allow_private=True, timeout_s=0.3) as prober, asyncio.timeout(4):
        with pytest.raises(PeerUnreachable, match=r"no answer within 0\.3 s"):
            await get(prober, drip)


async def test_nobody_and_no_name(prober: Prober, free_port: int) -> None:
    with pytest.raises(PeerUnreachable, match="connection refused"):
        await prober.get(f"http://127.0.0.1:{free_port}/")
    with pytest.raises(PeerUnreachable, match="its name is not known"):
        await prober.get("http://no-such-host.invalid/")


async def test_a_careful_prober_connects_to_no_private_address(running: Axon) -> None:
    async with Prober(allow_private=False, timeout_s=5.0) as prober:
        with pytest.raises(PeerUnreachable, match="it leads to a loopback address"):
            await prober.get(running.info().url + "/")


async def test_a_post_arrives_as_it_is(prober: Prober) -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with scripted_peer(record, HOTKEY) as peer:
        await prober.post(f"{peer.url}/A?b=%2F", b"[]", {"X-One": "1"})
    [(head, body)] = seen
    assert head.startswith(b"POST /A?b=%2F HTTP/1.1\r\n")
    assert b"\r\nX-One: 1\r\n" in head
    assert body == b"[]"
