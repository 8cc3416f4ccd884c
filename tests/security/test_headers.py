"""Headers that could be read in two ways, or that try to get round the checks."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time

import pytest

from node import Dendrite, Keypair
from node.keys import ss58_encode
from node.wire import btauth
from tests.functional.synapses import Echo
from tests.raw_http import RawConnection, RawRequest, signed_request

from .conftest import BODY, Target

NAMES = ["Version", "Hotkey", "Nonce", "Signature", "Receiver"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("same", [True, False])
async def test_a_signing_header_that_comes_twice_is_refused(
    target: Target, name: str, same: bool
) -> None:
    request = target.good()
    value = request.value(f"X-Bittensor-{name}") if same else "other"
    await target.check_refused(request.also(f"X-Bittensor-{name}", value), 401, "bad_signature")
    request = target.good()
    first = (f"x-bittensor-{name}".lower(), value)
    await target.check_refused(
        request.change(headers=(first, *request.headers)), 401, "bad_signature"
    )


async def test_two_scheme_headers_are_refused(target: Target) -> None:
    request = target.good().also("X-Bittensor-Crypto", "sr25519")
    await target.check_refused(request.also("X-Bittensor-Crypto", "ed25519"), 401, "bad_signature")


async def test_a_signature_over_a_bytes_wrapped_payload_is_refused(
    target: Target, alice: Keypair
) -> None:
    """Wallet extensions wrap what they sign so; a page could have any user sign a request."""
    nonce_ns = time.time_ns()
    payload = btauth.signed_payload(
        scheme="sr25519",
        method="POST",
        target="/Echo",
        digest=hashlib.sha256(BODY).digest(),
        nonce_ns=nonce_ns,
        sender=alice.ss58_address,
        receiver=target.hotkey,
    )
    request = signed_request(alice, target.hotkey, "/Echo", BODY, nonce_ns=nonce_ns)
    wrapped = alice.sign(b"<Bytes>" + payload + b"</Bytes>")
    await target.check_refused(
        request.set("X-Bittensor-Signature", "0x" + wrapped.hex()), 401, "bad_signature"
    )
    await target.check_taken(request)


@pytest.mark.parametrize("scheme", ["sr25519", "ed25519"])
@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31)], ids=["zeros", "one"])
async def test_a_key_for_which_anybody_can_sign_is_refused(
    target: Target, scheme: str, key: bytes
) -> None:
    # R and A of small order, and s of zero, satisfy the equation for every message or for some.
    for first in (key, bytes(32), b"\x01" + bytes(31)):
        for last in (bytes(32), bytes(31) + b"\x80"):
            request = target.good().set("X-Bittensor-Hotkey", ss58_encode(key))
            request = request.set("X-Bittensor-Signature", "0x" + (first + last).hex())
            request = request.set("X-Bittensor-Crypto", scheme)
            await target.check_refused(request, 401, "bad_signature")


async def test_receiver_of_this_key_in_another_spelling_is_refused(
    target: Target, alice: Keypair, bob: Keypair
) -> None:
    alias = ss58_encode(bob.public_key, 0)
    request = signed_request(alice, alias, "/Echo", BODY)
    await target.check_refused(request, 401, "wrong_receiver")


async def test_a_request_for_another_node_is_refused(target: Target, alice: Keypair) -> None:
    other = Keypair.from_uri("//Charlie").ss58_address
    await target.check_refused(signed_request(alice, other, "/Echo", BODY), 401, "wrong_receiver")


async def test_a_request_that_another_node_took_can_not_be_relayed_here(
    target: Target, alice: Keypair
) -> None:
    other = Target(Keypair.from_uri("//Charlie"), alice)
    async with other.axon:
        request = other.good()
        await other.check_taken(request)
        await target.check_refused(request, 401, "wrong_receiver")
        rebound = request.set("X-Bittensor-Receiver", target.hotkey)
        await target.check_refused(rebound, 401, "bad_signature")


async def test_an_unbound_request_is_refused_unless_allowed(
    target: Target, alice: Keypair, bob: Keypair
) -> None:
    unbound = signed_request(alice, None, "/Echo", BODY)
    await target.check_refused(unbound, 401, "wrong_receiver")
    lenient = Target(bob, alice, require_receiver=False)
    async with lenient.axon:
        await lenient.check_taken(unbound)
        bound_elsewhere = signed_request(alice, alice.ss58_address, "/Echo", BODY)
        await lenient.check_refused(bound_elsewhere, 401, "wrong_receiver")
        stripped = lenient.good().without("X-Bittensor-Receiver")
        await lenient.check_refused(stripped, 401, "bad_signature")


async def test_a_dendrite_may_sign_unbound(alice: Keypair, bob: Keypair) -> None:
    lenient = Target(bob, alice, require_receiver=False)
    async with lenient.axon, Dendrite(alice, bound=False) as dendrite:
        assert (await dendrite(lenient.axon.info(), Echo(text="x"))).is_success


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity, gzip", "x"])
async def test_an_encoded_body_is_not_unpacked(target: Target, encoding: str) -> None:
    request = target.good().also("Content-Encoding", encoding)
    await target.check_refused(request, 400, "malformed_request")


async def test_a_bomb_of_zeros_is_not_unpacked(target: Target, alice: Keypair) -> None:
    import gzip

    bomb = gzip.compress(b'{"text": "' + b"0" * 50_000_000 + b'"}')
    request = signed_request(alice, target.hotkey, "/Echo", bomb)
    assert len(bomb) < 100_000
    await target.check_refused(request.also("Content-Encoding", "gzip"), 400, "malformed_request")
    await target.ask(request)
    assert target.texts == []


async def test_a_body_in_plain_words_is_taken(target: Target) -> None:
    await target.check_taken(target.good().also("Content-Encoding", "identity"))


@pytest.mark.parametrize(
    "line",
    [
        "X-Long: " + "x" * 20_000,
        "X-Bittensor-Signature: " + "0" * 20_000,
        "x" * 20_000 + ": 1",
        "\r\n".join(f"X-{number}: {'y' * 1000}" for number in range(500)),
        "\r\n".join(f"X-{number}: y" for number in range(20_000)),
    ],
    ids=["value", "signature", "name", "half a megabyte", "many"],
)
async def test_huge_headers_are_refused_and_the_connection_closed(
    target: Target, line: str
) -> None:
    async with await RawConnection.open(target.axon.port) as connection:
        head = target.good().head(("Content-Length", "0")).removesuffix(b"\r\n")
        try:
            await connection.send(head + line.encode() + b"\r\n\r\n")
            reply = await connection.read_reply()
            assert reply.status in (400, 431)
        except ConnectionError:
            pass  # closed while we were still sending
        assert await connection.is_closed_by_peer()
    assert (target.texts, len(target.guard)) == ([], 0)


async def test_headers_without_end_are_not_held(target: Target) -> None:
    import tracemalloc

    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(b"POST /Echo HTTP/1.1\r\nHost: x\r\nX-Endless: ")
        tracemalloc.start()
        sent = 0
        try:
            for _ in range(256):
                await connection.send(b"x" * 65_536)
                sent += 65_536
        except ConnectionError:
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert await connection.is_closed_by_peer()
    assert peak < 4 * 2**20, (peak, sent)


@pytest.mark.parametrize(
    "head",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50,
        b"\x00" * 100 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.0\r\n",
        b"POST\r\n\r\n",
        b"POST /Echo\r\n\r\n",
        b"POST /Echo HTTP/9.9\r\nHost: x\r\n\r\n",
        b"POST /Echo HTTP/1.1\r\nHost x\r\n\r\n",
        b"POST /Echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /Echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 6\r\n\r\n",
        b"POST /Echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /Echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /Echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n",
        b"POST /Ec\x00ho HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /Echo HTTP/1.1\r\nHost: x\r\nX-Bittensor-Nonce: 1\x002\r\n\r\n",
        b"POST /Echo HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n folded\r\n\r\n",
    ],
    ids=range(16),
)
async def test_what_is_no_http_is_refused_and_closed_without_noise(
    target: Target, head: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(head + b"0\r\n\r\n")
        reply = await connection.read_reply()
        assert reply.status == 400
        assert await connection.is_closed_by_peer()
    assert (target.texts, len(target.guard)) == ([], 0)
    await target.check_taken(target.good())
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_a_head_that_trickles_is_closed_in_time(
    bob: Keypair, alice: Keypair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.axon.server._KEEPALIVE_S", 0.4)
    target = Target(bob, alice)
    async with target.axon:
        connections = [await RawConnection.open(target.axon.port) for _ in range(3)]
        await connections[1].send(b"POST /Echo HTTP/1.1\r\nHost: ")
        await connections[2].send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nPOST /Ec")
        closings = [connection.is_closed_by_peer(within_s=8) for connection in connections]
        assert await asyncio.gather(*closings) == [True, True, True]
        for connection in connections:
            await connection.close()


@pytest.mark.parametrize("upgrade", ["websocket", "h2c", "tcp"])
async def test_an_upgrade_is_no_way_round_the_signature(target: Target, upgrade: str) -> None:
    request = target.good().also("Connection", "Upgrade").also("Upgrade", upgrade)
    forged = request.change(body=b'{"text": "evil!"}')
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(forged.encode())
        assert (await connection.read_reply()).status == 401
    assert target.texts == []


async def test_a_pipelined_request_is_checked_on_its_own(target: Target) -> None:
    """A good request must not lend its identity to one that is smuggled behind it."""
    good, bad = target.good(), target.good().without("X-Bittensor-Signature")
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(good.encode() + bad.encode() + target.good().encode())
        statuses = [(await connection.read_reply()).status for _ in range(3)]
    assert statuses == [200, 401, 200]


async def test_bytes_behind_a_body_are_another_request(target: Target) -> None:
    request = target.good()
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(request.encode())
        assert (await connection.read_reply()).status == 200
        await connection.send(b'{"text": "more"}\r\n\r\n')
        assert (await connection.read_reply()).status == 400
    assert target.texts == ["hello"]


async def test_expect_100_continue_is_answered_before_the_body(target: Target) -> None:
    request = target.good().also("Expect", "100-continue")
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(request.head(("Content-Length", str(len(BODY)))))
        assert (await connection.read_reply()).status == 100
        await connection.send(BODY)
        assert (await connection.read_reply()).status == 200
    assert target.texts == ["hello"]


@pytest.mark.parametrize("reason", ["unsigned", "too long", "unknown route"])
async def test_expect_100_continue_is_not_answered_to_whom_is_refused(
    target: Target, reason: str
) -> None:
    request = target.good().also("Expect", "100-continue")
    length = "9999999" if reason == "too long" else "17"
    if reason == "unsigned":
        request = request.without("X-Bittensor-Signature")
    if reason == "unknown route":
        request = request.change(target="/Nothing")
    status = {"unsigned": 401, "too long": 413, "unknown route": 404}[reason]
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(request.head(("Content-Length", length)))
        assert (await connection.read_reply()).status == status


async def test_a_target_in_bytes_that_are_no_text_is_refused(
    target: Target, alice: Keypair
) -> None:
    wanted = b"/Echo?x=\xff\xfe".decode("utf-8", "surrogateescape")
    reply = await target.ask(signed_request(alice, target.hotkey, wanted, BODY))
    assert reply.status == 400
    assert (target.texts, len(target.guard)) == ([], 0)


@pytest.mark.parametrize(
    "query", ["?x=%FF%FE", "?x=%00", "?%zz", "?x=\u00e9", "?", "?&&==", "?x=a+b"]
)
async def test_a_target_is_signed_as_it_is_written(
    target: Target, alice: Keypair, query: str
) -> None:
    reply = await target.ask(signed_request(alice, target.hotkey, "/Echo" + query, BODY))
    assert reply.status == (400 if not query.isascii() else 200)


@pytest.mark.parametrize(
    "odd",
    [
        "ftp://node/Echo?timeout=5",
        "http:///Echo",
        "http://node//Echo",
        "//Echo",
        "/Echo/",
        "/./Echo",
        "/x/../Echo",
        "/Echo#x",
        "*",
    ],
)
async def test_an_odd_target_is_no_route(target: Target, odd: str) -> None:
    request: RawRequest = target.good(odd)
    reply = await target.ask(request)
    assert reply.status in (400, 404, 405)
    assert (target.texts, len(target.guard)) == ([], 0)


@pytest.mark.parametrize("host", ["http://node", "HTTPS://node:8091", "http://a@[::1]:1"])
async def test_an_absolute_target_is_signed_in_its_origin_form(target: Target, host: str) -> None:
    """So says RFC 9112 §3.2.2 of the form, and a proxy that sends it can't sign anew."""
    signed = target.good("/Echo?timeout=5")
    await target.check_taken(signed.change(target=f"{host}/Echo?timeout=5"))
    for again in (signed, signed.change(target="http://other/Echo?timeout=5")):
        await target.check_refused(again, 401, "replayed_request")
    for other in ("/Echo?timeout=6", "/Echo"):
        await target.check_refused(
            target.good("/Echo?timeout=5").change(target=host + other), 401, "bad_signature"
        )
    await target.check_refused(target.good(f"{host}/Echo"), 401, "bad_signature")
