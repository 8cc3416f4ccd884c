from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from email.utils import formatdate

import pytest

from node import Axon, Keypair, Peer, Synapse
from node.neuron.doctor import Finding, Verdict
from node.neuron.doctor.clocks import Reading, _of_date, check_clock, judge_clock
from node.neuron.doctor.probing import Answer, Prober
from tests.raw_http import read_request, scripted_peer

from .conftest import echo

FAR = Keypair.from_uri("//Far").ss58_address


class Custom(Synapse):
    pass


async def custom(synapse: Custom) -> Custom:
    return synapse


def shifted(seconds: float) -> Callable[[], int]:
    return lambda: time.time_ns() + int(seconds * 1e9)


async def ask(prober: Prober, peers: list[Peer], *, serves: bool = True) -> Finding:
    return await check_clock(prober, peers, serves=serves, is_local=False, rng=random.Random(1))


@asynccontextmanager
async def axons(*offsets_s: float) -> AsyncIterator[list[Peer]]:
    """Axons whose clocks go wrong by so much."""
    async with AsyncExitStack() as stack:
        peers = []
        for number, offset_s in enumerate(offsets_s):
            key = Keypair.from_uri(f"//{number}")
            axon = Axon(key, ip="127.0.0.1", port=0, clock_ns=shifted(offset_s)).attach(echo)
            await stack.enter_async_context(axon)
            peers.append(axon.info())
        yield peers


@pytest.mark.parametrize(
    ("offset_s", "serves", "verdict", "words"),
    [
        (0.0, True, Verdict.OK, "±0.0"),
        (1.5, True, Verdict.WARN, "1.50 s behind"),
        (-1.5, True, Verdict.WARN, "1.50 s ahead of"),
        (5.0, True, Verdict.FAIL, "its axon refuses"),
        (5.0, False, Verdict.WARN, "5.00 s behind"),
        (-5.0, True, Verdict.FAIL, "they refuse"),
        (-5.0, False, Verdict.FAIL, "they refuse"),
        (15.0, False, Verdict.FAIL, "they refuse"),
    ],
)
async def test_a_refusal_tells_the_clock_of_an_axon(
    prober: Prober, offset_s: float, serves: bool, verdict: Verdict, words: str
) -> None:
    async with axons(offset_s) as peers:
        finding = await ask(prober, peers, serves=serves)
    assert finding.verdict is verdict
    assert words in finding.found
    assert "1 by a refusal of an old request" in finding.found


async def test_it_is_this_clock_that_may_be_wrong() -> None:
    async with axons(0.0) as peers, Prober(
        allow_private=True, timeout_s=5.0, clock_ns=shifted(-4.0)
    ) as slow:  # fmt: skip
        finding = await ask(slow, peers)
    assert finding.verdict is Verdict.FAIL
    assert "this clock is 4.00 s behind" in finding.found


async def test_a_peer_of_many_that_lies_changes_nothing(prober: Prober) -> None:
    async with axons(0.0, 0.0, 900.0) as peers:
        finding = await ask(prober, peers)
    assert finding.verdict is Verdict.OK
    assert "the middle of 3 peers" in finding.found


async def test_the_route_is_taken_from_the_record(prober: Prober) -> None:
    async with Axon(Keypair.from_uri("//Bob"), ip="127.0.0.1", port=0).attach(custom) as axon:
        exact = await ask(prober, [axon.info()])
        info = axon.info()
        unknown = await ask(prober, [Peer(info.hotkey, info.ip, info.port)])
    assert "1 by a refusal" in exact.found
    assert "1 by the Date header" in unknown.found


def page(*lines: str, status: str = "404 Not Found", body: str = "") -> Callable[..., object]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines, "", body]
        writer.write("\r\n".join(head).encode())
        await writer.drain()

    return serve


@pytest.mark.parametrize(
    ("offset_s", "verdict"), [(0.0, Verdict.OK), (7.0, Verdict.FAIL), (-7.0, Verdict.FAIL)]
)
async def test_any_server_tells_the_second(
    prober: Prober, offset_s: float, verdict: Verdict
) -> None:
    script = page(f"Date: {formatdate(time.time() + offset_s, usegmt=True)}")
    async with scripted_peer(script, FAR) as peer:  # type: ignore[arg-type]
        finding = await ask(prober, [peer])
    assert finding.verdict is verdict
    assert "1 by the Date header" in finding.found


STALE = '{"code": "stale_request", "clock_offset_s": %s}'


@pytest.mark.parametrize(
    "script",
    [
        page("Date: never"),
        page("Date: Mon, 99 Foo 99999 00:00:00 GMT"),
        page(),
        page(status="401 No", body=STALE % '"soon"'),
        page(status="401 No", body=STALE % "1e300"),
        page(status="401 No", body=STALE % "NaN"),
        page(status="401 No", body=STALE % "null"),
        page(status="401 No", body="[" * 10_000),
        page(status="200 OK", body=STALE % "3600"),
    ],
)
async def test_what_tells_no_time_is_left_out(
    prober: Prober, script: Callable[..., object]
) -> None:
    async with scripted_peer(script, FAR) as peer:  # type: ignore[arg-type]
        finding = await ask(prober, [peer])
    assert (finding.verdict, finding.found) == (Verdict.WARN, "none of 1 peers answered")


@pytest.mark.parametrize(("is_local", "verdict"), [(True, Verdict.OK), (False, Verdict.WARN)])
async def test_nobody_to_ask(
    prober: Prober, free_port: int, is_local: bool, verdict: Verdict
) -> None:
    for peers in ([], [Peer(FAR, "127.0.0.1", free_port)]):
        finding = await check_clock(
            prober, peers, serves=True, is_local=is_local, rng=random.Random(1)
        )
        assert finding.verdict is verdict


async def test_private_peers_are_not_asked_by_a_careful_prober() -> None:
    async with axons(0.0) as peers, Prober(allow_private=False, timeout_s=5.0) as careful:
        assert (await ask(careful, peers)).verdict is Verdict.WARN


def test_only_so_many_are_asked() -> None:
    asked: list[str] = []

    class Counting:
        clock_ns = staticmethod(time.time_ns)

        async def post(self, url: str, body: bytes, headers: dict[str, str]) -> None:
            from node.errors import PeerUnreachable

            asked.append(url)
            raise PeerUnreachable("no")

    peers = [Peer(Keypair.generate().ss58_address, "8.8.8.8", port) for port in range(1, 41)]
    finding = asyncio.run(ask(Counting(), peers))  # type: ignore[arg-type]
    assert len(asked) == len(set(asked)) == 9
    assert "none of 9 peers" in finding.found


def test_a_date_is_taken_for_the_middle_of_its_second() -> None:
    second_ns = 1_700_000_000 * 10**9
    for late_ns, offset_s in ((0, 0.5), (500_000_000, 0.0), (999_000_000, -0.499)):
        now_ns = second_ns + late_ns
        date = formatdate(1_700_000_000, usegmt=True)
        reading = _of_date(Answer(404, {}, date, now_ns - 10**6, now_ns + 10**6))
        assert reading is not None
        assert reading.offset_s == pytest.approx(offset_s, abs=1e-5)
        assert reading.error_s == pytest.approx(0.501)


def test_an_error_is_not_held_against_the_clock() -> None:
    assert judge_clock([Reading(1.4, 0.5, False)], serves=True).verdict is Verdict.OK
    assert judge_clock([Reading(1.6, 0.5, False)], serves=True).verdict is Verdict.WARN
    assert judge_clock([Reading(2.4, 0.5, False)], serves=True).verdict is Verdict.WARN
    assert judge_clock([Reading(2.6, 0.5, False)], serves=True).verdict is Verdict.FAIL


def test_of_two_the_mean_counts() -> None:
    found = judge_clock([Reading(0.0, 0.1, True), Reading(1.0, 0.2, True)], serves=True).found
    assert "0.50 s behind" in found
    assert "±0.20 s" in found
