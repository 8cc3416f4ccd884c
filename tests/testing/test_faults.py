"""Every fault on the wire: what a caller meets, on both transports, in every form of a protocol."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from node import Stream, Synapse, TextStream, errors
from node.dendrite import StreamTiming
from node.testing import FAULTS, Behaviour, Fault, TestNetwork
from protocols import StreamPrompting
from tests.testing.synapses import TEXT, WORDS, Plain, Typed, Upper, plain, typed, upper

DELAY_S = 0.25
OPTIONS: dict[str, dict[str, Any]] = {
    "slow_first_byte": {"delay_s": DELAY_S},
    "buffering": {"delay_s": DELAY_S},
    "dripping": {"pause_s": 0.01},
}
# Those that never end are waited for this long; all others for as long as a busy machine takes.
ENDLESS, ENDLESS_S, PATIENT_S = ("silent", "dripping", "flooding"), 0.8, 10.0
EVERY = [Fault(name, **OPTIONS.get(name, {})) for name in FAULTS]
QUESTIONS: list[Synapse] = [
    StreamPrompting(messages=[TEXT]), Plain(text=TEXT), Typed(text=TEXT), Upper(text=TEXT),
]  # fmt: skip


async def prompting(synapse: StreamPrompting) -> AsyncIterator[str]:
    for word in synapse.messages[0].split():
        yield f"{word} "
        await asyncio.sleep(0.001)


FORWARDS: list[Callable[..., Any]] = [prompting, plain, typed, upper]


@dataclass
class Met:
    """What a caller met."""

    synapse: Any
    error: Exception | None
    timing: StreamTiming | None
    receipt: Any
    took_s: float

    @property
    def answer(self) -> Any:
        """What the protocol says that the answer is."""
        synapse = self.synapse
        if isinstance(synapse, Upper):
            return synapse.answer, synapse.parts, synapse.length, synapse.tone
        if isinstance(synapse, Typed):
            return synapse.header, synapse.items, synapse.footer
        return synapse.completion


async def meet(net: TestNetwork, question: Synapse, **options: Any) -> dict[str, Met]:
    """Ask every peer at once, and return what was met by the name of the fault."""
    dendrite = net.dendrite(**options)

    async def ask(peer: Any) -> Met:
        began = time.perf_counter()
        error = stream = None
        copy: Any = question
        timeout = ENDLESS_S if net.faulty.get(peer) in ENDLESS else PATIENT_S
        try:
            if isinstance(question, Upper):
                copy = await dendrite.call(peer, question, timeout, raise_errors=True)
            else:
                stream = await dendrite.stream(peer, question, timeout, raise_errors=True)
                copy = await stream.final()
        except errors.CallError as raised:
            error = raised
        timing = stream.timing if isinstance(stream, Stream) else None
        receipt = stream.receipt if isinstance(stream, Stream) else copy.receipt
        if stream is not None and error is not None:
            copy = stream._synapse
        return Met(copy, error, timing, receipt, time.perf_counter() - began)

    met = await asyncio.gather(*(ask(peer) for peer in net.peers))
    return {net.faulty.get(peer, "honest"): one for peer, one in zip(net.peers, met, strict=True)}


def is_right(met: Met, honest: Met) -> bool:
    return met.error is None and met.answer == honest.answer


def ran_out(met: Met) -> bool:
    return isinstance(met.error, errors.PeerTimeout) and met.error.phase == "total"


@pytest.mark.parametrize("transport", ["memory", "loopback"])
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: type(question).__name__)
async def test_each_fault_is_what_its_name_says(question: Synapse, transport: str) -> None:
    async with TestNetwork(1, EVERY, forward=FORWARDS, transport=transport) as net:
        met = await meet(net, question)
    honest = met["honest"]
    is_unary = isinstance(question, Upper)
    assert honest.error is None
    assert honest.receipt is not None

    assert isinstance(met["dead"].error, errors.PeerUnreachable)
    assert "connection refused" in str(met["dead"].error)
    assert ran_out(met["silent"])
    refused = met["refusing"].error
    assert isinstance(refused, errors.PeerRefused)
    assert (refused.status, refused.code) == (503, "overloaded")
    for late in ("slow_first_byte", "buffering"):
        assert is_right(met[late], honest)
        assert met[late].took_s >= DELAY_S
        assert met[late].receipt is not None
    assert ran_out(met["dripping"])
    assert is_right(met["byte_splitting"], honest)
    assert met["byte_splitting"].receipt is not None
    assert isinstance(met["truncating"].error, errors.StreamInterrupted)
    assert isinstance(met["wrong_receipt"].error, errors.BadReceipt)
    assert ran_out(met["flooding"])
    assert isinstance(met["garbage"].error, errors.BadReply)
    crashed = met["crashing"].error
    assert isinstance(crashed, errors.PeerRefused)
    assert (crashed.status, crashed.code) == (500, "forward_failed")
    # Those that lie sign what they say, and it holds.
    for liar in ("lying_about_tokens", "wrong_answer"):
        assert met[liar].error is None
        assert met[liar].receipt is not None
        assert met[liar].answer != honest.answer
    if not is_unary:
        check_chunks(met)


def check_chunks(met: dict[str, Met]) -> None:
    timing = {name: one.timing for name, one in met.items()}
    chunks = {name: 0 if one is None else one.chunks for name, one in timing.items()}
    extra = 2 if isinstance(met["honest"].synapse, Typed) else 0  # header and footer
    whole = len(WORDS) + extra
    assert chunks["honest"] == chunks["byte_splitting"] == chunks["buffering"] == whole
    assert chunks["truncating"] == whole // 2
    assert chunks["crashing"] == 1
    assert chunks["lying_about_tokens"] == 2 * len(WORDS) + extra
    assert 0 < chunks["dripping"] < whole
    assert chunks["flooding"] > 10 * whole
    split, dumped = timing["byte_splitting"], timing["buffering"]
    assert split is not None
    assert split.reads == whole
    assert dumped is not None
    assert dumped.burstiness == 1.0


async def test_the_wrong_text_is_wrong_in_its_letters() -> None:
    async with TestNetwork(0, ["wrong_answer", "lying_about_tokens"], forward=prompting) as net:
        met = await meet(net, StreamPrompting(messages=["abc 12"]))
    assert met["wrong_answer"].answer == "bcd 23 "
    assert met["lying_about_tokens"].answer == "abc abc 12 12 "


async def test_wrong_fields_of_a_reply_in_one_piece_are_those_of_the_answer() -> None:
    async with TestNetwork(0, ["wrong_answer", "lying_about_tokens"], forward=upper) as net:
        met = await meet(net, Upper(text="ab c"))
    assert met["wrong_answer"].answer == ("BC D", ["bc", "d"], 5, "loud")
    assert met["lying_about_tokens"].answer == ("AB CAB C", ["ab", "c", "ab", "c"], 4, "loud")


async def test_a_typed_stream_stays_one_while_it_lies() -> None:
    async with TestNetwork(0, ["wrong_answer", "lying_about_tokens"], forward=typed) as net:
        met = await meet(net, Typed(text="a b"))
    header, items, footer = met["wrong_answer"].answer
    assert (header.model, footer.count) == ("fdip", 3)
    assert [(item.text, item.index) for item in items] == [("b", 1), ("c", 2)]
    header, items, footer = met["lying_about_tokens"].answer
    assert (header.model, footer.count) == ("echo", 2)
    assert [item.text for item in items] == ["a", "a", "b", "b"]


async def test_tokens_may_be_split_so_that_only_a_count_of_chunks_is_fooled() -> None:
    split = Fault("lying_about_tokens", how="split")
    async with TestNetwork(1, [split], forward=FORWARDS) as net:
        for question in QUESTIONS:
            met = await meet(net, question)
            assert is_right(met["lying_about_tokens"], met["honest"])
            timing = met["lying_about_tokens"].timing
            if isinstance(question, TextStream):
                assert timing is not None
                assert timing.chunks == len("".join(WORDS))


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: type(question).__name__)
async def test_a_receipt_may_be_for_another_reply(question: Synapse) -> None:
    fault = Fault("wrong_receipt", of="reply")
    async with TestNetwork(0, [fault], forward=FORWARDS) as net:
        met = await meet(net, question)
    error = met["wrong_receipt"].error
    assert isinstance(error, errors.BadReceipt)
    assert "for another reply than the one that came" in str(error)


async def test_a_receipt_by_another_key_names_that_key() -> None:
    async with TestNetwork(0, ["wrong_receipt"], forward=upper) as net:
        error = (await meet(net, Upper(text="a")))["wrong_receipt"].error
        assert f"not of {net.peers[0].hotkey}" in str(error)


@pytest.mark.parametrize("mode", ["frames", "sse"])
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: type(question).__name__)
async def test_garbage_in_frames_comes_under_a_right_head(question: Synapse, mode: str) -> None:
    async with TestNetwork(0, [Fault("garbage", what="frames")], forward=FORWARDS) as net:
        met = await meet(net, question, mode=mode)
    error = met["garbage"].error
    assert isinstance(error, errors.BadReply)
    assert "what is no HTTP" not in str(error)


@pytest.mark.parametrize(
    ("status", "code"), [(403, "forbidden"), (429, "rate_limited"), (503, "overloaded")]
)
async def test_a_refusal_has_the_status_that_was_asked_for(status: int, code: str) -> None:
    fault = Fault("refusing", status=status, retry_after_s=2)
    async with TestNetwork(0, [fault], forward=upper) as net:
        error = (await meet(net, Upper(text="a")))["refusing"].error
    assert isinstance(error, errors.PeerRefused)
    assert (error.status, error.code, error.retry_after) == (status, code, 2.0)


async def test_a_crash_may_come_before_the_stream() -> None:
    async with TestNetwork(0, [Fault("crashing", after_chunks=0)], forward=FORWARDS) as net:
        for question in QUESTIONS:
            crashed = (await meet(net, question))["crashing"]
            assert isinstance(crashed.error, errors.PeerRefused)
            assert crashed.error.status == 500
            assert crashed.timing is None or crashed.timing.chunks == 0


async def test_a_crash_is_not_put_off_for_ever_by_a_short_stream() -> None:
    async with TestNetwork(0, [Fault("crashing", after_chunks=99)], forward=prompting) as net:
        crashed = (await meet(net, StreamPrompting(messages=[TEXT])))["crashing"]
    assert isinstance(crashed.error, errors.PeerRefused)
    assert crashed.answer == "".join(WORDS)


async def test_a_stream_of_one_chunk_is_cut_in_the_middle_of_it() -> None:
    async with TestNetwork(0, ["truncating"], forward=prompting) as net:
        met = (await meet(net, StreamPrompting(messages=["hello"])))["truncating"]
    assert isinstance(met.error, errors.StreamInterrupted)
    assert met.answer == "hel"


@pytest.mark.parametrize("mode", ["sse", "raw"])
async def test_faults_do_not_depend_on_the_mode_of_the_stream(mode: str) -> None:
    async with TestNetwork(1, EVERY, forward=FORWARDS) as net:
        met = await meet(net, QUESTIONS[0], mode=mode)
    honest = met["honest"]
    for right in ("slow_first_byte", "buffering", "byte_splitting"):
        assert is_right(met[right], honest)
    for late in ENDLESS:
        assert ran_out(met[late])
    assert isinstance(met["truncating"].error, errors.StreamInterrupted)
    assert met["wrong_answer"].answer != honest.answer
    assert (met["crashing"].error is None) is False
    # Only a mode with an END carries a receipt.
    assert isinstance(met["wrong_receipt"].error, errors.BadReceipt) is (mode == "sse")


async def test_a_dripping_peer_is_never_idle_and_sends_its_head_at_once() -> None:
    async with TestNetwork(0, [Fault("dripping", pause_s=0.01)], forward=prompting) as net:
        dendrite = net.dendrite(idle=0.5, first_byte=0.8)
        async with dendrite.stream(net.peers[0], StreamPrompting(messages=[TEXT]), 1.0) as stream:
            final = await stream.final()
        assert final.dendrite.status_message == "the total deadline passed"
        # Its 200 bytes would take two seconds at the pace of the rest.
        assert stream.timing.headers_s is not None
        assert stream.timing.longest_gap_s >= 0.05, "a word takes more than one byte"


async def test_a_dripped_reply_is_right_for_who_waits() -> None:
    async with TestNetwork(1, [Fault("dripping", pause_s=0.0)], forward=FORWARDS) as net:
        for question in QUESTIONS:
            met = await meet(net, question)
            assert is_right(met["dripping"], met["honest"])


async def test_a_flood_ends_when_its_caller_leaves() -> None:
    async with TestNetwork(0, ["flooding"], forward=FORWARDS) as net:
        dendrite = net.dendrite(max_reply_bytes=50_000)
        with pytest.raises(errors.BadReply, match="over 50000 bytes"):
            await dendrite.call(net.peers[0], Upper(text="a"), raise_errors=True)
        stream = await dendrite(net.peers[0], StreamPrompting(messages=[TEXT]))
        async for _ in stream.chunks():
            if stream.timing.bytes > 50_000:
                break
        (member,) = net._members
        assert member._axon is not None
        server = member._axon._server
        assert server is not None
        for _ in range(100):
            if not server._running:
                return
            await asyncio.sleep(0.01)
        pytest.fail("it went on without a reader")


async def test_byte_splitting_works_for_many_requests_on_one_connection() -> None:
    async with TestNetwork(0, ["byte_splitting"], forward=upper) as net:
        dendrite = net.dendrite()
        for number in range(5):
            reply = await dendrite.call(net.peers[0], Upper(text=f"x{number}"), raise_errors=True)
            assert reply.answer == f"X{number}"


@dataclass(frozen=True)
class Shuffling(Behaviour):
    """Sends the first two chunks in the wrong order: a fault of a user's own."""

    name = "shuffling"

    async def stream(self, push: Any, write: Any, cut: Any) -> None:
        held: list[Any] = []

        async def keep(item: Any) -> None:
            held.append(item)

        await push(keep)
        for item in [held[1], held[0], *held[2:]]:
            await write(item)


async def test_a_fault_of_ones_own_is_a_subclass() -> None:
    async with TestNetwork(1, {Shuffling(): 2}, forward=prompting) as net:
        assert list(net.faulty.values()) == ["shuffling", "shuffling"]
        met = await meet(net, StreamPrompting(messages=["a b c"]))
    assert met["shuffling"].answer == "b a c "
    assert met["shuffling"].receipt is not None
