"""What the Redis backend does beside what every network does, against a Redis that runs."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node import Peer, Wallet, errors
from node.network import Hyperparameters
from node.network.backend import Expiring
from node.network.record import parse_record
from node.network.redis_network import RedisNetwork
from node.network.redis_rows import unpack_record
from tests.redis_server import RedisServer, require_redis

from .conftest import FakeClock, key, peer_of
from .redis_content import Raw

ALICE, BOB, CHARLIE = key("Alice"), key("Bob"), key("Charlie", "ed25519")
NETUID = 8
HOUR_NS = 3600 * 10**9

Call = Callable[[], Any]


@pytest.fixture
def network(redis_network: RedisNetwork) -> RedisNetwork:
    return redis_network


@pytest.fixture
def served(redis_served: RedisNetwork) -> RedisNetwork:
    return redis_served


class TestRegister:
    def test_a_registry_begins_with_who_registers(self, network: RedisNetwork, raw: Raw) -> None:
        network.metagraph(NETUID)
        network.hyperparameters(NETUID)
        calls: list[Call] = [
            lambda: network.serve(NETUID, ALICE, peer_of(ALICE)),
            lambda: network.set_weights(NETUID, ALICE, [0], [1]),
            lambda: network.set_stake(NETUID, ALICE.ss58_address, 1.0),
        ]
        for call in calls:
            with pytest.raises(errors.NotRegistered):
                call()
        assert raw.keys() == b"*0\r\n"
        network.register(NETUID, ALICE)
        assert raw("GET", "genesis") == b"$19\r\n%d\r\n" % network._clock()

    def test_full(self, redis_url: str) -> None:
        with RedisNetwork(redis_url, max_uids=2) as network:
            assert [network.register(NETUID, pair) for pair in (ALICE, BOB)] == [0, 1]
            with pytest.raises(errors.NetworkError, match="netuid 8 is full: all its 2 uids"):
                network.register(NETUID, CHARLIE)
            assert network.register(NETUID, BOB) == 1
            assert network.register(NETUID + 1, CHARLIE) == 0

    def test_the_lowest_uid_that_is_free(self, network: RedisNetwork, raw: Raw) -> None:
        for pair in (ALICE, BOB):
            network.register(NETUID, pair)
        raw("HDEL", f"{NETUID}:uids", ALICE.public_key.hex())
        graph = network.metagraph(NETUID)
        assert (graph.n, graph.uid_of(BOB.ss58_address)) == (2, 1)
        assert network.register(NETUID, CHARLIE) == 0

    def test_a_coldkey_is_added_later_and_not_taken_away(
        self, network: RedisNetwork, tmp_path: Path
    ) -> None:
        wallet = Wallet("miner", "hot", tmp_path / "wallets").create()
        coldkey = wallet.coldkeypub.ss58_address
        for who, said in ((wallet.hotkey, ""), (wallet, coldkey), (wallet.hotkey, coldkey)):
            assert network.register(NETUID, who) == 0
            assert network.metagraph(NETUID).coldkeys == [said]

    async def test_inside_a_loop_a_wallet_is_read_in_a_thread(
        self, redis_url: str, tmp_path: Path
    ) -> None:
        await asyncio.to_thread(Wallet("miner", "hot", tmp_path / "wallets").create)
        wallet = Wallet("miner", "hot", tmp_path / "wallets")
        async with RedisNetwork(redis_url, allow_private=True) as network:
            assert await network.register(NETUID, wallet) == 0
            await network.serve(NETUID, wallet, peer_of(wallet.hotkey))
            assert (await network.metagraph(NETUID)).axons[0].coldkey

    def test_the_command_that_registers_shows_no_password(self, tmp_path: Path) -> None:
        require_redis()
        server = RedisServer(tmp_path, password="hunter2")
        server.start()
        try:
            network = RedisNetwork(server.url())
            network.register(NETUID, BOB)
            with pytest.raises(errors.NotRegistered) as caught:
                network.serve(NETUID, ALICE, Peer(ALICE.ss58_address, "93.184.215.14", 1))
        finally:
            server.stop()
        assert f"--subtensor.network 'redis://:***@127.0.0.1:{server.port}/0'" in str(caught.value)

    @pytest.mark.parametrize("max_uids", [0, 4097])
    def test_bad_max_uids(self, max_uids: int) -> None:
        with pytest.raises(errors.ConfigError, match="max_uids"):
            RedisNetwork("redis://h", max_uids=max_uids)


class TestServe:
    def test_an_address_expires_after_an_hour_unless_it_is_renewed(
        self, served: RedisNetwork, clock: FakeClock
    ) -> None:
        graph = served.metagraph(NETUID)
        clock.now_ns += HOUR_NS - 1
        served.serve(NETUID, BOB, peer_of(BOB))
        assert [axon.is_serving for axon in graph.sync().axons] == [True, True, True]
        clock.now_ns += 1
        assert [axon.is_serving for axon in graph.sync().axons] == [False, True, False]
        assert graph.incentive == [0.0, 0.0, 1.0]  # weights and registrations stay

    def test_the_time_is_a_setting(self, redis_url: str, clock: FakeClock) -> None:
        options: dict[str, Any] = {"clock": clock, "allow_private": True}
        with RedisNetwork(redis_url, serve_ttl_s=10.0, **options) as network:
            network.register(NETUID, ALICE)
            network.serve(NETUID, ALICE, peer_of(ALICE))
            clock.now_ns += 11 * 10**9
            assert not network.metagraph(NETUID).axons[0].is_serving
            assert isinstance(network, Expiring)
            assert network.serve_ttl_s == 10.0
        for bad in (0.0, -1.0, math.nan, math.inf):
            with pytest.raises(errors.ConfigError, match="ttl_s"):
                RedisNetwork(redis_url, serve_ttl_s=bad)

    def test_the_last_one_counts_even_when_the_clock_goes_back(
        self, network: RedisNetwork, clock: FakeClock, raw: Raw
    ) -> None:
        network.register(NETUID, ALICE)
        issued: list[int] = []
        for port, step_ns in ((1, 0), (2, 0), (3, 10**9), (4, -(10**12))):
            clock.now_ns += step_ns
            network.serve(NETUID, ALICE, peer_of(ALICE, port))
            assert network.metagraph(NETUID).axons[0].port == port
            stored = unpack_record(raw.stored("serve", ALICE))
            assert stored is not None
            issued.append(parse_record(stored.message).issued_ns)
        assert issued == sorted(set(issued))

    def test_a_private_address_is_listed_only_by_who_allows_it(
        self, served: RedisNetwork, redis_url: str, clock: FakeClock
    ) -> None:
        with RedisNetwork(redis_url, clock=clock) as other:
            assert [axon.port for axon in other.metagraph(NETUID).axons] == [0, 0, 0]
            with pytest.raises(errors.ConfigError, match="a loopback address"):
                other.serve(NETUID, ALICE, peer_of(ALICE))
        with RedisNetwork(redis_url, clock=clock, allow_private=True) as other:
            assert [axon.port for axon in other.metagraph(NETUID).axons] == [8091] * 3


class TestAtOnce:
    async def test_writers_of_one_hotkey_all_get_through_and_one_is_last(
        self, redis_url: str
    ) -> None:
        networks = [RedisNetwork(redis_url, allow_private=True) for _ in range(4)]
        await networks[0].register(NETUID, ALICE)
        ports = range(9000, 9040)
        await asyncio.gather(
            *(networks[p % 4].serve(NETUID, ALICE, peer_of(ALICE, p)) for p in ports)
        )
        listed = [(await network.metagraph(NETUID)).axons[0].port for network in networks]
        assert len(set(listed)) == 1
        assert listed[0] in ports
        for network in networks:
            await network.close()

    async def test_a_write_that_was_overtaken_is_made_anew(
        self, redis_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slow = RedisNetwork(redis_url, allow_private=True)
        async with RedisNetwork(redis_url, allow_private=True) as fast, slow:
            await slow.register(NETUID, ALICE)
            write = slow._write
            tries: list[object] = []

            async def overtaken(*args: Any, **options: Any) -> object:
                if not tries:
                    await fast.serve(NETUID, ALICE, peer_of(ALICE, 1))
                tries.append(await write(*args, **options))
                return tries[-1]

            monkeypatch.setattr(slow, "_write", overtaken)
            await slow.serve(NETUID, ALICE, peer_of(ALICE, 2))
            assert tries == [b"changed", b"0"]
            assert (await fast.metagraph(NETUID)).axons[0].port == 2


JOIN = """
import sys
from node import Keypair, Peer
from node.network.redis_network import RedisNetwork

url, number, hotkeys = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
pairs = [Keypair.from_uri(f"//{number}/{index}") for index in range(hotkeys)]
print("ready", flush=True)
sys.stdin.readline()
with RedisNetwork(url, allow_private=True) as network:
    for index, pair in enumerate(pairs):
        print(network.register(8, pair))
        network.serve(8, pair, Peer(pair.ss58_address, "127.0.0.1", 1000 + number * 100 + index))
        network.set_weights(8, pair, [0], [1])
"""
PROCESSES, HOTKEYS = 6, 3


def test_processes_register_and_serve_at_once(redis_url: str) -> None:
    command = [sys.executable, "-W", "error", "-c", JOIN, redis_url]
    running = [
        subprocess.Popen(
            [*command, str(number), str(HOTKEYS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(PROCESSES)
    ]  # fmt: skip
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    given: dict[str, int] = {}
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for number, process in enumerate(running):
        output, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (0, "")
        for index, line in enumerate(output.split()):
            given[key(f"{number}/{index}").ss58_address] = int(line)
    with RedisNetwork(redis_url, allow_private=True) as network:
        graph = network.metagraph(NETUID)
    assert sorted(given.values()) == list(range(PROCESSES * HOTKEYS))
    assert {hotkey: uid for uid, hotkey in enumerate(graph.hotkeys)} == given
    assert all(axon.is_serving for axon in graph.axons)
    assert all(graph.weights(uid)[0] == 1.0 for uid in graph.uids)


class TestHyperparameters:
    def test_what_is_stored_goes_before_what_was_given(self, redis_url: str) -> None:
        given = Hyperparameters(tempo=10)
        stored = Hyperparameters(20, 5, 3, 0.5, True)
        with RedisNetwork(redis_url, hyperparameters=given) as network:
            assert network.hyperparameters(NETUID) == given
            network.set_hyperparameters(NETUID, stored)
            assert network.hyperparameters(NETUID) == stored
            assert network.hyperparameters(NETUID + 1) == given

    @pytest.mark.parametrize(
        "value",
        [
            b"x", b"[]", b"{", b"[" * 5000, b"\xff", b'{"tempo": 0}', b'{"tempo": true}',
            b'{"tempo": 1e400}', b'{"max_weight_limit": 0}', b'{"max_weight_limit": NaN}',
            b'{"commit_reveal": 1}', b'{"min_allowed_weights": -1}',
            b'{"tempo": 1' + b" " * 9000 + b"}",
        ],
    )  # fmt: skip
    def test_what_is_none_is_left_out(
        self, network: RedisNetwork, raw: Raw, caplog: pytest.LogCaptureFixture, value: bytes
    ) -> None:
        raw("SET", f"{NETUID}:hyperparameters", value)
        assert network.hyperparameters(NETUID) == Hyperparameters()
        assert "the stored hyperparameters are left out" in caplog.text

    def test_unknown_fields_are_passed_over(self, network: RedisNetwork, raw: Raw) -> None:
        raw("SET", f"{NETUID}:hyperparameters", json.dumps({"tempo": 7, "new": 1}))
        assert network.hyperparameters(NETUID) == Hyperparameters(tempo=7)

    @pytest.mark.parametrize(
        "bad", [Hyperparameters(tempo=0), Hyperparameters(max_weight_limit=1.5)]
    )
    def test_bad_ones_are_not_stored(self, network: RedisNetwork, bad: Hyperparameters) -> None:
        with pytest.raises(errors.ConfigError, match="out of range"):
            network.set_hyperparameters(NETUID, bad)
