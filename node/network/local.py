"""The `local` network: a registry in one SQLite file, for tests and for one machine.

Records are signed by their hotkeys and checked when they are read. Uids, stake and validator
permits are not: whoever can write the file sets them, which is what a test registry is for.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from node import errors
from node.keys import Keypair, Wallet, normalise_address, signer_of, ss58_decode

from .arguments import (
    check_known,
    check_netuid,
    check_servable,
    check_stake,
    checked_weights,
    coldkey_of,
    not_registered,
)
from .dual_mode import DualMode, dual_mode
from .hyperparameters import Hyperparameters
from .ledger import newest_record, publish
from .metagraph import Metagraph, Snapshot
from .neurons import BLOCK_NS, block_at, is_registered_with, neurons_of
from .peer import Peer
from .record import MAX_UIDS, Record, expiry_ns, serve_payload, weights_payload
from .rows import add_neuron, find_uid, read_genesis_ns, read_neurons, read_uids, write_stake
from .schema import has_registry, reading, writing
from .verified import VerifiedRecords

__all__ = ["BLOCK_NS", "LocalNetwork"]


class LocalNetwork(DualMode):
    """A registry in a file. Any number of processes may use one file at once.

    Nothing is read or made before the first call; the file appears with the first write. Methods
    are dual mode: see `node.network.dual_mode`. Without a running loop they may be called from
    several threads at once.

    Args:
        path: The file; a leading `~` is the home folder.
        name: How the network calls itself in metagraphs and texts; `local:PATH` by default.
        clock: Returns Unix nanoseconds.
        max_uids: Neurons per subnet, 1 to 4096.
        busy_timeout_s: How long a call waits for another process to release the file.
        hyperparameters: What `hyperparameters` tells; None for no limits on weights.

    Attributes:
        name: See above.
        path: The file, absolute.

    Raises:
        errors.ConfigError: `max_uids` is out of range.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        clock: Callable[[], int] = time.time_ns,
        max_uids: int = 256,
        busy_timeout_s: float = 5.0,
        hyperparameters: Hyperparameters | None = None,
    ) -> None:
        super().__init__()
        if not 1 <= max_uids <= MAX_UIDS:
            raise errors.ConfigError(f"max_uids is 1 to {MAX_UIDS}, not {max_uids}")
        self.path = Path(path).expanduser().absolute()
        self.name = f"local:{self.path}" if name is None else name
        self._clock = clock
        self._max_uids = max_uids
        self._busy_timeout_s = busy_timeout_s
        self._hyperparameters = hyperparameters or Hyperparameters()
        self._verified = VerifiedRecords()

    @dual_mode
    def register(self, netuid: int, wallet: Wallet | Keypair) -> int:
        """Give the wallet's hotkey a uid, the lowest free one.

        A hotkey that is registered keeps its uid; then only a coldkey that is new is written. Of a
        `Keypair`, or where the coldkey's public half is not on this machine, the coldkey is "".

        Returns:
            The uid.

        Raises:
            errors.NetworkError: The subnet is full, or the file can't be used.
            errors.WalletError: The hotkey can't be loaded or can't sign.
        """
        check_netuid(netuid)
        signer = signer_of(wallet)
        coldkey = coldkey_of(wallet)
        with self._writing() as connection:
            uid = find_uid(connection, netuid, signer.public_key)
            if uid is None:
                uid = add_neuron(connection, netuid, signer.public_key, self._max_uids)
            elif is_registered_with(
                newest_record(connection, netuid, signer.public_key, "register"), coldkey
            ):
                return uid
            publish(connection, signer, "register", netuid, {"coldkey": coldkey}, self._clock())
        return uid

    @dual_mode
    def serve(
        self, netuid: int, wallet: Wallet | Keypair, peer: Peer, ttl_s: float | None = None
    ) -> None:
        """Publish where the wallet's axon answers. Port 0 publishes that it does not.

        Args:
            netuid: The subnet.
            wallet: Whose axon it is.
            peer: Where it answers.
            ttl_s: Seconds after which the record no longer counts, unless it is published again;
                None is never.

        Raises:
            errors.ConfigError: The peer has another hotkey, or an address such as 0.0.0.0 that
                nobody can send to; or `ttl_s` is not above 0.
            errors.NotRegistered: The hotkey has no uid; the text has the command that gives one.
            errors.NetworkError: The file can't be used.
            errors.WalletError: The hotkey can't be loaded or can't sign.
        """
        check_netuid(netuid)
        signer = signer_of(wallet)
        check_servable(peer, signer)
        expires_ns = expiry_ns(self._clock(), ttl_s)
        self._publish_registered(netuid, wallet, signer, "serve", serve_payload(peer), expires_ns)

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
        """Publish weights for some uids, scaled so that they sum to 1, in place of the last ones.

        A `version_key` means nothing here; chains have subnets that demand one.

        Raises:
            errors.ConfigError: The lists are empty or of different lengths, a uid is there twice,
                or a weight is negative or not finite, or all are 0.
            errors.NotRegistered: The hotkey has no uid; the text has the command that gives one.
            errors.NetworkError: A uid is not on the subnet, or the file can't be used.
            errors.WalletError: The hotkey can't be loaded or can't sign.
        """
        check_netuid(netuid)
        targets, shares = checked_weights(uids, weights)
        signer = signer_of(wallet)
        payload = weights_payload(targets, shares)
        self._publish_registered(netuid, wallet, signer, "weights", payload)

    @dual_mode
    def set_stake(
        self,
        netuid: int,
        hotkey: str,
        stake: float | None = None,
        validator_permit: bool | None = None,
    ) -> None:
        """Set a neuron's stake and permit, which nobody signs: for tests on one machine.

        Args:
            netuid: The subnet.
            hotkey: SS58 address, any prefix.
            stake: 0 to 1e15, or None to leave it.
            validator_permit: None to leave it.

        Raises:
            errors.ConfigError: The stake is out of range.
            errors.InvalidAddress: `hotkey` is not an address.
            errors.NotRegistered: The hotkey has no uid.
            errors.NetworkError: The file can't be used.
        """
        check_netuid(netuid)
        check_stake(stake)
        public_key = ss58_decode(hotkey)
        if not has_registry(self.path):
            raise not_registered(self.name, netuid, normalise_address(hotkey))
        with self._writing() as connection:
            uid = find_uid(connection, netuid, public_key)
            if uid is None:
                raise not_registered(self.name, netuid, normalise_address(hotkey))
            write_stake(connection, netuid, uid, stake, validator_permit)

    @dual_mode
    def hyperparameters(self, netuid: int) -> Hyperparameters:
        """The subnet's rules: those that the constructor was given, for every subnet alike."""
        check_netuid(netuid)
        return self._hyperparameters

    @dual_mode
    def metagraph(self, netuid: int) -> Metagraph:
        """The subnet as it is now; without a file, or neurons, it is empty.

        A record that does not pass its checks is left out, with one warning in the log: without its
        registration a neuron's uid is vacant, without its endpoint it does not serve.

        Raises:
            errors.NetworkError: The file can't be used.
        """
        check_netuid(netuid)
        return Metagraph(netuid, self.name, self._read(netuid), lambda: self._load(netuid))

    @dual_mode
    def record(self, netuid: int, hotkey: str, kind: str) -> Record | None:
        """What a hotkey has signed of itself; None where there is nothing that holds.

        Args:
            netuid: The subnet.
            hotkey: SS58 address, any prefix.
            kind: As for `Record`. One that has expired is returned too.

        Raises:
            errors.InvalidAddress: `hotkey` is not an address.
            errors.NetworkError: The file can't be used.
        """
        check_netuid(netuid)
        public_key = ss58_decode(hotkey)
        with reading(self.path, self._busy_timeout_s) as connection:
            if connection is None:
                return None
            return newest_record(connection, netuid, public_key, kind)

    def __repr__(self) -> str:
        return f"<LocalNetwork {self.path}>"

    @dual_mode
    def _load(self, netuid: int) -> Snapshot:
        return self._read(netuid)

    def _read(self, netuid: int) -> Snapshot:
        with reading(self.path, self._busy_timeout_s) as connection:
            if connection is None:
                return Snapshot()
            genesis_ns = read_genesis_ns(connection)
            rows = read_neurons(connection, netuid)
        # The checks come after the transaction: they take longer than it.
        now_ns = self._clock()
        known = neurons_of(
            rows, self._verified, netuid=netuid, genesis_ns=genesis_ns, now_ns=now_ns
        )
        return Snapshot.of(known, block_at(now_ns, genesis_ns))

    def _publish_registered(
        self,
        netuid: int,
        wallet: Wallet | Keypair,
        signer: Keypair,
        kind: str,
        payload: Mapping[str, Any],
        expires_ns: int = 0,
    ) -> None:
        # A caller who is not registered must not be what makes the file.
        if not has_registry(self.path):
            raise not_registered(self.name, netuid, signer.ss58_address, wallet)
        with self._writing() as connection:
            if find_uid(connection, netuid, signer.public_key) is None:
                raise not_registered(self.name, netuid, signer.ss58_address, wallet)
            if kind == "weights":
                check_known(netuid, payload["uids"], read_uids(connection, netuid))
            publish(connection, signer, kind, netuid, payload, self._clock(), expires_ns)

    def _writing(self) -> AbstractContextManager[sqlite3.Connection]:
        return writing(self.path, self._busy_timeout_s, self._clock())
