from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from node.neuron.doctor import Verdict, surroundings
from node.neuron.doctor.surroundings import check_folders, check_settings, check_software

from .conftest import Settings


def test_settings_are_counted_by_source(settings: Settings, tmp_path: Path) -> None:
    profile = tmp_path / "miner.yaml"
    profile.write_text("axon: {port: 1, max_workers: 2}")
    finding = asyncio.run(check_settings(settings("--config", str(profile))))
    assert finding.verdict is Verdict.OK
    assert finding.found.startswith(f"6 from flags, 2 from file {profile}")


def test_versions_are_named(settings: Settings) -> None:
    finding = asyncio.run(check_software(settings()))
    assert finding.verdict is Verdict.OK
    for name in ("ganglion 0", "Python 3", "aiohttp 3"):
        assert name in finding.found


@pytest.mark.parametrize(
    ("network", "package"),
    [("finney", "bittensor"), ("ws://127.0.0.1:9944", "bittensor"), ("redis://h", "redis")],
)
def test_what_the_network_needs_must_be_installed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, network: str, package: str
) -> None:
    config = settings("--subtensor.network", network)
    versions = {package: "1.2.3", "aiohttp": "3.12"}
    monkeypatch.setattr(surroundings, "_version_of", versions.get)
    finding = asyncio.run(check_software(config))
    assert (finding.verdict, f"{package} 1.2.3" in finding.found) == (Verdict.OK, True)
    monkeypatch.setattr(surroundings, "_version_of", lambda name: None)
    finding = asyncio.run(check_software(config))
    assert (finding.verdict, package in finding.found) == (Verdict.FAIL, True)
    assert "pip install 'ganglion[" in finding.advice


class TestFolders:
    def test_what_can_be_written(self, settings: Settings, tmp_path: Path) -> None:
        config = settings(
            "--logging.record_log", "--logging.logging_dir", str(tmp_path / "a" / "logs"),
            "--neuron.state", str(tmp_path / "state" / "v.db"),
        )  # fmt: skip
        before = sorted(tmp_path.rglob("*"))
        finding = asyncio.run(check_folders(config))
        assert finding.verdict is Verdict.OK
        for name in ("logs", "state", str(tmp_path)):
            assert name in finding.found
        assert sorted(tmp_path.rglob("*")) == before

    @pytest.mark.parametrize(
        ("flags", "place", "advice"),
        [
            (["--logging.record_log", "--logging.logging_dir"], "{}/logs", "--logging.logging_dir"),
            (["--neuron.state"], "{}/v.db", "--neuron.state"),
            (["--subtensor.network"], "local:{}/net.db", "--subtensor.network"),
        ],
    )
    def test_what_can_not(
        self, settings: Settings, tmp_path: Path, flags: list[str], place: str, advice: str
    ) -> None:
        # A file where a folder should be stops the administrator too, who runs tests at times.
        (tmp_path / "file").write_text("")
        finding = asyncio.run(check_folders(settings(*flags, place.format(tmp_path / "file"))))
        assert finding.verdict is Verdict.FAIL
        assert "not a directory" in finding.found
        assert advice in finding.advice

    @pytest.mark.parametrize(
        ("free", "verdict"),
        [(2**40, Verdict.OK), (100 * 2**20, Verdict.WARN), (2**20, Verdict.FAIL)],
    )
    def test_room(
        self,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
        free: int,
        verdict: Verdict,
    ) -> None:
        usage = type(shutil.disk_usage("/"))
        monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(2**41, 2**41 - free, free))
        assert (asyncio.run(check_folders(settings()))).verdict is verdict
