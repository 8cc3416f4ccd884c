"""The `redis://` network: a registry that many machines share.

It means what the `local` one means: records are signed by their hotkeys and checked when they are
read, uids, stake and permits are not, and whoever can write to the Redis sets them. What is new is
that a published address expires unless it is renewed, and that changes are announced.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from weakref import WeakSet

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
from .dual_mode import AsyncDualMode, async_dual_mode
from .hyperparameters import Hyperparameters
from .metagraph import Metagraph, Snapshot
from .neurons import block_at, is_registered_with, neurons_of, trusted_record
from .peer import Peer
from .record import MAX_UIDS, Record, expiry_ns, seal_record, serve_payload, weights_payload
from .redis_address import RedisAddress
from .redis_changes import RedisChanges
from .redis_link import RedisLink
from .redis_rows import (
    MAX_VALUE_BYTES,
    Rows,
    pack_hyperparameters,
    pack_record,
    parse_genesis,
    parse_hyperparameters,
    parse_rows,
    parse_uid,
    parse_uids,
    unpack_record,
)
from .redis_scripts import GIANT, LOOK, READ, SET_STANDING, WRITE
from .routability import check_publishable
from .verified import VerifiedRecords

__all__ = ["RedisNetwork"]

logger = logging.getLogger(__name__)

SERVE_TTL_S = 3600.0
_MAX_READ_BYTES = 64 * 2**20
_MAX_HYPERPARAMETERS_BYTES = 4096
_TRIES = 64  # each try that loses to another was somebody's success


class RedisNetwork(AsyncDualMode):
    """A registry in a Redis, of any number of processes on any number of machines.

    Constructing one does no I/O. Methods are dual mode: see `node.network.dual_mode`. Inside a
    loop the connections are kept until `close`, one pool for each loop; without one each call
    connects and lets go. The password of the address is in no name, text or error.

    Redis 6 or later, one server; the registry and its records survive its restart as far as it
    keeps its data (`appendonly yes`).

    Args:
        address: As `RedisAddress.parse` reads it.
        clock: Returns Unix nanoseconds; what is signed, expires and counts as a block goes by it.
        max_uids: Neurons per subnet, 1 to 4096.
        timeout_s: Deadline of each exchange with Redis.
        serve_ttl_s: Seconds that a published address lasts when `serve` is not told.
        allow_private: Whether addresses that only some machines reach may be published and are
            listed (`routability`).
        hyperparameters: What `hyperparameters` tells where the registry holds none.

    Attributes:
        name: The address as it may be shown.
        serve_ttl_s: As given.

    Raises:
        errors.ConfigError: The address can't be read, or a number is out of range.
    """

    def __init__(
        self,
        address: str,
        *,
        clock: Callable[[], int] = time.time_ns,
        max_uids: int = 256,
        timeout_s: float = 5.0,
        serve_ttl_s: float = SERVE_TTL_S,
        allow_private: bool = False,
        hyperparameters: Hyperparameters | None = None,
    ) -> None:
        super().__init__()
        if not 1 <= max_uids <= MAX_UIDS:
            raise errors.ConfigError(f"max_uids is 1 to {MAX_UIDS}, not {max_uids}")
        expiry_ns(0, serve_ttl_s)
        self._address = RedisAddress.parse(address)
        self.name = self._address.shown
        self.serve_ttl_s = serve_ttl_s
        self._clock = clock
        self._max_uids = max_uids
        self._allow_private = allow_private
        self._hyperparameters = hyperparameters or Hyperparameters()
        self._link = RedisLink(self._address, timeout_s=timeout_s)
        self._verified = VerifiedRecords()
        self._changes: WeakSet[RedisChanges] = WeakSet()
        self._warned: dict[int, tuple[int, int]] = {}

    @async_dual_mode
    async def register(self, netuid: int, wallet: Wallet | Keypair) -> int:
        """Give the wallet's hotkey a uid, the lowest free one.

        A hotkey that is registered keeps its uid; then only a coldkey that is new is written.

        Returns:
            The uid.

        Raises:
            errors.NetworkError: The subnet is full, or Redis can't be used.
            errors.WalletError: The hotkey can't be loaded or can't sign.
        """
        check_netuid(netuid)
        signer = await _signer_of(wallet)
        coldkey = await asyncio.to_thread(coldkey_of, wallet)
        for _ in range(_TRIES):
            uid, stored, genesis_ns, _ = await self._look(netuid, signer, "register", create=True)
            newest = self._trusted(netuid, signer, "register", stored, genesis_ns)
            if uid is not None and is_registered_with(newest, coldkey):
                return uid
            outcome = await self._write(
                netuid, signer, "register", {"coldkey": coldkey}, stored, newest, genesis_ns,
                max_uids=self._max_uids,
            )  # fmt: skip
            if outcome == b"full":
                raise errors.NetworkError(
                    f"netuid {netuid} is full: all its {self._max_uids} uids are taken; use "
                    "another netuid"
                )
            if (given := parse_uid(outcome)) is not None:
                return given
        raise self._contended(signer)

    @async_dual_mode
    async def serve(
        self, netuid: int, wallet: Wallet | Keypair, peer: Peer, ttl_s: float | None = None
    ) -> None:
        """Publish where the wallet's axon answers. Port 0 publishes that it does not.

        Args:
            netuid: The subnet.
            wallet: Whose axon it is.
            peer: Where it answers.
            ttl_s: Seconds after which the record no longer counts, unless it is published again;
                None is `serve_ttl_s`, an hour by default.

        Raises:
            errors.ConfigError: The peer has another hotkey, or an address that others can't send
                to; or `ttl_s` is not above 0.
            errors.NotRegistered: The hotkey has no uid; the text has the command that gives one.
            errors.NetworkError: Redis can't be used.
            errors.WalletError: The hotkey can't be loaded or can't sign.
        """
        check_netuid(netuid)
        signer = await _signer_of(wallet)
        check_servable(peer, signer)
        check_publishable(peer, self._allow_private)
        expires_ns = expiry_ns(self._clock(), self.serve_ttl_s if ttl_s is None else ttl_s)
        await self._publish(netuid, wallet, signer, "serve", serve_payload(peer), expires_ns)

    @async_dual_mode
    async def set_weights(
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
            errors.NetworkError: A uid is not on the subnet, or Redis can't be used.
            errors.WalletError: The hotkey can't be loaded or can't sign.
        """
        check_netuid(netuid)
        targets, shares = checked_weights(uids, weights)
        signer = await _signer_of(wallet)
        await self._publish(netuid, wallet, signer, "weights", weights_payload(targets, shares))

    @async_dual_mode
    async def set_stake(
        self,
        netuid: int,
        hotkey: str,
        stake: float | None = None,
        validator_permit: bool | None = None,
    ) -> None:
        """Set a neuron's stake and permit, which nobody signs: for tests.

        Args:
            netuid: The subnet.
            hotkey: SS58 address, any prefix.
            stake: 0 to 1e15, or None to leave it.
            validator_permit: None to leave it.

        Raises:
            errors.ConfigError: The stake is out of range.
            errors.InvalidAddress: `hotkey` is not an address.
            errors.NotRegistered: The hotkey has no uid.
            errors.NetworkError: Redis can't be used.
        """
        check_netuid(netuid)
        check_stake(stake)
        public_key = ss58_decode(hotkey)
        keys = [self._key(netuid, part) for part in ("uids", "stake", "permit", "changes")]
        arguments = [
            public_key.hex(),
            "" if stake is None else repr(float(stake)),
            "" if validator_permit is None else int(validator_permit),
        ]
        if not await self._link.run(SET_STANDING, keys, arguments):
            raise not_registered(self.name, netuid, normalise_address(hotkey))

    @async_dual_mode
    async def set_hyperparameters(self, netuid: int, hyperparameters: Hyperparameters) -> None:
        """Set the subnet's rules, which nobody signs: for tests.

        Raises:
            errors.ConfigError: One is out of range.
            errors.NetworkError: Redis can't be used.
        """
        check_netuid(netuid)
        packed = pack_hyperparameters(hyperparameters)
        if parse_hyperparameters(packed.encode()) != hyperparameters:
            raise errors.ConfigError(f"{hyperparameters} has a value that is out of range")
        await self._link.call("SET", self._key(netuid, "hyperparameters"), packed)

    @async_dual_mode
    async def hyperparameters(self, netuid: int) -> Hyperparameters:
        """The subnet's rules as the registry holds them, else those of the constructor.

        Raises:
            errors.NetworkError: Redis can't be used.
        """
        check_netuid(netuid)
        key = self._key(netuid, "hyperparameters")
        value = await self._link.call("GETRANGE", key, 0, _MAX_HYPERPARAMETERS_BYTES)
        if not value:
            return self._hyperparameters
        found = parse_hyperparameters(value)
        if found is None:
            logger.warning("netuid %d: the stored hyperparameters are left out: not valid", netuid)
        return found or self._hyperparameters

    @async_dual_mode
    async def metagraph(self, netuid: int) -> Metagraph:
        """The subnet as it is now; without a registry, or neurons, it is empty.

        A record that does not pass its checks is left out, with one warning in the log: without its
        registration a neuron's uid is vacant, without its endpoint it does not serve. An endpoint
        that has expired, or that others can't reach, is left out without one.

        Raises:
            errors.NetworkError: Redis can't be used.
        """
        check_netuid(netuid)
        snapshot = await self._read(netuid)
        return Metagraph(netuid, self.name, snapshot, lambda: self._load(netuid))

    @async_dual_mode
    async def record(self, netuid: int, hotkey: str, kind: str) -> Record | None:
        """What a hotkey has signed of itself; None where there is nothing that holds.

        Args:
            netuid: The subnet.
            hotkey: SS58 address, any prefix.
            kind: As for `Record`. One that has expired is returned too.

        Raises:
            errors.InvalidAddress: `hotkey` is not an address.
            errors.NetworkError: Redis can't be used.
        """
        check_netuid(netuid)
        signer = Keypair.from_address(hotkey)
        _, stored, genesis_ns, _ = await self._look(netuid, signer, kind)
        return self._trusted(netuid, signer, kind, stored, genesis_ns)

    def changes(self, netuid: int) -> RedisChanges:
        """Tell of each change of a subnet: `async for _ in network.changes(8): ...`.

        Bursts are one item. Inside a running loop only; closing the network ends it.

        Raises:
            errors.ConfigError: The netuid is not one.
            errors.NetworkError: The network is closed.
        """
        check_netuid(netuid)
        self._check_open()
        changes = RedisChanges(
            self._address, self._key(netuid, "changes"), timeout_s=self._link.timeout_s
        )
        self._changes.add(changes)
        return changes

    def __repr__(self) -> str:
        return f"<RedisNetwork {self.name}>"

    async def _release(self) -> None:
        if self._closed:  # and not at the end of each call that is made without a loop
            for changes in list(self._changes):
                await changes.aclose()
        await self._link.release()

    @async_dual_mode
    async def _load(self, netuid: int) -> Snapshot:
        return await self._read(netuid)

    async def _read(self, netuid: int) -> Snapshot:
        parts = ("uids", "register", "serve", "weights", "stake", "permit")
        reply = await self._link.run(
            READ,
            [self._address.key("genesis"), *(self._key(netuid, part) for part in parts)],
            [MAX_VALUE_BYTES, _MAX_READ_BYTES, MAX_UIDS],
        )
        if not isinstance(reply, list):
            raise self._not_ours()
        genesis_ns = self._genesis(reply[0])
        if genesis_ns is None:
            return Snapshot()
        # Many signatures may have to be checked, which would hold up the loop.
        return await asyncio.to_thread(self._snapshot, netuid, parse_rows(reply[1]), genesis_ns)

    def _snapshot(self, netuid: int, found: Rows, genesis_ns: int) -> Snapshot:
        if self._warned.get(netuid, (0, 0)) != (found.left_out, found.giants):
            self._warned[netuid] = (found.left_out, found.giants)
            logger.warning(
                "netuid %d: %d neurons without a uid of their own and %d records that are too long "
                "are left out", netuid, found.left_out, found.giants,
            )  # fmt: skip
        now_ns = self._clock()
        neurons = neurons_of(
            found.rows,
            self._verified,
            netuid=netuid,
            genesis_ns=genesis_ns,
            now_ns=now_ns,
            allow_private=self._allow_private,
        )
        return Snapshot.of(neurons, block_at(now_ns, genesis_ns))

    async def _publish(
        self,
        netuid: int,
        wallet: Wallet | Keypair,
        signer: Keypair,
        kind: str,
        payload: Mapping[str, Any],
        expires_ns: int = 0,
    ) -> None:
        for _ in range(_TRIES):
            uid, stored, genesis_ns, known = await self._look(netuid, signer, kind)
            if uid is None:
                raise not_registered(self.name, netuid, signer.ss58_address, wallet)
            if kind == "weights":
                check_known(netuid, payload["uids"], known)
            newest = self._trusted(netuid, signer, kind, stored, genesis_ns)
            outcome = await self._write(
                netuid, signer, kind, payload, stored, newest, genesis_ns, expires_ns=expires_ns
            )
            if parse_uid(outcome) is not None:
                return
        raise self._contended(signer)

    async def _look(
        self, netuid: int, signer: Keypair, kind: str, *, create: bool = False
    ) -> tuple[int | None, bytes, int, set[int]]:
        """Return the signer's uid, its stored record, when the registry began, all uids.

        A registry is begun only by who registers; before that nobody has a uid.
        """
        reply = await self._link.run(
            LOOK,
            [self._address.key("genesis"), self._key(netuid, "uids"), self._key(netuid, kind)],
            [
                signer.public_key.hex(), MAX_VALUE_BYTES, self._clock() if create else "",
                int(kind == "weights"), MAX_UIDS,
            ],
        )  # fmt: skip
        if not isinstance(reply, list):
            raise self._not_ours()
        genesis, uid, stored, uids = reply
        genesis_ns = self._genesis(genesis)
        if genesis_ns is None:
            return None, b"", 0, set()
        return parse_uid(uid), stored or b"", genesis_ns, parse_uids(uids)

    def _trusted(
        self, netuid: int, signer: Keypair, kind: str, stored: bytes, genesis_ns: int
    ) -> Record | None:
        return trusted_record(
            unpack_record(stored) if stored not in (b"", GIANT) else None,
            kind=kind,
            netuid=netuid,
            public_key=signer.public_key,
            registry=genesis_ns,
        )

    async def _write(
        self,
        netuid: int,
        signer: Keypair,
        kind: str,
        payload: Mapping[str, Any],
        stored: bytes,
        newest: Record | None,
        genesis_ns: int,
        *,
        max_uids: int = 0,
        expires_ns: int = 0,
    ) -> object:
        """Sign a record newer than the stored one; store it if that is still the one there."""
        sealed = seal_record(
            signer,
            kind=kind,
            netuid=netuid,
            # A clock that was set back must not keep a hotkey from its own record.
            issued_ns=max(self._clock(), newest.issued_ns + 1 if newest else 0),
            payload=payload,
            registry=genesis_ns,
            expires_ns=expires_ns,
        )
        return await self._link.run(
            WRITE,
            [self._key(netuid, part) for part in ("uids", kind, "changes")],
            [
                signer.public_key.hex(), stored, pack_record(sealed), MAX_VALUE_BYTES, max_uids,
                kind,
            ],
        )  # fmt: skip

    def _key(self, netuid: int, part: str) -> str:
        return self._address.key(netuid, part)

    def _genesis(self, value: object) -> int | None:
        if value == b"":
            return None
        genesis_ns = parse_genesis(value)
        if genesis_ns is None:
            raise self._not_ours()
        return genesis_ns

    def _not_ours(self) -> errors.NetworkError:
        return errors.NetworkError(
            f"what {self.name} holds under {self._address.prefix!r} is no registry of Ganglion; "
            "give another ?prefix="
        )

    def _contended(self, signer: Keypair) -> errors.NetworkError:
        return errors.NetworkError(
            f"the record of {signer.ss58_address} on {self.name} changed under every try to write "
            "it; let one process publish for a hotkey"
        )


async def _signer_of(wallet: Wallet | Keypair) -> Keypair:
    # A wallet's file is read, and its password maybe asked for, when its hotkey is first needed.
    return wallet if isinstance(wallet, Keypair) else await asyncio.to_thread(signer_of, wallet)
