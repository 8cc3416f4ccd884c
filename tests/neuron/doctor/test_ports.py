from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator

import pytest

from node import Axon, Keypair, Peer
from node.neuron.doctor import Key, Verdict, ports
from node.neuron.doctor.ports import Local, check_port, check_reach
from node.neuron.doctor.probing import Page, Prober
from tests.raw_http import scripted_peer

from .conftest import Settings
from .test_clocks import page


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


class TestPort:
    async def check(
        self, settings: Settings, key: Key, prober: Prober, *flags: str
    ) -> tuple[Local, Verdict, str]:
        config = await asyncio.to_thread(settings, *flags)
        local, finding = await check_port(config, key.address, prober)
        assert bool(finding.advice) == (finding.verdict in {Verdict.FAIL, Verdict.WARN})
        return local, finding.verdict, finding.found

    async def test_a_free_one(
        self, settings: Settings, key: Key, prober: Prober, free_port: int
    ) -> None:
        for ip in ("127.0.0.1", "0.0.0.0"):
            flags = ["--axon.port", str(free_port), "--axon.ip", ip]
            local, verdict, found = await self.check(settings, key, prober, *flags)
            assert (verdict, local.page) == (Verdict.OK, None)
            assert f"{free_port} on {ip} is free" in found

    async def test_this_axon_is_there(
        self, settings: Settings, key: Key, prober: Prober, running: Axon
    ) -> None:
        for ip in ("127.0.0.1", "0.0.0.0"):
            flags = ["--axon.port", str(running.port), "--axon.ip", ip]
            local, verdict, found = await self.check(settings, key, prober, *flags)
            assert (verdict, "this axon runs" in found) == (Verdict.OK, True)
            assert local.page is not None
            assert (local.page.hotkey, local.peer.ip) == (key.address, "127.0.0.1")

    async def test_another_axon_is_there(
        self, settings: Settings, key: Key, prober: Prober
    ) -> None:
        async with Axon(Keypair.from_uri("//Bob"), ip="127.0.0.1", port=0) as axon:
            flags = ["--axon.port", str(axon.port)]
            local, verdict, found = await self.check(settings, key, prober, *flags)
        assert (verdict, local.page) == (Verdict.FAIL, None)
        assert f"the axon of another hotkey, {axon.hotkey}" in found

    async def test_a_web_server_is_there(
        self, settings: Settings, key: Key, prober: Prober
    ) -> None:
        script = page(status="200 OK", body='{"node": "other", "hotkey": "x"}')
        async with scripted_peer(script, key.address) as peer:  # type: ignore[arg-type]
            flags = ["--axon.port", str(peer.port)]
            _, verdict, found = await self.check(settings, key, prober, *flags)
        assert (verdict, "no axon of ours" in found) == (Verdict.FAIL, True)

    async def test_something_silent_is_there(
        self, settings: Settings, key: Key, silent: int
    ) -> None:
        async with Prober(allow_private=True, timeout_s=0.2) as prober:
            flags = ["--axon.port", str(silent)]
            _, verdict, found = await self.check(settings, key, prober, *flags)
        assert (verdict, "no answer within 0.2 s" in found) == (Verdict.FAIL, True)

    async def test_an_address_of_another_machine(
        self, settings: Settings, key: Key, prober: Prober
    ) -> None:
        _, verdict, found = await self.check(settings, key, prober, "--axon.ip", "192.0.2.1")
        assert (verdict, found) == (Verdict.FAIL, "192.0.2.1 is no address of this machine")

    @pytest.mark.parametrize("code", [errno.EACCES, errno.ENOBUFS])
    async def test_one_that_can_not_be_used(
        self,
        settings: Settings,
        key: Key,
        prober: Prober,
        monkeypatch: pytest.MonkeyPatch,
        code: int,
    ) -> None:
        monkeypatch.setattr(ports, "_why_taken", lambda ip, port: code)
        _, verdict, _ = await self.check(settings, key, prober, "--axon.port", "80")
        assert verdict is Verdict.FAIL

    @pytest.mark.parametrize(
        ("flags", "verdict"),
        [
            ("--axon.port 0", Verdict.OK),
            ("--axon.port 0 --subtensor.network finney", Verdict.WARN),
            ("--neuron.axon_off", Verdict.SKIP),
        ],
    )
    async def test_none_is_needed_yet(
        self, settings: Settings, key: Key, prober: Prober, flags: str, verdict: Verdict
    ) -> None:
        assert (await self.check(settings, key, prober, *flags.split()))[1] is verdict


class TestReach:
    def runs(self, axon: Axon) -> Local:
        return Local(axon.info(), Page(axon.hotkey, "1"))

    async def test_it_is_this_neuron(self, running: Axon, prober: Prober) -> None:
        finding = await check_reach(running.info(), True, self.runs(running), prober)
        assert finding.verdict is Verdict.OK
        assert running.info().endpoint in finding.found

    async def test_it_is_another(self, running: Axon, prober: Prober, key: Key) -> None:
        async with Axon(Keypair.from_uri("//Bob"), ip="127.0.0.1", port=0) as other:
            told = Peer(key.address, "127.0.0.1", other.port)
            finding = await check_reach(told, True, self.runs(running), prober)
        assert finding.verdict is Verdict.FAIL
        assert other.hotkey in finding.found

    async def test_it_is_no_axon(self, running: Axon, prober: Prober, key: Key) -> None:
        async with scripted_peer(page(status="200 OK"), key.address) as told:  # type: ignore[arg-type]
            finding = await check_reach(told, True, self.runs(running), prober)
        assert (finding.verdict, "no axon of ours" in finding.found) == (Verdict.FAIL, True)

    async def test_nobody_answers_at_an_address_of_this_machine(
        self, running: Axon, prober: Prober, key: Key, free_port: int
    ) -> None:
        told = Peer(key.address, "127.0.0.1", free_port)
        finding = await check_reach(told, True, self.runs(running), prober)
        assert finding.verdict is Verdict.FAIL
        assert "connection refused" in finding.found
        assert "firewall" in finding.advice

    @pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
    async def test_nobody_answers_elsewhere(self, running: Axon, key: Key, host: str) -> None:
        told = Peer(key.address, host, 8091)
        async with Prober(allow_private=True, timeout_s=0.3) as prober:
            finding = await check_reach(told, True, self.runs(running), prober)
        assert finding.verdict is Verdict.WARN
        assert "another machine" in finding.advice
        assert "leads no machine" in finding.found or "lead no machine" in finding.found

    @pytest.mark.parametrize(
        ("published", "verdict"), [(True, Verdict.WARN), (False, Verdict.SKIP)]
    )
    async def test_nothing_runs(
        self, prober: Prober, key: Key, free_port: int, published: bool, verdict: Verdict
    ) -> None:
        told = Peer(key.address, "127.0.0.1", free_port)
        finding = await check_reach(told, published, Local(told), prober)
        assert finding.verdict is verdict

    async def test_no_address(self, prober: Prober, key: Key) -> None:
        local = Local(Peer(key.address, "127.0.0.1", 1))
        assert (await check_reach(None, False, local, prober)).verdict is Verdict.SKIP
