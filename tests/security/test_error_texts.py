"""The public text of a 401 is constant per code, whatever was sent."""

from __future__ import annotations

import logging
import time
from collections import defaultdict

import pytest

from node import Keypair
from tests.raw_http import RawRequest, signed_request

from .conftest import BODY, Target
from .test_one_change import CHANGES

S = 10**9


def variants(target: Target) -> list[RawRequest]:
    """Return refused requests of every kind, each kind with different content."""
    requests = []
    for sender in (target.sender, Keypair.from_uri("//Dave")):
        good = signed_request(sender, target.hotkey, "/Echo?timeout=5", BODY)
        requests += [alter(good) for alter, status, _ in CHANGES.values() if status == 401]
        for offset_s in (-11, -500, 3, 99):
            nonce_ns = time.time_ns() + offset_s * S
            requests.append(signed_request(sender, target.hotkey, "/Echo", BODY, nonce_ns=nonce_ns))
    return requests


async def test_the_text_of_a_401_is_constant_per_code(target: Target) -> None:
    texts: dict[str, set[str]] = defaultdict(set)
    replayed = target.good()
    await target.ask(replayed)
    for request in (*variants(target), replayed):
        reply = await target.ask(request)
        assert reply.status == 401
        document = reply.json()
        document.pop("clock_offset_s", None)
        assert set(document) == {"code", "message"}
        texts[document["code"]].add(document["message"])
    assert set(texts) == {
        "missing_signature",
        "bad_signature",
        "wrong_receiver",
        "stale_request",
        "replayed_request",
    }
    assert all(len(said) == 1 for said in texts.values()), texts


async def test_a_401_has_no_headers_that_tell_more(target: Target) -> None:
    names = set()
    for request in variants(target):
        names.add(tuple(sorted(name for name, _ in (await target.ask(request)).headers)))
    assert names == {("Content-Length", "Content-Type", "Date", "Server")}


async def test_nothing_of_an_unauthenticated_request_comes_back(target: Target) -> None:
    marker = "m4rker"
    request = RawRequest(
        "POST",
        f"/Echo?{marker}",
        (
            ("X-Bittensor-Version", "1"),
            ("X-Bittensor-Hotkey", marker),
            ("X-Bittensor-Nonce", marker),
            ("X-Bittensor-Signature", marker),
            ("X-Bittensor-Receiver", marker),
        ),
        marker.encode(),
    )
    reply = await target.check_refused(request, 401, "bad_signature")
    assert marker.encode() not in reply.body


async def test_nothing_is_stored_for_whoever_is_not_authenticated(target: Target) -> None:
    for request in variants(target):
        await target.ask(request)
    assert len(target.guard) == 0
    axon = target.axon
    assert (len(axon._pace._tokens), len(axon._pace._running)) == (0, 0)
    assert (axon._slots.waiting, axon._slots._free) == (0, 10)


async def test_refusals_of_strangers_make_one_short_log_line_each(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    request = target.good("/Echo?" + "x" * 3000).without("X-Bittensor-Signature")
    await target.check_refused(request, 401, "missing_signature")
    lines = [one.getMessage() for one in caplog.records if one.name.startswith("node")]
    assert len(lines) == 1
    assert len(lines[0]) < 300


@pytest.mark.parametrize("route", ["/%0d%0aFAKE%20LINE", "/%1b%5b31m", "/" + "R" * 5000])
async def test_a_route_of_the_callers_making_can_not_forge_a_log_line(
    target: Target, caplog: pytest.LogCaptureFixture, route: str
) -> None:
    caplog.set_level(logging.INFO)
    await target.check_refused(target.good(route), 404, "unknown_route")
    (line,) = [one.getMessage() for one in caplog.records if one.name == "node.axon.access"]
    assert line.isprintable()
    assert len(line) < 300
