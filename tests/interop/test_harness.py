"""Old dendrite to old axon: that the two programs behave as WIRE.md §2 says they do.

What ours is compared with is measured here first, so that a fault of the programs can't pass for
a fault, or a feature, of ours.
"""

from __future__ import annotations

import time
from uuid import uuid4

import pytest

from node import Keypair
from tests.raw_http import ask

from .old_peers import OldAxon, OldDendrite
from .signing import signed_as_sdk
from .synapses import HASHED, HASHED_ANSWER, Hashed, Plain

pytestmark = pytest.mark.interop

CHARLIE = Keypair.from_uri("//Charlie").ss58_address


async def test_unary(old_axon: OldAxon, old_dendrite: OldDendrite) -> None:
    hashed = await old_dendrite.ask(old_axon.address, "Hashed", fields=HASHED)
    assert (hashed.status_code, hashed.fields["answer"]) == (200, HASHED_ANSWER)
    plain = await old_dendrite.ask(old_axon.address, "Plain", fields={"text": "x"})
    assert (plain.is_success, plain.fields["answer"]) == (True, "X")


async def test_stream(old_axon: OldAxon, old_dendrite: OldDendrite) -> None:
    reply = await old_dendrite.ask(old_axon.address, "Tokens", fields={"prompt": "a b c"})
    assert (reply.is_success, "".join(reply.chunks)) == (True, "abc")
    assert reply.fields["completion"] == "abc"


async def test_every_reply_has_the_usual_headers(
    old_axon: OldAxon, old_dendrite: OldDendrite
) -> None:
    fields = {"prompt": "a b"}
    good = await old_dendrite.ask(old_axon.address, "Exact", fields=fields)
    assert (good.is_success, good.fields["completion"]) == (True, "ab")
    unsigned = {"bt_header_dendrite_signature": None}
    refused = await old_dendrite.ask(old_axon.address, "Exact", fields=fields, headers=unsigned)
    assert refused.status_code == 401


async def test_errors(old_axon: OldAxon, old_dendrite: OldDendrite) -> None:
    tampered = await old_dendrite.ask(
        old_axon.address,
        "Plain",
        fields={"text": "x"},
        headers={"bt_header_dendrite_uuid": "other"},
    )
    assert (tampered.status_code, tampered.failed_verification) == (401, True)
    stranger = {**old_axon.address, "hotkey": CHARLIE}
    misdirected = await old_dendrite.ask(stranger, "Plain", fields={"text": "x"})
    assert misdirected.status_code == 401
    banned = await old_dendrite.ask(old_axon.address, "Hashed", fields=HASHED, key="//Eve")
    assert (banned.status_code, banned.is_blacklist) == (403, True)
    missing = await old_dendrite.ask(old_axon.address, "Missing")
    assert missing.status_code == 404
    faulty = await old_dendrite.ask(old_axon.address, "Faulty")
    assert faulty.status_code == 500
    body = await old_dendrite.ask(old_axon.address, "Hashed", fields=HASHED, body={"text": "other"})
    assert body.status_code == 500


async def test_timeout(old_axon: OldAxon, old_dendrite: OldDendrite) -> None:
    slow = await old_dendrite.ask(old_axon.address, "Slow", fields={"seconds": 5}, timeout=0.3)
    assert (slow.status_code, slow.is_timeout) == (408, True)
    stalling = await old_dendrite.ask(
        old_axon.address, "Stalling", fields={"prompt": "x"}, timeout=0.5
    )
    assert (stalling.status_code, stalling.chunks) == (408, ["one"])


async def test_what_only_we_close(old_axon: OldAxon, old_dendrite: OldDendrite) -> None:
    """An old axon believes the body, and an old dendrite its reply (WIRE.md §2.6, §2.8)."""
    claim = {"dendrite": {"hotkey": CHARLIE}}
    who = await old_dendrite.ask(old_axon.address, "Who", body=claim)
    assert who.fields["caller"] == CHARLIE
    liar = await old_dendrite.ask(old_axon.address, "Liar", fields={"text": "x"})
    assert (liar.is_success, liar.fields["text"]) == (True, "rewritten")
    assert liar.axon["hotkey"] == CHARLIE


async def test_broken_streams_end_as_each_version_ends_them(
    old_axon: OldAxon, old_dendrite: OldDendrite
) -> None:
    reply = await old_dendrite.ask(old_axon.address, "Broken", fields={"prompt": "x"})
    assert "".join(reply.chunks) == "onetwo"
    if old_axon.sdk == "7.4.0":
        assert reply.status_code == 400


@pytest.mark.parametrize("changes", [{"bt_header_dendrite_version": "1"}, {"timeout": "inf"}])
async def test_an_unsigned_header_makes_an_hour_old_request_fresh(
    old_axon: OldAxon, alice: Keypair, changes: dict[str, str]
) -> None:
    an_hour_ago = time.time_ns() - 3600 * 10**9
    request = signed_as_sdk(
        alice, old_axon.hotkey, Plain(text="x"), nonce_ns=an_hour_ago, uuid=str(uuid4())
    )
    assert (await ask(old_axon.port, request)).status == 401
    for name, value in changes.items():
        request = request.set(name, value)
    assert (await ask(old_axon.port, request)).status == 200


async def test_our_words_of_the_protocol_are_understood(old_axon: OldAxon, alice: Keypair) -> None:
    """`signing` is right, so that what it makes is refused for the one thing that is changed."""
    request = signed_as_sdk(alice, old_axon.hotkey, Hashed(**HASHED))
    reply = await ask(old_axon.port, request)
    assert (reply.status, reply.json()["answer"]) == (200, HASHED_ANSWER)
    unsigned = signed_as_sdk(alice, old_axon.hotkey, Hashed(**HASHED))
    reply = await ask(old_axon.port, unsigned.without("bt_header_dendrite_signature"))
    assert reply.status == 401
