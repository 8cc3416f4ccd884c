from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from node import Axon, Keypair, Synapse, Wallet, open_network
from node.axon.notary import Notary
from node.errors import Forbidden
from node.neuron.doctor import Finding, Key, Verdict
from node.neuron.doctor.calls import check_protocols, check_receipt
from node.neuron.doctor.ports import Local
from node.neuron.doctor.probing import Page, Prober
from protocols.prompting import Prompting, StreamPrompting
from tests.raw_http import scripted_peer

from .conftest import NETUID, Settings, echo
from .test_clocks import page, shifted

ALL = ("btauth", "synapse", "epistula")


class Custom(Synapse):
    pass


def local(axon: Axon) -> Local:
    return Local(axon.info(), Page(axon.hotkey, "1", axon.protocols))


def raised(error: Exception) -> str:
    raise error


def routes(axon: Axon) -> list[str]:
    return [*dict(axon.info().capacity)]


class TestProtocols:
    async def check(
        self, settings: Settings, key: Key, axon: Axon, prober: Prober, known: list[str]
    ) -> Finding:
        flags = ["--axon.protocols", ",".join(axon.protocols)]
        config = await asyncio.to_thread(settings, *flags)
        return await check_protocols(config, key, local(axon), known, prober)

    async def test_each_is_tried_and_no_forward_runs(
        self, settings: Settings, wallet: Wallet, key: Key, prober: Prober
    ) -> None:
        ran = []

        async def forward(synapse: Custom) -> Custom:
            ran.append(synapse)
            return synapse

        async with Axon(wallet, ip="127.0.0.1", port=0, protocols=ALL).attach(forward) as axon:
            finding = await self.check(settings, key, axon, prober, routes(axon))
        assert finding.verdict is Verdict.OK
        assert finding.found.endswith("btauth: taken; synapse: taken; epistula: taken")
        assert ran == []

    async def test_usual_routes_are_tried_where_none_is_known(
        self, settings: Settings, key: Key, running: Axon, prober: Prober
    ) -> None:
        assert (await self.check(settings, key, running, prober, [])).verdict is Verdict.OK

    async def test_no_route_is_known(
        self, settings: Settings, wallet: Wallet, key: Key, prober: Prober
    ) -> None:
        async def forward(synapse: Custom) -> Custom:
            return synapse

        async with Axon(wallet, ip="127.0.0.1", port=0).attach(forward) as axon:
            finding = await self.check(settings, key, axon, prober, [])
        assert (finding.verdict, "no route" in finding.found) == (Verdict.WARN, True)

    async def test_a_wrong_clock_is_refused_and_told(
        self, settings: Settings, key: Key, wallet: Wallet
    ) -> None:
        async with (
            Axon(wallet, ip="127.0.0.1", port=0).attach(echo) as axon,
            Prober(allow_private=True, timeout_s=5.0, clock_ns=shifted(-60.0)) as prober,
        ):
            finding = await self.check(settings, key, axon, prober, routes(axon))
        assert finding.verdict is Verdict.FAIL
        assert "60." in finding.found
        assert "clock" in finding.advice

    async def test_an_axon_that_was_started_with_another_key(
        self, settings: Settings, key: Key, prober: Prober
    ) -> None:
        async with Axon(Keypair.from_uri("//Bob"), ip="127.0.0.1", port=0).attach(echo) as other:
            peer = replace(other.info(), hotkey=key.address)
            there = Local(peer, Page(key.address, "1", other.protocols))
            config = await asyncio.to_thread(settings)
            finding = await check_protocols(config, key, there, [], prober)
        assert finding.verdict is Verdict.FAIL
        assert "not signed for this node" in finding.found
        assert "very hotkey" in finding.advice

    async def test_a_stranger_to_the_network_is_told_so(
        self, settings: Settings, wallet: Wallet, key: Key, prober: Prober, network: str
    ) -> None:
        axon = Axon(wallet, ip="127.0.0.1", port=0, network=network, netuid=NETUID).attach(echo)
        async with axon:
            finding = await self.check(settings, key, axon, prober, routes(axon))
        assert finding.verdict is Verdict.WARN
        assert "not registered" in finding.found

    async def test_other_protocols_than_the_settings_say(
        self, settings: Settings, key: Key, running: Axon, prober: Prober
    ) -> None:
        config = await asyncio.to_thread(settings, "--axon.protocols", "btauth,synapse")
        finding = await check_protocols(config, key, local(running), [], prober)
        assert finding.verdict is Verdict.WARN
        assert "the settings say btauth, synapse" in finding.found

    async def test_what_can_not_be_tried(
        self, settings: Settings, key: Key, running: Axon, prober: Prober
    ) -> None:
        config = await asyncio.to_thread(settings)
        off = Local(running.info())
        assert (await check_protocols(config, key, off, [], prober)).verdict is Verdict.SKIP
        locked = Key(key.address)
        finding = await check_protocols(config, locked, local(running), [], prober)
        assert finding.verdict is Verdict.SKIP

    async def test_a_key_that_a_protocol_does_not_know(
        self, settings: Settings, tmp_path: Path, prober: Prober
    ) -> None:
        keypair = Keypair.from_uri("//Ed", "ed25519")
        async with Axon(keypair, ip="127.0.0.1", port=0, protocols=ALL).attach(echo) as axon:
            key = Key(keypair.ss58_address, keypair)
            finding = await self.check(settings, key, axon, prober, routes(axon))
        assert finding.verdict is Verdict.WARN
        assert "btauth: taken" in finding.found
        assert "synapse: not tried" in finding.found


class TestReceipt:
    async def check(self, key: Key, axon: Axon, known: list[str] | None = None) -> Finding:
        return await check_receipt(
            key,
            local(axon),
            routes(axon) if known is None else known,
            timeout_s=2.0,
            clock_ns=time.time_ns,
        )

    @pytest.mark.parametrize("known", [None, []])
    async def test_a_stream(self, key: Key, running: Axon, known: list[str] | None) -> None:
        finding = await self.check(key, running, known)
        assert finding.verdict is Verdict.OK
        assert "StreamPrompting was answered: chunks: 1" in finding.found
        assert "receipt valid" in finding.found

    @pytest.mark.parametrize("known", [None, []])
    async def test_a_document(self, key: Key, wallet: Wallet, known: list[str] | None) -> None:
        async def forward(synapse: Prompting) -> Prompting:
            return synapse

        async with Axon(wallet, ip="127.0.0.1", port=0).attach(forward) as axon:
            finding = await self.check(key, axon, known)
        assert (finding.verdict, "to Prompting was" in finding.found) == (Verdict.OK, True)

    @pytest.mark.parametrize("known", [None, []])
    async def test_no_prompting_route(
        self, key: Key, wallet: Wallet, known: list[str] | None
    ) -> None:
        async def forward(synapse: Custom) -> Custom:
            raise AssertionError("it was not to be asked")

        async with Axon(wallet, ip="127.0.0.1", port=0).attach(forward) as axon:
            assert (await self.check(key, axon, known)).verdict is Verdict.SKIP

    async def test_it_signs_nothing(self, key: Key, wallet: Wallet) -> None:
        async with Axon(wallet, ip="127.0.0.1", port=0, receipts=False).attach(echo) as axon:
            finding = await self.check(key, axon)
        assert (finding.verdict, "not signed" in finding.found) == (Verdict.WARN, True)

    async def test_a_receipt_that_does_not_hold(
        self, key: Key, running: Axon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        genuine = Notary.sign
        monkeypatch.setattr(
            Notary, "sign", lambda self, *args, **more: genuine(self, "0" * 64, *args[1:], **more)
        )
        finding = await self.check(key, running)
        assert (finding.verdict, "does not hold" in finding.found) == (Verdict.FAIL, True)

    async def test_a_forward_that_fails(self, key: Key, wallet: Wallet) -> None:
        async def forward(synapse: StreamPrompting) -> AsyncIterator[str]:
            yield raised(ValueError("a secret of the forward"))

        async with Axon(wallet, ip="127.0.0.1", port=0).attach(forward) as axon:
            finding = await self.check(key, axon)
        assert (finding.verdict, "500" in finding.found) == (Verdict.FAIL, True)

    async def test_a_rule_that_refuses(self, key: Key, wallet: Wallet) -> None:
        async def forward(synapse: StreamPrompting) -> AsyncIterator[str]:
            yield raised(Forbidden("Validators only."))

        async with Axon(wallet, ip="127.0.0.1", port=0).attach(forward) as axon:
            finding = await self.check(key, axon)
        assert (finding.verdict, "Validators only." in finding.found) == (Verdict.WARN, True)

    async def test_an_answer_that_takes_too_long(self, key: Key, wallet: Wallet) -> None:
        async def forward(synapse: StreamPrompting) -> AsyncIterator[str]:
            await asyncio.sleep(30)
            yield ""

        async with Axon(wallet, ip="127.0.0.1", port=0, grace_s=0.0).attach(forward) as axon:
            finding = await check_receipt(
                key, local(axon), [], timeout_s=0.2, clock_ns=time.time_ns
            )
        assert (finding.verdict, "deadline" in finding.found) == (Verdict.FAIL, True)

    async def test_what_can_not_be_asked(self, key: Key, running: Axon) -> None:
        off, old = Local(running.info()), Local(running.info(), Page(key.address, "", ("synapse",)))
        for someone, there in ((key, off), (Key(key.address), local(running)), (key, old)):
            finding = await check_receipt(someone, there, [], timeout_s=1.0, clock_ns=time.time_ns)
            assert finding.verdict is Verdict.SKIP


async def test_what_a_hostile_axon_says_is_cut(
    settings: Settings, key: Key, prober: Prober
) -> None:
    body = json.dumps({"code": "x" * 5000, "message": "y" * 5000})
    script = page(status="401 No", body=body)
    config = await asyncio.to_thread(settings)
    async with scripted_peer(script, key.address) as peer:  # type: ignore[arg-type]
        there = Local(peer, Page(key.address, "", ("btauth",)))
        finding = await check_protocols(config, key, there, ["Custom"], prober)
    assert finding.verdict is Verdict.FAIL
    assert len(finding.found) < 300


async def test_a_registered_caller_is_taken(
    settings: Settings, wallet: Wallet, key: Key, prober: Prober, network: str
) -> None:
    async with open_network(network) as opened:
        await opened.register(NETUID, wallet)
    axon = Axon(wallet, ip="127.0.0.1", port=0, network=network, netuid=NETUID).attach(echo)
    config = await asyncio.to_thread(settings)
    async with axon:
        finding = await check_protocols(config, key, local(axon), routes(axon), prober)
    assert finding.verdict is Verdict.OK
