"""What the live board shows, kept as it is told. Holds no thread, no lock and no terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import nlargest, nsmallest

from node.neuron.board import Tally

__all__ = ["MOST_RANKED", "BoardState", "PeerLine"]

MOST_RANKED = 20  # best and worst peers that are kept in order


@dataclass(slots=True)
class PeerLine:
    """What is known of one peer.

    Attributes:
        uid: Its uid.
        hotkey: Its address.
        score: As of the last step that ended; None before that.
        reward: What it last earned.
        reason: Why.
        first_byte_s: Of its last reply.
        tokens_per_s: Of its last reply.
    """

    uid: int
    hotkey: str
    score: float | None = None
    reward: float | None = None
    reason: str = ""
    first_byte_s: float | None = None
    tokens_per_s: float | None = None


class BoardState:
    """Steps, counts and peers.

    Args:
        clock: Seconds, from any start.

    Attributes:
        tally: The step under way or, between two, the last one; None before the first.
        is_running: Whether a step is under way.
        note: That of the last step.
        steps: How many ended.
        totals: How often each reason was given, in the steps that ended.
        block: The network's block, as it was last read.
        weights_block: The block from which on weights may be set; None where they are not set.
        weights_set_block: When weights were last set here.
        best: The peers with the highest scores, at most 20, the highest first.
        worst: Those with the lowest, the lowest last; none that is in `best`.
        scored: Peers that have a score.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._peers: dict[int, PeerLine] = {}
        self._began = self._step_began = clock()
        self._step_took = 0.0
        self.tally: Tally | None = None
        self.is_running = False
        self.note = ""
        self.steps = 0
        self.totals: Counter[str] = Counter()
        self.block: int | None = None
        self.weights_block: int | None = None
        self.weights_set_block: int | None = None
        self.best: list[PeerLine] = []
        self.worst: list[PeerLine] = []
        self.scored = 0

    @property
    def step_s(self) -> float:
        """Seconds that the step has taken."""
        return self._clock() - self._step_began if self.is_running else self._step_took

    @property
    def total_s(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._began

    def begin_step(self, step: int) -> None:
        """A step began."""
        self.tally = Tally(step)
        self.is_running = True
        self._step_began = self._clock()

    def synced(self, block: int, weights_block: int | None) -> None:
        """The network was read."""
        self.block, self.weights_block = block, weights_block

    def asked(self, peers: Sequence[tuple[int, str]]) -> None:
        """Requests went out."""
        if self.tally is not None:
            self.tally.asked += len(peers)
        for uid, hotkey in peers:
            self._line(uid, hotkey)

    def replied(self) -> None:
        """A reply ended."""
        if self.tally is not None:
            self.tally.replied += 1

    def judged(
        self,
        uid: int,
        reward: float,
        reason: str,
        first_byte_s: float | None,
        tokens_per_s: float | None,
    ) -> None:
        """A reply was judged."""
        if self.tally is not None:
            self.tally.judge(reward, reason, first_byte_s)
        if uid in self._peers:
            line = self._peers[uid]
            line.reward, line.reason = reward, str(reason)
            line.first_byte_s, line.tokens_per_s = first_byte_s, tokens_per_s

    def end_step(self, note: str, scores: Iterable[tuple[int, str, float]]) -> None:
        """A step was saved."""
        self.is_running = False
        self._step_took = self._clock() - self._step_began
        self.note = note
        self.steps += 1
        if self.tally is not None:
            self.totals += self.tally.reasons
        rows = list(scores)
        if rows:
            self._rank(rows)

    def _rank(self, rows: Sequence[tuple[int, str, float]]) -> None:
        self.scored = len(rows)
        best = nlargest(MOST_RANKED, rows, key=lambda row: row[2])
        taken = {uid for uid, _, _ in best}
        rest = (row for row in rows if row[0] not in taken)
        worst = nsmallest(MOST_RANKED, rest, key=lambda row: row[2])
        self.best = [self._scored(*row) for row in best]
        self.worst = [self._scored(*row) for row in reversed(worst)]

    def _scored(self, uid: int, hotkey: str, score: float) -> PeerLine:
        line = self._line(uid, hotkey)
        line.score = score
        return line

    def _line(self, uid: int, hotkey: str) -> PeerLine:
        """The peer's line, a new one where the uid has changed hands."""
        line = self._peers.get(uid)
        if line is None or line.hotkey != hotkey:
            line = self._peers[uid] = PeerLine(uid, hotkey)
        return line
