"""What a stranger gets to see: nothing signed, nothing private; and how a failed stream ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from node import Keypair, wire
from node.axon import notary
from tests.functional.synapses import Words
from tests.raw_http import RawConnection, RawRequest

from .conftest import Target
from .old_requests import ALL, MALLORY, OLD, flip, hostile, node, signed

every_protocol = pytest.mark.parametrize("protocol", ALL)


@pytest.fixture
async def target(bob: Keypair, alice: Keypair) -> AsyncIterator[Target]:
    target = node(bob, alice)
    async with target.axon:
        yield target


@every_protocol
async def test_nothing_is_ever_signed_for_a_stranger(
    target: Target, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    """An SDK axon signs texts that its caller chose before it looks at the signature."""
    requests = hostile(target, protocol)
    good = signed(target, "btauth")
    signing = Keypair.sign
    signed_by: list[str] = []
    receipts: list[object] = []
    make_receipt = wire.sign_receipt

    def counted_sign(keypair: Keypair, message: bytes) -> bytes:
        signed_by.append(keypair.ss58_address)
        return signing(keypair, message)

    def counted_receipt(*args: Any, **options: Any) -> Any:
        receipts.append(args)
        return make_receipt(*args, **options)

    monkeypatch.setattr(Keypair, "sign", counted_sign)
    monkeypatch.setattr(notary, "sign_receipt", counted_receipt)
    for request in requests.values():
        reply = await target.ask(request)
        names = " ".join(name.lower() for name, _ in reply.headers)
        assert "signature" not in names
        assert "receipt" not in names
        assert b"0x" not in reply.body + str(reply.headers).encode()
    assert (signed_by, receipts, target.texts, len(target.guard)) == ([], [], [], 0)
    await target.check_taken(good)  # it does sign, and that is counted
    assert (signed_by, len(receipts)) == ([target.hotkey], 1)


@every_protocol
async def test_error_replies_name_no_route_and_repeat_nothing_signed(
    target: Target, protocol: str
) -> None:
    """An SDK axon lists its classes in a 404 and the whole signed text in a 401."""
    for kind, request in hostile(target, protocol).items():
        if kind in ("the page", "no HTTP"):
            continue
        reply = await target.ask(request)
        assert reply.status in (401, 404, 405), kind
        said = (reply.body + str(reply.headers).encode()).decode()
        said = said.replace(target.hotkey, "")  # its own, which `GET /` tells too
        assert isinstance(request, RawRequest)
        for secret in ("Echo", "Words", target.sender.ss58_address, MALLORY.ss58_address):
            assert secret not in said, kind
        for name, value in request.headers:
            # The hash is echoed, if it is 64 hex digits, for hooks of subnets that read it.
            if len(value) > 8 and name not in ("Content-Type", "computed_body_hash"):
                assert value == target.hotkey or value not in said, (kind, name)


@every_protocol
async def test_a_stream_that_fails_midway_is_cut_and_not_ended(
    target: Target, protocol: str
) -> None:
    """Without the last chunk, an old client sees that it was cut off."""

    async def fails(synapse: Words) -> AsyncIterator[str]:
        yield "one "
        if synapse.count:
            yield "two "
            raise RuntimeError("secret")

    target.axon.attach(fails)
    whole = await target.ask(signed(target, protocol, target="/Words", body=b'{"count": 0}'))
    assert (whole.status, whole.body, whole.complete) == (200, b"one ", True)
    request = signed(target, protocol, target="/Words", body=b'{"count": 1}')
    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(request.encode())
        reply = await connection.read_reply()
        assert await connection.is_closed_by_peer()
    assert (reply.status, reply.complete) == (200, False)
    assert b"one two ".startswith(reply.body)
    assert b"secret" not in reply.body


@pytest.mark.parametrize("protocol", OLD)
async def test_an_old_request_makes_one_short_log_line(
    target: Target, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    """No header of a stranger gets into it."""
    caplog.set_level("DEBUG")
    evil = "x" * 4000 + "\x9b31m\u2028"
    request = flip(signed(target, protocol), protocol).also("name", evil).also("uuid", evil)
    await target.check_refused(request, 401, "bad_signature")
    lines = [one.getMessage() for one in caplog.records if one.name.startswith("node")]
    assert len(lines) == 1
    assert lines[0].isprintable()
    assert len(lines[0]) < 300
    assert target.sender.ss58_address not in lines[0]
