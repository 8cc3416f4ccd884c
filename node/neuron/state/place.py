"""Where a validator's state is kept when nobody says otherwise."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from node.keys import normalise_address
from node.network.opening import DEFAULT_HOME

__all__ = ["state_path", "without_password"]

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_USER_INFO = re.compile(r"(?<=://)[^/?#]*@")
_MAX_FOLDER_CHARS = 60


def state_path(netuid: int, hotkey: str, network: str = "local") -> Path:
    """The file for one hotkey on one subnet of one network, absolute.

    It is in the folder that the environment variable GANGLION_HOME names, `~/.ganglion` without it:
    `validators/NETWORK/NETUID/HOTKEY.db`. A network's name that can't be a folder's is shortened
    and gets a digest, so that no two share a folder.

    Args:
        netuid: The subnet.
        hotkey: The validator's own address, any prefix.
        network: The network as `--subtensor.network` has it. A password in it does not show.

    Raises:
        errors.InvalidAddress: `hotkey` is not an address.
    """
    home = Path(os.environ.get("GANGLION_HOME") or DEFAULT_HOME).expanduser().absolute()
    name = f"{normalise_address(hotkey)}.db"
    return home / "validators" / _folder(without_password(network)) / str(netuid) / name


def without_password(network: str) -> str:
    """A network's name without the user and password that a URL may have."""
    return _USER_INFO.sub("", network)


def _folder(network: str) -> str:
    fit = _UNFIT.sub("-", network).strip("-.")[:_MAX_FOLDER_CHARS]
    if fit and fit == network:
        return fit
    return f"{fit}-{hashlib.sha256(network.encode()).hexdigest()[:8]}"
