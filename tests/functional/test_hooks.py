"""Hooks see the verified caller and the parsed request; a broken one lets nobody through."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from node import Axon, Caller, Dendrite, Keypair
from node.errors import Forbidden, RateLimited

from .synapses import Echo


class Miner:
    """A forward that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def forward(self, synapse: Echo) -> Echo:
        self.calls += 1
        return synapse


@pytest.fixture
def miner() -> Miner:
    return Miner()


async def ask(axon: Axon, dendrite: Dendrite) -> Echo:
    async with axon:
        reply = await dendrite(axon.info(), Echo(text="asked"))
    assert isinstance(reply, Echo)
    return reply


def allow(synapse: Echo) -> bool:
    return False


def deny(synapse: Echo) -> bool:
    return True


def deny_with_reason(synapse: Echo) -> tuple[bool, str]:
    return True, "Come back with stake."


def allow_with_reason(synapse: Echo) -> tuple[bool, str]:
    return False, "all right"


async def deny_async(synapse: Echo) -> tuple[bool, str]:
    return True, "async"


class Rules:
    """Hooks as methods, as miners have them."""

    def blacklist(self, synapse: Echo) -> tuple[bool, str]:
        return True, "method"


def deny_for(reason: str, synapse: Echo) -> tuple[bool, str]:
    return True, reason


@pytest.mark.parametrize(
    ("blacklist", "status", "text"),
    [
        (allow, 200, "Success"),
        (allow_with_reason, 200, "Success"),
        (deny, 403, "blacklist"),
        (deny_with_reason, 403, "Come back with stake."),
        (deny_async, 403, "async"),
        (Rules().blacklist, 403, "method"),
        (functools.partial(deny_for, "partial"), 403, "partial"),
        (lambda synapse: (True, None), 403, "None"),
    ],
)
async def test_a_blacklist_hook_refuses_with_403_and_its_reason(
    axon: Axon,
    dendrite: Dendrite,
    miner: Miner,
    blacklist: Callable[..., Any],
    status: int,
    text: str,
) -> None:
    axon.attach(miner.forward, blacklist_fn=blacklist)
    reply = await ask(axon, dendrite)
    assert reply.dendrite.status_code == status
    assert text in (reply.dendrite.status_message or "")
    assert miner.calls == (1 if status == 200 else 0)


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("wants_caller", [True, False])
async def test_every_hook_sees_the_parsed_request_and_the_verified_caller(
    axon: Axon, dendrite: Dendrite, alice: Keypair, miner: Miner, sync: bool, wants_caller: bool
) -> None:
    seen: list[tuple[str, str | None, str | None]] = []

    def note(result: Any) -> Callable[..., Any]:
        def with_caller(synapse: Echo, caller: Caller) -> Any:
            seen.append((synapse.text, synapse.dendrite.hotkey, caller.hotkey))
            return result

        def alone(synapse: Echo) -> Any:
            seen.append((synapse.text, synapse.dendrite.hotkey, synapse.dendrite.hotkey))
            return result

        async def with_caller_async(synapse: Echo, caller: Caller) -> Any:
            return with_caller(synapse, caller)

        async def alone_async(synapse: Echo) -> Any:
            return alone(synapse)

        if sync:
            return with_caller if wants_caller else alone
        return with_caller_async if wants_caller else alone_async

    axon.attach(
        miner.forward, blacklist_fn=note(False), priority_fn=note(1.0), verify_fn=note(None)
    )
    assert (await ask(axon, dendrite)).is_success
    assert seen == [("asked", alice.ss58_address, alice.ss58_address)] * 3


@pytest.mark.parametrize(("verdict", "status"), [(None, 200), (True, 200), (False, 401)], ids=str)
async def test_a_verify_hook_that_returns_false_refuses_with_401(
    axon: Axon, dendrite: Dendrite, miner: Miner, verdict: bool | None, status: int
) -> None:
    axon.attach(miner.forward, verify_fn=lambda synapse: verdict)
    reply = await ask(axon, dendrite)
    assert reply.dendrite.status_code == status
    assert miner.calls == (1 if status == 200 else 0)


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize(
    ("hook", "status"), [("verify_fn", 401), ("blacklist_fn", 500), ("priority_fn", 500)]
)
async def test_a_hook_that_raises_lets_nobody_through_and_tells_nothing(
    axon: Axon, dendrite: Dendrite, miner: Miner, hook: str, status: int, sync: bool
) -> None:
    def broken(synapse: Echo) -> bool:
        raise ValueError("secret detail")

    async def broken_async(synapse: Echo) -> bool:
        raise ValueError("secret detail")

    hooks: dict[str, Any] = {hook: broken if sync else broken_async}
    axon.attach(miner.forward, **hooks)
    reply = await ask(axon, dendrite)
    assert reply.dendrite.status_code == status
    assert "secret" not in (reply.dendrite.status_message or "")
    assert miner.calls == 0


@pytest.mark.parametrize("hook", ["verify_fn", "blacklist_fn", "priority_fn"])
@pytest.mark.parametrize(("error", "status"), [(Forbidden, 403), (RateLimited, 429)])
async def test_a_hook_may_raise_an_error_of_ours(
    axon: Axon, dendrite: Dendrite, miner: Miner, hook: str, error: type[Exception], status: int
) -> None:
    def refuse(synapse: Echo) -> bool:
        raise error("Said by the hook.")

    hooks: dict[str, Any] = {hook: refuse}
    axon.attach(miner.forward, **hooks)
    reply = await ask(axon, dendrite)
    assert reply.dendrite.status_code == status
    assert reply.dendrite.status_message == "Said by the hook."
    assert miner.calls == 0


@pytest.mark.parametrize("value", [None, "high", float("nan"), [1]], ids=str)
async def test_a_priority_that_is_no_number_is_a_500(
    axon: Axon, dendrite: Dendrite, miner: Miner, value: object
) -> None:
    axon.attach(miner.forward, priority_fn=lambda synapse: value)
    reply = await ask(axon, dendrite)
    assert reply.dendrite.status_code == 500
    message = reply.dendrite.status_message or ""
    assert message.startswith("The node failed while answering.")
    assert miner.calls == 0


@pytest.mark.parametrize("verdict", [(True, "a", "b"), (), (False,)], ids=str)
async def test_a_blacklist_verdict_that_can_not_be_read_lets_nobody_through(
    axon: Axon, dendrite: Dendrite, miner: Miner, verdict: object
) -> None:
    axon.attach(miner.forward, blacklist_fn=lambda synapse: verdict)
    reply = await ask(axon, dendrite)
    assert reply.dendrite.status_code == 500
    message = reply.dendrite.status_message or ""
    assert message.startswith("The node failed while answering.")
    assert miner.calls == 0


async def test_hooks_of_one_route_are_not_those_of_another(
    axon: Axon, dendrite: Dendrite, miner: Miner
) -> None:
    class Other(Echo):
        pass

    async def other(synapse: Other) -> Other:
        return synapse

    axon.attach(miner.forward, blacklist_fn=deny).attach(other)
    async with axon:
        assert (await dendrite(axon.info(), Echo(text=""))).is_blacklist
        assert (await dendrite(axon.info(), Other(text=""))).is_success


async def test_a_caller_over_its_rate_gets_429_and_others_do_not(
    bob: Keypair, dendrite: Dendrite, miner: Miner
) -> None:
    axon = Axon(bob, ip="127.0.0.1", port=0, requests_per_s=1.0).attach(miner.forward)
    async with axon, Dendrite(Keypair.from_uri("//Charlie")) as other:
        statuses = [
            (await dendrite(axon.info(), Echo(text=""))).dendrite.status_code for _ in range(4)
        ]
        assert (await other(axon.info(), Echo(text=""))).is_success
    assert statuses == [200, 200, 429, 429]


async def test_a_caller_with_too_many_requests_at_once_gets_429(
    bob: Keypair, dendrite: Dendrite
) -> None:
    import asyncio

    go = asyncio.Event()

    async def forward(synapse: Echo) -> Echo:
        await go.wait()
        return synapse

    axon = Axon(bob, ip="127.0.0.1", port=0, requests_at_once=2).attach(forward)
    async with axon:
        calls = [asyncio.ensure_future(dendrite(axon.info(), Echo(text=""))) for _ in range(3)]
        done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        assert [call.result().dendrite.status_code for call in done] == [429]
        go.set()
        assert [reply.is_success for reply in await asyncio.gather(*waiting)] == [True, True]
        assert (await dendrite(axon.info(), Echo(text=""))).is_success
