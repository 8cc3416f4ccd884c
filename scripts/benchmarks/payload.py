"""What every contender is asked, and answers: the same payload for all.

Each contender serves the same routes. `Echo` answers a text in capitals. The others stream:
`Tokens` one write per token, `Ticks` the same with a turn of the event loop between, `Paced` a
token at a time with the moment it left, `Held` one token and the next when the run lets go,
`Blocks` large chunks.
"""

from __future__ import annotations

import time

__all__ = [
    "ANSWER",
    "BLOCK_BYTES",
    "HELD_FIRST",
    "HELD_LAST",
    "STAMP_BYTES",
    "TEXT",
    "TOKEN",
    "stamp",
    "stamped_s",
]

TEXT = "What does a node answer when it is asked a question of usual length?"
ANSWER = TEXT.upper()
TOKEN = "token "
HELD_FIRST, HELD_LAST = "first ", "last"
BLOCK_BYTES = 64 * 1024
STAMP_BYTES = 20


def stamp() -> str:
    """Return this moment as a token; the clock is the same for all processes of a machine."""
    return f"{time.perf_counter_ns():0{STAMP_BYTES}d}"


def stamped_s(token: str) -> float:
    """Return how many seconds ago a stamp was made."""
    return (time.perf_counter_ns() - int(token)) / 1e9
