"""The axon: serves forwards to callers that prove who they are."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

from node.errors import ConfigError, RouteError, WireError
from node.keys import Keypair, Wallet, signer_of
from node.network import Metagraph, Network, Peer, open_network
from node.network.shared import SharedMemory
from node.synapse import Synapse
from node.wire import Caller, ReplayGuard, btauth, synapse_headers

from .access_log import log_access
from .admission import Admission, OldPeers, Rules, Window
from .budget import BodyBudget
from .dialects import DIALECTS
from .exchange import Exchange, Limits, ReaderGoneError, Rooms
from .heartbeats import Heartbeats
from .notary import Notary
from .open_reply import OpenReply
from .pace import Pace
from .pages import PAGES, show
from .reply import Reply
from .request import Request
from .routes import Route, declared_capacity, read_route
from .server import AxonServer
from .sharing import Sharing
from .slots import Slots
from .standing import MAX_STALE_S, Standing, StandingRules

__all__ = ["Axon"]

_ANY_INTERFACE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  names, not a bind

ForwardFunction = TypeVar("ForwardFunction", bound=Callable[..., Any])


class Axon:
    """Serves typed forward routes to verified callers.

    Use it as `async with Axon(wallet) as axon:` or call `start` and `stop`; whoever starts it
    stops it. It belongs to the event loop that it was started on. Constructing one does no I/O.

    Args:
        wallet: The node's wallet or bare keypair; its hotkey is the receiver that callers sign
            for.
        ip: Interface to listen on, all by default.
        port: Port, 8091 by default; 0 picks a free one, then `port` tells it.
        external_ip: Address that peers are told, where it differs from `ip`.
        external_port: Port that peers are told, where it differs from `port`.
        max_workers: Forwards that run at once; more wait by priority.
        max_queue: Requests that wait at the most; beyond it callers get 503.
        protocols: Signing protocols that are accepted, of `btauth` (SDK 11 and this), `synapse`
            (SDK 6 to 10), `epistula` (2) and `epistula1`; what is left out is refused before any
            parsing.
        network: A network or its name, whose metagraph says who is registered; None admits
            every verified caller. A network given by name is closed by `stop`.
        netuid: Which metagraph; needed with a network.
        allow_non_registered: Admit callers that the metagraph does not list.
        force_validator_permit: Admit only listed callers with a validator permit.
        minimum_stake: Admit only listed callers with at least this stake.
        max_body_bytes: Longest request body, 16 MiB by default.
        body_timeout_s: Seconds in which a body must have arrived.
        max_unproven_bytes: Bytes that bodies may hold in all before their signatures are checked,
            128 MiB by default and never less than one body; beyond it callers get 503.
        max_age_s: Oldest request that is taken, 10 s by default.
        synapse_max_age_s: The same for SDK 6-10, 16 s by default: they allow 4 s and their timeout.
        allowed_skew_s: How far ahead a caller's clock may be, 2 s by default.
        require_receiver: Refuse requests that are signed for no receiver.
        require_body_hash: Refuse requests of SDK 6-10 whose signature covers nothing of the body.
        allow_uptime_nonces: Admit SDK 6.0-7.1, whose nonces have no age, so that a request that
            was captured before this node started can be taken once after.
        requests_per_s: Requests a second that one caller may send, or None.
        requests_at_once: Requests of one caller that may run or wait at once, or None.
        grace_s: Seconds that running replies get when the axon stops.
        heartbeat_s: Seconds after which an idle stream carries a heartbeat, 10 by default.
        stall_s: Seconds after which a reader that takes nothing more of a reply, streamed or in one
            piece, is cut off.
        receipts: Whether replies to verified callers are signed.
        guard: Replay memory to use, for axons that share one; None makes one.
        shared: Memory of all processes that serve this hotkey, on one machine or several: a
            request is taken once by all of them, and `requests_per_s` counts for all together.
            None for an axon that serves it alone. Whoever makes it closes it, after `stop`. With
            it SDK 6.0-7.1 are refused, whose nonces have no age after which they could be
            forgotten.
        processes: How many processes serve this port, each with an axon of its own that is made
            with the same number; they listen on it together, need one `shared`, and `info` tells
            the capacity of all. `--axon.workers` of a miner sees to all that.
        max_stale_s: While the network can't be read, seconds for which the last metagraph counts,
            600 by default; after that callers get 503. Callers that are let in whatever their
            standing are served on.
        clock_ns: Gives Unix nanoseconds; for tests.

    Raises:
        ConfigError: An argument is out of range or does not go with another.
        WalletError: The wallet's hotkey can't be loaded.
    """

    def __init__(
        self,
        wallet: Wallet | Keypair,
        *,
        ip: str = "0.0.0.0",  # noqa: S104  a node serves on all interfaces unless told otherwise
        port: int = 8091,
        external_ip: str | None = None,
        external_port: int | None = None,
        max_workers: int = 10,
        max_queue: int = 1024,
        protocols: Iterable[str] = (btauth.PROTOCOL,),
        network: Network | str | None = None,
        netuid: int | None = None,
        allow_non_registered: bool = False,
        force_validator_permit: bool = False,
        minimum_stake: float = 0.0,
        max_body_bytes: int = 16 * 2**20,
        body_timeout_s: float = 20.0,
        max_unproven_bytes: int = 128 * 2**20,
        max_age_s: float = btauth.MAX_AGE_S,
        synapse_max_age_s: float = synapse_headers.MAX_AGE_S,
        allowed_skew_s: float = btauth.ALLOWED_SKEW_S,
        require_receiver: bool = True,
        require_body_hash: bool = False,
        allow_uptime_nonces: bool = True,
        requests_per_s: float | None = None,
        requests_at_once: int | None = None,
        grace_s: float = 10.0,
        heartbeat_s: float = 10.0,
        stall_s: float = 60.0,
        receipts: bool = True,
        guard: ReplayGuard | None = None,
        shared: SharedMemory | None = None,
        processes: int = 1,
        max_stale_s: float = MAX_STALE_S,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        _check_ranges(
            {
                "max_workers": max_workers,
                "max_body_bytes": max_body_bytes,
                "max_age_s": max_age_s,
                "synapse_max_age_s": synapse_max_age_s,
                "heartbeat_s": heartbeat_s,
                "stall_s": stall_s,
                "max_stale_s": max_stale_s,
                "processes": processes,
            },
            port=port,
            max_queue=max_queue,
        )
        if (network is None) != (netuid is None):
            raise ConfigError("an axon's network and netuid go together; give both or neither")
        if processes > 1 and shared is None:
            raise ConfigError("axons of several processes need one memory; give each `shared`")
        self.protocols = _check_protocols(protocols)
        self.ip = ip
        self.port = port
        self.grace_s = grace_s
        self._external = (external_ip, external_port)
        self._signer = signer_of(wallet)
        self._own_network = open_network(network) if isinstance(network, str) else None
        self._routes: dict[str, Route] = {}
        if "synapse" in self.protocols:
            # Every axon of SDK 6-10 answers the base class, which their peers use as a ping.
            self._add(read_route(_answer_ping, None, None, None, local_names={}))
        self._max_workers = max_workers
        self._processes = processes
        self._pool: ThreadPoolExecutor | None = None
        self._server: AxonServer | None = None
        rules = Rules.of(
            self.hotkey,
            window=Window(max_age_s, allowed_skew_s, require_receiver),
            guard=guard,
            body_timeout_s=body_timeout_s,
            clock_ns=clock_ns,
            old=OldPeers(
                max_age_s=synapse_max_age_s,
                require_body_hash=require_body_hash,
                allow_uptime_nonces=allow_uptime_nonces and shared is None,
            )
            if "synapse" in self.protocols
            else None,
        )
        self._admission = Admission(DIALECTS[name](rules) for name in self.protocols)
        self._standing = Standing(
            self._own_network if isinstance(network, str) else network,
            netuid,
            StandingRules(allow_non_registered, force_validator_permit, minimum_stake),
            max_stale_s=max_stale_s,
        )
        self._sharing = Sharing(shared, self._signer.public_key, window_s=rules.guard.window_s)
        self._pace = Pace(
            per_second=requests_per_s, at_once=requests_at_once, sharing=self._sharing
        )
        self._slots = Slots(max_workers, max_queue)
        self._limits = Limits(max_body_bytes, body_timeout_s)
        self._budget = BodyBudget(max(max_unproven_bytes, max_body_bytes))
        self._stall_s = stall_s
        self._heartbeats = Heartbeats(interval_s=heartbeat_s)
        self._receipts = receipts
        self._clock_ns = clock_ns
        self._own_end: dict[str, Any] = {}
        self._rooms: Rooms | None = None

    def __repr__(self) -> str:
        routes = ", ".join(self._routes) or "no routes"
        return f"<Axon {self.hotkey[:8]} on {self.ip}:{self.port}, {routes}>"

    @property
    def hotkey(self) -> str:
        """The address that callers sign for."""
        return self._signer.ss58_address

    @property
    def routes(self) -> tuple[str, ...]:
        """The names of the routes that are served."""
        return tuple(self._routes)

    @property
    def metagraph(self) -> Metagraph | None:
        """The metagraph snapshot that admission uses; None without a network."""
        return self._standing.metagraph

    def info(self) -> Peer:
        """Return this node as its peers reach it.

        An axon on all interfaces that was given no `external_ip` names the loopback address. For
        each route it declares how many requests it serves at once, so that a dendrite sends no
        more: its capacity, and never more than there are workers.
        """
        ip, port = self._endpoint()
        return Peer(
            hotkey=self.hotkey,
            ip=ip,
            port=port,
            protocols=self.protocols,
            capacity=declared_capacity(
                self._routes.values(), self._max_workers, processes=self._processes
            ),
        )

    def _endpoint(self) -> tuple[str, int]:
        external_ip, external_port = self._external
        own_ip = "127.0.0.1" if self.ip in _ANY_INTERFACE else self.ip
        return external_ip or own_ip, external_port or self.port

    def attach(
        self,
        forward_fn: Callable[..., Any],
        blacklist_fn: Callable[..., Any] | None = None,
        priority_fn: Callable[..., Any] | None = None,
        verify_fn: Callable[..., Any] | None = None,
        *,
        capacity: int | None = None,
    ) -> Self:
        """Serve a forward; its first parameter's Synapse class is the route.

        A sync forward runs in a worker thread. It may return the synapse or
        `synapse.create_streaming_response(token_streamer)`, or be an async or sync generator of
        text, bytes or pydantic models. A second parameter annotated `Caller` gets the verified
        identity, in hooks too. Hooks see the verified caller and the parsed request.

        Args:
            forward_fn: The forward.
            blacklist_fn: Returns True, or a pair of True and a reason, to refuse with 403.
            priority_fn: Returns a number; when all workers are busy, a higher one starts first.
            verify_fn: Returns False or raises to refuse with 401.
            capacity: Forwards of this route that run at once; more wait by priority and hold up no
                other route. None for as many as there are workers.

        Returns:
            This axon, so that calls chain.

        Raises:
            RouteError: An annotation is wrong, the route is taken, or the capacity is below 1.
        """
        frame = sys._getframe(1)  # noqa: SLF001  where annotations written as text have their names
        route = read_route(
            forward_fn, blacklist_fn, priority_fn, verify_fn,
            local_names=frame.f_locals, capacity=capacity,
        )  # fmt: skip
        self._add(route)
        return self

    def route(self, forward_fn: ForwardFunction) -> ForwardFunction:
        """Serve a forward, as a decorator without hooks.

        Raises:
            RouteError: As `attach`.
        """
        frame = sys._getframe(1)  # noqa: SLF001  as in attach
        self._add(read_route(forward_fn, None, None, None, local_names=frame.f_locals))
        return forward_fn

    def _add(self, route: Route) -> None:
        if route.name in self._routes:
            taken = self._routes[route.name].forward.name
            raise RouteError(
                f"{route.forward.name}: the route {route.name} is already served by {taken}"
            )
        self._routes[route.name] = route
        if route.capacity is not None:
            self._slots.limit(route.name, route.capacity)

    def set_capacity(self, route: str, capacity: int) -> None:
        """Change how many forwards of a route run at once; those that run go on.

        What `info` declares changes too. Whoever published that publishes it again.

        Raises:
            ConfigError: The axon does not serve the route, or the capacity is below 1.
        """
        if route not in self._routes:
            known = ", ".join(sorted(self._routes)) or "none"
            raise ConfigError(f"this axon serves no route {route!r}; its routes: {known}")
        if capacity < 1:
            raise ConfigError(f"the capacity of {route} must be 1 or more, not {capacity}")
        self._routes[route] = replace(self._routes[route], capacity=capacity)
        self._slots.limit(route, capacity)

    async def start(self, *, listen: bool = True) -> None:
        """Listen and serve. The first snapshot of the metagraph is taken before.

        Args:
            listen: Whether to listen on `ip` and `port`; otherwise only the connections that
                `accept` is given are served.

        Raises:
            ConfigError: The address can't be used.
            NetworkError: The metagraph can't be read.
            RuntimeError: It is already started.
        """
        if self._server is not None:
            raise RuntimeError("this axon is already started")
        await self._standing.start()
        self._pool = ThreadPoolExecutor(self._max_workers, thread_name_prefix="forward")
        self._rooms = Rooms(
            self._routes, self._admission, self._standing, self._sharing, self._pace, self._slots,
            self._pool, self._limits, self._budget, self._heartbeats, self._own_end, self._notary,
        )  # fmt: skip
        self._heartbeats.start()
        server = AxonServer(self._handle, stall_s=self._stall_s, changing=self._admission.changing)
        try:
            if listen:
                self.port = await server.start(self.ip, self.port, shared=self._processes > 1)
            else:
                await server.open()
        except BaseException:
            await self._release()
            raise
        ip, own_port = self._endpoint()
        self._own_end.update(ip=ip, port=own_port, hotkey=self.hotkey)
        self._server = server

    async def accept(self, sock: socket.socket) -> None:
        """Serve a connected socket like one that came in on the port.

        Args:
            sock: A non-blocking stream socket, such as one end of `socket.socketpair()`. From here
                on it is this axon's to close, which `stop` does at the latest.

        Raises:
            ConnectionRefusedError: The axon is not started, or stops; the socket is closed.
        """
        if self._server is None:
            sock.close()
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        await self._server.accept(sock)

    async def stop(self, grace_s: float | None = None) -> None:
        """Stop listening, let running replies end, cancel the rest; safe to call twice.

        Args:
            grace_s: Seconds that running replies get; the constructor's by default.
        """
        server, self._server = self._server, None
        if server is None:
            return
        try:
            await server.stop(self.grace_s if grace_s is None else grace_s)
        finally:
            await self._release()

    async def _release(self) -> None:
        await self._standing.stop()
        await self._heartbeats.stop()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        if self._own_network is not None:
            await self._own_network.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def _notary(self, caller: Caller) -> Notary | None:
        return Notary(self._signer, caller, self._clock_ns) if self._receipts else None

    async def _handle(self, request: Request) -> Reply | OpenReply:
        """Answer any request; only cancellation and a lost connection leave it as exceptions."""
        assert self._rooms is not None
        exchange = Exchange(request, self._rooms)
        if exchange.route_name in PAGES:
            return show(
                exchange.route_name,
                request,
                hotkey=self.hotkey,
                scheme=self._signer.scheme,
                protocols=self.protocols,
            )
        started = time.perf_counter()
        status, code = 499, "client_left"
        try:
            reply = await exchange.answer()
            status, code = reply.status, ""
            if exchange.failure is not None:
                status, code = exchange.failure.status, exchange.failure.code
        except WireError as error:
            reply = exchange.refuse(error)
            status, code = error.status, error.code
        except ReaderGoneError:
            raise  # a ConnectionError; what is left of the connection is closed
        except Exception as error:  # noqa: BLE001  border: a fault of ours is not the client's
            failure = exchange.blame(error)
            reply = exchange.refuse(failure)
            status, code = failure.status, failure.code
        finally:
            log_access(request, exchange, status, code, time.perf_counter() - started)
        return reply


async def _answer_ping(synapse: Synapse) -> Synapse:
    return synapse


def _check_ranges(positive: dict[str, float], *, port: int, max_queue: int) -> None:
    for name, value in positive.items():
        if not value > 0:
            raise ConfigError(f"an axon's {name} must be above 0, not {value}")
    if not 0 <= port <= 65_535:
        raise ConfigError(f"an axon's port must be 0 to 65535, not {port}")
    if max_queue < 0:
        raise ConfigError(f"an axon's max_queue must be 0 or more, not {max_queue}")


def _check_protocols(protocols: Iterable[str]) -> tuple[str, ...]:
    chosen = tuple(protocols)
    if not chosen or not set(chosen) <= DIALECTS.keys():
        raise ConfigError(f"an axon's protocols are of {', '.join(DIALECTS)}, not {chosen!r}")
    return chosen
