"""What a report tells of a validator's state, summed up from one pass over its rows.

Rule 1: what is kept of a state is bounded by its peers and events, never by the texts in it.
Rule 2: a validator may write the file meanwhile: steps newer than the first look are left out.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from node.neuron.scoring import Reason
from node.neuron.state import NO_UID, Event, Identity, ScoreRow, StateReader, Step

__all__ = ["Digest", "Note", "PeerDigest", "Setting", "Spans", "even_sample"]

MOST_SPANS = 120  # bars or columns over time, of which each is still a few pixels wide
MOST_TRACED = 2048  # peers whose scores over time are read
MOST_MEASURED = 1e9  # seconds, or tokens a second; what is more was never measured
MOST_REASONS = 500  # words that a subclass may make up
OTHER = "other"
"""Stands for the reasons that came after the first 500."""


@dataclass(frozen=True, slots=True)
class Setting:
    """When weights were set: at which block, and in Unix nanoseconds."""

    block: int
    set_ns: int


@dataclass(frozen=True, slots=True)
class Note:
    """A step's note, and how often it came.

    Attributes:
        text: As it was written.
        count: Steps that had it.
        last_step: The newest of these.
        last_ns: When that ended, Unix nanoseconds.
    """

    text: str
    count: int
    last_step: int
    last_ns: int


@dataclass(slots=True, eq=False)
class PeerDigest:
    """One hotkey.

    Attributes:
        hotkey: Its address.
        uid: Its uid; `NO_UID` once another one has it.
        score: The moving average; None for one that was asked and has none.
        events: How often it was due.
        answered: How often of these it replied with success.
        last_reward: NaN where that is not known, None before the first event.
        reasons: How often each reason was given.
        first_bytes_s: Seconds to the first byte, of those replies that had one.
        rates: Tokens a second, of those that had a rate.
        steps: Those of `scores`.
        scores: Its score over time, thinned.
    """

    hotkey: str
    uid: int
    score: float | None = None
    events: int = 0
    answered: int = 0
    last_reward: float | None = None
    reasons: Counter[str] = field(default_factory=Counter)
    first_bytes_s: array[float] = field(default_factory=lambda: array("d"))
    rates: array[float] = field(default_factory=lambda: array("d"))
    steps: array[int] = field(default_factory=lambda: array("q"))
    scores: array[float] = field(default_factory=lambda: array("d"))

    def add(self, event: Event, reason: str) -> None:
        """Counts one event."""
        self.events += 1
        self.answered += 200 <= event.status < 300
        self.last_reward = event.reward
        self.reasons[reason] += 1
        for value, values in (
            (event.first_byte_s, self.first_bytes_s),
            (event.tokens_per_s, self.rates),
        ):
            if value is not None and 0 <= value <= MOST_MEASURED:
                values.append(value)

    @property
    def is_here(self) -> bool:
        """Whether it still has its uid."""
        return self.uid != NO_UID

    @property
    def usual_failure(self) -> tuple[str, int] | None:
        """The reason other than `ok` that came most often, and how often; None without any."""
        failures = [(count, word) for word, count in self.reasons.items() if word != Reason.OK]
        if not failures:
            return None
        count, word = max(failures)
        return word, count


@dataclass(frozen=True, slots=True)
class Spans:
    """The kept steps, cut into at most 120 spans of equally many steps.

    Attributes:
        steps: All of them, in order.
        width: Steps to a span.
    """

    steps: Sequence[int]
    width: int

    @classmethod
    def of(cls, steps: Sequence[int]) -> Spans:
        """Cuts steps into spans."""
        return cls(steps, max(1, math.ceil(len(steps) / MOST_SPANS)))

    def __len__(self) -> int:
        return math.ceil(len(self.steps) / self.width)

    def index(self, step: int) -> int:
        """The span of a step; of one that is not kept, the span before."""
        return max(0, bisect_right(self.steps, step) - 1) // self.width

    def firsts(self) -> list[int]:
        """Each span's first step."""
        return list(self.steps[:: self.width])


@dataclass(slots=True)
class Digest:
    """All of it.

    Attributes:
        identity: Whose state it is.
        steps: Those that are kept.
        spans: The same, cut.
        peers: The best score first, those that have left last.
        settings: When weights were set, oldest first, of the newest 100.
        weights: The newest ones, by uid.
        reasons: How often each reason was given, in all.
        reasons_of: And in each span.
        notes: The newest first.
    """

    identity: Identity
    steps: list[Step]
    spans: Spans
    peers: list[PeerDigest]
    settings: list[Setting]
    weights: dict[int, float]
    reasons: Counter[str]
    reasons_of: list[Counter[str]]
    notes: list[Note]

    @classmethod
    def read(cls, reader: StateReader) -> Digest:
        """Reads a state.

        Raises:
            errors.StateError: It can't be read.
        """
        steps = list(reader.steps())
        spans = Spans.of([step.step for step in steps])
        peers = {row.hotkey: _peer(row) for row in reader.scores()}
        newest = steps[-1].step if steps else 0
        reasons_of: list[Counter[str]] = [Counter() for _ in range(len(spans))]
        reasons: Counter[str] = Counter()
        for event in reader.events():
            if event.step > newest:
                break
            known = event.reason in reasons or len(reasons) < MOST_REASONS
            reason = event.reason if known else OTHER
            reasons[reason] += 1
            reasons_of[spans.index(event.step)][reason] += 1
            if event.hotkey not in peers:
                peers[event.hotkey] = PeerDigest(event.hotkey, NO_UID)
            peers[event.hotkey].add(event, reason)
        ranked = sorted(peers.values(), key=_rank)
        _trace(reader, ranked, newest)
        return cls(
            reader.identity, steps, spans, ranked, *_settings(reader), reasons, reasons_of,
            _notes(steps),
        )  # fmt: skip

    @property
    def asked(self) -> int:
        """Requests that were sent."""
        return sum(step.asked for step in self.steps)

    @property
    def answered(self) -> int:
        """Replies that came."""
        return sum(step.answered for step in self.steps)

    @property
    def here(self) -> list[PeerDigest]:
        """The peers that still have their uid, the best first."""
        return [peer for peer in self.peers if peer.is_here]

    @property
    def traced(self) -> list[PeerDigest]:
        """Those of `here` whose scores over time were read."""
        return [peer for peer in self.here if peer.steps]

    def first_bytes_s(self) -> array[float]:
        """Seconds to the first byte, of all replies."""
        return _joined(peer.first_bytes_s for peer in self.peers)

    def rates(self) -> array[float]:
        """Tokens a second, of all replies."""
        return _joined(peer.rates for peer in self.peers)


def even_sample(peers: Sequence[PeerDigest], most: int) -> list[PeerDigest]:
    """Returns at most so many of the peers, evenly spread, with the first and the last one."""
    if len(peers) <= most:
        return list(peers)
    last = len(peers) - 1
    return [peers[place * last // (most - 1)] for place in range(most)]


def _peer(row: ScoreRow) -> PeerDigest:
    return PeerDigest(row.hotkey, row.uid, row.score)


def _rank(peer: PeerDigest) -> tuple[bool, bool, float, int, str]:
    return not peer.is_here, peer.score is None, -(peer.score or 0.0), peer.uid, peer.hotkey


def _trace(reader: StateReader, ranked: Sequence[PeerDigest], newest: int) -> None:
    here = even_sample([peer for peer in ranked if peer.is_here], MOST_TRACED)
    traced = {peer.hotkey: peer for peer in here}
    for point in reader.history(points=2 * MOST_SPANS):
        if point.step <= newest and point.hotkey in traced:
            traced[point.hotkey].steps.append(point.step)
            traced[point.hotkey].scores.append(point.score)


def _settings(reader: StateReader) -> tuple[list[Setting], dict[int, float]]:
    settings: list[Setting] = []
    weights: dict[int, float] = {}
    for row in reader.weights():
        setting = Setting(row.block, row.set_ns)
        if not settings or settings[-1] != setting:
            settings.append(setting)
            weights = {}
        weights[row.uid] = row.weight
    return settings, weights


def _notes(steps: Iterable[Step]) -> list[Note]:
    found: dict[str, Note] = {}
    for step in steps:
        if step.note:
            before = found.pop(step.note, None)
            count = 1 if before is None else before.count + 1
            found[step.note] = Note(step.note, count, step.step, step.ended_ns)
    return list(reversed(found.values()))


def _joined(parts: Iterable[array[float]]) -> array[float]:
    whole = array("d")
    for part in parts:
        whole.extend(part)
    return whole
