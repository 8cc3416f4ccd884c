"""The port: who listens on it here, and who answers at the address that others are told."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from dataclasses import dataclass

from node.errors import PeerUnreachable
from node.keys import ss58_encode
from node.network import Peer
from node.network.metagraph import VACANT_KEY
from node.neuron.chosen_network import allows_private
from node.neuron.config import Config

from .finding import Finding
from .probing import Page, Prober
from .registry import serves

__all__ = ["NOBODY", "Local", "check_port", "check_reach"]

NOBODY = ss58_encode(VACANT_KEY)
"""Stands for a hotkey that could not be read; no axon has it."""

_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104  names, no bind


@dataclass(frozen=True, slots=True)
class Local:
    """This neuron's own axon on this machine.

    Attributes:
        peer: Where to reach it from here.
        page: What it says of itself; None where it is not running.
    """

    peer: Peer
    page: Page | None = None


async def check_port(config: Config, hotkey: str, prober: Prober) -> tuple[Local, Finding]:
    """Is the port free, or is it this neuron's own axon that listens.

    Args:
        config: With `axon.ip` and `axon.port`.
        hotkey: Whose axon is this neuron's own, or "".
        prober: May connect to this machine.
    """
    name, ip, port = "port", config["axon.ip"], config["axon.port"]
    local = Local(Peer(hotkey or NOBODY, _LOOPBACK_OF.get(ip, ip), port))
    if not serves(config):
        return local, Finding.skip(name, "--neuron.axon_off: nothing is served")
    if port == 0:
        finding = Finding.ok(name, "a free one is taken at the start")
        if not allows_private(config):
            finding = Finding.warn(
                name,
                "a free one is taken at the start, another each time",
                "set --axon.port to one that the firewall lets through",
            )
        return local, finding
    refused = await asyncio.to_thread(_why_taken, ip, port)
    if refused is None:
        return local, Finding.ok(name, f"{port} on {ip} is free; no axon runs there now")
    if refused != errno.EADDRINUSE:
        return local, _unusable(ip, port, refused)
    return await _ask_who(local, hotkey, prober)


async def _ask_who(local: Local, hotkey: str, prober: Prober) -> tuple[Local, Finding]:
    name, endpoint = "port", local.peer.endpoint
    advice = "stop what listens there, or choose another with --axon.port"
    try:
        page = await prober.page(local.peer.url)
    except PeerUnreachable as error:
        return local, Finding.fail(name, f"{endpoint} is taken by something else: {error}", advice)
    if not page.hotkey:
        return local, Finding.fail(
            name, f"{endpoint} is taken by a web server that is no axon of ours", advice
        )
    if page.hotkey != hotkey:
        return local, Finding.fail(
            name, f"{endpoint} is taken by the axon of another hotkey, {page.hotkey}", advice
        )
    running = Local(local.peer, page)
    return running, Finding.ok(name, f"this axon runs on {endpoint} (ganglion {page.version})")


def _unusable(ip: str, port: int, code: int) -> Finding:
    if code == errno.EACCES:
        return Finding.fail(
            "port", f"{port} needs more rights", "choose one above 1023 with --axon.port"
        )
    if code == errno.EADDRNOTAVAIL:
        return Finding.fail(
            "port",
            f"{ip} is no address of this machine",
            "set --axon.ip to one that is, or leave it out; --axon.external_ip is what others are "
            "told",
        )
    return Finding.fail(
        "port",
        f"{port} on {ip} can't be used ({os.strerror(code).lower()})",
        "check --axon.ip and --axon.port",
    )


def _why_taken(ip: str, port: int) -> int | None:
    """The error of listening there, as an axon does; None where it would work."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((ip, port))
            probe.listen(1)
    except OSError as error:
        return error.errno or errno.EIO
    return None


async def check_reach(told: Peer | None, published: bool, local: Local, prober: Prober) -> Finding:
    """Who answers at the address that others are told.

    Args:
        told: That address; None where it is not known.
        published: Whether the network lists it already.
        local: The axon on this machine.
        prober: May connect to any address, since it is this neuron's own.
    """
    name = "reach"
    if told is None:
        return Finding.skip(name, "no address is known yet")
    running = local.page is not None
    if not running and not published:
        return Finding.skip(name, "the axon doesn't run yet; check again when it does")
    try:
        page = await prober.page(told.url)
    except PeerUnreachable as error:
        return await _unreachable(told, str(error), running)
    if page.hotkey == told.hotkey:
        return Finding.ok(name, f"{told.endpoint} answers with this hotkey, seen from here")
    who = f"another hotkey, {page.hotkey}" if page.hotkey else "what is no axon of ours"
    return Finding.fail(
        name,
        f"at {told.endpoint} answers {who}",
        "correct --axon.external_ip and --axon.external_port, or the forwarding of the port",
    )


async def _unreachable(told: Peer, reason: str, running: bool) -> Finding:
    name, found = "reach", f"{told.endpoint} can't be reached from here: {reason}"
    if not running:
        return Finding.warn(
            name, f"{found}; no axon runs on this machine", "start the neuron, or it is not called"
        )
    if await _is_own_address(told.ip):
        return Finding.fail(
            name,
            f"{found}, though the axon runs on this machine",
            "open the port in this machine's firewall, or correct --axon.ip",
        )
    return Finding.warn(
        name,
        f"{found}; that may be this router alone, as many lead no machine back to itself",
        f"run `curl {told.url}/health` on another machine; if that fails, forward the port",
    )


async def _is_own_address(host: str) -> bool:
    """Whether one of the host's addresses is this machine's."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    for family, kind, _, _, address in found:
        with socket.socket(family, kind) as probe:
            try:
                probe.bind((address[0], 0))
            except OSError:
                continue
            return True
    return False
