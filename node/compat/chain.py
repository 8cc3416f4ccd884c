"""`bt.subtensor`: a network of this library, asked in the words of the chain's old client.

Everything blocks, inside a running event loop too, as it did. Asking what only a chain knows is an
AttributeError that says so.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from node.errors import ConfigError, NetworkError

from .endpoint import as_peer
from .graph import Metagraph
from .keyring import as_wallet
from .loop_thread import run_here
from .registry import Registry
from .rows import Count
from .settings import Config, add_group, check_group

__all__ = ["MockSubtensor", "Outcome", "Subtensor"]

_CHAIN_OPTIONS = frozenset({
    "block_time", "commit_reveal_version", "max_retries", "mechid", "mev_protection", "period",
    "prompt", "version_key", "wait_for_finalization", "wait_for_inclusion",
    "wait_for_revealed_execution",
})  # fmt: skip


class Outcome(NamedTuple):
    """How something that writes went: `success, message = subtensor.set_weights(...)`.

    As a condition it is `success`.
    """

    success: bool
    message: str

    def __bool__(self) -> bool:
        return self.success


class Subtensor(Registry):
    """A network, in the words of SDK 6-10.

    Args:
        network: As for `Registry`.
        config: As for `Registry`.
        log_verbose: Accepted and not used.

    Raises:
        ConfigError: There is no network of that name.
    """

    def __init__(
        self,
        network: str | Mapping[str, Any] | None = None,
        config: Any = None,
        log_verbose: bool = True,
    ) -> None:
        super().__init__(network, config)

    @classmethod
    def add_args(cls, parser: argparse.ArgumentParser, prefix: str | None = None) -> None:
        """Add `--subtensor.network` and `--subtensor.chain_endpoint` to a parser."""
        add_group(parser, "subtensor", prefix)

    @classmethod
    def check_config(cls, config: Config) -> None:
        """Check that a config has subtensor settings.

        Raises:
            ConfigError: It has none.
        """
        check_group(config, "subtensor")

    def metagraph(self, netuid: int, lite: bool = True, block: int | None = None) -> Metagraph:
        """Return a subnet.

        Args:
            netuid: The subnet.
            lite: Whether to leave out `weights`.
            block: Only None: a registry tells of now.

        Raises:
            ValueError: A block was given.
            NetworkError: The network can't be read.
        """
        graph = Metagraph(netuid, sync=False, subtensor=self)
        graph.sync(block=block, lite=lite)
        return graph

    @property
    def block(self) -> int:
        """The network's block number now."""
        return self.get_current_block()

    def get_current_block(self) -> int:
        """Return the network's block number now.

        Raises:
            NetworkError: The network can't be read.
        """
        return Count(self.read(0).block)

    def get_uid_for_hotkey_on_subnet(
        self, hotkey_ss58: str, netuid: int, block: int | None = None
    ) -> int | None:
        """Return the uid of a hotkey, or None for one that is not registered.

        Raises:
            InvalidAddress: It is no address.
            NetworkError: The network can't be read.
        """
        return self.read(netuid).uid_of(hotkey_ss58)

    def is_hotkey_registered(self, hotkey_ss58: str, netuid: int, block: int | None = None) -> bool:
        """Tell whether a hotkey has a uid. Raises as `get_uid_for_hotkey_on_subnet`."""
        return self.get_uid_for_hotkey_on_subnet(hotkey_ss58, netuid) is not None

    is_hotkey_registered_on_subnet = is_hotkey_registered

    def min_allowed_weights(self, netuid: int, block: int | None = None) -> int:
        """Return how many weights must be set at the least: 1."""
        return 1

    def max_weight_limit(self, netuid: int, block: int | None = None) -> float:
        """Return the largest share that one weight may have: 1.0, no limit."""
        return 1.0

    def register(self, wallet: Any, netuid: int, **options: Any) -> Outcome:
        """Give the wallet's hotkey a uid, the one that it has where it has one.

        Args:
            wallet: A wallet or keypair.
            netuid: The subnet.
            **options: As for `set_weights`.
        """
        native = as_wallet(wallet)
        return self._write(options, lambda: self._native.register(netuid, native))

    burned_register = register

    def serve_axon(self, netuid: int, axon: Any, **options: Any) -> Outcome:
        """Publish where an axon answers. On a local network the hotkey is registered if need be.

        Args:
            netuid: The subnet.
            axon: A compat axon, whose `wallet` signs.
            **options: As for `set_weights`.
        """

        def work() -> None:
            wallet, peer = as_wallet(axon.wallet), as_peer(axon)
            registered = self._native.metagraph(netuid).uid_of(peer.hotkey) is not None
            if not registered and self.network.partition(":")[0] == "local":
                self._native.register(netuid, wallet)
            self._native.serve(netuid, wallet, peer)

        return self._write(options, work)

    def set_weights(
        self,
        wallet: Any,
        netuid: int,
        uids: Iterable[int],
        weights: Iterable[float],
        **options: Any,
    ) -> Outcome:
        """Publish weights, scaled so that they sum to 1.

        Args:
            wallet: A wallet or keypair.
            netuid: The subnet.
            uids: Whole numbers; NumPy's and PyTorch's are such.
            weights: As many numbers, none below 0.
            **options: `raise_error` raises a failure instead of returning it. `version_key`,
                `wait_for_inclusion` and the others that a chain has are accepted and not used.

        Raises:
            TypeError: An option is none.
            NodeError: It failed, and `raise_error` is set.
        """
        native = as_wallet(wallet)
        return self._write(options, lambda: self._native.set_weights(netuid, native, uids, weights))

    def _write(self, options: dict[str, Any], work: Callable[[], object]) -> Outcome:
        raises = options.pop("raise_error", False)
        if unknown := options.keys() - _CHAIN_OPTIONS:
            raise TypeError(f"there is no option {min(unknown)!r}")
        try:
            run_here(work)
        except (NetworkError, ConfigError) as error:
            if raises:
                raise
            return Outcome(False, str(error))
        return Outcome(True, "Success")

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            raise AttributeError(
                f"subtensor.{name} asks a chain, and node.compat has none of it; a subtensor here "
                "has metagraph, block, is_hotkey_registered, register, serve_axon and set_weights"
            )
        raise AttributeError(name)


class MockSubtensor(Subtensor):
    """A name that subnet code derives from where it is imported; there is no such thing here.

    Raises:
        ConfigError: Always.
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        raise ConfigError(
            "there is no mock: --subtensor.network local needs no chain and answers for real"
        )
