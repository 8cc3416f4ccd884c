from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from node import Axon, Dendrite, Keypair, Peer, Synapse
from tests.raw_http import RawConnection, read_request, scripted_peer

from .synapses import Echo


class Shape(BaseModel):
    name: str
    sides: list[float] = Field(default_factory=list)


class Rich(Synapse):
    """One field of each kind that protocols use."""

    shape: Shape
    raw: bytes
    when: datetime
    price: Decimal
    tags: set[str] = Field(default_factory=set)
    table: dict[int, tuple[str, float]] = Field(default_factory=dict)
    maybe: Shape | None = None
    score: float = 0.0
    named: str = Field("", alias="otherName")

    model_config = ConfigDict(populate_by_name=True)


class Deserialized(Echo):
    def deserialize(self) -> str:
        return f"<{self.answer}>"


async def echo(synapse: Echo) -> Echo:
    synapse.answer = synapse.text[::-1]
    return synapse


async def test_a_reply_carries_the_answer_and_status_200(axon: Axon, dendrite: Dendrite) -> None:
    axon.attach(echo)
    async with axon:
        reply = await dendrite(axon.info(), Echo(text="é日🚀"), timeout=5)
    assert reply.answer == "🚀日é"
    assert reply.is_success
    assert not reply.is_failure
    assert (reply.dendrite.status_code, reply.dendrite.status_message) == (200, "Success")
    assert (reply.axon.status_code, reply.axon.hotkey) == (200, axon.hotkey)
    assert reply.dendrite.process_time > 0


async def test_the_callers_own_synapse_is_left_as_it_was(axon: Axon, dendrite: Dendrite) -> None:
    axon.attach(echo)
    asked = Echo(text="abc")
    async with axon:
        first, second = await dendrite([axon.info(), axon.info()], asked)
    assert (asked.answer, asked.dendrite.status_code) == ("", None)
    assert first is not second
    assert first.answer == second.answer == "cba"


async def test_every_kind_of_field_travels_both_ways(axon: Axon, dendrite: Dendrite) -> None:
    seen: list[Rich] = []

    def forward(synapse: Rich) -> Rich:
        seen.append(synapse.model_copy(deep=True))
        synapse.tags = {"b", "a"}
        synapse.table = {1: ("x", 2.5)}
        synapse.maybe = synapse.shape
        synapse.score = float("inf")
        synapse.named = "by alias"
        return synapse

    axon.attach(forward)
    asked = Rich(
        shape=Shape(name="é", sides=[1, 2.5]),
        raw=bytes(range(256)),
        when=datetime(2024, 2, 29, 12, tzinfo=UTC),
        price=Decimal("0.10"),
    )
    async with axon:
        reply = await dendrite(axon.info(), asked)
    assert reply.is_success, reply.dendrite.status_message
    for field in ("shape", "raw", "when", "price"):
        assert getattr(seen[0], field) == getattr(reply, field) == getattr(asked, field)
    assert reply.tags == {"a", "b"}
    assert reply.table == {1: ("x", 2.5)}
    assert reply.maybe == asked.shape
    assert reply.score == float("inf")
    assert reply.named == "by alias"


async def test_a_reply_does_not_rewrite_the_question(axon: Axon, dendrite: Dendrite) -> None:
    def forward(synapse: Echo) -> Echo:
        synapse.text = "something else"
        synapse.answer = "an answer"
        return synapse

    axon.attach(forward)
    async with axon:
        reply = await dendrite(axon.info(), Echo(text="mine"))
    assert (reply.text, reply.answer) == ("mine", "an answer")


@pytest.mark.parametrize("deserialize", [True, False])
async def test_deserialize_chooses_what_a_call_returns(
    axon: Axon, dendrite: Dendrite, deserialize: bool
) -> None:
    def forward(synapse: Deserialized) -> Deserialized:
        synapse.answer = "x"
        return synapse

    axon.attach(forward)
    async with axon:
        reply = await dendrite(axon.info(), Deserialized(text=""), deserialize=deserialize)
    assert reply == "<x>" if deserialize else reply.answer == "x"


async def test_a_forward_sees_timeout_and_both_ends(
    axon: Axon, dendrite: Dendrite, alice: Keypair
) -> None:
    seen: list[Echo] = []

    def forward(synapse: Echo) -> Echo:
        seen.append(synapse)
        return synapse

    axon.attach(forward)
    before_ns = time.time_ns()
    async with axon:
        await dendrite(axon.info(), Echo(text=""), timeout=7.5)
        await dendrite(axon.info(), Echo(text=""), timeout=None)
    assert seen[0].timeout == 7.5
    assert seen[1].timeout == 12.0  # the default of the class: the caller said nothing
    end = seen[0].dendrite
    assert (end.hotkey, end.ip) == (alice.ss58_address, "127.0.0.1")
    assert end.port
    assert before_ns <= (end.nonce or 0) <= time.time_ns()
    assert (seen[0].axon.hotkey, seen[0].axon.port) == (axon.hotkey, axon.port)


@pytest.mark.parametrize("form", ["peer", "text", "axon"])
async def test_one_peer_in_any_spelling_gives_one_reply(
    axon: Axon, dendrite: Dendrite, form: str
) -> None:
    axon.attach(echo)
    async with axon:
        peer = {"peer": axon.info(), "text": str(axon.info()), "axon": axon}[form]
        reply = await dendrite(peer, Echo(text="ab"))
        replies = await dendrite((peer, peer), Echo(text="ab"))
    assert reply.answer == "ba"
    assert [one.answer for one in replies] == ["ba", "ba"]


async def test_calls_one_after_another_share_a_connection(axon: Axon, dendrite: Dendrite) -> None:
    ports: list[int | None] = []

    def forward(synapse: Echo) -> Echo:
        ports.append(synapse.dendrite.port)
        return synapse

    axon.attach(forward)
    async with axon:
        for _ in range(5):
            assert (await dendrite(axon.info(), Echo(text=""))).is_success
    assert len(ports) == 5
    assert len(set(ports)) == 1


async def test_a_peer_that_came_back_on_its_port_is_reached_again(
    bob: Keypair, dendrite: Dendrite
) -> None:
    first = Axon(bob, ip="127.0.0.1", port=0).attach(echo)
    async with first:
        assert (await dendrite(first.info(), Echo(text="1"))).is_success
    async with Axon(bob, ip="127.0.0.1", port=first.port).attach(echo):
        reply = await dendrite(first.info(), Echo(text="2"))
    assert reply.is_success, reply.dendrite.status_message


async def test_an_axon_starts_again_after_it_stopped(axon: Axon, dendrite: Dendrite) -> None:
    axon.attach(echo)
    for text in ("once", "twice"):
        async with axon:
            assert (await dendrite(axon.info(), Echo(text=text))).answer == text[::-1]
    await axon.stop()  # a second stop is nothing


async def test_starting_a_started_axon_is_refused(axon: Axon) -> None:
    async with axon:
        with pytest.raises(RuntimeError, match="already started"):
            await axon.start()


async def test_200_calls_at_once_all_succeed(axon: Axon, dendrite: Dendrite) -> None:
    axon.attach(echo)
    async with axon:
        replies = await asyncio.gather(
            *(dendrite(axon.info(), Echo(text=str(number))) for number in range(200))
        )
    assert [reply.dendrite.status_code for reply in replies] == [200] * 200
    assert [reply.answer[::-1] for reply in replies] == [str(number) for number in range(200)]


async def test_64_requests_of_one_dendrite_arriving_shuffled_are_all_200(
    axon: Axon, dendrite: Dendrite, bob: Keypair
) -> None:
    arrivals: list[int] = []

    async def forward(synapse: Echo) -> Echo:
        arrivals.append(int(synapse.text))
        return synapse

    held: list[asyncio.Event] = []

    async def shuffling_door(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await read_request(reader)
        turn = asyncio.Event()
        held.append(turn)
        if len(held) == 64:
            asyncio.get_running_loop().call_soon(turns_begin.set)
        await turn.wait()
        async with await RawConnection.open(axon.port) as inner:
            await inner.send(head + body)
            turns_passed.release()
            writer.write(await inner.reader.readuntil(b"}"))
            await writer.drain()

    turns_begin, turns_passed = asyncio.Event(), asyncio.Semaphore(0)

    async def shuffle() -> None:
        await turns_begin.wait()
        random.Random(7).shuffle(held)
        for turn in held:
            turn.set()
            await turns_passed.acquire()

    axon.attach(forward)
    async with axon, scripted_peer(shuffling_door, bob.ss58_address) as door:
        shuffling = asyncio.create_task(shuffle())
        calls = (dendrite(door, Echo(text=str(number))) for number in range(64))
        replies = await asyncio.gather(*calls)
        await shuffling
    assert [reply.dendrite.status_code for reply in replies] == [200] * 64
    assert sorted(arrivals) == list(range(64))
    assert arrivals != sorted(arrivals)


async def test_query_needs_no_loop_and_works_twice(axon: Axon, alice: Keypair) -> None:
    axon.attach(echo)
    caller = Dendrite(alice)
    async with axon:
        one = await asyncio.to_thread(caller.query, axon.info(), Echo(text="ab"))
        many = await asyncio.to_thread(caller.query, [axon.info()] * 2, Echo(text="cd"))
    assert one.answer == "ba"
    assert [reply.answer for reply in many] == ["dc", "dc"]


async def test_query_inside_a_loop_says_what_to_do_instead(
    dendrite: Dendrite, bob: Keypair
) -> None:
    peer = Peer(hotkey=bob.ss58_address, ip="127.0.0.1", port=1)
    with pytest.raises(RuntimeError, match="await dendrite"):
        dendrite.query(peer, Echo(text=""))
