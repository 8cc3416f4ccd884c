from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from node import Peer, Wallet, errors
from node.keys import ss58_encode
from node.network import Network
from node.network.ledger import newest_record, store_record
from node.network.local import BLOCK_NS, LocalNetwork
from node.network.record import SealedRecord, seal_record, serve_payload, weights_payload
from node.network.schema import reading, writing

from .conftest import START_NS, FakeClock, key, peer_of

ALICE, BOB, CHARLIE = key("Alice"), key("Bob"), key("Charlie", "ed25519")


def execute(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement, values)


def copy_endpoint(path: Path, source: tuple[int, bytes], target: tuple[int, bytes]) -> None:
    execute(
        path,
        "INSERT OR REPLACE INTO records SELECT ?, ?, kind, message, scheme, signature FROM records"
        " WHERE netuid = ? AND public_key = ? AND kind = ?",
        *target,
        *source,
        b"serve",
    )


class TestRegister:
    def test_uids_count_from_zero_and_are_kept(self, network: LocalNetwork) -> None:
        assert [network.register(8, pair) for pair in (ALICE, BOB, CHARLIE)] == [0, 1, 2]
        assert [network.register(8, pair) for pair in (CHARLIE, ALICE)] == [2, 0]
        graph = network.metagraph(8)
        assert graph.hotkeys == [pair.ss58_address for pair in (ALICE, BOB, CHARLIE)]
        assert [axon.is_serving for axon in graph.axons] == [False] * 3

    def test_subnets_are_apart(self, network: LocalNetwork) -> None:
        assert network.register(8, ALICE) == 0
        assert network.register(9, BOB) == 0
        assert network.metagraph(9).hotkeys == [BOB.ss58_address]

    def test_again_writes_nothing(self, network: LocalNetwork, path: Path) -> None:
        network.register(8, ALICE)
        before = path.read_bytes()
        network.register(8, ALICE)
        assert path.read_bytes() == before

    def test_full(self, opened: Callable[..., LocalNetwork]) -> None:
        network = opened(max_uids=2)
        network.register(8, ALICE)
        network.register(8, BOB)
        with pytest.raises(errors.NetworkError, match="netuid 8 is full: all its 2 uids"):
            network.register(8, CHARLIE)
        assert network.register(8, BOB) == 1
        assert network.register(9, CHARLIE) == 0

    def test_a_uid_that_became_free_is_given_again(self, network: LocalNetwork, path: Path) -> None:
        network.register(8, ALICE)
        network.register(8, BOB)
        execute(path, "DELETE FROM neurons WHERE uid = 0")
        graph = network.metagraph(8)
        assert (graph.n, graph.uid_of(BOB.ss58_address)) == (2, 1)
        assert network.register(8, CHARLIE) == 0

    def test_a_wallet_brings_its_coldkey(self, network: LocalNetwork, tmp_path: Path) -> None:
        wallet = Wallet("miner", "hot", tmp_path / "wallets").create()
        network.register(8, wallet)
        network.serve(8, wallet, peer_of(wallet.hotkey))
        graph = network.metagraph(8)
        assert graph.coldkeys == [wallet.coldkeypub.ss58_address]
        assert graph.axons[0].coldkey == wallet.coldkeypub.ss58_address

    def test_a_coldkey_is_added_later_and_not_taken_away(
        self, network: LocalNetwork, tmp_path: Path
    ) -> None:
        wallet = Wallet("miner", "hot", tmp_path / "wallets").create()
        for who, coldkey in (
            (wallet.hotkey, ""),
            (wallet, wallet.coldkeypub.ss58_address),
            (wallet.hotkey, wallet.coldkeypub.ss58_address),
        ):
            assert network.register(8, who) == 0
            assert network.metagraph(8).coldkeys == [coldkey]

    def test_a_wallet_without_a_coldkey(self, network: LocalNetwork, tmp_path: Path) -> None:
        wallet = Wallet("miner", "hot", tmp_path / "wallets").create()
        for file in (tmp_path / "wallets" / "miner").glob("coldkey*"):
            file.unlink()
        fresh = Wallet("miner", "hot", tmp_path / "wallets")
        network.register(8, fresh)
        assert network.metagraph(8).hotkeys == [wallet.hotkey.ss58_address]
        assert network.metagraph(8).coldkeys == [""]

    @pytest.mark.parametrize("netuid", [-1, 2**16, True, "8", 8.0])
    def test_bad_netuid(self, network: LocalNetwork, netuid: Any) -> None:
        calls: list[Callable[[], Any]] = [
            lambda: network.register(netuid, ALICE),
            lambda: network.metagraph(netuid),
            lambda: network.serve(netuid, ALICE, peer_of(ALICE)),
            lambda: network.set_weights(netuid, ALICE, [0], [1]),
            lambda: network.set_stake(netuid, ALICE.ss58_address, 1),
        ]
        for call in calls:
            with pytest.raises(errors.ConfigError, match="netuid is a whole number"):
                call()

    @pytest.mark.parametrize("max_uids", [0, 4097])
    def test_bad_max_uids(self, path: Path, max_uids: int) -> None:
        with pytest.raises(errors.ConfigError, match="max_uids"):
            LocalNetwork(path, max_uids=max_uids)

    def test_a_public_half_cannot_register(self, network: LocalNetwork) -> None:
        with pytest.raises(errors.WalletError):
            network.register(8, type(ALICE).from_address(ALICE.ss58_address))
        assert network.metagraph(8).n == 0


class TestServe:
    def test_what_is_served_is_listed(self, network: LocalNetwork) -> None:
        network.register(8, ALICE)
        peer = Peer(ALICE.ss58_address, "::1", 9000, protocols=("epistula", "btauth"), version=3)
        network.serve(8, ALICE, peer)
        assert network.metagraph(8).axons == [peer]

    def test_the_last_one_counts_even_when_the_clock_goes_back(
        self, network: LocalNetwork, clock: FakeClock
    ) -> None:
        network.register(8, ALICE)
        for port, step_ns in ((1, 0), (2, 0), (3, 10**9), (4, -(10**12))):
            clock.now_ns += step_ns
            network.serve(8, ALICE, peer_of(ALICE, port))
            assert network.metagraph(8).axons[0].port == port

    def test_port_zero_takes_it_back(self, network: LocalNetwork) -> None:
        network.register(8, ALICE)
        network.serve(8, ALICE, peer_of(ALICE))
        network.serve(8, ALICE, Peer(ALICE.ss58_address, "0.0.0.0", 0))
        assert not network.metagraph(8).axons[0].is_serving

    def test_unregistered_keypair(self, network: LocalNetwork, path: Path) -> None:
        network.register(9, ALICE)
        with pytest.raises(errors.NotRegistered) as caught:
            network.serve(8, ALICE, peer_of(ALICE))
        assert str(caught.value) == (
            f"hotkey {ALICE.ss58_address} is not registered on netuid 8 of local:{path}; "
            "run: ganglion network register --netuid 8 --wallet.name NAME --wallet.hotkey HOTKEY "
            f"--subtensor.network local:{path}"
        )

    def test_unregistered_wallet_is_told_its_own_command(self, tmp_path: Path) -> None:
        wallet = Wallet("my wallet", "hot", tmp_path / "wallets").create()
        network = LocalNetwork(tmp_path / "x.db", name="local")
        with pytest.raises(errors.NotRegistered) as caught:
            network.serve(8, wallet, peer_of(wallet.hotkey))
        assert str(caught.value).endswith(
            "run: ganglion network register --netuid 8 --wallet.name 'my wallet' "
            f"--wallet.hotkey hot --wallet.path {tmp_path / 'wallets'} --subtensor.network local"
        )
        assert not network.path.exists()

    def test_the_peer_of_another(self, network: LocalNetwork) -> None:
        network.register(8, ALICE)
        with pytest.raises(errors.ConfigError, match="but the wallet's is"):
            network.serve(8, ALICE, peer_of(BOB))

    @pytest.mark.parametrize("ip", ["0.0.0.0", "::"])
    def test_an_address_that_nobody_can_send_to(self, network: LocalNetwork, ip: str) -> None:
        network.register(8, ALICE)
        with pytest.raises(errors.ConfigError, match=r"--axon\.external_ip"):
            network.serve(8, ALICE, peer_of(ALICE, ip=ip))


class TestWeights:
    def test_are_scaled_and_give_incentive(self, network: LocalNetwork) -> None:
        for pair in (ALICE, BOB, CHARLIE):
            network.register(8, pair)
        network.set_weights(8, ALICE, [2, 1], [3, 1])
        graph = network.metagraph(8)
        assert graph.weights(0) == [0.0, 0.25, 0.75]
        assert graph.incentive == pytest.approx([0.0, 0.25, 0.75])
        network.set_weights(8, CHARLIE, [0], [1e308])
        assert graph.sync().incentive == pytest.approx([0.5, 0.125, 0.375])
        network.set_stake(8, ALICE.ss58_address, 30.0)
        network.set_stake(8, CHARLIE.ss58_address, 10.0)
        assert graph.sync().incentive == pytest.approx([0.25, 0.1875, 0.5625])

    def test_large_and_small_weights(self, network: LocalNetwork) -> None:
        network.register(8, ALICE)
        network.register(8, BOB)
        network.set_weights(8, ALICE, [0, 1], [1e308, 1e308])
        assert network.metagraph(8).weights(0) == [0.5, 0.5]
        network.set_weights(8, ALICE, [0, 1], [5e-324, 0])
        assert network.metagraph(8).weights(0) == [1.0, 0.0]

    def test_what_counts_like_numpy_is_taken(self, network: LocalNetwork) -> None:
        class Whole:
            def __index__(self) -> int:
                return 0

        class Real:
            def __float__(self) -> float:
                return 2.0

        network.register(8, ALICE)
        network.set_weights(8, ALICE, (Whole() for _ in "x"), (Real() for _ in "x"))  # type: ignore[misc]
        assert network.metagraph(8).weights(0) == [1.0]

    @pytest.mark.parametrize(
        ("uids", "weights", "reason"),
        [
            ([0, 1], [1.0], "2 uids and 1 weights"),
            ([], [], "no uid has a weight"),
            ([0, 1], [0, 0.0], "no uid has a weight"),
            ([0, 0], [1, 1], "twice"),
            ([0], [-1], "not 0 or more"),
            ([0], [math.nan], "not 0 or more"),
            ([0], [math.inf], "not 0 or more"),
            ([0], [10**400], "whole numbers"),
            ([0.0], [1], "whole numbers"),
            (["0"], [1], "whole numbers"),
            ([0], ["x"], "whole numbers"),
            (0, [1], "whole numbers"),
        ],
    )
    def test_bad_lists(self, network: LocalNetwork, uids: Any, weights: Any, reason: str) -> None:
        network.register(8, ALICE)
        network.register(8, BOB)
        with pytest.raises(errors.ConfigError, match=reason):
            network.set_weights(8, ALICE, uids, weights)
        assert network.metagraph(8).weights(0) == [0.0, 0.0]

    @pytest.mark.parametrize("uid", [1, -1, 10**30])
    def test_unknown_uid(self, network: LocalNetwork, uid: int) -> None:
        network.register(8, ALICE)
        with pytest.raises(errors.NetworkError, match=f"no uid {uid} on netuid 8"):
            network.set_weights(8, ALICE, [0, uid], [1, 1])

    def test_unregistered(self, network: LocalNetwork) -> None:
        network.register(8, ALICE)
        with pytest.raises(errors.NotRegistered):
            network.set_weights(8, BOB, [0], [1])


class TestStake:
    def test_each_half_alone(self, network: LocalNetwork) -> None:
        network.register(8, ALICE)
        network.set_stake(8, ss58_encode(ALICE.public_key, 0), 2.5, True)
        graph = network.metagraph(8)
        assert (graph.stake, graph.validator_permit) == ([2.5], [True])
        network.set_stake(8, ALICE.ss58_address, validator_permit=False)
        assert (graph.sync().stake, graph.validator_permit) == ([2.5], [False])
        network.set_stake(8, ALICE.ss58_address, 0)
        assert graph.sync().stake == [0.0]

    @pytest.mark.parametrize("stake", [-1, math.nan, math.inf, 2e15])
    def test_out_of_range(self, network: LocalNetwork, stake: float) -> None:
        network.register(8, ALICE)
        with pytest.raises(errors.ConfigError, match="stake is a number"):
            network.set_stake(8, ALICE.ss58_address, stake)

    def test_unregistered(self, network: LocalNetwork) -> None:
        network.register(8, ALICE)
        with pytest.raises(errors.NotRegistered):
            network.set_stake(8, BOB.ss58_address, 1.0)


class TestBlocks:
    def test_count_from_the_first_write(self, network: LocalNetwork, clock: FakeClock) -> None:
        assert network.metagraph(8).block == 0
        network.register(8, ALICE)
        clock.now_ns += 5 * BLOCK_NS - 1
        graph = network.metagraph(8)
        assert (graph.block, graph.last_update) == (4, [0])
        clock.now_ns += 1
        network.set_weights(8, ALICE, [0], [1])
        clock.now_ns += BLOCK_NS
        assert (graph.sync().block, graph.last_update) == (6, [5])
        clock.now_ns = 0
        assert graph.sync().block == 0


class TestTampering:
    """Somebody who can write the file, but has no hotkey, changes rows."""

    @pytest.fixture
    def served(self, network: LocalNetwork) -> LocalNetwork:
        for pair in (ALICE, BOB):
            network.register(8, pair)
        for pair in (ALICE, BOB):
            network.serve(8, pair, peer_of(pair))
            network.set_weights(8, pair, [1], [1])
        return network

    @pytest.mark.parametrize(
        "change",
        [
            "message = replace(message, '127.0.0.1', '127.0.0.2')",
            "message = CAST(replace(message, '127.0.0.1', '127.0.0.2') AS BLOB)",
            "signature = zeroblob(64)",
            "signature = x'00'",
            "message = CAST(x'ff' AS TEXT)",
            "scheme = CAST(x'ff' AS TEXT)",
            "scheme = x'ff'",
            "scheme = CAST('ed25519' AS BLOB)",
            "scheme = 5",
            "message = zeroblob(1000000)",
        ],
    )
    def test_a_changed_endpoint_is_not_served(
        self, served: LocalNetwork, path: Path, change: str
    ) -> None:
        served.metagraph(8)  # what was good is remembered, and must not help
        execute(
            path,
            f"UPDATE records SET {change} WHERE kind = ? AND public_key = ?",
            b"serve",
            ALICE.public_key,
        )
        graph = served.metagraph(8)
        assert [axon.is_serving for axon in graph.axons] == [False, True]
        assert graph.uid_of(ALICE.ss58_address) == 0

    def test_it_is_warned_of_once(
        self, served: LocalNetwork, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        execute(path, "UPDATE records SET signature = zeroblob(64) WHERE kind = x'7365727665'")
        with caplog.at_level(logging.WARNING):
            graph = served.metagraph(8)
            graph.sync()
        assert len(caplog.records) == 2
        assert "signature is not valid" in caplog.text

    def test_the_record_of_another_hotkey(self, served: LocalNetwork, path: Path) -> None:
        copy_endpoint(path, (8, BOB.public_key), (8, ALICE.public_key))
        assert [axon.is_serving for axon in served.metagraph(8).axons] == [False, True]

    def test_the_record_of_another_subnet(self, served: LocalNetwork, path: Path) -> None:
        served.register(9, ALICE)
        served.register(9, BOB)
        served.serve(9, ALICE, peer_of(ALICE, 7777))
        copy_endpoint(path, (8, ALICE.public_key), (9, ALICE.public_key))
        copy_endpoint(path, (8, BOB.public_key), (9, BOB.public_key))
        assert [axon.is_serving for axon in served.metagraph(9).axons] == [False, False]

    def test_an_endpoint_for_who_never_registered(self, served: LocalNetwork, path: Path) -> None:
        execute(path, "INSERT INTO neurons VALUES (8, 2, ?, 1e9, 1)", CHARLIE.public_key)
        execute(path, "INSERT INTO neurons VALUES (8, 3, ?, 1e9, 1)", bytes(32))
        graph = served.metagraph(8)
        assert graph.n == 2
        assert graph.uid_of(CHARLIE.ss58_address) is None
        assert served.register(8, CHARLIE) == 2
        assert served.metagraph(8).uid_of(CHARLIE.ss58_address) == 2

    def test_a_lost_registration_makes_its_uid_vacant(
        self, served: LocalNetwork, path: Path
    ) -> None:
        execute(
            path,
            "DELETE FROM records WHERE kind = ? AND public_key = ?",
            b"register",
            ALICE.public_key,
        )
        graph = served.metagraph(8)
        assert (graph.n, graph.uid_of(ALICE.ss58_address)) == (2, None)
        assert not graph.axons[0].is_serving
        assert served.register(8, ALICE) == 0
        assert served.metagraph(8).axons[0] == peer_of(ALICE)

    @pytest.mark.parametrize(
        "change",
        ["uid = 4096", "uid = -1", "uid = 'x'", "uid = 9e99", "public_key = zeroblob(32)"],
    )
    def test_impossible_rows(self, served: LocalNetwork, path: Path, change: str) -> None:
        execute(path, f"UPDATE neurons SET {change} WHERE public_key = ?", BOB.public_key)
        graph = served.metagraph(8)
        assert (graph.n, graph.uid_of(BOB.ss58_address)) == (1, None)

    @pytest.mark.parametrize("stake", [-5, "x", b"x", 1e300, 9e999])
    def test_impossible_stake_is_none(
        self, served: LocalNetwork, path: Path, stake: object
    ) -> None:
        execute(path, "UPDATE neurons SET stake = ?, validator_permit = 'x'", stake)
        graph = served.metagraph(8)
        assert (graph.stake, graph.validator_permit) == ([0.0, 0.0], [False, False])
        assert graph.incentive == [0.0, 1.0]

    def test_what_a_hotkey_itself_signs_wrongly_is_left_out_too(
        self, served: LocalNetwork, path: Path
    ) -> None:
        payload = weights_payload([0], [math.pi])
        bad = seal_record(
            ALICE,
            kind="weights",
            netuid=8,
            issued_ns=2**62,
            payload=payload,
            registry=START_NS,
        )
        with writing(path, 1, 0) as connection:
            store_record(connection, bad, kind="weights", netuid=8, public_key=ALICE.public_key)
        graph = served.metagraph(8)
        assert graph.weights(0) == [0.0, 0.0]
        served.set_weights(8, ALICE, [0], [1])
        assert graph.sync().weights(0) == [1.0, 0.0]

    def test_a_registration_signed_wrongly_can_be_made_again(
        self, served: LocalNetwork, path: Path
    ) -> None:
        bad = seal_record(
            ALICE,
            kind="register",
            netuid=8,
            issued_ns=2**62,
            payload={"coldkey": "x"},
            registry=START_NS,
        )
        with writing(path, 1, 0) as connection:
            store_record(connection, bad, kind="register", netuid=8, public_key=ALICE.public_key)
        assert served.metagraph(8).uid_of(ALICE.ss58_address) is None
        assert served.register(8, ALICE) == 0
        assert served.metagraph(8).uid_of(ALICE.ss58_address) == 0


class TestExpiry:
    def test_a_record_counts_until_it_expires_or_is_published_again(self, path: Path) -> None:
        now_ns = START_NS

        network = LocalNetwork(path, clock=lambda: now_ns)
        network.register(8, ALICE)
        network.serve(8, ALICE, peer_of(ALICE, 1), ttl_s=60)
        graph = network.metagraph(8)
        now_ns += 60 * 10**9 - 1
        assert graph.sync().axons[0].port == 1
        now_ns += 1
        assert not graph.sync().axons[0].is_serving
        assert graph.uid_of(ALICE.ss58_address) == 0
        network.serve(8, ALICE, peer_of(ALICE, 2))
        now_ns += 10**18
        assert graph.sync().axons[0].port == 2


class TestRollback:
    def sealed(self, port: int, issued_ns: int) -> SealedRecord:
        payload = serve_payload(peer_of(ALICE, port))
        return seal_record(
            ALICE,
            kind="serve",
            netuid=8,
            issued_ns=issued_ns,
            payload=payload,
            registry=START_NS,
        )

    def store(self, path: Path, sealed: SealedRecord) -> None:
        with writing(path, 1, 0) as connection:
            store_record(connection, sealed, kind="serve", netuid=8, public_key=ALICE.public_key)

    def test_an_older_or_equal_record_is_refused(self, network: LocalNetwork, path: Path) -> None:
        network.register(8, ALICE)
        network.serve(8, ALICE, peer_of(ALICE, 2))
        for issued_ns in (START_NS, START_NS - 1, 0):
            with pytest.raises(errors.NetworkError, match="not newer"):
                self.store(path, self.sealed(1, issued_ns))
        assert network.metagraph(8).axons[0].port == 2
        self.store(path, self.sealed(3, START_NS + 1))
        assert network.metagraph(8).axons[0].port == 3

    def test_a_forged_record_holds_nobody_up(self, network: LocalNetwork, path: Path) -> None:
        """A forger who dates a record far ahead must not keep the owner from serving."""
        network.register(8, ALICE)
        ahead = self.sealed(1, 2**63 - 1)
        execute(
            path,
            "INSERT INTO records VALUES (8, ?, ?, ?, ?, ?)",
            ALICE.public_key,
            b"serve",
            ahead.message,
            b"sr25519",
            bytes(64),
        )
        network.serve(8, ALICE, peer_of(ALICE, 2))
        assert network.metagraph(8).axons[0].port == 2

    def test_a_bad_record_is_not_stored(self, network: LocalNetwork, path: Path) -> None:
        network.register(8, ALICE)
        good = self.sealed(1, 5)
        with pytest.raises(errors.NetworkError, match="signature"):
            self.store(path, SealedRecord(good.message, "sr25519", bytes(64)))
        with reading(path, 1) as connection:
            assert connection is not None
            assert newest_record(connection, 8, ALICE.public_key, "serve") is None


class TestModes:
    async def test_inside_a_loop(self, network: LocalNetwork) -> None:
        async with network:
            assert await network.register(8, ALICE) == 0
            await network.serve(8, ALICE, peer_of(ALICE))
            await network.set_stake(8, ALICE.ss58_address, 3.0, True)
            await network.set_weights(8, ALICE, [0], [1])
            graph = await network.metagraph(8)
            assert (graph.n, graph.stake, graph.incentive) == (1, [3.0], [1.0])
            await network.register(8, BOB)
            assert graph.n == 1
            assert await graph.sync() is graph
            assert graph.n == 2
        with pytest.raises(errors.NetworkError, match="is closed"):
            await graph.sync()
        assert graph.n == 2

    async def test_the_loop_is_not_blocked_by_a_locked_file(
        self, opened: Callable[..., LocalNetwork], path: Path
    ) -> None:
        async with opened(busy_timeout_s=5.0) as network:
            await network.register(8, ALICE)
            with closing(sqlite3.connect(path, isolation_level=None)) as holder:
                holder.execute("BEGIN IMMEDIATE")
                waiting = asyncio.create_task(network.register(8, BOB))
                ticks = 0
                for _ in range(20):
                    await asyncio.sleep(0.005)
                    ticks += 1
                assert (ticks, waiting.done()) == (20, False)
                holder.execute("COMMIT")
            assert await waiting == 1

    async def test_a_cancelled_call_leaves_the_file_usable(
        self, opened: Callable[..., LocalNetwork], path: Path
    ) -> None:
        async with opened(busy_timeout_s=5.0) as network:
            await network.register(8, ALICE)
            with closing(sqlite3.connect(path, isolation_level=None)) as holder:
                holder.execute("BEGIN IMMEDIATE")
                waiting = asyncio.create_task(network.register(8, BOB))
                await asyncio.sleep(0.05)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                holder.execute("COMMIT")
            assert await network.register(8, CHARLIE) == 2
            assert (await network.metagraph(8)).hotkeys[1] == BOB.ss58_address

    def test_several_threads_without_a_loop(self, network: LocalNetwork) -> None:
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for index in range(4):
                    pair = key(f"{number}/{index}")
                    network.register(8, pair)
                    network.serve(8, pair, peer_of(pair))
                    network.metagraph(8)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        graph = network.metagraph(8)
        assert graph.n == 16
        assert all(axon.is_serving for axon in graph.axons)

    def test_is_a_network_and_has_a_short_repr(self, network: LocalNetwork, path: Path) -> None:
        assert isinstance(network, Network)
        assert repr(network) == f"<LocalNetwork {path}>"
