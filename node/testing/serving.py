"""The axon of one peer of a test network, honest or not."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from node.axon import Axon
from node.axon.forward import ForwardRun, StreamAnswer
from node.axon.notary import Notary
from node.axon.open_reply import OpenReply
from node.axon.reply import Reply
from node.axon.request import Request
from node.axon.routes import ForwardForm, Hook, Route, read_route
from node.keys import Keypair
from node.synapse import Send, StreamingReply, Synapse
from node.wire import Caller

from .behaviour import Behaviour, Cut, hang_up

__all__ = ["FaultyAxon"]

_request: ContextVar[Request] = ContextVar("request in hand")


class FaultyAxon(Axon):
    """An axon whose behaviour gets in at the places that `node.testing.behaviour` names.

    Args:
        wallet: As for `Axon`.
        behaviour: What it does otherwise; a plain `Behaviour` is an honest peer's.
        options: As for `Axon`.

    Raises:
        ConfigError: As for `Axon`.
    """

    def __init__(self, wallet: Keypair, behaviour: Behaviour, **options: Any) -> None:
        self._behaviour = behaviour
        super().__init__(wallet, **options)

    def serve_route(self, forward: Callable[..., Any], local_names: Mapping[str, Any]) -> None:
        """Attach a forward whose annotations may name what only another scope knows.

        Raises:
            RouteError: As `attach`.
        """
        self._add(read_route(forward, None, None, None, local_names=dict(local_names)))

    def _add(self, route: Route) -> None:
        if type(self._behaviour) is not Behaviour:
            answer = functools.partial(self._answer, route)
            hook = Hook(answer, wants_caller=True, name=route.forward.name)
            route = replace(route, forward=hook, form=ForwardForm.ASYNC)
        super()._add(route)

    async def _handle(self, request: Request) -> Reply | OpenReply:
        _request.set(request)
        return await self._behaviour.handle(request, super()._handle)

    def _notary(self, caller: Caller) -> Notary | None:
        if super()._notary(caller) is None:
            return None
        return self._behaviour.notary(self._signer, caller, self._clock_ns)

    async def _answer(
        self, route: Route, synapse: Synapse, caller: Caller
    ) -> Synapse | StreamingReply:
        """Run the forward as it is, and let the behaviour at its result."""
        asked = synapse.copy_for_call()
        pool = self._pool
        assert isinstance(pool, ThreadPoolExecutor)
        result = await ForwardRun(route, pool).start(synapse, caller)
        if isinstance(result, Synapse):
            return await self._behaviour.reply(result, asked)
        cut = functools.partial(hang_up, _request.get())
        return StreamingReply(_streamer(self._behaviour, result, cut), synapse)


def _streamer(behaviour: Behaviour, push: StreamAnswer, cut: Cut) -> Callable[[Send], Any]:
    async def stream(send: Send) -> None:
        async def write(item: Any) -> None:
            # An axon takes more than bytes for a body: whatever its protocol can encode.
            await send({"body": item, "more_body": True})

        await behaviour.stream(push, write, cut)

    return stream
