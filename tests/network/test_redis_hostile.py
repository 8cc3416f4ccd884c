"""What somebody can do to readers who can write to the Redis, but has no hotkey of theirs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from node import Keypair, Peer, errors
from node.network import redis_network
from node.network.record import SealedRecord, seal_record, serve_payload
from node.network.redis_network import RedisNetwork
from node.network.redis_rows import MAX_VALUE_BYTES, pack_record
from node.network.redis_scripts import GIANT
from tests.redis_server import RedisServer

from .conftest import FakeClock, key, peer_of
from .redis_content import Raw

ALICE, BOB, CHARLIE = key("Alice"), key("Bob"), key("Charlie", "ed25519")
NETUID = 8

Call = Callable[[], Any]


@pytest.fixture
def served(redis_served: RedisNetwork) -> RedisNetwork:
    return redis_served


class TestHostileContent:
    def expect_only(
        self, network: RedisNetwork, caplog: pytest.LogCaptureFixture, warned: str = ""
    ) -> None:
        """Bob's record is left out with one warning, and everything else is as it was."""
        for _ in range(2):
            graph = network.metagraph(NETUID)
            assert [axon.is_serving for axon in graph.axons] == [True, False, True]
            assert graph.hotkeys[1] == BOB.ss58_address
            assert graph.weights(1) == [0.0, 0.0, 1.0]
        warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert len(warnings) == 1
        assert (warned or f"the serve record of {BOB.ss58_address} is left out") in caplog.text
        # It binds nobody: the owner can say again where it is.
        network.serve(NETUID, BOB, peer_of(BOB, 9999))
        assert network.metagraph(NETUID).axons[1].port == 9999

    @pytest.mark.parametrize(
        "value",
        [
            b"x",
            b"\n",
            b"sr25519 \n{}",
            b"sr25519 zz\n{}",
            b"\xff\xfe\x00" * 100,
            b"sr25519 " + b"00" * 64 + b"\nganglion/record/2\n{}",
            b"rsa " + b"00" * 64 + b"\nganglion/record/2\n" + b"[" * 60_000,
            b"1 2 3",
        ],
    )
    def test_a_record_that_is_none(
        self, served: RedisNetwork, raw: Raw, caplog: pytest.LogCaptureFixture, value: bytes
    ) -> None:
        raw.record("serve", BOB, value)
        self.expect_only(served, caplog)

    @pytest.mark.parametrize("size", [MAX_VALUE_BYTES + 1, 8 * 2**20])
    def test_a_record_that_is_giant_is_not_even_read(
        self, served: RedisNetwork, raw: Raw, caplog: pytest.LogCaptureFixture, size: int
    ) -> None:
        raw.record("serve", BOB, b"x" * size)
        self.expect_only(served, caplog, "1 records that are too long are left out")

    def forged(self, signer: Keypair, **changed: Any) -> SealedRecord:
        fields: dict[str, Any] = {
            "kind": "serve", "netuid": NETUID, "issued_ns": 2**62, "expires_ns": 0,
            "payload": serve_payload(Peer(signer.ss58_address, "127.0.0.1", 666)),
        }  # fmt: skip
        return seal_record(signer, **fields | changed)

    def test_records_of_others_of_elsewhere_and_of_other_kinds(
        self, served: RedisNetwork, raw: Raw, caplog: pytest.LogCaptureFixture, clock: FakeClock
    ) -> None:
        genesis_ns = clock.now_ns
        for sealed in (
            self.forged(ALICE, registry=genesis_ns),
            self.forged(BOB, registry=genesis_ns, netuid=9),
            self.forged(BOB, registry=genesis_ns + 1),
            self.forged(BOB, registry=genesis_ns, kind="register", payload={"coldkey": ""}),
            self.forged(BOB, registry=genesis_ns, payload={"ip": "1.1.1.1"}),
        ):
            caplog.clear()
            raw.record("serve", BOB, pack_record(sealed))
            self.expect_only(served, caplog)

    def test_an_old_record_of_its_own_is_not_believed_after_its_time(
        self, served: RedisNetwork, raw: Raw, clock: FakeClock
    ) -> None:
        sealed = self.forged(BOB, registry=clock.now_ns, expires_ns=clock.now_ns + 5)
        raw.record("serve", BOB, pack_record(sealed))
        assert served.metagraph(NETUID).axons[1].port == 666
        clock.now_ns += 5
        assert not served.metagraph(NETUID).axons[1].is_serving

    @pytest.mark.parametrize(
        "value", [b"1", b"01", b"-1", b"4096", b"1e3", b"", b"x" * 50_000, b" 2", b"\xff"]
    )
    def test_a_uid_that_is_none_or_another_neurons(
        self, served: RedisNetwork, raw: Raw, value: bytes
    ) -> None:
        raw("HSET", f"{NETUID}:uids", CHARLIE.public_key.hex(), value)
        graph = served.metagraph(NETUID)
        # Two hotkeys at one uid: the same one has it for every reader.
        holder = min((BOB, CHARLIE), key=lambda pair: pair.public_key.hex())
        expected = [ALICE, holder if value == b"1" else BOB]
        assert graph.hotkeys == [pair.ss58_address for pair in expected]
        if value != b"1":
            assert served.register(NETUID, CHARLIE) == 2

    @pytest.mark.parametrize(
        "field", [b"x", b"00" * 31, b"zz" * 32, b"AB" * 32, b"\xff" * 64, b"y" * 100_000]
    )
    def test_a_neuron_without_a_key(self, served: RedisNetwork, raw: Raw, field: bytes) -> None:
        raw("HSET", f"{NETUID}:uids", field, b"3")
        assert served.metagraph(NETUID).n == 3

    @pytest.mark.parametrize("value", [b"nan", b"inf", b"-1", b"1e16", b"x", b"", b"1" * 1000])
    def test_stake_that_is_none(self, served: RedisNetwork, raw: Raw, value: bytes) -> None:
        raw("HSET", f"{NETUID}:stake", BOB.public_key.hex(), value)
        raw("HSET", f"{NETUID}:permit", BOB.public_key.hex(), value)
        graph = served.metagraph(NETUID)
        assert (graph.stake, graph.validator_permit) == ([0.0] * 3, [False] * 3)

    @pytest.mark.parametrize("part", ["uids", "register", "serve", "weights", "stake", "permit"])
    def test_something_else_under_the_name(self, served: RedisNetwork, raw: Raw, part: str) -> None:
        raw("SET", f"{NETUID}:{part}", b"x")
        with pytest.raises(errors.NetworkError, match=r"holds something else.*\?prefix="):
            served.metagraph(NETUID)
        assert served.metagraph(NETUID + 1).n == 0

    @pytest.mark.parametrize("value", [b"x", b"-5", b"1" * 40, b"9" * 19, b"0017"])
    def test_a_genesis_that_is_none(self, served: RedisNetwork, raw: Raw, value: bytes) -> None:
        raw("SET", "genesis", value)
        calls: list[Call] = [
            lambda: served.metagraph(NETUID),
            lambda: served.register(NETUID, ALICE),
            lambda: served.serve(NETUID, ALICE, peer_of(ALICE)),
        ]
        for call in calls:
            with pytest.raises(errors.NetworkError, match="is no registry of Ganglion"):
                call()

    def test_too_many_neurons(
        self, served: RedisNetwork, raw: Raw, redis_server: RedisServer
    ) -> None:
        script = "for n = 1, 5000 do redis.call('HSET', KEYS[1], n, n) end"
        redis_server.command("EVAL", script, "1", raw.name(f"{NETUID}:uids"))
        calls: list[Call] = [
            lambda: served.metagraph(NETUID),
            lambda: served.set_weights(NETUID, ALICE, [0], [1]),
        ]
        for call in calls:
            with pytest.raises(errors.NetworkError, match="is no registry of Ganglion"):
                call()

    def test_records_over_64_mib_in_all_are_bounded(
        self,
        served: RedisNetwork,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        assert redis_network._MAX_READ_BYTES == 64 * 2**20
        monkeypatch.setattr(redis_network, "_MAX_READ_BYTES", 2000)
        assert 0 < served.metagraph(NETUID).n < 3
        assert "records that are too long are left out" in caplog.text

    def test_who_writes_does_not_read_a_giant_either(self, served: RedisNetwork, raw: Raw) -> None:
        raw.record("serve", BOB, b"x" * (MAX_VALUE_BYTES + 1))

        async def look() -> object:
            try:
                return (await served._look(NETUID, BOB, "serve"))[1]
            finally:
                await served._link.release()

        assert asyncio.run(look()) == GIANT

    def test_a_second_spelling_of_a_key_is_no_second_neuron(
        self, served: RedisNetwork, raw: Raw
    ) -> None:
        other = BOB.public_key.hex().upper()
        for kind in ("register", "serve"):
            raw("HSET", f"{NETUID}:{kind}", other, raw.stored(kind, BOB))
        raw("HSET", f"{NETUID}:uids", other, b"3")
        graph = served.metagraph(NETUID)
        assert graph.hotkeys.count(BOB.ss58_address) == 1
        assert graph.n == 3

    async def test_garbage_on_the_channel(
        self, redis_url: str, raw: Raw, redis_server: RedisServer
    ) -> None:
        async with RedisNetwork(redis_url) as network, network.changes(NETUID) as changes:
            await anext(changes)
            await asyncio.to_thread(raw, "PUBLISH", f"{NETUID}:changes", b"\xff" * 100_000)
            async with asyncio.timeout(5):
                await anext(changes)
