"""The test network: who is on it, what it is made of, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node import Dendrite, Keypair, Miner, Peer, Synapse
from node.errors import ConfigError, NetworkError, RouteError
from node.network import Network
from node.network.local import LocalNetwork
from node.testing import FAULTS, Behaviour, Clock, Fault, TestNetwork, spread_faults
from protocols import StreamPrompting
from tests.functional.open_sockets import open_sockets
from tests.testing.synapses import TEXT, Upper, upper

TRANSPORTS = pytest.mark.parametrize("transport", ["memory", "loopback"])


def prompt() -> StreamPrompting:
    return StreamPrompting(messages=[TEXT])


async def finals(net: TestNetwork, **options: Any) -> list[Any]:
    return list(await net.dendrite(**options)(net.peers, prompt(), 10.0, streaming=False))


def left_open() -> tuple[int, list[str]]:
    """The sockets and threads that there are, but for the event loop's own pool of threads."""
    names = sorted(thread.name for thread in threading.enumerate())
    return open_sockets(), [name for name in names if not name.startswith("asyncio_")]


@TRANSPORTS
async def test_honest_peers_stream_the_prompt_back_by_default(transport: str) -> None:
    async with TestNetwork(miners=3, transport=transport) as net:
        replies = await finals(net)
        assert [reply.completion for reply in replies] == [TEXT] * 3
        assert (net.honest, net.faulty) == (net.peers, {})
        assert repr(net) == "<TestNetwork of 3 honest and 0 faulty peers, open>"
    assert repr(net) == "<TestNetwork of 3 honest and 0 faulty peers, not open>"


@TRANSPORTS
async def test_everybody_is_on_the_metagraph_with_a_uid(transport: str) -> None:
    async with TestNetwork(
        miners=2, faulty={"dead": 1, "dripping": 1}, validators=2, transport=transport
    ) as net:
        metagraph = await net.metagraph()
        assert isinstance(net.network, Network)
        assert metagraph.n == 6
        assert net.uids == [0, 1, 2, 3]
        assert metagraph.axons[:4] == net.peers
        assert [peer.hotkey for peer in net.peers] == [key.ss58_address for key in net.keypairs]
        assert metagraph.hotkeys[4:] == [key.ss58_address for key in net.validators]
        assert metagraph.validator_permit == [False] * 4 + [True] * 2
        assert metagraph.stake == [0.0] * 4 + [1000.0] * 2
        assert len({peer.endpoint for peer in net.peers}) == 4
        assert net.faulty == {net.peers[2]: "dead", net.peers[3]: "dripping"}
        assert net.honest == net.peers[:2]
        assert all(peer.capacity_of("StreamPrompting") == 10 for peer in net.peers)


async def test_one_seed_is_one_set_of_keys() -> None:
    first, again, other = TestNetwork(2), TestNetwork(2), TestNetwork(2, seed=1)
    assert first.keypairs == again.keypairs
    assert first.validators == again.validators
    keys = {*first.keypairs, *first.validators, *other.keypairs, *other.validators}
    assert len(keys) == 6


@TRANSPORTS
async def test_a_peer_that_is_killed_refuses_and_comes_back_as_it_was(transport: str) -> None:
    async with TestNetwork(miners=2, transport=transport) as net:
        dendrite = net.dendrite(dormancy=False)
        before = net.peers
        assert (await dendrite.call(before[0], prompt())).is_success
        await net.kill(0)
        await net.kill(before[0])
        reply = await dendrite.call(before[0], prompt())
        assert "connection refused" in str(reply.dendrite.status_message)
        assert (await dendrite.call(before[1], prompt())).is_success
        assert net.peers == before
        assert (await net.metagraph()).axons[0] == before[0], "its record stays"
        await net.restart(0)
        await net.restart(0)
        assert net.peers == before
        assert (await dendrite.call(before[0], prompt())).completion == TEXT


# With these a call of one word ends only at its deadline.
ENDLESS = {"silent", "dripping", "flooding"}


@TRANSPORTS
@pytest.mark.parametrize("name", list(FAULTS))
async def test_a_faulty_peer_can_be_killed_and_restarted_too(name: str, transport: str) -> None:
    fault = Fault(name, **({"delay_s": 0.0} if name in ("slow_first_byte", "buffering") else {}))
    async with TestNetwork(0, [fault], forward=upper, transport=transport) as net:
        dendrite = net.dendrite(dormancy=False)
        timeout = 0.2 if name in ENDLESS else 8.0
        first = await dendrite.call(net.peers[0], Upper(text="a"), timeout)
        await net.kill(0)
        killed = await dendrite.call(net.peers[0], Upper(text="a"), 5.0)
        assert killed.dendrite.status_message.endswith("not reachable (connection refused)")
        await net.restart(0)
        again = await dendrite.call(net.peers[0], Upper(text="a"), timeout)
        assert again.dendrite.status_code == first.dendrite.status_code


@TRANSPORTS
async def test_a_kill_breaks_the_replies_under_way(transport: str) -> None:
    async def endless(synapse: StreamPrompting) -> AsyncIterator[str]:
        while True:
            yield "x"
            await asyncio.sleep(0.01)

    async with TestNetwork(1, ["byte_splitting"], forward=endless, transport=transport) as net:
        streams = await net.dendrite()(net.peers, prompt())
        readers = [stream.chunks() for stream in streams]
        for reader in readers:
            assert await anext(reader) == "x"
        began = time.perf_counter()
        for number in range(2):
            await net.kill(number)
        for reader, stream in zip(readers, streams, strict=True):
            assert {chunk async for chunk in reader} <= {"x"}
            reply = await stream.final()
            assert "broke off" in str(reply.dendrite.status_message)
        assert time.perf_counter() - began < 10.0  # and not the 12 s of a call


@dataclass(frozen=True)
class Passing(Behaviour):
    """Passes bytes on as they are, through a relay."""

    name = "passing"

    async def pass_on(self, data: bytes, send: Any, *, begins: bool) -> None:
        await send(data)


@TRANSPORTS
async def test_a_caller_that_reads_nothing_holds_up_no_kill(transport: str) -> None:
    sent = 0

    async def endless(synapse: StreamPrompting) -> AsyncIterator[str]:
        nonlocal sent
        while True:
            sent += 1
            yield "x" * 65_536

    async with TestNetwork(1, [Passing()], forward=endless, transport=transport) as net:
        streams = await net.dendrite()(net.peers, prompt())
        held = -1
        while held != sent:
            held = sent
            await asyncio.sleep(0.3)
        async with asyncio.timeout(10.0):
            await net.kill(0)
            await net.kill(1)
        for stream in streams:
            await stream.aclose()


@TRANSPORTS
async def test_nothing_is_left_whatever_was_under_way(transport: str) -> None:
    before = left_open()
    folder: Path | None = None
    for _ in range(2):
        async with TestNetwork(2, 13, transport=transport) as net:
            assert isinstance(net.network, LocalNetwork)
            folder = net.network.path.parent
            assert folder.is_dir()
            await net.flags_for(net.validators[0])
            dendrite = net.dendrite()
            waiting = [asyncio.create_task(dendrite.call(peer, prompt())) for peer in net.peers]
            await asyncio.sleep(0.1)
            await net.kill(0)
        assert not folder.exists()
        replies = await asyncio.gather(*waiting)
        assert len(replies) == 15
    gc.collect()
    for _ in range(100):
        if left_open() == before:
            return
        await asyncio.sleep(0.02)
    assert left_open() == before


async def test_a_start_that_fails_leaves_nothing_and_can_be_tried_again() -> None:
    def broken(synapse: int) -> int:
        return synapse

    sockets = open_sockets()
    net = TestNetwork(miners=2, forward=broken)
    for _ in range(2):
        with pytest.raises(RouteError, match="broken: annotate its parameter"):
            async with net:
                pytest.fail("it started")
        assert not net.is_open
        assert open_sockets() == sockets


async def test_it_can_be_entered_again_but_not_twice_at_once() -> None:
    net = TestNetwork(miners=1)
    for _ in range(2):
        async with net:
            assert (await finals(net))[0].is_success
            with pytest.raises(RuntimeError, match="already started"):
                await net.__aenter__()
            assert net.is_open


async def test_before_the_start_it_says_how_to_start() -> None:
    net = TestNetwork(miners=1)
    for name in ("peers", "honest", "faulty", "network", "uids"):
        with pytest.raises(RuntimeError, match="enter it with async with"):
            getattr(net, name)
    with pytest.raises(RuntimeError, match="enter it with async with"):
        net.dendrite()
    for call in (net.metagraph(), net.kill(0), net.restart(0), net.flags_for(net.validators[0])):
        with pytest.raises(RuntimeError, match="enter it with async with"):
            await call


async def test_64_miners_in_memory_start_within_two_seconds() -> None:
    began, cpu = time.perf_counter(), time.process_time()
    async with TestNetwork(miners=48, faulty=spread_faults(16)) as net:
        # The processor's time too, since others may keep this machine busy.
        assert min(time.perf_counter() - began, time.process_time() - cpu) < 2.0
        assert len(net.peers) == 64
        assert set(net.faulty.values()) == set(FAULTS) - {"byte_splitting"}


async def test_a_clock_is_that_of_axons_dendrites_and_registry(ganglion_clock: Clock) -> None:
    clock = ganglion_clock
    async with TestNetwork(miners=1, clock=clock) as net:
        before = (await net.metagraph()).block
        reply = await net.dendrite().call(net.peers[0], prompt())
        assert reply.is_success
        assert reply.receipt.nonce_ns == reply.receipt.started_ns == clock.now_ns()
        clock.advance(60.0)
        assert (await net.metagraph()).block == before + 5
        assert (await net.dendrite().call(net.peers[0], prompt())).is_success
        slow = net.dendrite(clock_ns=Clock(clock.now_ns() - 11 * 10**9).now_ns)
        stale = await slow.call(net.peers[0], prompt())
        assert (stale.dendrite.status_code, stale.failed_verification) == (401, True)


async def test_annotations_may_name_what_only_the_test_knows() -> None:
    class Local(Synapse):
        number: int
        answer: int = 0

    async def double(synapse: Local) -> Local:
        synapse.answer = 2 * synapse.number
        return synapse

    double.__annotations__ = {"synapse": "Local", "return": "Local"}
    async with TestNetwork(1, ["wrong_answer"], forward=double) as net:
        replies = await net.dendrite()(net.peers, Local(number=4))
    assert [reply.answer for reply in replies] == [8, 9]


async def test_several_forwards_and_more_options_for_axons() -> None:
    async def prompting(synapse: StreamPrompting) -> AsyncIterator[str]:
        yield "x"

    async with TestNetwork(1, forward=[prompting, upper], axon={"max_workers": 3}) as net:
        assert dict(net.peers[0].capacity) == {"StreamPrompting": 3, "Upper": 3}


async def test_only_registered_callers_where_that_is_asked_for(alice: Keypair) -> None:
    async with TestNetwork(1, registered_only=True) as net:
        assert (await net.dendrite().call(net.peers[0], prompt())).is_success
        stranger = await net.dendrite(alice).call(net.peers[0], prompt())
        assert stranger.is_blacklist
    async with TestNetwork(1) as net:
        assert (await net.dendrite(alice).call(net.peers[0], prompt())).is_success


class Parrot(Miner):
    """Says the word that its flags name."""

    @classmethod
    def add_args(cls, parser: Any) -> None:
        parser.add_argument("--parrot.word", default="hello")

    async def forward(self, synapse: StreamPrompting) -> AsyncIterator[str]:
        yield f"{self.config.parrot.word} from {self.axon.port} "

    def blacklist(self, synapse: StreamPrompting) -> tuple[bool, str]:
        return "rude" in synapse.messages[0], "This parrot minds its words."


async def test_a_miner_class_serves_with_its_hooks_and_flags() -> None:
    async with TestNetwork(
        2, ["wrong_answer"], miner=Parrot, miner_flags=["--parrot.word", "abc"]
    ) as net:
        assert [reply.completion for reply in await finals(net)] == [
            "abc from 1 ", "abc from 1 ", "bcd gspn 2 "]  # fmt: skip
        refused = await net.dendrite().call(net.peers[0], StreamPrompting(messages=["rude"]))
        assert refused.is_blacklist
        await net.kill(0)
        await net.restart(0)
        assert (await finals(net))[0].completion == "abc from 1 "


class Librarian(Miner):
    """Looks in the registry before it answers."""

    async def forward(self, synapse: StreamPrompting) -> AsyncIterator[str]:
        metagraph = await self.network.metagraph(self.config["netuid"])
        yield f"{metagraph.n} neurons"


async def test_what_a_miner_opened_is_closed() -> None:
    before = left_open()
    async with TestNetwork(1, miner=Librarian) as net:
        assert (await finals(net))[0].completion == "2 neurons"
    for _ in range(100):
        if left_open() == before:
            return
        await asyncio.sleep(0.02)
    assert left_open() == before


async def test_flags_for_a_program_name_the_network_and_a_wallet_on_disk() -> None:
    async with TestNetwork(1) as net:
        flags = await net.flags_for(net.validators[0])
        assert await net.flags_for(net.validators[0]) == flags
        asked = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "node", "network", "show", *flags[:4], "--json",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        shown, _ = await asked.communicate()
        assert net.peers[0].hotkey.encode() in shown
        names = dict(zip(flags[::2], flags[1::2], strict=True))
        path = Path(names["--wallet.path"]) / "test" / "hotkeys" / names["--wallet.hotkey"]
        assert path.stat().st_mode & 0o077 == 0


async def test_peers_may_be_put_on_a_network_that_is_there(tmp_path: Path, alice: Keypair) -> None:
    async with LocalNetwork(tmp_path / "net.db") as network:
        await network.register(7, alice)
        net = TestNetwork(2, network=network, netuid=7, transport="loopback")
        async with net:
            assert net.network is network
            assert net.uids == [1, 2]
            metagraph = await network.metagraph(7)
            assert [metagraph.axons[uid] for uid in net.uids] == net.peers
            async with Dendrite(alice) as dendrite:
                assert net.dial is None
                assert (await dendrite.call(metagraph.axons[1], prompt())).is_success
        assert (await network.metagraph(7)).n == 4, "a network that was given stays open"


async def test_a_network_that_was_given_by_name_is_closed(tmp_path: Path) -> None:
    async with TestNetwork(1, network=f"local:{tmp_path / 'net.db'}") as net:
        opened = net.network
        assert opened.name == f"local:{tmp_path / 'net.db'}"
    with pytest.raises(NetworkError, match="closed"):
        await opened.metagraph(1)


async def test_what_dials_in_memory_reaches_other_peers_by_tcp_as_well(alice: Keypair) -> None:
    async with TestNetwork(1, transport="loopback") as outside, TestNetwork(1) as net:
        async with Dendrite(alice, dial=net.dial) as dendrite:
            replies = await dendrite([*net.peers, *outside.peers], prompt(), streaming=False)
        assert [reply.completion for reply in replies] == [TEXT, TEXT]


async def test_who_does_not_dial_in_memory_is_refused_at_once(alice: Keypair) -> None:
    async with TestNetwork(1) as net, Dendrite(alice) as dendrite:
        reply = await dendrite.call(net.peers[0], prompt(), 5.0)
        assert reply.dendrite.status_message == "not reachable (connection refused)"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"transport": "carrier pigeon"}, "memory or loopback, not 'carrier pigeon'"),
        ({"miners": -1}, "miners are 0 or more, not -1"),
        ({"validators": 1.0}, "validators are 0 or more, not 1.0"),
        ({"forward": upper, "miner": Parrot}, "a forward or a miner class, not both"),
        ({"axon": {"port": 1}}, "sets the axons' port itself"),
        ({"faulty": {"driping": 1}}, "did you mean dripping?"),
    ],
)
def test_misuse_is_told_when_it_is_made(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        TestNetwork(**options)
    assert words in str(raised.value)


async def test_misuse_is_told_when_it_is_used(alice: Keypair) -> None:
    async with TestNetwork(1, validators=0) as net:
        with pytest.raises(ConfigError, match="no validators; give dendrite"):
            net.dendrite()
        for stranger in (1, -1, Peer(alice.ss58_address, "127.0.0.1", 5)):
            with pytest.raises(ConfigError, match="not one of the 1 peers"):
                await net.kill(stranger)
    with pytest.raises(TypeError):
        async with TestNetwork(1, axon={"max_wrokers": 1}):
            pytest.fail("it started")
