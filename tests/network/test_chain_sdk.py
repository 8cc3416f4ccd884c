"""Whether what is used of the official SDK is there, documented and called as it says.

Two ways: each call is listed here with its arguments and compared with the signature that is
installed; and the source of the backend is searched for names of the SDK that are not listed.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

from node.network import chain_calls
from node.network.chain_signer import ChainSigner

from .conftest import key

sdk: Any = pytest.importorskip("bittensor")

NETWORK = Path(chain_calls.__file__).parent
SOURCES = sorted(NETWORK.glob("chain*.py"))

CALLS: dict[str, tuple[Any, list[str]]] = {
    "Client": (sdk.Client, ["network"]),
    "connect": (sdk.Client.connect, ["self"]),
    "close": (sdk.Client.close, ["self"]),
    "read": (sdk.Client.read, ["self", "name"]),
    "at": (sdk.Client.at, ["self"]),
    "execute": (sdk.Client.execute, ["self", "intent", "wallet"]),
    "execute, in the executor": (
        sdk.Client("test")._executor.execute,
        ["intent", "wallet", "wait_for_inclusion", "wait_for_finalization", "retries"],
    ),
    "view.read": (sdk.Snapshot.read, ["self", "name"]),
    "view.query": (sdk.Snapshot.query, ["self", "item", "params"]),
    "view.runtime": (sdk.Snapshot.runtime, ["self", "method", "params"]),
    "ServeAxon": (sdk.ServeAxon, ["netuid", "ip", "port", "protocol", "version"]),
    "ResetAxon": (sdk.ResetAxon, ["netuid"]),
    "SetWeights": (sdk.SetWeights, ["netuid", "uids", "weights", "version_key"]),
}
READS = {
    "uid": {"netuid", "hotkey_ss58"},
    "weights": {"netuid"},
    "subnet_hyperparameters": {"netuid"},
}
DESCRIPTORS = {
    "storage.SubtensorModule.Uids": ("SubtensorModule", "Uids"),
    "storage.SubtensorModule.Axons": ("SubtensorModule", "Axons"),
    "storage.SubtensorModule.SubnetworkN": ("SubtensorModule", "SubnetworkN"),
    "runtime_api.SubnetInfoRuntimeApi.get_metagraph": ("SubnetInfoRuntimeApi", "get_metagraph"),
}
ERRORS = {
    "BittensorError": Exception,
    "ChainError": sdk.BittensorError,
    "ConnectionNotReady": sdk.BittensorError,
    "RpcConnectionError": sdk.BittensorError,
    "RpcPolicyError": sdk.RpcConnectionError,
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_has_the_arguments_that_we_give(name: str) -> None:
    function, arguments = CALLS[name]
    parameters = inspect.signature(function).parameters
    assert [one for one in arguments if one not in parameters] == []
    required = {
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }
    assert required <= set(arguments)


@pytest.mark.parametrize("name", READS)
def test_a_read_has_the_arguments_that_we_give(name: str) -> None:
    spec = {read["name"]: read for read in sdk.Client("test").reads()}[name]
    declared = sdk.reads.REGISTRY[name].params
    assert READS[name] <= set(declared)
    assert spec["name"] == name


@pytest.mark.parametrize("path", DESCRIPTORS)
def test_a_descriptor_is_in_the_sdks_catalogue(path: str) -> None:
    found: Any = sdk
    for part in path.split("."):
        found = getattr(found, part)
    assert tuple(found)[:2] == DESCRIPTORS[path]


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_of_the_family_that_we_catch(name: str) -> None:
    assert issubclass(getattr(sdk, name), ERRORS[name])


def test_the_error_of_the_unregistered_has_its_code() -> None:
    code = sdk.ErrorCode.NOT_REGISTERED
    for name in ("HotKeyNotRegisteredInSubNet", "HotKeyNotRegisteredInNetwork"):
        error = sdk.ChainError("text", name)
        assert (error.code, error.name, error.message) == (code, name, "text")
        assert "btcli subnets register" in error.remediation
    fields = {"success", "message", "error", "extrinsic_id", "fee"}
    assert fields <= set(inspect.signature(sdk.ExtrinsicResult).parameters)


def test_networks_have_the_names_that_we_give_them() -> None:
    for name in ("finney", "test", "archive"):
        assert sdk.Client(name).endpoint.startswith("wss://")
    assert sdk.Client("ws://127.0.0.1:9944/path").endpoint == "ws://127.0.0.1:9944/path"


@pytest.mark.parametrize("scheme", ["sr25519", "ed25519"])
def test_our_signer_is_one_of_the_sdks(scheme: str) -> None:
    keypair = key("Alice", scheme)
    signer = ChainSigner(keypair)
    assert isinstance(signer, sdk.Signer)
    assert sdk.resolve_signer(signer, "hotkey") is signer
    assert sdk.public_view(signer, "hotkey") is signer
    theirs = sdk.wallets.DEFAULT_CRYPTO_TYPE if scheme == "sr25519" else sdk.CRYPTO_ED25519
    assert (signer.crypto_type, signer.ss58_format) == (theirs, 42)
    keypair.verify(b"payload", signer.sign(b"payload"))


def test_intents_take_what_we_give_them() -> None:
    serve = chain_calls.serve_intent(sdk, 8, "8.8.8.8", 80, 3)
    assert (serve.op, serve.signer, serve.port, serve.protocol) == ("serve_axon", "hotkey", 80, 4)
    reset = chain_calls.serve_intent(sdk, 8, "0.0.0.0", 0, 3)
    assert (reset.op, reset.signer) == ("reset_axon", "hotkey")
    weights = chain_calls.weights_intent(sdk, 8, (0, 1), (0.5, 0.5), 7)
    assert (weights.op, weights.signer) == ("set_weights", "hotkey")
    assert (weights.uids, weights.weights, weights.version_key) == ([0, 1], [0.5, 0.5], 7)


# Nothing else is used ---------------------------------------------------------------------------


def test_only_what_is_listed_is_used() -> None:
    used = {path for source in SOURCES for path in dotted_names(ast.parse(source.read_text()))}
    of_sdk = {path.partition(".")[2] for path in used if path.startswith("sdk.")}
    known = {"Client", "ServeAxon", "ResetAxon", "SetWeights", "ErrorCode.NOT_REGISTERED"}
    assert of_sdk <= known | set(ERRORS) | set(DESCRIPTORS)
    of_client = {path.partition(".")[2] for path in used if path.startswith("client.")}
    assert of_client == {"connect", "close", "read", "at", "execute"}
    of_view = {path.partition(".")[2] for path in used if path.startswith("view.")}
    assert of_view == {"read", "query", "runtime"}


def test_no_module_imports_the_sdk_when_it_is_imported() -> None:
    for path in (NETWORK.parent).rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            tops = {name.partition(".")[0] for name in names}
            assert not tops & {"bittensor", "websockets"}, path


def dotted_names(tree: ast.AST) -> set[str]:
    """Every dotted name, with `self._sdk` and `self._client` written as `sdk` and `client`."""
    found = set()
    for node in ast.walk(tree):
        parts: list[str] = []
        part: ast.AST = node
        while isinstance(part, ast.Attribute):
            parts.insert(0, part.attr)
            part = part.value
        if isinstance(part, ast.Name) and parts:
            path = ".".join([part.id, *parts])
            path = path.replace("self._sdk.", "sdk.").replace("self._client.", "client.")
            found.add(path)
    # Of a chain only the longest is meant: a.b.c, and not a.b.
    return {path for path in found if not any(other.startswith(f"{path}.") for other in found)}
