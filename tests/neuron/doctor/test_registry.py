from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from node import Keypair, Peer, Wallet, errors, open_network
from node.neuron.config import Config
from node.neuron.doctor import Finding, Key, Verdict
from node.neuron.doctor.registry import (
    Registry,
    check_address,
    check_record,
    check_registration,
    planned_endpoint,
    read_registry,
)

from .conftest import NETUID, Settings

Look = Callable[[Config], Registry]


@pytest.fixture
def look(network: str, key: Key) -> Look:
    def read(config: Config) -> Registry:
        return asyncio.run(reading(config, network, key))[0]

    return read


async def reading(config: Config, network: str, key: Key) -> tuple[Registry, Finding]:
    async with open_network(network) as opened:
        return await read_registry(config, opened, key)


def serve(network: str, wallet: Wallet, peer: Peer, ttl_s: float | None = None) -> None:
    with open_network(network) as opened:
        opened.register(NETUID, wallet)
        opened.serve(NETUID, wallet, peer, ttl_s)


class TestNetwork:
    def test_it_is_read(self, settings: Settings, network: str, wallet: Wallet, key: Key) -> None:
        with open_network(network) as opened:
            opened.register(NETUID, Keypair.from_uri("//Alice"))
            opened.register(NETUID, wallet)
        registry, finding = asyncio.run(reading(settings(), network, key))
        assert finding.verdict is Verdict.OK
        assert f"netuid {NETUID} of {network}: 2 uids at block 0" in finding.found
        assert (registry.uid, registry.own, registry.record) == (1, None, None)

    def test_nobody_is_there(self, settings: Settings, network: str, key: Key) -> None:
        registry, finding = asyncio.run(reading(settings(), network, key))
        assert (finding.verdict, registry.uid) == (Verdict.WARN, None)
        assert "--netuid" in finding.advice

    def test_it_can_not_be_read(
        self, settings: Settings, network: str, key: Key, tmp_path: Path
    ) -> None:
        (tmp_path / "net.db").write_text("something else")
        with pytest.raises(errors.NetworkError):
            asyncio.run(reading(settings(), network, key))


class TestRegistration:
    def test_there_is_a_uid(
        self, settings: Settings, network: str, wallet: Wallet, key: Key, look: Look
    ) -> None:
        with open_network(network) as opened:
            opened.register(NETUID, wallet)
            opened.set_stake(NETUID, key.address, 12.5, True)  # type: ignore[attr-defined]
        config = settings()
        finding = check_registration(config, look(config), key)
        assert finding == Finding.ok("registration", "uid 0, stake 12.5, a validator permit")

    @pytest.mark.parametrize(
        ("name", "verdict", "advice"),
        [
            ("local", Verdict.WARN, "ganglion network register --netuid 8 --wallet.hotkey miner"),
            ("redis://u:secret@h/0", Verdict.FAIL, "--subtensor.network 'redis://u:***@h/0'"),
            ("finney", Verdict.FAIL, "btcli subnets register --netuid 8"),
            ("wss://node.example.com:443/key", Verdict.FAIL, "btcli subnets register --netuid 8"),
        ],
    )
    def test_there_is_none(
        self, settings: Settings, key: Key, look: Look, name: str, verdict: Verdict, advice: str
    ) -> None:
        registry = look(settings())
        finding = check_registration(settings("--subtensor.network", name), registry, key)
        assert finding.verdict is verdict
        assert key.address in finding.found
        assert advice in finding.advice
        assert "secret" not in finding.advice + finding.found

    def test_it_is_not_known(self, settings: Settings, look: Look) -> None:
        config = settings()
        assert check_registration(config, look(config), Key()).verdict is Verdict.SKIP


class TestAddress:
    @pytest.mark.parametrize(
        ("flags", "verdict", "words"),
        [
            ("--axon.external_ip 8.8.8.8", Verdict.OK, "others are told 8.8.8.8:8091"),
            ("--axon.external_port 80 --axon.external_ip 8.8.8.8", Verdict.OK, "8.8.8.8:80"),
            ("--axon.port 0 --axon.external_ip 8.8.8.8", Verdict.OK, "a port taken at its start"),
            ("--axon.ip 0.0.0.0", Verdict.FAIL, "127.0.0.1:8091, a loopback address"),
            ("--axon.ip 10.0.0.5", Verdict.FAIL, "a private address"),
            ("--axon.external_ip 203.0.113.9", Verdict.FAIL, "a documentation address"),
            ("--axon.ip 10.0.0.5 --subtensor.allow_private", Verdict.OK, "which is allowed here"),
            ("--axon.ip 10.0.0.5 --subtensor.network local", Verdict.OK, "which is allowed here"),
            ("--axon.ip 10.0.0.5 --neuron.axon_off", Verdict.SKIP, "nothing is served"),
        ],
    )
    def test_what_would_be_published(
        self, settings: Settings, key: Key, flags: str, verdict: Verdict, words: str
    ) -> None:
        config = settings("--subtensor.network", "redis://h", *flags.split())
        finding = check_address(config, planned_endpoint(config, key.address))
        assert finding.verdict is verdict
        assert words in finding.found
        assert ("--axon.external_ip" in finding.advice) == (verdict is Verdict.FAIL)


class TestRecord:
    @pytest.fixture
    def check(self, settings: Settings, look: Look, key: Key) -> Callable[..., Finding]:
        def make(*flags: str, ahead_s: float = 0.0) -> Finding:
            # The network is read as it is; the flags may name another, to judge it by.
            registry = look(settings())
            config = settings(*flags)
            planned = planned_endpoint(config, key.address)
            return check_record(
                config, registry, planned, lambda: time.time_ns() + int(ahead_s * 1e9)
            )

        return make

    def test_a_hotkey_without_a_uid_has_none(self, check: Callable[..., Finding]) -> None:
        assert check().verdict is Verdict.SKIP

    def test_nothing_is_published(
        self, network: str, wallet: Wallet, check: Callable[..., Finding]
    ) -> None:
        with open_network(network) as opened:
            opened.register(NETUID, wallet)
        finding = check()
        assert (finding.verdict, "nothing is published" in finding.found) == (Verdict.WARN, True)
        assert check("--neuron.axon_off").verdict is Verdict.OK

    def test_what_the_settings_say(
        self, network: str, wallet: Wallet, key: Key, check: Callable[..., Finding]
    ) -> None:
        peer = Peer(key.address, "127.0.0.1", 8091, ("btauth",), capacity={"Prompting": 4})
        serve(network, wallet, peer, ttl_s=7200.0)
        finding = check()
        assert finding.verdict is Verdict.OK
        assert finding.found == (
            "uid 0 is listed at 127.0.0.1:8091, speaks btauth, takes at once: Prompting 4, "
            "for another 120 min"
        )
        assert check("--axon.port", "0").verdict is Verdict.OK

    @pytest.mark.parametrize(
        ("flags", "verdict", "words"),
        [
            ("--axon.port 9000", Verdict.WARN, "but the settings say 127.0.0.1:9000"),
            ("--axon.external_ip 8.8.8.8", Verdict.WARN, "but the settings say 8.8.8.8:8091"),
            ("--neuron.axon_off", Verdict.WARN, "but --neuron.axon_off is set"),
            ("--subtensor.network finney", Verdict.FAIL, "which validators pass over"),
            ("--subtensor.network finney --subtensor.allow_private", Verdict.OK, "is listed at"),
        ],
    )
    def test_what_does_not_fit(
        self,
        network: str,
        wallet: Wallet,
        key: Key,
        check: Callable[..., Finding],
        flags: str,
        verdict: Verdict,
        words: str,
    ) -> None:
        serve(network, wallet, Peer(key.address, "127.0.0.1", 8091))
        finding = check(*flags.split())
        assert finding.verdict is verdict
        assert words in finding.found

    def test_one_that_has_expired(
        self, network: str, wallet: Wallet, key: Key, check: Callable[..., Finding]
    ) -> None:
        serve(network, wallet, Peer(key.address, "127.0.0.1", 8091), ttl_s=0.05)
        time.sleep(0.1)
        finding = check(ahead_s=300.0)
        assert finding.verdict is Verdict.WARN
        assert "the record expired 5 min ago" in finding.found
