"""What answers a prompt: the `Engine` protocol, and the engine that streams the prompt back.

An engine yields text in tokens; `flush_every` makes chunks of them. Both end when their consumer
stops, and neither loses the last tokens.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from node.errors import ConfigError

from .config import Config
from .pretokeniser import split_tokens
from .values import nearest

__all__ = ["EchoEngine", "Engine", "flush_every", "make_engine"]


class Engine(Protocol):
    """Turns a prompt into tokens of text.

    One engine serves all requests of a miner at once, so `tokens` may be called again before an
    earlier stream has ended. It must not block the event loop.
    """

    def tokens(self, prompt: str, *, max_tokens: int | None = None) -> AsyncGenerator[str]:
        """Streams the answer to one prompt.

        Whoever iterates closes the generator; closing it stops the work.

        Args:
            prompt: The text to answer.
            max_tokens: Stop after so many; None for no limit.
        """


class EchoEngine:
    """Streams the prompt back, cut as GPT-2 cuts text.

    Args:
        delay_s: Pause between two tokens, in seconds.
    """

    def __init__(self, *, delay_s: float = 0.0) -> None:
        self._delay_s = delay_s

    async def tokens(self, prompt: str, *, max_tokens: int | None = None) -> AsyncGenerator[str]:
        """Streams the prompt; see `Engine.tokens`."""
        for count, token in enumerate(split_tokens(prompt)):
            if count == max_tokens:
                return
            if count:
                # Even without a pause: others get their turn while a long prompt streams.
                await asyncio.sleep(self._delay_s)
            yield token

    def __repr__(self) -> str:
        return f"EchoEngine(delay_s={self._delay_s})"


async def flush_every(tokens: AsyncGenerator[str], count: int) -> AsyncGenerator[str]:
    """Joins every `count` tokens into one chunk; the last chunk may have fewer.

    Closes `tokens` when it ends or is closed.

    Args:
        tokens: What an engine yields.
        count: Tokens to a chunk, 1 or more.
    """
    async with aclosing(tokens):
        held: list[str] = []
        async for token in tokens:
            held.append(token)
            if len(held) >= count:
                yield "".join(held)
                held.clear()
        if held:
            yield "".join(held)


def make_engine(config: Config) -> Engine:
    """Returns the engine that `--neuron.engine` names.

    Raises:
        ConfigError: There is none of that name.
    """
    name = config["neuron.engine"]
    if name != "echo":
        raise ConfigError(f"there is no engine {name!r}{nearest(name, ['echo'])}")
    # A validator works its answers out at once.
    delay_s = config.get("neuron.token_delay", 0.0)
    return EchoEngine(delay_s=delay_s)
