from __future__ import annotations

import asyncio

import pytest

from node import Deadlines
from node.dendrite.deadlines import PhaseClock
from node.errors import ConfigError


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["connect", "first_byte", "idle", "total"])
def test_a_limit_that_is_none_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        Deadlines(**{name: value})


async def wait_out(clock: PhaseClock, *phases: str) -> None:
    async with clock.waiting(phases[0]):
        for phase in phases[1:]:
            clock.enter(phase)
        await asyncio.sleep(5)


@pytest.mark.parametrize(
    ("deadlines", "phases", "expired"),
    [
        (Deadlines(connect=0.02, total=None), ["connect"], "connect"),
        (Deadlines(connect=5, first_byte=0.02), ["connect", "first_byte"], "first_byte"),
        (Deadlines(idle=0.02), ["idle"], "idle"),
        (Deadlines(connect=5, first_byte=5, total=0.02), ["connect", "first_byte"], "total"),
        (Deadlines(connect=None, total=0.02), ["connect"], "total"),
        (Deadlines(connect=0.01, idle=0.02), ["connect", "idle"], "idle"),
    ],
)
async def test_the_nearest_limit_ends_the_wait(
    deadlines: Deadlines, phases: list[str], expired: str
) -> None:
    clock = PhaseClock(deadlines)
    with pytest.raises(TimeoutError):
        await wait_out(clock, *phases)
    assert clock.expired == expired


async def test_no_limits_no_end() -> None:
    clock = PhaseClock(Deadlines(connect=None, total=None))
    async with clock.waiting("connect"):
        await asyncio.sleep(0.02)


async def test_the_clock_stands_still_between_waits() -> None:
    clock = PhaseClock(Deadlines(connect=None, total=0.2))
    for _ in range(3):
        async with clock.waiting("idle"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.15)


async def test_the_total_is_used_up_over_several_waits() -> None:
    clock = PhaseClock(Deadlines(connect=None, total=0.1))
    with pytest.raises(TimeoutError):
        for _ in range(20):
            async with clock.waiting("idle"):
                await asyncio.sleep(0.02)
    assert clock.expired == "total"


async def test_the_first_byte_is_waited_for_once_in_all() -> None:
    clock = PhaseClock(Deadlines(connect=None, first_byte=0.1, total=None))
    with pytest.raises(TimeoutError):
        for _ in range(20):
            async with clock.waiting("first_byte"):
                await asyncio.sleep(0.02)
    assert clock.expired == "first_byte"


async def test_a_phase_with_more_time_moves_the_alarm_of_the_one_before() -> None:
    clock = PhaseClock(Deadlines(connect=0.02, first_byte=0.2, total=None))
    async with clock.waiting("connect"):
        clock.enter("first_byte")
        await asyncio.sleep(0.06)
    with pytest.raises(TimeoutError):
        await wait_out(clock, "first_byte")
    assert clock.expired == "first_byte"


async def test_an_alarm_between_waits_ends_nothing() -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
    clock = PhaseClock(Deadlines(connect=0.02, total=None))
    async with clock.waiting("connect"):
        pass
    await asyncio.sleep(0.04)
    assert not complaints


async def test_a_cancellation_from_elsewhere_is_no_timeout() -> None:
    clock = PhaseClock(Deadlines())
    task = asyncio.create_task(wait_out(clock, "connect"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    clock.close()


async def test_who_waits_for_callbacks_is_rung_out_once_and_told_why() -> None:
    rung: list[str] = []
    clock = PhaseClock(Deadlines(first_byte=0.02, total=5))
    clock.begin("first_byte", lambda: rung.append(clock.expired))
    await asyncio.sleep(0.06)
    assert rung == ["first_byte"]
    clock.close()


@pytest.mark.parametrize("end", ["end", "close", "pause"])
async def test_nobody_is_rung_out_after_the_end_or_in_a_pause(end: str) -> None:
    rung: list[str] = []
    clock = PhaseClock(Deadlines(idle=0.02, total=None))
    clock.begin("idle", lambda: rung.append(clock.expired))
    getattr(clock, end)()
    await asyncio.sleep(0.05)
    assert rung == []
    clock.close()


async def test_each_phase_that_is_entered_begins_its_idle_limit_anew() -> None:
    rung: list[str] = []
    clock = PhaseClock(Deadlines(idle=0.1, total=None))
    clock.begin("idle", lambda: rung.append(clock.expired))
    for _ in range(5):
        await asyncio.sleep(0.04)
        clock.enter("idle")
    assert rung == []
    await asyncio.sleep(0.2)
    assert rung == ["idle"]
