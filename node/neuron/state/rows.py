"""What a validator's state holds, as values."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "NO_UID",
    "Event",
    "Identity",
    "Point",
    "Saved",
    "ScoreRow",
    "Standing",
    "Step",
    "WeightRow",
]

NO_UID = -1
"""The uid of a hotkey whose place another one has taken."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose state a file is.

    Attributes:
        netuid: The subnet.
        hotkey: The validator's own address, prefix 42.
        network: Name of the network, without a password.
    """

    netuid: int
    hotkey: str
    network: str

    def __str__(self) -> str:
        return f"hotkey {self.hotkey} on netuid {self.netuid} of {self.network}"


@dataclass(frozen=True, slots=True)
class Event:
    """What became of one peer in one step.

    Attributes:
        step: The step's number.
        uid: The peer's uid at that time.
        hotkey: Its address, prefix 42.
        reward: What it earned; NaN where that is not known.
        reason: `ok`, or why it earned nothing (`node.neuron.scoring.Reason`).
        status: HTTP status, or the number that stands for the error.
        first_byte_s: Seconds to the first byte of its reply, or None.
        total_s: Seconds to its end, or None.
        tokens: Tokens as the validator counts them, or None.
        chunks: Chunks that came.
        bytes: Bytes that came.
        tokens_per_s: Rate, or None.
    """

    step: int
    uid: int
    hotkey: str
    reward: float
    reason: str
    status: int
    first_byte_s: float | None = None
    total_s: float | None = None
    tokens: int | None = None
    chunks: int = 0
    bytes: int = 0
    tokens_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One round of asking.

    Attributes:
        step: Its number, from 1.
        started_ns: Unix nanoseconds.
        ended_ns: Unix nanoseconds.
        block: The network's block when it began.
        asked: Peers that were asked.
        answered: Of these, those that gave a reply.
        note: A sentence for the operator, or "".
    """

    step: int
    started_ns: int
    ended_ns: int
    block: int
    asked: int
    answered: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """The score of one hotkey.

    Attributes:
        hotkey: Address, prefix 42.
        uid: Its uid when the score last moved; `NO_UID` once another hotkey has that uid.
        score: The moving average.
        updated_step: The step in which it last moved.
        updated_ns: When that was, Unix nanoseconds.
    """

    hotkey: str
    uid: int
    score: float
    updated_step: int
    updated_ns: int


@dataclass(frozen=True, slots=True)
class Standing:
    """The score of one hotkey, with what is known of its last event.

    Attributes:
        uid: As in `ScoreRow`.
        hotkey: As in `ScoreRow`.
        score: As in `ScoreRow`.
        updated_step: As in `ScoreRow`.
        updated_ns: As in `ScoreRow`.
        reward: What it last earned, or None where it was never asked.
        reason: Why, or None.
        answered_ns: When it last replied with success, or None.
    """

    uid: int
    hotkey: str
    score: float
    updated_step: int
    updated_ns: int
    reward: float | None = None
    reason: str | None = None
    answered_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """The score of one hotkey after one step."""

    step: int
    uid: int
    hotkey: str
    score: float


@dataclass(frozen=True, slots=True)
class WeightRow:
    """One weight of one setting of weights.

    Attributes:
        block: The block at which they were set.
        set_ns: When that was by this machine's clock, Unix nanoseconds.
        uid: The uid that it is for.
        weight: As it was given to the network.
    """

    block: int
    set_ns: int
    uid: int
    weight: float


@dataclass(frozen=True, slots=True)
class Saved:
    """What a validator goes on from.

    Attributes:
        step: Number of the newest step, 0 before the first.
        scores: By hotkey.
        last_weights_block: The block of the newest weights, 0 before the first.
    """

    step: int = 0
    scores: dict[str, ScoreRow] = field(default_factory=dict)
    last_weights_block: int = 0
