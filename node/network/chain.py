"""The Bittensor chain, through the official SDK 11 (the extra `ganglion[chain]`).

The chain is asked and told by the SDK's documented calls alone (`chain_calls`), over one connection
that is made by the first call, and again by the first call after a loss (`chain_link`). It keeps no
records signed by us: of a neuron it lists the address, and not which protocols it speaks.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
import shlex
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from node import errors
from node.keys import Keypair, Wallet, signer_of
from node.keys.wallet import DEFAULT_WALLET_PATH

from . import chain_calls
from .arguments import check_known, check_netuid, check_servable, checked_weights
from .chain_address import shown_name
from .chain_link import ChainLink, load_sdk
from .chain_records import Fault, is_listed, parse_hyperparameters, parse_subnet
from .chain_signer import ChainSigner
from .dual_mode import DualMode, dual_mode, is_loop_running
from .hyperparameters import Hyperparameters
from .metagraph import Metagraph, Snapshot
from .peer import Peer
from .record import expiry_ns
from .routability import check_publishable

__all__ = ["ChainNetwork"]

WORKERS = 4
MAX_WARNED = 10_000
MAX_FAULTS_SHOWN = 5

Result = TypeVar("Result")
_log = logging.getLogger(__name__)


class ChainNetwork(DualMode):
    """A Bittensor chain.

    Nothing is imported or connected before the first call. Methods are dual mode: see
    `node.network.dual_mode`. Inside a loop up to four calls go side by side, since one that writes
    waits for a block.

    Writing costs what the chain asks for it, and what it costs is logged. Nothing here registers or
    stakes.

    Args:
        name: `finney`, `test`, `archive`, or a node's address, `ws://HOST:PORT` or `wss://...`.
        allow_private: Whether addresses that only some machines can reach may be published and are
            listed, as on a chain of one's own.
        connect_timeout_s: For a connection, with the first reading of the runtime.
        read_timeout_s: For each reading.
        write_timeout_s: For each writing, until a block holds it; a block takes 12 s.

    Attributes:
        name: As given; of an address only scheme, host and port.

    Raises:
        errors.ConfigError: The name is none of these.
    """

    def __init__(
        self,
        name: str,
        *,
        allow_private: bool = False,
        connect_timeout_s: float = 20.0,
        read_timeout_s: float = 30.0,
        write_timeout_s: float = 120.0,
    ) -> None:
        super().__init__()
        self.name = shown_name(name)
        self._address = name
        self._allow_private = allow_private
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._write_timeout_s = write_timeout_s
        self._sdk: Any = None
        self._link: ChainLink | None = None
        self._forgotten: weakref.finalize[..., Any] | None = None
        self._linking = threading.Lock()
        self._warned: set[tuple[int, Fault]] = set()

    @dual_mode
    def register(self, netuid: int, wallet: Wallet | Keypair) -> int:
        """Return the uid of the wallet's hotkey.

        A hotkey without one gets none: registering costs TAO, which is for its owner to spend.

        Raises:
            errors.ConfigError: The SDK is not installed.
            errors.NotRegistered: It has none; the text has the command that registers it.
            errors.NetworkError: The chain can't be read.
            errors.WalletError: The hotkey's public half can't be loaded.
        """
        check_netuid(netuid)
        hotkey = wallet.hotkeypub if isinstance(wallet, Wallet) else wallet
        address = hotkey.ss58_address
        uid = self._read(lambda _, client: chain_calls.read_uid(client, netuid, address))
        if uid is None:
            raise self._not_registered(netuid, address, wallet)
        return uid

    @dual_mode
    def serve(
        self, netuid: int, wallet: Wallet | Keypair, peer: Peer, ttl_s: float | None = None
    ) -> None:
        """Publish where the wallet's axon answers. Port 0 publishes that it does not.

        Returns once a block holds it. What the chain lists already is not written again, so that
        renewing costs nothing and does not meet the chain's limit on serving.

        Args:
            netuid: The subnet.
            wallet: Whose axon it is.
            peer: Where it answers. Of it the chain holds ip, port and version.
            ttl_s: Means nothing here: an entry stays until it is replaced.

        Raises:
            errors.ConfigError: The peer has another hotkey, a host name, or an address that others
                can't reach; or `ttl_s` is not above 0; or the SDK is not installed.
            errors.NotRegistered: The hotkey has no uid; the text has the command that gives one.
            errors.NetworkError: The chain can't be reached, or refused it; the text says why.
            errors.WalletError: The hotkey can't be loaded or can't sign.
        """
        check_netuid(netuid)
        signer = signer_of(wallet)
        check_servable(peer, signer)
        check_publishable(peer, self._allow_private)
        _check_address(peer)
        expiry_ns(0, ttl_s)
        address = signer.ss58_address
        uid, listed = self._read(
            lambda sdk, client: chain_calls.read_seat(sdk, client, netuid, address)
        )
        if uid is None:
            raise self._not_registered(netuid, address, wallet)
        if is_listed(listed, peer, chain_calls.AXON_PROTOCOL):
            _log.debug("netuid %d of %s lists uid %d as it is", netuid, self.name, uid)
            return
        self._write(
            f"publish the axon of uid {uid} on netuid {netuid}",
            lambda sdk: chain_calls.serve_intent(sdk, netuid, peer.ip, peer.port, peer.version),
            signer,
            functools.partial(self._not_registered, netuid, address, wallet),
        )

    @dual_mode
    def set_weights(
        self,
        netuid: int,
        wallet: Wallet | Keypair,
        uids: Iterable[int],
        weights: Iterable[float],
        *,
        version_key: int = 0,
    ) -> None:
        """Publish weights for some uids, in place of the last ones.

        They are fitted to the subnet's rules and set as they are, or committed where the subnet
        hides weights; the chain then reveals them itself. Returns once a block holds them.

        Args:
            netuid: The subnet.
            wallet: Who judges.
            uids: Whom.
            weights: As many; only their proportions count.
            version_key: The version of the validator's code, for subnets that ask for one.

        Raises:
            errors.ConfigError: The lists are empty or of different lengths, a uid is there twice,
                or a weight is negative or not finite, or all are 0; or the SDK is not installed.
            errors.NotRegistered: The hotkey has no uid; the text has the command that gives one.
            errors.NetworkError: A uid is not on the subnet, or the chain can't be reached, or it
                refused the weights; the text says why.
            errors.WalletError: The hotkey can't be loaded or can't sign.
        """
        check_netuid(netuid)
        targets, shares = checked_weights(uids, weights)
        signer = signer_of(wallet)
        address = signer.ss58_address
        uid, size = self._read(
            lambda sdk, client: chain_calls.read_size(sdk, client, netuid, address)
        )
        if uid is None:
            raise self._not_registered(netuid, address, wallet)
        check_known(netuid, targets, range(size))
        self._write(
            f"set the weights of uid {uid} on netuid {netuid}",
            lambda sdk: chain_calls.weights_intent(sdk, netuid, targets, shares, version_key),
            signer,
            functools.partial(self._not_registered, netuid, address, wallet),
        )

    @dual_mode
    def hyperparameters(self, netuid: int) -> Hyperparameters:
        """The subnet's rules.

        Raises:
            errors.ConfigError: The SDK is not installed.
            errors.NetworkError: There is no such subnet, or the chain can't be read.
        """
        check_netuid(netuid)
        rules = self._read(lambda _, client: chain_calls.read_hyperparameters(client, netuid))
        if rules is None:
            raise errors.NetworkError(f"there is no netuid {netuid} on {self.name}")
        return parse_hyperparameters(rules)

    @dual_mode
    def metagraph(self, netuid: int) -> Metagraph:
        """The subnet as it is at the newest block; an unknown subnet has no neurons.

        A neuron whose record can't be used is listed as not serving, or as vacant where not even
        its hotkey is an address; it is warned of once.

        Raises:
            errors.ConfigError: The SDK is not installed.
            errors.NetworkError: The chain can't be read.
        """
        check_netuid(netuid)
        return Metagraph(netuid, self.name, self._snapshot(netuid), lambda: self._load(netuid))

    def __repr__(self) -> str:
        return f"<ChainNetwork {self.name}>"

    @dual_mode
    def _load(self, netuid: int) -> Snapshot:
        return self._snapshot(netuid)

    def _snapshot(self, netuid: int) -> Snapshot:
        graph, votes = self._read(lambda sdk, client: chain_calls.read_subnet(sdk, client, netuid))
        if graph is None:
            return Snapshot()
        snapshot, faults = parse_subnet(graph, votes, allow_private=self._allow_private)
        self._warn(netuid, faults)
        return snapshot

    def _warn(self, netuid: int, faults: list[Fault]) -> None:
        new = [fault for fault in faults if (netuid, fault) not in self._warned]
        if not new:
            return
        if len(self._warned) > MAX_WARNED:
            self._warned.clear()
        self._warned.update((netuid, fault) for fault in new)
        shown = "; ".join(f"uid {uid}: {text}" for uid, text in new[:MAX_FAULTS_SHOWN])
        more = len(new) - MAX_FAULTS_SHOWN
        rest = f"; and {more} more" if more > 0 else ""
        _log.warning("netuid %d of %s has records of no use: %s%s", netuid, self.name, shown, rest)

    # Asking and telling

    def _read(self, work: Callable[[Any, Any], Coroutine[Any, Any, Result]]) -> Result:
        link = self._linked()
        return link.call(lambda client: work(self._sdk, client), self._read_timeout_s)

    def _write(
        self,
        what: str,
        intent: Callable[[Any], Any],
        signer: Keypair,
        not_registered: Callable[[], errors.NotRegistered],
    ) -> None:
        link = self._linked()
        try:
            result = link.call(
                lambda client: chain_calls.execute(client, intent(self._sdk), ChainSigner(signer)),
                self._write_timeout_s,
                "; a block may hold it all the same, so look before you do it again",
            )
        except errors.NetworkError as error:
            self._check_registered(error.__cause__, not_registered)
            raise
        if not result.success:
            self._check_registered(result.error, not_registered)
            raise errors.NetworkError(
                f"{self.name} refused to {what}: {_reason(result)}"
            ) from result.error
        _log.info(
            "%s: %s, in extrinsic %s, fee %s", self.name, what, result.extrinsic_id, result.fee
        )

    def _check_registered(
        self, error: object, not_registered: Callable[[], errors.NotRegistered]
    ) -> None:
        sdk = self._sdk
        if isinstance(error, sdk.ChainError) and error.code is sdk.ErrorCode.NOT_REGISTERED:
            raise not_registered() from error

    def _linked(self) -> ChainLink:
        """The connection, made if there is none or the last one was lost."""
        with self._linking:
            if self._link is not None and self._link.is_open:
                return self._link
            self._sdk = load_sdk()
            # Where `close` finds it, also while it connects.
            self._link = link = ChainLink(self._sdk, self._address)
            # Old code never closes: the thread ends with the last reference to the network.
            if self._forgotten is not None:
                self._forgotten.detach()
            self._forgotten = weakref.finalize(
                self, functools.partial(link.close, wait_for_end=False)
            )
            if self._closed:
                link.close(wait_for_end=False)
            link.connect(self._connect_timeout_s)
            return link

    def _not_registered(
        self, netuid: int, address: str, wallet: Wallet | Keypair
    ) -> errors.NotRegistered:
        words = ["btcli", "subnets", "register", "--netuid", str(netuid), "--network", self.name]
        if isinstance(wallet, Wallet):
            words += ["--wallet", wallet.name, "--wallet-hotkey", wallet.hotkey_name]
            if wallet.path != Path(DEFAULT_WALLET_PATH).expanduser():
                words += ["--wallet-path", str(wallet.path)]
        else:
            words += ["--wallet", "NAME", "--hotkey", address]
        return errors.NotRegistered(
            f"hotkey {address} is not registered on netuid {netuid} of {self.name}; registering "
            f"costs TAO, so it is left to you: {shlex.join(words)}"
        )

    # Threads

    async def _run_off_loop(self, work: Callable[[], Result]) -> Result:
        self._check_open()
        if self._worker is None:
            self._worker = ThreadPoolExecutor(WORKERS, thread_name_prefix=type(self).__name__)
        return await super()._run_off_loop(work)

    def _close_here(self) -> None:
        self._closed = True
        link, self._link = self._link, None
        # The calls under way fail with it, so that the workers are not waited for long.
        if link is not None:
            link.close(wait_for_end=not is_loop_running())
        super()._close_here()

    async def _close_off_loop(self) -> None:
        self._closed = True
        link, self._link = self._link, None
        if link is not None:
            link.close(wait_for_end=False)
        await super()._close_off_loop()
        if link is not None:
            await asyncio.wrap_future(link.ended)


def _check_address(peer: Peer) -> None:
    try:
        ipaddress.ip_address(peer.ip)
    except ValueError:
        raise errors.ConfigError(
            f"the chain holds addresses and no names such as {peer.ip}; give the address with "
            "--axon.external_ip"
        ) from None


def _reason(result: Any) -> str:
    """Why the chain refused, in its own words, and the SDK's advice."""
    error = result.error
    if error is None:
        return str(result.message)
    name = f"{error.name}: " if error.name and error.name != error.message else ""
    return f"{name}{error.message.rstrip('.')} ({error.remediation})"
