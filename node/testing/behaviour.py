"""How a faulty peer differs from an honest one: the base of every fault.

A faulty peer is a real axon with a real key. A behaviour gets in at one of these places, from the
outermost in; what it leaves alone is done as an honest peer does it:

==========  ============================================================================
pass_on     the bytes that go back to the caller, on their way to the socket
handle      the HTTP request as a whole, before anything of it is checked
reply       a finished synapse, before it is encoded and signed
stream      the chunks of a streamed reply, before they are counted and signed
notary      what signs the receipt
==========  ============================================================================
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from typing import ClassVar, NoReturn

from node.axon.forward import StreamAnswer, Write
from node.axon.notary import Notary
from node.axon.open_reply import OpenReply
from node.axon.reply import Reply
from node.axon.request import Request
from node.errors import ConfigError
from node.keys import Keypair
from node.synapse import Synapse
from node.wire import Caller

__all__ = ["Behaviour", "Cut", "SendBytes", "Serve", "hang_up", "wait_to_be_cancelled"]

Serve = Callable[[Request], Awaitable[Reply | OpenReply]]
SendBytes = Callable[[bytes], Awaitable[None]]
Cut = Callable[[], Awaitable[NoReturn]]


@dataclass(frozen=True)
class Behaviour:
    """A fault; this one is none, since it does everything as an honest peer does.

    Subclass it as a frozen dataclass whose fields are the fault's options. One object may serve
    several peers and many requests at once, so it keeps nothing between calls.

    Attributes:
        name: What the fault is called.
        is_harmless: Whether nobody can tell it from honesty, so that a score must not either.
        is_absent: Whether the peer takes no connection at all.

    Raises:
        ConfigError: An option is out of range.
    """

    name: ClassVar[str] = "honest"
    is_harmless: ClassVar[bool] = False
    is_absent: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for option in fields(self):
            value, choices = getattr(self, option.name), option.metadata.get("choices")
            if choices is not None:
                if value not in choices:
                    known = ", ".join(map(str, choices))
                    raise ConfigError(
                        f"{option.name} of the fault {self.name} is one of {known}, not {value!r}"
                    )
            elif isinstance(option.default, int | float):
                least = option.metadata.get("least", 0)
                _check_number(
                    f"{option.name} of the fault {self.name}", value, option.default, least
                )

    @property
    def touches_bytes(self) -> bool:
        """Whether `pass_on` is overridden, so that the peer's connections go through it."""
        return type(self).pass_on is not Behaviour.pass_on

    async def pass_on(self, data: bytes, send: SendBytes, *, begins: bool) -> None:
        """Pass on bytes on their way to the caller, in order.

        Args:
            data: What the axon wrote.
            send: Sends bytes and waits while the caller is slow.
            begins: Whether these are the first bytes since the caller sent something, which is
                where the head of a reply begins.
        """
        await send(data)

    async def handle(self, request: Request, serve: Serve) -> Reply | OpenReply:
        """Answer an HTTP request.

        Args:
            request: The request; nothing about it was checked, nor was its body read.
            serve: Answers it as an honest peer does. A streamed reply has been sent when it
                returns; one in one piece has not.
        """
        return await serve(request)

    async def reply(self, synapse: Synapse, asked: Synapse) -> Synapse:
        """Return what is sent for a finished synapse, which is a reply in one piece.

        Args:
            synapse: What the forward returned; it may be changed.
            asked: The request, as it was before the forward ran.
        """
        return synapse

    async def stream(self, push: StreamAnswer, write: Write, cut: Cut) -> None:
        """Send a streamed reply; when this returns, the stream ends as complete.

        Args:
            push: `push(write)` sends what the forward yields, one item a call: text, bytes or
                models, as the protocol has it.
            write: Sends one item. What it is given is counted and signed.
            cut: Closes the connection and does not return.
        """
        await push(write)

    def notary(self, keypair: Keypair, caller: Caller, clock_ns: Callable[[], int]) -> Notary:
        """Return what signs the receipt of one reply."""
        return Notary(keypair, caller, clock_ns)


async def hang_up(request: Request) -> NoReturn:
    """Close the connection once what was written has left."""
    if request.transport is not None:
        request.transport.close()
    await wait_to_be_cancelled()


async def wait_to_be_cancelled() -> NoReturn:
    """Wait for ever; an axon cancels the handler of a connection that is gone."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets this event")


def _check_number(option: str, value: object, like: float, least: float) -> None:
    # bool is an int in Python, and a NaN is below nothing.
    kinds = (int, float) if isinstance(like, float) else (int,)
    if not isinstance(value, kinds) or isinstance(value, bool) or not least <= value < math.inf:
        kind = "number" if isinstance(like, float) else "whole number"
        raise ConfigError(f"{option} is a {kind} from {least:g}, not {value!r}")
