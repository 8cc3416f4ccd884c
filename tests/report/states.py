"""States of validators for tests: peers of several characters, written as a validator does."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

from node.keys import ss58_encode
from node.neuron.scoring import Averages
from node.neuron.state import Event, ScoreRow, Step, ValidatorState

BLOCK_NS = 12 * 10**9
START_NS = 1_760_000_000 * 10**9
VALIDATOR = ss58_encode(hashlib.sha256(b"validator").digest())


def hotkey_of(uid: int) -> str:
    """A hotkey that no other uid has."""
    return ss58_encode(hashlib.sha256(b"peer %d" % uid).digest())


def write_state(
    path: Path, *, peers: int, steps: int, sample: int = 50, seed: int = 1, network: str = "local"
) -> None:
    """Writes a state with every kind of peer, a gap in time, a hotkey that left, and notes."""
    rng = random.Random(seed)
    averages = Averages(0.1)
    hotkeys = [hotkey_of(uid) for uid in range(peers)]
    with ValidatorState(path, netuid=8, hotkey=VALIDATOR, network=network) as state:
        for number in range(1, steps + 1):
            began = START_NS + number * 5 * BLOCK_NS + (number > steps * 0.6) * 7200 * 10**9
            if number == steps // 2 and peers > 3:
                hotkeys[3] = hotkey_of(10**6)
            uids = sorted(rng.sample(range(peers), min(sample, peers)))
            is_down = 0.7 < number / steps < 0.74 and steps > 20
            events = [_event(rng, number, uid, hotkeys[uid], is_down) for uid in uids]
            averages.update({event.hotkey: event.reward for event in events})
            rows = [
                ScoreRow(event.hotkey, event.uid, averages.score_of(event.hotkey), number, began)
                for event in events
            ]
            answered = sum(event.status == 200 for event in events)
            note = "metagraph not read" if is_down else ""
            if not answered:
                note = "nobody answered"
            step = Step(number, began, began + 10**10, number * 5, len(events), answered, note)
            state.save_step(step, events, rows)
            if number % 20 == 0:
                best = sorted(averages.as_dict().values())[-1] or 1.0
                weights = [averages.score_of(hotkey) / best for hotkey in hotkeys]
                state.save_weights(number * 5, range(peers), weights)


_FAILURES: Sequence[tuple[str, int]] = (
    ("first_byte_timeout", 408), ("unreachable", 503), ("wrong_answer", 200), ("refused", 403),
    ("bad_receipt", 502), ("total_timeout", 408), ("interrupted", 502), ("token_count", 200),
    ("rate_limited", 429), ("dormant", 503), ("too_slow", 200),
)  # fmt: skip


def _event(rng: random.Random, step: int, uid: int, hotkey: str, is_down: bool) -> Event:
    """Most peers are good; every seventh is often broken in its own way, every 31st is dead."""
    fault = 0.02 + 0.6 * (uid % 7 == 6) + 0.98 * (uid % 31 == 30) + 0.8 * is_down
    if rng.random() < fault:
        usual = _FAILURES[uid % len(_FAILURES)]
        reason, status = usual if rng.random() < 0.8 else rng.choice(_FAILURES)
        has_bytes = status == 200
        first = rng.lognormvariate(0.5, 0.4) if has_bytes else None
        return Event(step, uid, hotkey, 0.0, reason, status, first)
    first = rng.lognormvariate(-2.2 + (uid % 13) * 0.16, 0.35)
    rate = max(5.0, rng.gauss(185 - 3 * (uid % 17), 14))
    reward = max(0.0, min(1.0, 1.5 - first))
    tokens = rng.randrange(64, 512)
    return Event(
        step, uid, hotkey, reward, "ok" if reward else "too_slow", 200, first,
        first + tokens / rate, tokens, tokens // 3, tokens * 4, rate,
    )  # fmt: skip
