from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator
from inspect import isasyncgen
from pathlib import Path
from typing import Any

import pytest

import node
import node.compat as bt
from node import Peer
from node.errors import ConfigError, WalletNotFound
from node.wire import synapse_headers

from .synapses import Double, Letters, double, spell


@pytest.fixture
def served(axon: bt.Axon) -> bt.Axon:
    """Bob's axon, serving both protocols of the tests."""
    return axon.attach(double).attach(spell).start()


@pytest.fixture
def nobody() -> bt.AxonInfo:
    """A neuron that the metagraph lists without an address."""
    return bt.AxonInfo.of(Peer(bt.Keypair.create_from_uri("//Eve").ss58_address, "0.0.0.0", 0))


# query ------------------------------------------------------------------------------------------


def test_query_needs_no_loop_and_can_be_repeated(served: bt.Axon, dendrite: bt.Dendrite) -> None:
    for x in range(3):
        assert dendrite.query(served, Double(x=x)) == 2 * x
    reply = dendrite.query(served.info(), synapse=Double(x=5), timeout=3, deserialize=False)
    assert (reply.y, reply.timeout, reply.dendrite.status_code) == (10, 3.0, 200)
    assert reply.axon.hotkey == served.info().hotkey


def test_query_leaves_the_threads_loop_alone(served: bt.Axon, dendrite: bt.Dendrite) -> None:
    outcome: list[Any] = []

    def work() -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        outcome.append(dendrite.query(served, Double(x=1)))
        outcome.append(asyncio.get_event_loop() is loop)
        loop.close()
        asyncio.set_event_loop(None)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert outcome == [2, True]


def test_query_reads_streams_to_their_end(served: bt.Axon, dendrite: bt.Dendrite) -> None:
    assert dendrite.query([served], Letters(text="abc"), streaming=True) == ["abc"]


async def test_query_inside_a_loop_says_what_to_do(dendrite: bt.Dendrite, axon: bt.Axon) -> None:
    with pytest.raises(RuntimeError, match="here, await dendrite"):
        dendrite.query(axon, Double(x=1))


# Calling ----------------------------------------------------------------------------------------


async def test_one_target_gives_one_reply_and_a_list_a_list(
    served: bt.Axon, dendrite: bt.Dendrite, nobody: bt.AxonInfo
) -> None:
    native = served.native.info()
    async with dendrite:
        for target in (served, served.info(), native, str(native), served.native):
            assert await dendrite(target, Double(x=2)) == 4
        for many in ([served], (served,)):
            assert await dendrite(many, Double(x=2)) == [4]
        assert await dendrite([], Double(x=2)) == []
        replies = await dendrite.forward(
            axons=[nobody, served], synapse=Double(x=2), timeout=5.0, deserialize=False,
            run_async=False,
        )  # fmt: skip
    assert [reply.dendrite.status_code for reply in replies] == [503, 200]
    assert replies[0].is_failure


async def test_the_question_is_not_changed(served: bt.Axon, dendrite: bt.Dendrite) -> None:
    question = Double(x=2)
    async with dendrite:
        reply = await dendrite(served, question, timeout=4, deserialize=False)
    assert (question.y, question.timeout, question.dendrite.status_code) == (None, 12.0, None)
    assert reply.timeout == 4.0


async def test_without_a_limit_the_timeout_is_the_questions(
    served: bt.Axon, dendrite: bt.Dendrite
) -> None:
    async with dendrite:
        reply = await dendrite(served, Double(x=2), timeout=None, deserialize=False)
    assert (reply.y, reply.timeout) == (4, 12.0)


async def test_a_ping_is_a_synapse_without_fields(served: bt.Axon, dendrite: bt.Dendrite) -> None:
    async with dendrite:
        assert (await dendrite(served)).is_success


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_streaming_synapse_gives_generators_whose_last_item_is_the_synapse(
    served: bt.Axon, dendrite: bt.Dendrite, streaming: bool
) -> None:
    async with dendrite:
        responses = await dendrite(
            [served, served], Letters(text="abc"), deserialize=False, streaming=streaming
        )
        for response in responses:
            assert isasyncgen(response)
            *chunks, synapse = [item async for item in response]
            assert chunks == [["a"], ["b"], ["c"]]
            assert isinstance(synapse, Letters)
            assert (synapse.completion, synapse.dendrite.status_code) == ("abc", 200)
        single = await dendrite(served, Letters(text="ab"), streaming=streaming)
        assert [item async for item in single] == [["a"], ["b"], "ab"]


async def test_requests_are_on_the_wire_when_the_call_returns(
    axon: bt.Axon, dendrite: bt.Dendrite
) -> None:
    begun = threading.Event()

    async def forward(synapse: Letters) -> AsyncIterator[str]:
        begun.set()
        yield "x"

    await asyncio.to_thread(axon.attach(forward).start)
    async with dendrite:
        response = await dendrite(axon, Letters(text=""))
        assert await asyncio.to_thread(begun.wait, 5)
        assert [item async for item in response] == [["x"], "x"]
    await asyncio.to_thread(axon.stop)


async def test_leaving_a_stream_closes_it(axon: bt.Axon, dendrite: bt.Dendrite) -> None:
    ended = threading.Event()

    async def forward(synapse: Letters) -> AsyncIterator[str]:
        try:
            while True:
                yield "x"
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    await asyncio.to_thread(axon.attach(forward).start)
    async with dendrite:
        response = await dendrite(axon, Letters(text=""))
        assert await anext(response) == ["x"]
        (here, _) = next(iter(dendrite._open.values()))
        assert here._asker.open_streams
        await response.aclose()
        assert not here._asker.open_streams
        assert await asyncio.to_thread(ended.wait, 5)
    await asyncio.to_thread(axon.stop)


async def test_a_failed_stream_ends_in_a_synapse_that_says_why(
    served: bt.Axon, dendrite: bt.Dendrite, nobody: bt.AxonInfo
) -> None:
    async with dendrite:
        response = await dendrite(nobody, Letters(text="a"), deserialize=False)
        (synapse,) = [item async for item in response]
    assert (synapse.dendrite.status_code, synapse.completion) == (503, "")


async def test_a_plain_synapse_can_be_asked_for_as_a_stream(
    served: bt.Axon, dendrite: bt.Dendrite
) -> None:
    async with dendrite:
        response = await dendrite(served, Double(x=3), streaming=True)
        assert [item async for item in response] == [6]


async def test_call_and_call_stream_ask_one_axon(served: bt.Axon, dendrite: bt.Dendrite) -> None:
    async with dendrite:
        assert await dendrite.call(target_axon=served, synapse=Double(x=3)) == 6
        assert await dendrite.call(served, Letters(text="ab")) == "ab"
        stream = dendrite.call_stream(target_axon=served.info(), synapse=Letters(text="ab"))
        assert [item async for item in stream] == [["a"], ["b"], "ab"]


async def test_a_target_that_is_none_is_refused(dendrite: bt.Dendrite) -> None:
    with pytest.raises(ConfigError, match="is not an axon"):
        await dendrite([None], Double(x=1))
    await dendrite.aclose_session()


async def test_a_subclass_may_override_forward(served: bt.Axon, caller_key: bt.Keypair) -> None:
    class Counting(bt.dendrite):
        count = 0

        async def forward(self, *args: Any, **options: Any) -> Any:
            self.count += 1
            return await super().forward(*args, **options)

    async with Counting(wallet=caller_key) as dendrite:
        assert await dendrite(served, Double(x=1)) == 2
        assert dendrite.count == 1


# Sessions ---------------------------------------------------------------------------------------


def test_every_loop_has_a_session_that_ends_with_it(served: bt.Axon, dendrite: bt.Dendrite) -> None:
    async def ask() -> Any:
        assert await dendrite(served, Double(x=1)) == 2
        (here,) = dendrite._open.values()
        return here[0]

    first, second = asyncio.run(ask()), asyncio.run(ask())
    assert first is not second
    assert first._session.closed
    assert second._session.closed
    assert dendrite._open == {}


def test_threads_may_share_a_dendrite(served: bt.Axon, dendrite: bt.Dendrite) -> None:
    replies: list[int] = []

    async def ask(x: int) -> None:
        replies.append(await dendrite(served, Double(x=x)))

    threads = [threading.Thread(target=asyncio.run, args=(ask(x),)) for x in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(replies) == [0, 2, 4, 6]


async def test_a_session_is_shared_in_a_loop_and_opens_anew_after_closing(
    served: bt.Axon, dendrite: bt.Dendrite
) -> None:
    assert await asyncio.gather(*(dendrite(served, Double(x=x)) for x in range(3))) == [0, 2, 4]
    assert len(dendrite._open) == 1
    await dendrite.aclose_session()
    await dendrite.aclose_session()
    assert dendrite._open == {}
    assert await dendrite.aquery(served, Double(x=1)) == 2
    assert dendrite._open == {}


def test_a_loop_that_stands_still_is_closed_from_outside(
    served: bt.Axon, dendrite: bt.Dendrite
) -> None:
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(dendrite(served, Double(x=1))) == 2
    dendrite.close_session()
    dendrite.close_session()
    assert dendrite._open == {}
    loop.close()


async def test_loops_that_were_closed_are_forgotten(served: bt.Axon, dendrite: bt.Dendrite) -> None:
    closed = asyncio.new_event_loop()
    closed.close()
    dendrite._open[closed] = None  # type: ignore[assignment]
    async with dendrite:
        assert await dendrite(served, Double(x=1)) == 2
        assert list(dendrite._open) == [asyncio.get_running_loop()]


async def test_close_session_inside_a_loop_says_what_to_do(dendrite: bt.Dendrite) -> None:
    with pytest.raises(RuntimeError, match="await aclose_session"):
        dendrite.close_session()


def test_a_dendrite_that_goes_away_closes_what_it_had_open(
    served: bt.Axon, caller_key: bt.Keypair
) -> None:
    loop = asyncio.new_event_loop()
    gone = bt.dendrite(wallet=caller_key)
    loop.run_until_complete(gone(served, Double(x=1)))
    (entry,) = gone._open.values()
    session, watched = entry[0]._session, weakref.ref(gone)
    del gone, entry
    gc.collect()
    assert watched() is None
    assert session.closed
    loop.close()


async def test_a_dendrite_that_goes_away_in_its_loop_does_so_too(
    served: bt.Axon, caller_key: bt.Keypair
) -> None:
    gone = bt.dendrite(wallet=caller_key)
    await gone(served, Double(x=1))
    session = next(iter(gone._open.values()))[0]._session
    del gone
    gc.collect()
    for _ in range(100):
        if session.closed:
            break
        await asyncio.sleep(0.01)
    assert session.closed


# Identity ---------------------------------------------------------------------------------------


def test_the_wallet_is_the_default_one(home: Path) -> None:
    with pytest.raises(WalletNotFound):
        bt.dendrite()
    wallet = bt.wallet().create_if_non_existent(False)
    for dendrite in (bt.dendrite(), bt.dendrite(wallet), bt.dendrite(wallet.native)):
        assert dendrite.keypair == wallet.hotkey
    assert repr(dendrite) == f"dendrite({wallet.hotkey.ss58_address})"
    assert len({bt.dendrite().uuid, dendrite.uuid}) == 2


def test_a_synapse_is_signed_for_code_that_sends_it_itself(
    axon: bt.Axon, dendrite: bt.Dendrite, caller_key: bt.Keypair
) -> None:
    target = bt.AxonInfo.of(axon.native.info())
    synapse = dendrite.preprocess_synapse_for_request(target, Double(x=3), timeout=4.0)
    headers = synapse.to_headers()
    claim = synapse_headers.parse_claim(headers)
    caller = synapse_headers.verify(
        headers, b"", method="POST", target="/Double", receiver=target.hotkey,
        now_ns=claim.nonce_ns,
    )  # fmt: skip
    assert caller.hotkey == caller_key.ss58_address
    assert (claim.timeout_s, claim.uuid) == (4.0, dendrite.uuid)
    synapse_headers.check_body_hash(claim.body_hash, [3])
    assert isinstance(synapse.axon, node.TerminalInfo)
