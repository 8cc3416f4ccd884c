"""The state of the chain: its blocks, and what its storage and runtime answer."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any

import bittensor_core

from node.keys import normalise_address

from .extrinsic import Extrinsic, Invalid, read_extrinsic
from .metadata import (
    ERRORS,
    METAGRAPH,
    SPEC_VERSION,
    SUBTENSOR_INDEX,
    TRANSACTION_VERSION,
    metadata,
)
from .subnet import RAO, Commit, FakeNeuron, Refused, Subnet

NOBODY = "5C4hrfjw9DjXZTzV3MwzrrAr9P1MJhSrvWGWqi1eSuyUpnhM"
FEE_RAO = 1234
START_BLOCK = 1000
_DISPATCH_INFO = {
    "weight": {"ref_time": 1, "proof_size": 0},
    "class": "Normal",
    "pays_fee": "Yes",
}
RULE_TYPES = {
    "min_allowed_weights": "U16",
    "max_weights_limit": "U16",
    "tempo": "U16",
    "weights_version": "U64",
    "weights_rate_limit": "U64",
    "serving_rate_limit": "U64",
    "commit_reveal_period": "U64",
    "commit_reveal_weights_enabled": "Bool",
}


@dataclass
class Block:
    """A block that holds something."""

    extrinsics: list[bytes] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)


class Chain:
    """Blocks and subnets. A block is made by each extrinsic, and by `advance`."""

    def __init__(self) -> None:
        self.metadata = metadata()
        self.codec = bittensor_core.Runtime(self.metadata, SPEC_VERSION, TRANSACTION_VERSION, 42)
        self.head = START_BLOCK
        self.subnets: dict[int, Subnet] = {}
        self.nonces: dict[str, int] = {}
        self.blocks: dict[int, Block] = {}
        self.extrinsics: list[Extrinsic] = []
        self._salt = secrets.token_bytes(8)
        self._numbers: dict[str, int] = {}

    # Blocks

    def hash_at(self, number: int) -> bytes:
        digest = blake2b(self._salt + number.to_bytes(8, "little"), digest_size=32).digest()
        self._numbers["0x" + digest.hex()] = number
        return digest

    def number_of(self, block_hash: str | None) -> int:
        return self.head if block_hash is None else self._numbers[block_hash]

    def advance(self, blocks: int = 1) -> int:
        self.head += blocks
        return self.head

    def submit(self, data: bytes) -> int:
        """Put an extrinsic into a new block and return the block's number.

        Raises:
            Invalid: A node would not take it.
        """
        extrinsic = read_extrinsic(data, self.head, self.hash_at)
        if extrinsic.nonce != self.nonces.get(extrinsic.hotkey, 0):
            raise Invalid("outdated")
        self.nonces[extrinsic.hotkey] = extrinsic.nonce + 1
        number = self.advance()
        self.extrinsics.append(extrinsic)
        # An inherent is first in every block, so that ours is not number 0.
        self.blocks[number] = Block([b"\x04\x00", data], self._apply(extrinsic, number))
        return number

    def _apply(self, extrinsic: Extrinsic, number: int) -> list[dict[str, Any]]:
        call = self.codec.decode_call(extrinsic.call)
        values = {arg["name"]: arg["value"] for arg in call["call_args"]}
        subnet = self.subnets.get(values["netuid"], Subnet())
        fee = {"who": extrinsic.hotkey, "actual_fee": FEE_RAO, "tip": 0}
        paid = _event("TransactionPayment", {"TransactionFeePaid": fee})
        try:
            done = self._dispatch(subnet, call["call_function"], extrinsic.hotkey, number, values)
        except Refused as refusal:
            module = {"index": SUBTENSOR_INDEX, "error": [ERRORS[str(refusal)], 0, 0, 0]}
            failed = {"dispatch_error": {"Module": module}, "dispatch_info": _DISPATCH_INFO}
            return [paid, _event("System", {"ExtrinsicFailed": failed})]
        succeeded = {"ExtrinsicSuccess": {"dispatch_info": _DISPATCH_INFO}}
        return [*done, paid, _event("System", succeeded)]

    def _dispatch(
        self, subnet: Subnet, name: str, hotkey: str, number: int, values: dict[str, Any]
    ) -> list[dict[str, Any]]:
        netuid = values["netuid"]
        if name == "serve_axon":
            subnet.serve_axon(hotkey, number, values)
            return [_event("SubtensorModule", {"AxonServed": (netuid, hotkey)})]
        if name == "set_mechanism_weights":
            uid = subnet.set_weights(
                hotkey, number, values["dests"], values["weights"], values["version_key"]
            )
            return [_event("SubtensorModule", {"WeightsSet": (netuid, uid)})]
        subnet.commit(
            hotkey,
            number,
            Commit(
                hotkey,
                _as_bytes(values["commit"]),
                values["reveal_round"],
                values["commit_reveal_version"],
            ),
        )
        return []

    # Storage

    def storage(self, number: int) -> dict[bytes, bytes]:
        """Every key that is set. But for events, older blocks have the state of the newest."""
        found: dict[bytes, bytes] = {}
        events = self.blocks[number].events if number in self.blocks else []
        found[self._key("System", "Events", [])] = self._encode("System", "Events", events)
        for netuid, subnet in self.subnets.items():
            found.update(self._values(netuid, subnet))
        return found

    def _values(self, netuid: int, subnet: Subnet) -> list[tuple[bytes, bytes]]:
        rules, neurons = subnet.rules, subnet.neurons
        plain: dict[str, Any] = {
            "LastUpdate": [neuron.last_update for neuron in neurons],
            "ValidatorPermit": [neuron.validator_permit for neuron in neurons],
            "SubnetworkN": len(neurons),
            "Tempo": rules.tempo,
            "WeightsSetRateLimit": rules.weights_rate_limit,
            "MinAllowedWeights": rules.min_allowed_weights,
            "MaxWeightsLimit": rules.max_weights_limit,
            "CommitRevealWeightsEnabled": rules.commit_reveal_weights_enabled,
            "RevealPeriodEpochs": rules.commit_reveal_period,
            "TokenSymbol": b"x",
        }
        rows: list[tuple[str, list[Any], Any]] = [
            (name, [netuid], value) for name, value in plain.items()
        ]
        for uid, neuron in enumerate(neurons):
            rows.append(("Uids", [netuid, neuron.hotkey], uid))
            if neuron.axon.block:
                rows.append(("Axons", [netuid, neuron.hotkey], asdict(neuron.axon)))
            if neuron.weights:
                rows.append(("Weights", [netuid, uid], neuron.weights))
        module = "SubtensorModule"
        return [
            (self._key(module, name, keys), self._encode(module, name, value))
            for name, keys, value in rows
        ]

    def _key(self, module: str, name: str, keys: list[Any]) -> bytes:
        return bytes(self.codec.storage_key(module, name, keys))

    def _encode(self, module: str, name: str, value: Any) -> bytes:
        kind = self.codec.storage_entry(module, name).value_type
        return bytes(self.codec.encode(kind, value))

    # Runtime API

    def runtime_call(self, name: str, data: bytes) -> bytes:
        """The reply to a `state_call`."""
        if name == "Metadata_metadata_at_version":
            return self._output("Metadata", "metadata_at_version", self.metadata)
        if name == "TransactionPaymentApi_query_info":
            info = {**_DISPATCH_INFO, "partial_fee": FEE_RAO}
            return self._output("TransactionPaymentApi", "query_info", info)
        answers: dict[str, Callable[[int, Subnet], Any]] = {
            "get_metagraph": self._metagraph,
            "get_subnet_hyperparams_v3": _hyperparameters,
        }
        api, _, method = name.partition("_")
        netuid = int.from_bytes(data, "little")
        subnet = self.subnets.get(netuid)
        answer = None if subnet is None else answers[method](netuid, subnet)
        return self._output(api, method, answer)

    def _output(self, api: str, method: str, value: Any) -> bytes:
        return bytes(self.codec.encode(self.codec.runtime_api_map()[api][method]["output"], value))

    def _metagraph(self, netuid: int, subnet: Subnet) -> dict[str, Any]:
        neurons = subnet.neurons
        # What a neuron asks nothing of is 0, empty or nobody.
        graph: dict[str, Any] = {str(name): _empty(kind) for name, kind in METAGRAPH}
        graph |= {
            "netuid": netuid,
            "block": self.head,
            "tempo": subnet.rules.tempo,
            "num_uids": len(neurons),
            "max_uids": 256,
            "owner_hotkey": NOBODY,
            "owner_coldkey": NOBODY,
            "hotkeys": [neuron.hotkey for neuron in neurons],
            "coldkeys": [neuron.coldkey for neuron in neurons],
            "identities": [None for _ in neurons],
            "axons": [asdict(neuron.axon) for neuron in neurons],
            "active": [True for _ in neurons],
            "validator_permit": [neuron.validator_permit for neuron in neurons],
            "last_update": [neuron.last_update for neuron in neurons],
            "incentives": [round(neuron.incentive * 65535) for neuron in neurons],
            "total_stake": [round(neuron.stake * RAO) for neuron in neurons],
        }
        for name in ("emission", "dividends", "consensus", "trust", "rank", "pruning_score",
                     "block_at_registration", "alpha_stake", "tao_stake"):  # fmt: skip
            graph[name] = [0 for _ in neurons]
        return graph

    # What a test sets

    def register(self, netuid: int, hotkey: str, coldkey: str = NOBODY, **fields: Any) -> int:
        subnet = self.subnets.setdefault(netuid, Subnet())
        neuron = FakeNeuron(normalise_address(hotkey), normalise_address(coldkey), **fields)
        subnet.neurons.append(neuron)
        return len(subnet.neurons) - 1


def _hyperparameters(netuid: int, subnet: Subnet) -> list[dict[str, Any]]:
    return [
        {"name": name.encode(), "value": {kind: getattr(subnet.rules, name)}}
        for name, kind in RULE_TYPES.items()
    ]


def _event(module: str, event: dict[str, Any]) -> dict[str, Any]:
    return {"phase": {"ApplyExtrinsic": 1}, "event": {module: event}, "topics": []}


def _empty(kind: str) -> Any:
    if kind.startswith("Vec"):
        return []
    if kind.startswith("Option"):
        return None
    return {"bool": False, "FixedI128": {"bits": 0}}.get(kind, 0)


def _as_bytes(value: Any) -> bytes:
    """The codec gives bytes as text where they happen to be UTF-8."""
    if isinstance(value, str):
        return bytes.fromhex(value[2:]) if value.startswith("0x") else value.encode()
    return bytes(value)
