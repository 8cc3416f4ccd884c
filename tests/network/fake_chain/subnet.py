"""The state of a subnet, and the chain's rules for those who change it.

The rules are those of the calls that a neuron makes: `serve_axon`, `set_mechanism_weights` and
`commit_timelocked_mechanism_weights`. Burning, staking and consensus are not here: a test says who
is registered and what the chain worked out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MAX_IPV4 = 2**32 - 1
MAX_IPV6 = 2**128 - 1
LOOPBACKS = {4: 0x7F000001, 6: 1}
RAO = 10**9


class Refused(Exception):
    """A call that the chain dispatched and that failed, by the name of its error."""


@dataclass
class Axon:
    """As the chain holds it; all 0 is one that was never served."""

    block: int = 0
    version: int = 0
    ip: int = 0
    port: int = 0
    ip_type: int = 0
    protocol: int = 0
    placeholder1: int = 0
    placeholder2: int = 0


@dataclass
class FakeNeuron:
    """One uid. Every field may be set by a test, to anything that the chain's types can hold."""

    hotkey: str
    coldkey: str
    stake: float = 0.0
    validator_permit: bool = False
    incentive: float = 0.0
    last_update: int = 0
    axon: Axon = field(default_factory=Axon)
    weights: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Rules:
    """A subnet's hyperparameters; the limits are off, where the chain's own defaults are not."""

    tempo: int = 360
    weights_rate_limit: int = 0
    min_allowed_weights: int = 1
    max_weights_limit: int = 65535
    commit_reveal_weights_enabled: bool = False
    commit_reveal_period: int = 1
    weights_version: int = 0
    serving_rate_limit: int = 0
    needs_permit: bool = False


@dataclass(frozen=True)
class Commit:
    """Weights that are hidden until a drand round."""

    hotkey: str
    ciphertext: bytes
    reveal_round: int
    version: int


@dataclass
class Subnet:
    """A subnet; `neurons` by uid."""

    neurons: list[FakeNeuron] = field(default_factory=list)
    rules: Rules = field(default_factory=Rules)
    commits: list[Commit] = field(default_factory=list)

    def uid_of(self, hotkey: str) -> int | None:
        return next((uid for uid, one in enumerate(self.neurons) if one.hotkey == hotkey), None)

    def serve_axon(self, hotkey: str, block: int, values: dict[str, Any]) -> int:
        uid = self.uid_of(hotkey)
        if uid is None:
            raise Refused("HotKeyNotRegisteredInNetwork")
        kind, ip = values["ip_type"], values["ip"]
        if kind not in LOOPBACKS:
            raise Refused("InvalidIpType")
        if ip == LOOPBACKS[kind] or ip == MAX_IPV6 or (kind == 4 and ip >= MAX_IPV4):
            raise Refused("InvalidIpAddress")
        last, limit = self.neurons[uid].axon.block, self.rules.serving_rate_limit
        if limit and last and block - last < limit:
            raise Refused("ServingRateLimitExceeded")
        if values["port"] == 0:
            raise Refused("InvalidPort")
        fields = {name: value for name, value in values.items() if name != "netuid"}
        self.neurons[uid].axon = Axon(block=block, **fields)
        return uid

    def set_weights(
        self, hotkey: str, block: int, dests: Sequence[int], weights: Sequence[int], version: int
    ) -> int:
        if self.rules.commit_reveal_weights_enabled:
            raise Refused("CommitRevealEnabled")
        uid = self._voter(hotkey)
        if version < self.rules.weights_version:
            raise Refused("IncorrectWeightVersionKey")
        self._check_rate(uid, block)
        if self.rules.needs_permit and not self.neurons[uid].validator_permit:
            raise Refused("NeuronNoValidatorPermit")
        if any(target >= len(self.neurons) for target in dests):
            raise Refused("UidVecContainInvalidOne")
        most = max(weights)
        scaled = [round(weight * 65535 / most) for weight in weights]
        self.neurons[uid].weights = list(zip(dests, scaled, strict=True))
        self.neurons[uid].last_update = block
        return uid

    def commit(self, hotkey: str, block: int, commit: Commit) -> int:
        if not self.rules.commit_reveal_weights_enabled:
            raise Refused("CommitRevealDisabled")
        uid = self._voter(hotkey)
        self._check_rate(uid, block)
        self.neurons[uid].last_update = block
        self.commits.append(commit)
        return uid

    def _voter(self, hotkey: str) -> int:
        uid = self.uid_of(hotkey)
        if uid is None:
            raise Refused("HotKeyNotRegisteredInSubNet")
        return uid

    def _check_rate(self, uid: int, block: int) -> None:
        last, limit = self.neurons[uid].last_update, self.rules.weights_rate_limit
        if last and block - last < limit:
            raise Refused("SettingWeightsTooFast")
