"""The `local` network: a registry in one SQLite file, for tests and for one machine.

Records are signed by their hotkeys and checked when they are read. Uids, stake and validator
permits are not: whoever can write the file sets them, which is what a test registry is for.
"""

from __future__ import annotations

import functools
import ipaddress
import math
import operator
import shlex
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from node import errors
from node.keys import Keypair, Wallet, normalise_address, signer_of, ss58_decode
from node.keys.wallet import DEFAULT_WALLET_PATH

from .dual_mode import DualMode, dual_mode
from .hyperparameters import Hyperparameters
from .ledger import newest_record, publish
from .metagraph import Metagraph, Neuron, Snapshot
from .peer import Peer
from .record import (
    MAX_NETUID,
    MAX_UIDS,
    Record,
    expiry_ns,
    parse_endpoint,
    parse_registration,
    parse_weights,
    serve_payload,
    weights_payload,
)
from .rows import (
    MAX_STAKE,
    NeuronRow,
    add_neuron,
    find_uid,
    read_genesis_ns,
    read_neurons,
    read_uids,
    write_stake,
)
from .schema import has_registry, reading, writing
from .verified import VerifiedRecords

__all__ = ["BLOCK_NS", "LocalNetwork"]

BLOCK_NS = 12 * 10**9


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
        _check_netuid(netuid)
        signer = signer_of(wallet)
        coldkey = _coldkey_of(wallet)
        with self._writing() as connection:
            uid = find_uid(connection, netuid, signer.public_key)
            if uid is None:
                uid = add_neuron(connection, netuid, signer.public_key, self._max_uids)
            elif _is_said(connection, netuid, signer, coldkey):
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
        _check_netuid(netuid)
        signer = signer_of(wallet)
        _check_servable(peer, signer)
        expires_ns = expiry_ns(self._clock(), ttl_s)
        self._publish_registered(netuid, wallet, signer, "serve", serve_payload(peer), expires_ns)

    @dual_mode
    def set_weights(
        self,
        netuid: int,
        wallet: Wallet | Keypair,
        uids: Iterable[int],
        weights: Iterable[float],
    ) -> None:
        """Publish weights for some uids, scaled so that they sum to 1, in place of the last ones.

        Raises:
            errors.ConfigError: The lists are empty or of different lengths, a uid is there twice,
                or a weight is negative or not finite, or all are 0.
            errors.NotRegistered: The hotkey has no uid; the text has the command that gives one.
            errors.NetworkError: A uid is not on the subnet, or the file can't be used.
            errors.WalletError: The hotkey can't be loaded or can't sign.
        """
        _check_netuid(netuid)
        targets, shares = _checked_weights(uids, weights)
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
        _check_netuid(netuid)
        if stake is not None and not 0 <= stake <= MAX_STAKE:
            raise errors.ConfigError(f"stake is a number from 0 to {MAX_STAKE:g}, not {stake}")
        public_key = ss58_decode(hotkey)
        if not has_registry(self.path):
            raise self._not_registered(netuid, normalise_address(hotkey))
        with self._writing() as connection:
            uid = find_uid(connection, netuid, public_key)
            if uid is None:
                raise self._not_registered(netuid, normalise_address(hotkey))
            write_stake(connection, netuid, uid, stake, validator_permit)

    @dual_mode
    def hyperparameters(self, netuid: int) -> Hyperparameters:
        """The subnet's rules: those that the constructor was given, for every subnet alike."""
        _check_netuid(netuid)
        return self._hyperparameters

    @dual_mode
    def metagraph(self, netuid: int) -> Metagraph:
        """The subnet as it is now; without a file, or neurons, it is empty.

        A record that does not pass its checks is left out, with one warning in the log: without its
        registration a neuron's uid is vacant, without its endpoint it does not serve.

        Raises:
            errors.NetworkError: The file can't be used.
        """
        _check_netuid(netuid)
        return Metagraph(netuid, self.name, self._read(netuid), lambda: self._load(netuid))

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
        neurons = [self._neuron(netuid, row, genesis_ns) for row in rows]
        known = [neuron for neuron in neurons if neuron is not None]
        return Snapshot.of(known, _block(self._clock(), genesis_ns))

    def _neuron(self, netuid: int, row: NeuronRow, genesis_ns: int) -> Neuron | None:
        """The neuron of a row, or None where its hotkey never signed that it is registered."""
        said = functools.partial(self._said, netuid, row, genesis_ns)
        registration = said("register", _registration)
        if registration is None:
            return None
        issued_ns, coldkey = registration
        peer = said("serve", parse_endpoint)
        weights = said("weights", parse_weights)
        return Neuron(
            uid=row.uid,
            public_key=row.public_key,
            peer=replace(peer, coldkey=coldkey) if peer is not None and coldkey else peer,
            coldkey=coldkey,
            stake=row.stake,
            validator_permit=row.validator_permit,
            weights=weights,
            last_update=_block(weights.issued_ns if weights else issued_ns, genesis_ns),
        )

    def _said(
        self,
        netuid: int,
        row: NeuronRow,
        genesis_ns: int,
        kind: str,
        parse: Callable[[Record], Any],
    ) -> Any:
        sealed = row.records.get(kind)
        if sealed is None:
            return None
        known = self._verified.read(
            lambda record: (record, parse(record)),
            sealed,
            kind=kind,
            netuid=netuid,
            public_key=row.public_key,
            registry=genesis_ns,
        )
        # The clock is asked each time: what was read once may have expired since.
        return None if known is None or known[0].is_expired(self._clock()) else known[1]

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
            raise self._not_registered(netuid, signer.ss58_address, wallet)
        with self._writing() as connection:
            if find_uid(connection, netuid, signer.public_key) is None:
                raise self._not_registered(netuid, signer.ss58_address, wallet)
            if kind == "weights":
                _check_known(connection, netuid, payload["uids"])
            publish(connection, signer, kind, netuid, payload, self._clock(), expires_ns)

    def _writing(self) -> AbstractContextManager[sqlite3.Connection]:
        return writing(self.path, self._busy_timeout_s, self._clock())

    def _not_registered(
        self, netuid: int, address: str, wallet: Wallet | Keypair | None = None
    ) -> errors.NotRegistered:
        words = ["ganglion", "network", "register", "--netuid", str(netuid)]
        if isinstance(wallet, Wallet):
            words += ["--wallet.name", wallet.name, "--wallet.hotkey", wallet.hotkey_name]
            if wallet.path != Path(DEFAULT_WALLET_PATH).expanduser():
                words += ["--wallet.path", str(wallet.path)]
        else:
            words += ["--wallet.name", "NAME", "--wallet.hotkey", "HOTKEY"]
        words += ["--subtensor.network", self.name]
        return errors.NotRegistered(
            f"hotkey {address} is not registered on netuid {netuid} of {self.name}; "
            f"run: {shlex.join(words)}"
        )


def _is_said(connection: sqlite3.Connection, netuid: int, signer: Keypair, coldkey: str) -> bool:
    """Whether the stored registration holds, and says this coldkey or needs no other."""
    stored = newest_record(connection, netuid, signer.public_key, "register")
    if stored is None:
        return False
    try:
        return coldkey in {"", parse_registration(stored)}
    except errors.NetworkError:
        return False


def _registration(record: Record) -> tuple[int, str]:
    return record.issued_ns, parse_registration(record)


def _block(now_ns: int, genesis_ns: int) -> int:
    return max(0, now_ns - genesis_ns) // BLOCK_NS


def _coldkey_of(wallet: Wallet | Keypair) -> str:
    """The owner's address, or "" where its public half is not on this machine."""
    if isinstance(wallet, Keypair):
        return ""
    try:
        return wallet.coldkeypub.ss58_address
    except errors.WalletNotFound:
        return ""


def _check_netuid(netuid: int) -> None:
    if type(netuid) is not int or not 0 <= netuid <= MAX_NETUID:
        raise errors.ConfigError(f"netuid is a whole number from 0 to {MAX_NETUID}, not {netuid!r}")


def _check_servable(peer: Peer, signer: Keypair) -> None:
    if peer.public_key != signer.public_key:
        raise errors.ConfigError(
            f"the peer's hotkey is {peer.hotkey}, but the wallet's is {signer.ss58_address}"
        )
    try:
        is_wildcard = ipaddress.ip_address(peer.ip).is_unspecified
    except ValueError:
        is_wildcard = False
    if is_wildcard and peer.is_serving:
        raise errors.ConfigError(
            f"nobody can send to {peer.ip}; publish the address that others reach, with "
            "--axon.external_ip (127.0.0.1 on one machine)"
        )


def _check_known(connection: sqlite3.Connection, netuid: int, uids: Iterable[int]) -> None:
    known = read_uids(connection, netuid)
    for uid in uids:
        if uid not in known:
            raise errors.NetworkError(f"there is no uid {uid} on netuid {netuid} to give weight to")


def _checked_weights(
    uids: Iterable[int], weights: Iterable[float]
) -> tuple[list[int], list[float]]:
    try:
        # index() takes what is whole, such as NumPy's integers, and no float.
        targets = [operator.index(uid) for uid in uids]
        values = [float(weight) for weight in weights]
    except (TypeError, ValueError, OverflowError) as error:
        raise errors.ConfigError("uids must be whole numbers and weights numbers") from error
    if len(targets) != len(values):
        raise errors.ConfigError(f"there are {len(targets)} uids and {len(values)} weights")
    if len(set(targets)) != len(targets):
        raise errors.ConfigError("a uid is in the list twice")
    for uid, value in zip(targets, values, strict=True):
        if not math.isfinite(value) or value < 0:
            raise errors.ConfigError(f"the weight {value} of uid {uid} is not 0 or more")
    most = max(values, default=0.0)
    if most == 0.0:
        raise errors.ConfigError("no uid has a weight above 0")
    # By the largest first: a sum of large floats may overflow.
    scaled = [value / most for value in values]
    total = math.fsum(scaled)
    return targets, [value / total for value in scaled]
