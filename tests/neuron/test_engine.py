from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import ConfigError
from node.neuron.config import Config, Setting
from node.neuron.engine import EchoEngine, flush_every, make_engine
from node.neuron.pretokeniser import split_tokens


async def numbers(count: int, closed: list[int] | None = None) -> AsyncGenerator[str]:
    seen = 0
    try:
        for seen in range(count):
            yield str(seen)
    finally:
        if closed is not None:
            closed.append(seen)


@given(st.text(), st.integers(1, 7))
def test_the_echo_in_chunks_is_the_prompt(prompt: str, count: int) -> None:
    async def run() -> list[str]:
        return [chunk async for chunk in flush_every(EchoEngine().tokens(prompt), count)]

    chunks = asyncio.run(run())
    assert "".join(chunks) == prompt
    tokens = len(list(split_tokens(prompt)))
    assert len(chunks) == -(-tokens // count)


@pytest.mark.parametrize("count", range(8))
async def test_the_tail_is_never_lost(count: int) -> None:
    chunks = [chunk async for chunk in flush_every(numbers(count), 3)]
    assert "".join(chunks) == "0123456"[:count]
    assert {len(chunk) for chunk in chunks[:-1]} <= {3}


async def test_a_chunk_comes_before_the_next_token_is_made() -> None:
    made: list[str] = []

    async def slow() -> AsyncGenerator[str]:
        for token in "abcd":
            made.append(token)
            yield token

    chunks = flush_every(slow(), 2)
    assert await anext(chunks) == "ab"
    assert made == ["a", "b"]
    await chunks.aclose()


async def test_leaving_early_closes_the_engine() -> None:
    closed: list[int] = []
    chunks = flush_every(numbers(100, closed), 2)
    assert await anext(chunks) == "01"
    await chunks.aclose()
    assert closed == [1]


async def test_the_pause_is_between_tokens() -> None:
    began = time.perf_counter()
    tokens = [token async for token in EchoEngine(delay_s=0.02).tokens("a b c d")]
    assert tokens == ["a", " b", " c", " d"]
    assert time.perf_counter() - began >= 0.06


async def test_max_tokens_cuts_the_answer() -> None:
    assert [token async for token in EchoEngine().tokens("a b c", max_tokens=2)] == ["a", " b"]
    assert [token async for token in EchoEngine().tokens("a b c", max_tokens=0)] == []


async def test_a_long_prompt_leaves_others_their_turn() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    async for _ in EchoEngine().tokens("a " * 200):
        pass
    task.cancel()
    assert turns > 100


def test_an_unknown_engine_is_told() -> None:
    config = Config({"neuron.engine": Setting("ecco", "flag")})
    with pytest.raises(ConfigError, match="there is no engine 'ecco'; did you mean echo"):
        make_engine(config)
