from __future__ import annotations

import pytest

import node
import node.compat as bt

PAIRS = {
    "wallet": "Wallet",
    "axon": "Axon",
    "dendrite": "Dendrite",
    "metagraph": "Metagraph",
    "subtensor": "Subtensor",
    "config": "Config",
}


@pytest.mark.parametrize(("old", "new"), PAIRS.items())
def test_both_spellings_are_the_same_class(old: str, new: str) -> None:
    assert getattr(bt, old) is getattr(bt, new)
    assert isinstance(getattr(bt, new), type)


def test_all_names_that_are_listed_are_there() -> None:
    assert [name for name in bt.__all__ if not hasattr(bt, name)] == []


def test_the_classes_are_where_code_looks_for_them() -> None:
    assert bt.synapse.Synapse is bt.Synapse
    assert bt.synapse.TerminalInfo is bt.TerminalInfo is node.TerminalInfo
    assert bt.stream.StreamingSynapse is bt.StreamingSynapse
    assert bt.stream.BTStreamingResponseModel is bt.BTStreamingResponseModel
    assert bt.chain_data.AxonInfo is bt.AxonInfo


def test_the_version_is_that_of_the_sdk_whose_names_these_are() -> None:
    assert bt.__version__ == "10.5.0"
    assert bt.__version__ != node.__version__


def test_the_synapses_are_the_librarys_own_with_more() -> None:
    assert issubclass(bt.Synapse, node.Synapse)
    assert issubclass(bt.StreamingSynapse, bt.Synapse)
    assert issubclass(bt.StreamingSynapse, node.StreamingSynapse)
    assert not hasattr(node.Synapse, "to_headers")


@pytest.mark.parametrize("name", ["defaults", "DEFAULTS"])
def test_the_defaults_are_settings(name: str) -> None:
    defaults = getattr(bt, name)
    assert (defaults.wallet.name, defaults.axon.port) == ("default", 8091)


def test_a_name_that_is_not_there_is_told_with_where_to_look() -> None:
    with pytest.raises(AttributeError, match=r"no 'MockWallet'; docs/migrating.md"):
        bt.MockWallet  # noqa: B018
