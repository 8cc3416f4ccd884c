"""Who a request is from is what its signature proves; the body has no say in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from node import Caller, Keypair
from node.wire.caller import Caller as OneCaller
from tests.functional.synapses import Echo
from tests.raw_http import RawRequest, signed_request

from .conftest import Target
from .test_one_change import CHANGES

MALLORY = Keypair.from_uri("//Mallory").ss58_address

FORGED: dict[str, Any] = {
    "text": "hello",
    "dendrite": {
        "hotkey": MALLORY,
        "ip": "10.0.0.1",
        "port": 1,
        "nonce": 5,
        "uuid": "forged",
        "signature": "0xforged",
        "status_code": 200,
        "version": 99,
    },
    "axon": {"hotkey": MALLORY, "ip": "10.0.0.2", "port": 2},
    "name": "Forged",
    "timeout": 86400.0,
    "computed_body_hash": "forged",
    "total_size": 7,
    "header_size": 7,
}


class Seen(Echo):
    pass


async def test_fields_that_a_caller_forges_in_the_body_never_reach_the_forward(
    target: Target, alice: Keypair
) -> None:
    seen: list[tuple[Seen, Caller]] = []

    async def forward(synapse: Seen, caller: Caller) -> Seen:
        seen.append((synapse, caller))
        return synapse

    def hook(synapse: Seen) -> bool:
        assert synapse.dendrite.hotkey == alice.ss58_address
        return False

    target.axon.attach(forward, blacklist_fn=hook, priority_fn=lambda s: float(hook(s)))
    body = json.dumps(FORGED).encode()
    reply = await target.ask(signed_request(alice, target.hotkey, "/Seen?timeout=3", body))
    assert reply.status == 200
    synapse, caller = seen[0]
    assert synapse.dendrite.hotkey == caller.hotkey == alice.ss58_address
    assert synapse.dendrite.ip == "127.0.0.1"
    assert synapse.dendrite.port != 1
    assert synapse.dendrite.nonce == caller.nonce_ns
    end = synapse.dendrite
    assert (end.uuid, end.signature, end.status_code, end.version) == (None, None, None, None)
    assert (synapse.axon.hotkey, synapse.axon.port) == (target.hotkey, target.axon.port)
    assert (synapse.name, synapse.timeout) == ("Seen", 3.0)
    assert (synapse.computed_body_hash, synapse.total_size, synapse.header_size) == ("", 0, 0)
    assert "forged" not in synapse.model_dump_json()
    assert MALLORY not in synapse.model_dump_json()


async def test_what_a_forward_writes_into_the_terminals_does_not_travel(
    target: Target, alice: Keypair
) -> None:
    async def forward(synapse: Seen) -> Seen:
        synapse.dendrite.signature = "leak"
        synapse.axon.uuid = "leak"
        return synapse

    target.axon.attach(forward)
    reply = await target.ask(signed_request(alice, target.hotkey, "/Seen", b'{"text": "x"}'))
    assert reply.json() == {"text": "x", "answer": ""}


@pytest.mark.parametrize(
    "name",
    ["bt_header_dendrite_hotkey", "X-Forwarded-For", "Authorization", "X-Bittensor-Caller"],
)
async def test_no_other_header_says_who_is_calling(target: Target, name: str) -> None:
    await target.check_taken(target.good().also(name, MALLORY))
    assert target.hotkeys == [target.sender.ss58_address]


async def test_signing_for_another_needs_the_others_key(target: Target) -> None:
    mallory = Keypair.from_uri("//Mallory")
    request = signed_request(mallory, target.hotkey, "/Echo", b'{"text": "x"}')
    stolen = request.set("X-Bittensor-Hotkey", target.sender.ss58_address)
    await target.check_refused(stolen, 401, "bad_signature")


def test_a_caller_can_not_be_made_by_hand() -> None:
    with pytest.raises(TypeError, match="verifier"):
        Caller(hotkey=MALLORY)
    assert Caller is OneCaller


async def test_replies_are_not_signed_for_strangers(target: Target) -> None:
    """Old nodes sign a stamp with the caller's text for anybody, as an oracle."""
    requests: list[RawRequest | bytes] = [alter(target.good()) for alter, _, _ in CHANGES.values()]
    requests.append(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    for request in requests:
        reply = await target.ask(request)
        everything = (reply.body + str(reply.headers).encode()).lower()
        assert b"0x" not in everything
        assert b"receipt" not in everything
