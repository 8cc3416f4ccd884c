"""Keys, phrases and signatures show up in no log line and no reply."""

from __future__ import annotations

import logging
import time

import pytest

from node import Axon, Dendrite, Keypair
from tests.functional.synapses import Echo, Words
from tests.raw_http import ask, signed_request

from .conftest import BODY
from .test_one_change import CHANGES

SEED = bytes(range(32))
NODE_SEED = bytes(range(32, 64))


def secrets_of(seed: bytes) -> list[str]:
    return [seed.hex(), str(seed), repr(bytearray(seed))]


async def test_no_secret_is_in_a_log_line_or_a_reply(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("asyncio").setLevel(logging.DEBUG)
    caller, node = Keypair.from_seed(SEED), Keypair.from_seed(NODE_SEED)
    replies: list[str] = []

    async def echo(synapse: Echo) -> Echo:
        if synapse.text == "raise":
            raise ValueError(f"{caller!r} {node!r} {synapse!r}")
        return synapse

    async def words(synapse: Words):  # type: ignore[no-untyped-def]
        yield "one"
        raise ValueError(f"{axon!r} {dendrite!r}")

    axon = Axon(node, ip="127.0.0.1", port=0).attach(echo).attach(words)
    async with axon, Dendrite(caller) as dendrite:
        for text in ("fine", "raise"):
            reply = await dendrite(axon.info(), Echo(text=text))
            replies += [repr(reply), reply.model_dump_json()]
        replies.append(repr(await dendrite.call(axon.info(), Words())))
        good = signed_request(caller, axon.hotkey, "/Echo?timeout=5", BODY)
        signatures = [good.value("X-Bittensor-Signature")[2:]]
        for alter, _, _ in CHANGES.values():
            raw = await ask(axon.port, alter(good))
            replies.append(raw.body.decode() + str(raw.headers))
        replies += [(await ask(axon.port, good)).body.decode() for _ in range(2)]
        replies += [repr(axon), repr(dendrite), repr(caller), str(axon.info())]
    logged = "\n".join(
        f"{one.getMessage()} {one.exc_text or ''} {one.__dict__}" for one in caplog.records
    )
    assert "raised ValueError" in logged  # the log was caught
    for secret in (*secrets_of(SEED), *secrets_of(NODE_SEED), *signatures):
        assert secret not in logged
        assert not any(secret in reply for reply in replies)


async def test_a_prompt_is_not_in_the_log(
    caplog: pytest.LogCaptureFixture, axon: Axon, dendrite: Dendrite
) -> None:
    caplog.set_level(logging.DEBUG)

    async def echo(synapse: Echo) -> Echo:
        synapse.answer = "my private answer"
        return synapse

    axon.attach(echo)
    async with axon:
        await dendrite(axon.info(), Echo(text="my private prompt"))
    assert "private" not in "".join(str(one.__dict__) for one in caplog.records)


async def test_the_access_line_names_the_verified_caller_only(
    caplog: pytest.LogCaptureFixture, axon: Axon, alice: Keypair
) -> None:
    caplog.set_level(logging.INFO)

    async def echo(synapse: Echo) -> Echo:
        return synapse

    axon.attach(echo)
    async with axon:
        good = signed_request(alice, axon.hotkey, "/Echo", BODY, nonce_ns=time.time_ns())
        await ask(axon.port, good.change(body=b"{}"))
        await ask(axon.port, good)
    lines = [one for one in caplog.records if one.name == "node.axon.access"]
    refused, taken = [one.__dict__["request"] for one in lines]
    assert (refused["caller"], refused["status"], refused["code"]) == ("-", 401, "bad_signature")
    assert (taken["caller"], taken["status"], taken["code"]) == (alice.ss58_address, 200, "ok")
    assert alice.ss58_address in lines[1].getMessage()
