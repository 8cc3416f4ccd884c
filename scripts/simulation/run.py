"""One simulated validator: the code of the real one, with drawn answers in place of sockets."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

from node.dendrite import StreamTiming
from node.dendrite.dormancy import Dormancy
from node.errors import CallError, PeerDormant, PeerTimeout, PeerUnreachable
from node.neuron.judging import graded
from node.neuron.reply import Reply, Verdict
from node.neuron.round import Round
from node.neuron.scoring import Averages, LatencyCurve, absentees, reason_of, sample

from .kinds import Answer
from .subnet import Subnet

__all__ = ["Settings", "Simulation"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator sets; the defaults are those of `ganglion validator`.

    Attributes:
        sample_size: Peers asked in a step.
        interval_s: Virtual seconds from one step to the next, at least.
        timeout_s: Longest exchange.
        alpha: Weight of the newest reward.
    """

    sample_size: int = 50
    interval_s: float = 12.0
    timeout_s: float = 10.0
    alpha: float = 0.1


@dataclass(slots=True)
class Tally:
    """What the steps cost.

    Attributes:
        steps: How many were done.
        requests: How many were sent.
        waited_s: Virtual seconds that the steps took, from the first request to the last reply.
        cpu_s: Processor seconds by stage.
        reasons: How often each reason was given.
    """

    steps: int = 0
    requests: int = 0
    waited_s: float = 0.0
    cpu_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    reasons: Counter[str] = field(default_factory=Counter)


class Simulation:
    """A validator over a made-up subnet.

    Args:
        subnet: Its peers.
        settings: What an operator sets.
        rng: The source of all chance.

    Attributes:
        now_s: The virtual clock, seconds from the start.
        scores: As the validator keeps them.
        tally: What it cost so far.
    """

    def __init__(self, subnet: Subnet, settings: Settings, rng: Random) -> None:
        self.now_s = 0.0
        self.scores = Averages(settings.alpha)
        self.tally = Tally()
        self._subnet = subnet
        self._settings = settings
        self._rng = rng
        self._curve = LatencyCurve()
        self._own = subnet.own_hotkey
        self._dormancy = Dormancy(
            clock=lambda: self.now_s, rng=rng, most=max(65_536, subnet.metagraph.n)
        )

    def step(self) -> None:
        """Do what one step of the real validator does, and move the clock."""
        current = Round(self.tally.steps + 1)
        with self._timed("sample"):
            uids = self._sample()
        with self._timed("judge"):
            longest_s = self._ask(uids, current)
        with self._timed("absent"):
            self._add_absent(current)
        with self._timed("average"):
            self.scores.update(current.rewards())
        self.tally.steps += 1
        self.tally.requests += current.asked
        self.tally.waited_s += longest_s
        self.tally.reasons.update(event.reason for event in current.events)
        self.now_s += max(longest_s, self._settings.interval_s)

    def _sample(self) -> list[int]:
        return sample(
            self._subnet.metagraph,
            self._settings.sample_size,
            rng=self._rng,
            own_hotkey=self._own,
            skip=lambda peer: not self._dormancy.is_awake(peer),
        )

    def _ask(self, uids: list[int], current: Round) -> float:
        """Judge a drawn answer of each peer; return how long the slowest took."""
        longest_s = 0.0
        for uid in uids:
            peer = self._subnet.metagraph.axons[uid]
            try:
                self._dormancy.begin(peer)
            except PeerDormant as error:
                current.add(Reply(uid, peer, None, error=error), Verdict(0.0, reason_of(error)))
                continue
            score = self.scores.score_of(peer.hotkey)
            answer = self._subnet.kinds[uid].answer(self._rng, score, self._settings.timeout_s)
            longest_s = max(longest_s, answer.total_s)
            current.asked += 1
            reply = self._reply(uid, answer)
            if reply.error is None:
                self._dormancy.succeeded(peer)
                current.add(reply, self._verdict(reply, answer))
            else:
                self._dormancy.failed(peer)
                current.add(reply, Verdict(0.0, reason_of(reply.error)))
        return longest_s

    def _reply(self, uid: int, answer: Answer) -> Reply:
        peer = self._subnet.metagraph.axons[uid]
        reply = Reply(uid, peer, None, StreamTiming())
        assert reply.timing is not None
        reply.timing.first_byte_s = answer.first_byte_s
        reply.timing.total_s = reply.timing.last_byte_s = answer.total_s
        if answer.first_byte_s is None:
            reply.error = self._failure(answer)
        elif answer.has_receipt:
            reply.receipt = cast("Any", True)  # the dendrite has checked it when it is there
        return reply

    def _failure(self, answer: Answer) -> CallError:
        if answer.total_s >= self._settings.timeout_s:
            return PeerTimeout("no first byte", phase="first_byte")
        return PeerUnreachable("no connection")

    def _verdict(self, reply: Reply, answer: Answer) -> Verdict:
        return graded(reply, float(answer.is_right), curve=self._curve)

    def _add_absent(self, current: Round) -> None:
        for uid, hotkey, reason in absentees(
            self._subnet.metagraph,
            self.scores,
            asked=current.asked,
            seen={event.hotkey for event in current.events},
            rng=self._rng,
            own_key=self._subnet.own_key,
            is_dormant=lambda peer: not self._dormancy.is_awake(peer),
        ):
            current.add_absent(uid, hotkey, reason)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.tally.cpu_s[stage] += time.process_time() - began
