from __future__ import annotations

import asyncio
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from node import Axon, Keypair, Wallet, errors
from node.network.local import LocalNetwork
from node.neuron.config import Config
from node.neuron.doctor import CHECKS, Diagnosis, Finding, Key, Verdict, examination, examine

from .conftest import Settings
from .test_clocks import axons, shifted

WALLET = Finding.ok("wallet", "as it should be")


async def verdicts(config: Config, key: Key, **options: Any) -> dict[str, str]:
    diagnosis = await examine(config, key, WALLET, **options)
    return {finding.check: str(finding.verdict) for finding in diagnosis.findings}


def found(diagnosis: Diagnosis, check: str) -> Finding:
    return next(finding for finding in diagnosis.findings if finding.check == check)


async def test_a_neuron_that_runs_and_is_listed(settings: Settings, key: Key, listed: Axon) -> None:
    config = await asyncio.to_thread(settings, "--axon.port", str(listed.port))
    assert await verdicts(config, key) == dict.fromkeys(CHECKS, "ok")


async def test_a_neuron_before_its_first_launch(
    settings: Settings, key: Key, free_port: int
) -> None:
    config = await asyncio.to_thread(settings, "--axon.port", str(free_port))
    found = await verdicts(config, key)
    assert "fail" not in found.values()
    assert (found["port"], found["registration"], found["reach"]) == ("ok", "warn", "skip")


async def test_without_a_key_the_rest_is_checked(settings: Settings, free_port: int) -> None:
    config = await asyncio.to_thread(settings, "--axon.port", str(free_port))
    found = await verdicts(config, Key())
    skipped = {name for name, verdict in found.items() if verdict == "skip"}
    assert skipped == {"registration", "address", "record", "reach", "protocols", "receipt"}


async def test_a_clock_that_is_wrong(
    settings: Settings, network: str, wallet: Wallet, key: Key, listed: Axon
) -> None:
    async with axons(0.0, 0.0) as peers, LocalNetwork(network.partition(":")[2]) as opened:
        for number, peer in enumerate(peers):
            other = Keypair.from_uri(f"//{number}")
            await opened.register(8, other)
            await opened.serve(8, other, peer)
        config = await asyncio.to_thread(settings, "--axon.port", str(listed.port))
        diagnosis = await examine(config, key, WALLET, clock_ns=shifted(30.0))
    assert found(diagnosis, "clock").verdict is Verdict.FAIL
    told = re.search(r"this clock is ([\d.]+) s ahead", found(diagnosis, "clock").found)
    assert told is not None
    # The busier the machine, the further the answers are from the questions.
    assert float(told[1]) == pytest.approx(30.0, abs=5.0)
    assert found(diagnosis, "protocols").verdict is Verdict.FAIL
    assert found(diagnosis, "receipt").verdict is Verdict.FAIL


@pytest.mark.parametrize(("private", "words"), [(False, "nobody to compare"), (True, "1 peer")])
async def test_private_peers_of_strangers_are_not_asked(
    settings: Settings,
    network: str,
    key: Key,
    listed: Axon,
    monkeypatch: pytest.MonkeyPatch,
    private: bool,
    words: str,
) -> None:
    registry = LocalNetwork(network.partition(":")[2])
    monkeypatch.setattr(examination, "open_network", lambda *given: registry)
    flags = ["--subtensor.network", "redis://h", "--axon.port", str(listed.port)]
    config = await asyncio.to_thread(settings, *flags, *["--subtensor.allow_private"] * private)
    async with axons(0.0) as [peer]:
        other = Keypair.from_uri("//0")
        await registry.register(8, other)
        await registry.serve(8, other, peer)
        diagnosis = await examine(config, key, WALLET)
    assert words in found(diagnosis, "clock").found
    assert found(diagnosis, "address").verdict is (Verdict.OK if private else Verdict.FAIL)


async def test_a_network_that_is_none(settings: Settings, key: Key, running: Axon) -> None:
    flags = ["--subtensor.network", "locl", "--axon.port", str(running.port)]
    config = await asyncio.to_thread(settings, *flags)
    diagnosis = await examine(config, key, WALLET)
    assert found(diagnosis, "network").verdict is Verdict.FAIL
    assert "did you mean 'local'" in found(diagnosis, "network").advice
    for name in ("registration", "record", "clock"):
        assert found(diagnosis, name).verdict is Verdict.SKIP
    assert found(diagnosis, "protocols").verdict is Verdict.OK


async def test_a_registry_that_is_broken(
    settings: Settings, key: Key, tmp_path: Path, running: Axon
) -> None:
    (tmp_path / "net.db").write_text("something else")
    config = await asyncio.to_thread(settings, "--axon.port", str(running.port))
    finding = found(await examine(config, key, WALLET), "network")
    assert finding.verdict is Verdict.FAIL
    assert "is not a Ganglion registry" in finding.found
    assert "local:PATH" in finding.advice


async def test_a_network_that_does_not_answer_is_not_waited_for(
    settings: Settings, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()
    monkeypatch.setattr(LocalNetwork, "_read", lambda self, netuid: answer.wait(60))
    config = await asyncio.to_thread(settings)
    began = time.monotonic()
    diagnosis = await examine(config, key, WALLET, timeout_s=0.3)
    took = time.monotonic() - began
    answer.set()
    assert took < 20
    finding = found(diagnosis, "network")
    assert (finding.verdict, finding.found) == (Verdict.FAIL, "no answer within 0.3 s")


@pytest.mark.parametrize("error", [RuntimeError("a secret"), errors.ConfigError("wrong; do this")])
async def test_a_check_that_breaks_breaks_no_other(
    settings: Settings, key: Key, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def broken(config: Config) -> Finding:
        raise error

    monkeypatch.setattr(examination, "check_folders", broken)
    diagnosis = await examine(await asyncio.to_thread(settings), key, WALLET)
    assert [finding.check for finding in diagnosis.findings] == list(CHECKS)
    finding = found(diagnosis, "folders")
    assert finding.verdict is Verdict.FAIL
    assert "secret" not in finding.found + finding.advice


async def test_cancelling_it_ends_it(settings: Settings, key: Key) -> None:
    config = await asyncio.to_thread(settings)
    task = asyncio.create_task(examine(config, key, WALLET))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_is_skipped_is_not_done(
    settings: Settings, key: Key, listed: Axon, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*args: object, **options: object) -> Finding:
        raise AssertionError("it was to be left out")

    for name in ("check_receipt", "check_protocols"):
        monkeypatch.setattr(examination, name, never)
    config = await asyncio.to_thread(settings, "--axon.port", str(listed.port))
    skip = ("receipt", "protocols", "network", "wallet")
    found = await verdicts(config, key, skip=skip)
    assert found == {name: "ok" for name in CHECKS if name not in skip}


async def test_it_changes_nothing(
    settings: Settings, key: Key, listed: Axon, network: str, tmp_path: Path
) -> None:
    def state() -> list[tuple[str, bytes]]:
        return [
            (str(path), path.read_bytes())
            for path in sorted(tmp_path.rglob("*"))
            if path.is_file() and path.suffix not in (".db-shm", ".db-wal")
        ]

    config = await asyncio.to_thread(settings, "--axon.port", str(listed.port))
    before = await asyncio.to_thread(state)
    await examine(config, key, WALLET)
    assert await asyncio.to_thread(state) == before
