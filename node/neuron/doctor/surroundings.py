"""What the neuron stands on: its settings, the software, the folders that it writes to."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import tempfile
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from node.network.chain_address import CHAINS
from node.network.chain_address import SCHEMES as CHAIN_SCHEMES
from node.network.redis_address import SCHEMES as REDIS_SCHEMES
from node.neuron.chosen_network import network_name
from node.neuron.config import Config
from node.neuron.log_setup import log_path
from node.version import VERSION

from .finding import Finding

__all__ = ["check_folders", "check_settings", "check_software"]

_SHOWN = ("aiohttp", "pydantic", "bittensor-core", "cryptography")
_EXTRAS = dict.fromkeys((*CHAINS, *CHAIN_SCHEMES), ("bittensor", "chain"))
_EXTRAS |= dict.fromkeys(REDIS_SCHEMES, ("redis", "redis"))
_LOW_DISK_BYTES = 2**30
_NO_DISK_BYTES = 64 * 2**20


async def check_settings(config: Config) -> Finding:
    """Say where the settings came from; they were resolved, so they are good."""
    sources = Counter(
        setting.source.partition(" ")[0] if setting.source != "flag" else "flags"
        for _, setting in config.items()
    )
    profile = f"file {config['config']}" if config.get("config") else "file"
    words = [
        f"{sources[kind]} from {name}"
        for kind, name in (
            ("flags", "flags"),
            ("environment", "the environment"),
            ("file", profile),
        )
        if sources[kind]
    ]
    given = ", ".join(words) or "none given"
    return Finding.ok("settings", f"{given}, the rest by default (--print_config lists them)")


async def check_software(config: Config) -> Finding:
    """Name the versions, and what the network needs and is not installed."""
    return await asyncio.to_thread(_check_software, config)


def _check_software(config: Config) -> Finding:
    installed = {name: _version_of(name) for name in _SHOWN}
    shown = ", ".join(f"{name} {number}" for name, number in installed.items() if number)
    found = f"ganglion {VERSION}, Python {platform.python_version()}, {shown}"
    kind = network_name(config).partition(":")[0]
    package, extra = _EXTRAS.get(kind, ("", ""))
    if not package:
        return Finding.ok("software", found)
    number = _version_of(package)
    if number is None:
        return Finding.fail(
            "software",
            f"the network {kind!r} needs the package {package}, which is not installed",
            f"run: pip install 'ganglion[{extra}]'",
        )
    return Finding.ok("software", f"{found}, {package} {number}")


async def check_folders(config: Config) -> Finding:
    """Try whether what the neuron writes can be written, and whether there is room."""
    return await asyncio.to_thread(_check_folders, config)


def _check_folders(config: Config) -> Finding:
    folders = _folders_of(config)
    for flag, folder in folders:
        place = _nearest_existing(folder)
        try:
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            reason = error.strerror or type(error).__name__
            return Finding.fail(
                "folders",
                f"nothing can be written to {folder} ({reason.lower()} at {place})",
                f"correct its owner and permissions, or choose another with {flag}",
            )
        free = shutil.disk_usage(place).free
        if free < _LOW_DISK_BYTES:
            judge = Finding.fail if free < _NO_DISK_BYTES else Finding.warn
            return judge(
                "folders", f"{place} has {free // 2**20} MiB of disk left", "make room on that disk"
            )
    names = ", ".join(dict.fromkeys(str(folder) for _, folder in folders))
    return Finding.ok("folders", f"can be written: {names}")


def _folders_of(config: Config) -> list[tuple[str, Path]]:
    """What will be written, each with the setting that moves it."""
    folders = []
    if config["logging.record_log"]:
        folders.append(("--logging.logging_dir", log_path(config).parent))
    home = Path(os.environ.get("GANGLION_HOME") or "~/.ganglion").expanduser()
    kind, colon, path = network_name(config).partition(":")
    if kind == "local" and colon:
        folders.append(("--subtensor.network", Path(path).expanduser().absolute().parent))
    else:
        folders.append(("the variable GANGLION_HOME", home))
    if config.get("neuron.state"):
        state = Path(config["neuron.state"]).expanduser().absolute()
        folders.append(("--neuron.state", state.parent))
    return folders


def _nearest_existing(folder: Path) -> Path:
    """The folder, or the one on the way to it in which the rest would be made."""
    for place in (folder, *folder.parents):
        if place.exists():
            return place
    return folder


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
