"""`bt.axon`: serves from synchronous code.

The axon itself is the library's own. It runs in an event loop in a thread, which starts with
`start` and ends with `stop`, or with the process. Async forwards and hooks run in that loop, sync
forwards in worker threads.
"""

from __future__ import annotations

import argparse
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

from node import axon as native
from node.axon.routes import read_route
from node.errors import ConfigError, NetworkError

from .chain import Subtensor
from .endpoint import AxonInfo
from .keyring import Wallet, as_signer
from .loop_thread import LoopThread
from .settings import COMMAND_LINE, Config, add_group, check_group, defaults, setting

__all__ = ["Axon"]

_MAX_PORT = 65_535
_POOL_END_S = 1.0


class _Served(native.Axon):
    """The library's axon, with what a wrapper around it needs."""

    _ended_pool: ThreadPoolExecutor | None = None

    def attach_from(self, names: dict[str, Any], *functions: Callable[..., Any] | None) -> None:
        """Attach a forward and its hooks, whose annotations may use names of the caller's frame."""
        forward, blacklist, priority, verify = functions
        assert forward is not None
        self._add(read_route(forward, blacklist, priority, verify, local_names=names))

    async def _release(self) -> None:
        self._ended_pool = self._pool
        await super()._release()

    def wait_for_pool(self, seconds: float) -> None:
        """Wait until the idle workers have ended, as they do by themselves a moment after a stop.

        One with a forward that can't be stopped is left behind.
        """
        pool, self._ended_pool = self._ended_pool, None
        if pool is not None:
            waiter = threading.Thread(target=pool.shutdown, daemon=True)
            waiter.start()
            waiter.join(seconds)


class Axon:
    """Serves typed forward routes to verified callers.

    Whoever starts it stops it; what still serves when the process ends is stopped then. It may be
    started inside a running event loop too, which waits until the port is open.

    Args:
        wallet: A wallet or keypair; the config's wallet by default.
        config: Where the `axon.*` and `wallet.*` settings are read, if not given; without one their
            defaults hold. The command line is never looked at.
        port: Port; 0 picks a free one when it starts.
        ip: Interface to listen on, all by default.
        external_ip: Address that peers are told, where it is another. Nothing is looked up: an
            axon on all interfaces tells the loopback address otherwise.
        external_port: Port that peers are told, where it is another.
        max_workers: Forwards that run at once.
        **options: Any other argument of `node.Axon`.

    Attributes:
        wallet: As given.
        config: As given, or the defaults.
        started: Whether it serves.
        native: The library's own axon.

    Raises:
        ConfigError: An argument is out of range.
        WalletError: The hotkey can't be loaded.
    """

    def __init__(
        self,
        wallet: Any = None,
        config: Any = None,
        port: int | None = None,
        ip: str | None = None,
        external_ip: str | None = None,
        external_port: int | None = None,
        max_workers: int | None = None,
        **options: Any,
    ) -> None:
        COMMAND_LINE.check()
        self.config = defaults() if config is None else config
        self.wallet = Wallet(config=self.config) if wallet is None else wallet
        given: dict[str, Any] = {
            "port": port, "ip": ip, "external_ip": external_ip, "external_port": external_port,
            "max_workers": max_workers,
        }  # fmt: skip
        self.native = _Served(as_signer(self.wallet), **(_settings(self.config, given) | options))
        self._thread: LoopThread | None = None
        self._lock = threading.Lock()
        self._finalizer: Any = None
        self._publish_as: tuple[int, Any] | None = None

    @classmethod
    def add_args(cls, parser: argparse.ArgumentParser, prefix: str | None = None) -> None:
        """Add `--axon.port` and the other flags of an axon to a parser."""
        add_group(parser, "axon", prefix)

    @classmethod
    def check_config(cls, config: Config) -> None:
        """Check that a config has axon settings and ports that there are.

        Raises:
            ConfigError: It has not.
        """
        check_group(config, "axon")
        for name in ("axon.port", "axon.external_port"):
            port = setting(config, name)
            if port is not None and not 0 <= int(port) <= _MAX_PORT:
                raise ConfigError(f"--{name} must be a port from 0 to {_MAX_PORT}, not {port}")

    @property
    def started(self) -> bool:
        """Whether it serves."""
        return self._thread is not None

    @property
    def ip(self) -> str:
        """The interface that it listens on."""
        return self.native.ip

    @property
    def port(self) -> int:
        """The port that it listens on; 0 before a free one was picked."""
        return self.native.port

    @property
    def external_ip(self) -> str:
        """The address that peers are told."""
        return self.native.info().ip

    @property
    def external_port(self) -> int:
        """The port that peers are told."""
        return self.native.info().port

    @property
    def full_address(self) -> str:
        """Interface and port as text."""
        return f"{self.ip}:{self.port}"

    def info(self) -> AxonInfo:
        """Return this axon as its peers reach it."""
        info = AxonInfo.of(self.native.info())
        if isinstance(self.wallet, Wallet) and self.wallet.native.has_coldkey:
            info.coldkey = self.wallet.coldkeypub.ss58_address
        return info

    def to_string(self) -> str:
        """Return `info()` as JSON."""
        return self.info().to_string()

    def attach(
        self,
        forward_fn: Callable[..., Any],
        blacklist_fn: Callable[..., Any] | None = None,
        priority_fn: Callable[..., Any] | None = None,
        verify_fn: Callable[..., Any] | None = None,
    ) -> Self:
        """Serve a forward; its first parameter's Synapse class is the route.

        See `node.Axon.attach` for what it may be. The hooks see the verified caller and the whole
        request. `verify_fn` is asked beside the check of the signature, and not instead of it.

        Raises:
            RouteError: An annotation is wrong, or the route is taken.
        """
        frame = sys._getframe(1)  # noqa: SLF001  where annotations written as text have their names
        self.native.attach_from(frame.f_locals, forward_fn, blacklist_fn, priority_fn, verify_fn)
        return self

    def serve(self, netuid: int, subtensor: Any = None, **_: Any) -> Self:
        """Publish where this axon answers; with port 0 that is when it starts.

        Args:
            netuid: The subnet.
            subtensor: The network; the config's by default.

        Raises:
            NetworkError: It can't be published; the text says what to do.
        """
        if self.port == 0:
            self._publish_as = (netuid, subtensor)
        else:
            self._publish(netuid, subtensor)
        return self

    def _publish(self, netuid: int, subtensor: Any) -> None:
        chosen = Subtensor(config=self.config) if subtensor is None else subtensor
        outcome = chosen.serve_axon(netuid=netuid, axon=self)
        if not outcome:
            raise NetworkError(getattr(outcome, "message", "") or "the axon was not published")

    def start(self) -> Self:
        """Serve until `stop`; the port is open when it returns. Does nothing if it serves already.

        Raises:
            ConfigError: The port is taken or can't be used.
            NetworkError: The axon was to be published and can't be.
        """
        with self._lock:
            if self._thread is None:
                self._start()
        if self._publish_as is not None:
            self._publish(*self._publish_as)
            self._publish_as = None
        return self

    def _start(self) -> None:
        thread = LoopThread(f"axon {self.native.hotkey[:8]}")
        thread.start()
        try:
            thread.run(self.native.start())
        except BaseException:
            thread.close()
            raise
        self._thread = thread
        # Its forwards usually hold this object, so only the end of the process comes to this.
        self._finalizer = weakref.finalize(self, _stop, thread, self.native, 0.0)

    def stop(self) -> Self:
        """Stop listening, let running replies end, and end the thread; safe to call twice.

        Running replies get the seconds of `--axon.grace_s`, 10 by default. Called in one of the
        axon's own async forwards it does not wait for the end.
        """
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is None:
            return self
        self._finalizer.detach()
        if thread.is_mine:
            threading.Thread(target=_stop, args=(thread, self.native, None)).start()
        else:
            _stop(thread, self.native, None)
        return self

    def __repr__(self) -> str:
        state = "started" if self.started else "stopped"
        return f"<Axon {self.native.hotkey} on {self.full_address}, {state}>"


def _stop(thread: LoopThread, served: _Served, grace_s: float | None) -> None:
    try:
        thread.run(served.stop(grace_s))
    finally:
        thread.close()
        served.wait_for_pool(_POOL_END_S)


def _settings(config: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return what is given, else what the config says, else nothing, by argument of an axon."""
    chosen = {}
    for name in (*given, "protocols", "max_queue", "max_body_bytes", "grace_s"):
        value = given.get(name)
        if value is None:
            value = setting(config, f"axon.{name}")
        if value is None:
            value = setting(defaults(), f"axon.{name}")
        if value is not None:
            chosen[name] = value
    return chosen
