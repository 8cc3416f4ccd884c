from __future__ import annotations

import pytest

from node.neuron.chosen_network import allows_private, network_name
from node.neuron.flags import KINDS, build_parser
from node.neuron.resolver import resolve

ARGUMENTS = {"query": ["hello", "--netuid", "8"]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("argv", "name", "private"),
    [
        ([], "local", True),
        (["--subtensor.network", "local:x.db"], "local:x.db", True),
        (["--subtensor.network", "finney"], "finney", False),
        (["--subtensor.network", "finney", "--subtensor.allow_private"], "finney", True),
        (["--subtensor.chain_endpoint", "ws://h:1"], "ws://h:1", False),
        (["--subtensor.network", "localnet"], "localnet", False),
    ],
)
def test_the_network_and_whether_its_addresses_may_be_private(
    kind: str, argv: list[str], name: str, private: bool
) -> None:
    given = [*ARGUMENTS.get(kind, ["--netuid", "8"]), *argv]
    config = resolve(build_parser(kind, prog="p"), given, {})
    assert network_name(config) == name
    assert allows_private(config) is private
