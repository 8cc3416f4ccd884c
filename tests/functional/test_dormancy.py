"""A peer that is not there is left alone, and comes back by itself: over real sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from node import Axon, Dendrite, Keypair, Peer
from node.dendrite import Dormancy
from node.errors import (
    BadReply,
    CallError,
    PeerDormant,
    PeerRefused,
    PeerTimeout,
    PeerUnreachable,
    StreamInterrupted,
)
from node.streams import FrameKind, encode_frame
from tests.raw_http import Script, read_request, reply_head, scripted_peer

from .synapses import PATIENCE_S, Echo, Words, until

FRAMES = reply_head("application/x-ganglion-frames", "Connection: close")
TWO_BYTES = ("Content-Length: 2", "Connection: close")


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dormancy(clock: Clock) -> Dormancy:
    """Three failures, then 10 s, 20 s, 40 s."""
    return Dormancy(after=3, first_s=10.0, longest_s=40.0, jitter=0.0, clock=clock)


@pytest.fixture
async def patient(alice: Keypair, dormancy: Dormancy) -> AsyncIterator[Dendrite]:
    """Alice's dendrite with that dormancy."""
    async with Dendrite(alice, dormancy=dormancy) as dendrite:
        yield dendrite


@pytest.fixture
def dead(bob: Keypair) -> Iterator[Peer]:
    """Bob, at a port of which the test is sure that nobody listens there."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield Peer(hotkey=bob.ss58_address, ip="127.0.0.1", port=holder.getsockname()[1])


class Visits:
    """A peer's script that counts who comes, and then does as another says."""

    def __init__(self, script: Script) -> None:
        self.count = 0
        self.script = script

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        await self.script(reader, writer)


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def saying(*parts: bytes, pause_s: float = 0.0) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return script


async def echo(synapse: Echo) -> Echo:
    synapse.answer = synapse.text
    return synapse


async def words(synapse: Words) -> AsyncIterator[str]:
    for number in range(synapse.count):
        yield f"{number} "
        await asyncio.sleep(0.01)


def question(*, streamed: bool) -> Any:
    return Words() if streamed else Echo(text="x")


async def fail(dendrite: Dendrite, peer: Peer, times: int = 3, **options: Any) -> list[str]:
    """Ask so often, and return the kinds of errors that came."""
    kinds = []
    for _ in range(times):
        with pytest.raises(CallError) as caught:
            await dendrite.call(peer, Echo(text="x"), raise_errors=True, **options)
        kinds.append(type(caught.value).__name__)
    return kinds


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_peer_that_is_gone_is_left_alone_and_comes_back_by_itself(
    patient: Dendrite, dead: Peer, bob: Keypair, clock: Clock, streamed: bool
) -> None:
    async def ask() -> Any:
        return await patient.call(dead, question(streamed=streamed), raise_errors=True)

    for _ in range(3):
        with pytest.raises(PeerUnreachable, match="refused"):
            await ask()
    axon = Axon(bob, ip="127.0.0.1", port=dead.port).attach(echo).attach(words)
    async with axon:
        with pytest.raises(PeerDormant, match="asked again in 10 s"):
            await ask()
        clock.now += 9.9
        with pytest.raises(PeerDormant) as caught:
            await ask()
        assert caught.value.retry_after == pytest.approx(0.1)
        clock.now += 0.1
        for _ in range(3):
            assert (await ask()).is_success
    assert patient.dormancy is not None
    assert patient.dormancy.failing == 0


async def test_a_dormant_peer_is_not_touched(patient: Dendrite, bob: Keypair, clock: Clock) -> None:
    visits = Visits(hang_up)
    async with scripted_peer(visits, bob.ss58_address) as peer:
        assert await fail(patient, peer, 3) == ["PeerUnreachable"] * 3
        assert await fail(patient, peer, 50) == ["PeerDormant"] * 50
        async with patient.fan_out([peer] * 50, Words()) as streams:
            assert {(await stream).dendrite.status_code for stream in streams} == {503}
        assert visits.count == 3
        rests = []
        for _ in range(4):
            assert patient.dormancy is not None
            rests.append(patient.dormancy.wait_s(peer))
            clock.now += rests[-1]
            assert await fail(patient, peer, 2) == ["PeerUnreachable", "PeerDormant"]
    assert rests == [10.0, 20.0, 40.0, 40.0]
    assert visits.count == 7


async def test_of_many_calls_at_once_one_is_the_probe(
    patient: Dendrite, dead: Peer, bob: Keypair, clock: Clock
) -> None:
    seen: list[str] = []
    answer = asyncio.Event()

    async def slow(synapse: Echo) -> Echo:
        seen.append(synapse.text)
        await answer.wait()
        return synapse

    await fail(patient, dead, 3)
    clock.now += 10
    async with Axon(bob, ip="127.0.0.1", port=dead.port).attach(slow):
        calls = [
            asyncio.ensure_future(patient(dead, Echo(text=str(number)))) for number in range(8)
        ]
        await until(lambda: seen)
        await until(lambda: sum(call.done() for call in calls) == 7)
        answer.set()
        replies = await asyncio.gather(*calls)
        assert [reply.dendrite.status_code for reply in replies] == [200] + [503] * 7
        assert "finding out now" in (replies[1].dendrite.status_message or "")
        assert all(reply.is_success for reply in await patient([dead] * 8, Echo(text="after")))
    assert seen == ["0"] + ["after"] * 8


async def test_as_a_value_it_is_a_503_that_took_no_time_and_disturbs_no_other_reply(
    patient: Dendrite, dead: Peer, clock: Clock
) -> None:
    charlie = Keypair.from_uri("//Charlie")
    await fail(patient, dead, 3)
    async with Axon(charlie, ip="127.0.0.1", port=0).attach(echo) as axon:
        gone, there = await patient([dead, axon.info()], Echo(text="x"))
    assert (gone.dendrite.status_code, there.dendrite.status_code) == (503, 200)
    assert gone.dendrite.status_message == (
        "it was not there 3 times in a row; it is asked again in 10 s"
    )
    assert gone.dendrite.process_time == 0.0


FAILURES: dict[str, tuple[type[CallError], Script, bool]] = {
    "it hangs up before it answers": (PeerUnreachable, hang_up, False),
    "it takes the connection and says nothing": (PeerTimeout, say_nothing, False),
    "it breaks off in a unary reply": (
        StreamInterrupted,
        saying(reply_head("application/json", "Content-Length: 100") + b'{"answer"'),
        False,
    ),
    "it breaks off in a stream": (
        StreamInterrupted,
        saying(FRAMES + encode_frame(FrameKind.CHUNK, b"x")),
        True,
    ),
    "it stops in a stream": (
        PeerTimeout,
        saying(FRAMES + encode_frame(FrameKind.CHUNK, b"x"), pause_s=60),
        True,
    ),
}


@pytest.mark.parametrize("case", FAILURES)
async def test_these_mean_that_a_peer_is_not_there(
    alice: Keypair, bob: Keypair, dormancy: Dormancy, case: str
) -> None:
    kind, script, streamed = FAILURES[case]
    visits = Visits(script)
    async with (
        scripted_peer(visits, bob.ss58_address) as peer,
        Dendrite(alice, first_byte=0.05, idle=0.05, dormancy=dormancy) as dendrite,
    ):
        for _ in range(3):
            with pytest.raises(kind):
                await dendrite.call(peer, question(streamed=streamed), raise_errors=True)
        with pytest.raises(PeerDormant):
            await dendrite.call(peer, question(streamed=streamed), raise_errors=True)
    assert visits.count == 3


def refusing(status: str) -> Script:
    return saying(reply_head("application/json", *TWO_BYTES, status=status) + b"{}")


ANSWERS: dict[str, tuple[type[CallError], Script, bool]] = {
    "it refuses": (PeerRefused, refusing("403 Forbidden"), False),
    "it has no room": (PeerRefused, refusing("503 Service Unavailable"), True),
    "it answers with nonsense": (
        BadReply,
        saying(reply_head("text/plain", *TWO_BYTES) + b"ok"),
        False,
    ),
    "it ends a stream with an error": (
        PeerRefused,
        saying(FRAMES + encode_frame(FrameKind.ERROR, b'{"status": 500}')),
        True,
    ),
    "it streams for longer than its caller waits": (
        PeerTimeout,
        saying(FRAMES, *[encode_frame(FrameKind.CHUNK, b"x")] * 99, pause_s=0.02),
        True,
    ),
    "it sends heartbeats and no chunk": (
        PeerTimeout,
        saying(FRAMES, *[encode_frame(FrameKind.HEARTBEAT, b"")] * 99, pause_s=0.02),
        True,
    ),
}


@pytest.mark.parametrize("case", ANSWERS)
async def test_these_do_not(alice: Keypair, bob: Keypair, dormancy: Dormancy, case: str) -> None:
    kind, script, streamed = ANSWERS[case]
    visits = Visits(hang_up)
    async with (
        scripted_peer(visits, bob.ss58_address) as peer,
        Dendrite(alice, dormancy=dormancy) as dendrite,
    ):
        await fail(dendrite, peer, 2)
        visits.script = script
        timeout = 0.15 if kind is PeerTimeout else 60
        for _ in range(5):
            with pytest.raises(kind):
                await dendrite.call(
                    peer, question(streamed=streamed), timeout=timeout, raise_errors=True
                )
        # A reply that is not complete says neither that it is there for good nor that it is gone.
        assert dormancy.failures(peer) == (2 if kind is PeerTimeout else 0)
    assert visits.count == 7


async def test_a_refusal_between_two_failures_starts_the_count_anew(
    patient: Dendrite, bob: Keypair
) -> None:
    visits = Visits(hang_up)
    async with scripted_peer(visits, bob.ss58_address) as peer:
        await fail(patient, peer, 2)
        visits.script = refusing("429 Too Many Requests")
        await fail(patient, peer, 1)
        visits.script = hang_up
        assert await fail(patient, peer, 3) == ["PeerUnreachable"] * 3
        assert await fail(patient, peer, 1) == ["PeerDormant"]


@pytest.mark.parametrize("streamed", [True, False])
async def test_calls_that_their_caller_cancels_say_nothing_of_the_peer(
    patient: Dendrite,
    dormancy: Dormancy,
    bob: Keypair,
    clock: Clock,
    skip_ahead: Callable[[float], None],
    streamed: bool,
) -> None:
    async def cancelled(peer: Peer) -> None:
        before = visits.count
        call = asyncio.ensure_future(patient.call(peer, question(streamed=streamed)))
        await until(lambda: visits.count > before)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    async def too_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        skip_ahead(61.0)
        await say_nothing(reader, writer)

    visits = Visits(say_nothing)
    async with scripted_peer(visits, bob.ss58_address) as peer:
        for _ in range(5):
            await cancelled(peer)
        assert (visits.count, dormancy.failing) == (5, 0)
        visits.script = too_late
        await fail(patient, peer, 3, timeout=60)
        visits.script = say_nothing
        clock.now += 10
        for _ in range(3):  # each is a probe
            await cancelled(peer)
        assert visits.count == 5 + 3 + 3
        assert dormancy.wait_s(peer) == 0.0


async def test_a_peer_without_an_address_keeps_its_own_reason(
    patient: Dendrite, dormancy: Dormancy, bob: Keypair
) -> None:
    peer = Peer(hotkey=bob.ss58_address, ip="0.0.0.0", port=0)
    for _ in range(5):
        with pytest.raises(PeerUnreachable, match="publishes no address") as caught:
            await patient.call(peer, Echo(text="x"), raise_errors=True)
        assert not isinstance(caught.value, PeerDormant)
    assert dormancy.failing == 0


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENETUNREACH, errno.EADDRNOTAVAIL])
async def test_what_this_machine_lacks_is_no_failure_of_a_peer(
    patient: Dendrite,
    dormancy: Dormancy,
    dead: Peer,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    async def connect(*args: Any, **options: Any) -> Any:
        raise OSError(number, "own trouble")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", connect)
    monkeypatch.setattr("aiohappyeyeballs.start_connection", connect)
    assert await fail(patient, dead, 5) == ["PeerUnreachable"] * 5
    assert dormancy.failing == 0


async def test_a_peer_that_speaks_none_of_our_protocols_was_not_asked(
    patient: Dendrite, dormancy: Dormancy, dead: Peer, clock: Clock
) -> None:
    await fail(patient, dead, 3)
    clock.now += 10
    mute = replace(dead, protocols=("epistula",))
    assert await fail(patient, mute, 2) == ["PeerRefused"] * 2
    assert dormancy.failures(dead) == 3


async def test_a_new_endpoint_is_asked_at_once(
    patient: Dendrite, dormancy: Dormancy, dead: Peer, bob: Keypair
) -> None:
    await fail(patient, dead, 3)
    async with Axon(bob, ip="127.0.0.1", port=0).attach(echo) as axon:
        assert (await patient(axon.info(), Echo(text="x"))).is_success
    assert dormancy.failing == 0


async def test_a_stream_that_began_wakes_its_peer_before_it_ends(
    patient: Dendrite, dead: Peer, bob: Keypair, clock: Clock
) -> None:
    await fail(patient, dead, 3)
    clock.now += 10
    async with Axon(bob, ip="127.0.0.1", port=dead.port).attach(echo).attach(words):
        stream = await patient.stream(dead, Words(count=10_000))
        chunks = stream.chunks()
        await anext(chunks)
        assert (await patient(dead, Echo(text="x"))).is_success
        await stream.aclose()
        await chunks.aclose()  # type: ignore[attr-defined]


async def test_a_dormant_peer_fails_without_waiting_for_a_place(
    alice: Keypair, dormancy: Dormancy, dead: Peer
) -> None:
    charlie = Keypair.from_uri("//Charlie")
    async with (
        Axon(charlie, ip="127.0.0.1", port=0).attach(words) as axon,
        Dendrite(alice, at_once=1, dormancy=dormancy) as dendrite,
    ):
        await fail(dendrite, dead, 3)
        stream = await dendrite(axon.info(), Words(count=10_000))
        async with asyncio.timeout(PATIENCE_S):
            assert await fail(dendrite, dead, 2) == ["PeerDormant"] * 2
        await stream.aclose()
        assert not dendrite._asker._gate._rooms


async def test_who_waited_for_a_place_does_not_ask_a_peer_that_fell_asleep_meanwhile(
    alice: Keypair, dormancy: Dormancy, bob: Keypair
) -> None:
    visits = Visits(hang_up)
    async with (
        scripted_peer(visits, bob.ss58_address) as peer,
        Dendrite(alice, per_peer=1, dormancy=dormancy) as dendrite,
    ):
        replies = await dendrite([peer] * 9, Echo(text="x"))
        assert not dendrite._asker._gate._rooms
    assert visits.count == 3
    messages = [str(reply.dendrite.status_message) for reply in replies]
    assert [("not there 3 times" in message) for message in messages] == [False] * 3 + [True] * 6


async def test_by_default_five_failures_make_a_short_rest(
    alice: Keypair, dead: Peer, clock: Clock
) -> None:
    async with Dendrite(alice) as dendrite:
        assert dendrite.dormancy is not None
        dendrite.dormancy._clock = clock
        assert await fail(dendrite, dead, 7) == ["PeerUnreachable"] * 5 + ["PeerDormant"] * 2
        assert 0 < dendrite.dormancy.wait_s(dead) <= 1.0
        clock.now += 1.0
        assert await fail(dendrite, dead, 2) == ["PeerUnreachable", "PeerDormant"]
        assert 1.0 < dendrite.dormancy.wait_s(dead) <= 2.0


async def test_it_can_be_turned_off(alice: Keypair, dead: Peer) -> None:
    async with Dendrite(alice, dormancy=False) as dendrite:
        assert dendrite.dormancy is None
        assert await fail(dendrite, dead, 20) == ["PeerUnreachable"] * 20


async def test_a_dormancy_that_remembers_nobody_yet_is_used(
    alice: Keypair, dormancy: Dormancy
) -> None:
    async with Dendrite(alice, dormancy=dormancy) as dendrite:
        assert dendrite.dormancy is dormancy


async def test_what_a_user_woke_is_asked_at_once(patient: Dendrite, dead: Peer) -> None:
    await fail(patient, dead, 4)
    assert patient.dormancy is not None
    patient.dormancy.wake(dead)
    assert await fail(patient, dead, 1) == ["PeerUnreachable"]


def test_scripts_without_a_loop_share_it_from_call_to_call(
    alice: Keypair, dead: Peer, clock: Clock
) -> None:
    dendrite = Dendrite(alice)
    assert dendrite.dormancy is not None
    dendrite.dormancy._clock = clock
    codes = [dendrite.query(dead, Echo(text="x")).dendrite.status_message for _ in range(6)]
    assert ["refused" in str(code) for code in codes] == [True] * 5 + [False]


async def test_a_dead_peer_costs_its_timeout_only_so_often(
    alice: Keypair, black_hole: Peer, dormancy: Dormancy
) -> None:
    async with Dendrite(alice, connect=0.1, dormancy=dormancy) as dendrite:
        kinds = await fail(dendrite, black_hole, 100)
    assert kinds == ["PeerTimeout"] * 3 + ["PeerDormant"] * 97


def test_the_errors_of_a_call_are_still_what_they_were() -> None:
    error = PeerDormant("it sleeps", retry_after=2.5, peer="p")
    assert isinstance(error, PeerUnreachable)
    assert (error.status, error.retry_safe, error.retry_after, str(error)) == (
        503, True, 2.5, "p: it sleeps",
    )  # fmt: skip
