"""Checks of what callers hand to a network, the same for every backend."""

from __future__ import annotations

import ipaddress
import math
import operator
import shlex
from collections.abc import Collection, Iterable
from pathlib import Path

from node import errors
from node.keys import Keypair, Wallet
from node.keys.wallet import DEFAULT_WALLET_PATH

from .peer import Peer
from .record import MAX_NETUID

__all__ = [
    "MAX_STAKE",
    "check_known",
    "check_netuid",
    "check_servable",
    "check_stake",
    "checked_weights",
    "coldkey_of",
    "not_registered",
]

# Above any supply, and far below where sums of floats overflow.
MAX_STAKE = 1e15


def check_netuid(netuid: object) -> None:
    """Check that a subnet's number is one.

    Raises:
        errors.ConfigError: It is not.
    """
    if type(netuid) is not int or not 0 <= netuid <= MAX_NETUID:
        raise errors.ConfigError(f"netuid is a whole number from 0 to {MAX_NETUID}, not {netuid!r}")


def check_servable(peer: Peer, signer: Keypair) -> None:
    """Check that a peer is the signer's own and that others can send to it.

    Raises:
        errors.ConfigError: It has another hotkey, or an address such as 0.0.0.0.
    """
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


def check_stake(stake: float | None) -> None:
    """Check a stake; None is no stake.

    Raises:
        errors.ConfigError: It is negative, NaN or above 1e15.
    """
    if stake is not None and not 0 <= stake <= MAX_STAKE:
        raise errors.ConfigError(f"stake is a number from 0 to {MAX_STAKE:g}, not {stake}")


def check_known(netuid: int, uids: Iterable[int], known: Collection[int]) -> None:
    """Check that every uid is taken.

    Raises:
        errors.NetworkError: One is not.
    """
    for uid in uids:
        if uid not in known:
            raise errors.NetworkError(f"there is no uid {uid} on netuid {netuid} to give weight to")


def checked_weights(uids: Iterable[int], weights: Iterable[float]) -> tuple[list[int], list[float]]:
    """Return the uids, and their weights scaled so that they sum to 1.

    Raises:
        errors.ConfigError: The lists are of different lengths, a uid is there twice, a weight is
            negative or not finite, or none is above 0.
    """
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


def coldkey_of(wallet: Wallet | Keypair) -> str:
    """Return the owner's address, or "" where its public half is not on this machine."""
    if isinstance(wallet, Keypair):
        return ""
    try:
        return wallet.coldkeypub.ss58_address
    except errors.WalletNotFound:
        return ""


def not_registered(
    name: str, netuid: int, address: str, wallet: Wallet | Keypair | None = None
) -> errors.NotRegistered:
    """Return the error for a hotkey without a uid, with the command that gives it one.

    Args:
        name: The network's name, as it may be shown.
        netuid: The subnet.
        address: The hotkey's.
        wallet: Where its names are known.
    """
    words = ["ganglion", "network", "register", "--netuid", str(netuid)]
    if isinstance(wallet, Wallet):
        words += ["--wallet.name", wallet.name, "--wallet.hotkey", wallet.hotkey_name]
        if wallet.path != Path(DEFAULT_WALLET_PATH).expanduser():
            words += ["--wallet.path", str(wallet.path)]
    else:
        words += ["--wallet.name", "NAME", "--wallet.hotkey", "HOTKEY"]
    words += ["--subtensor.network", name]
    return errors.NotRegistered(
        f"hotkey {address} is not registered on netuid {netuid} of {name}; run: {shlex.join(words)}"
    )
