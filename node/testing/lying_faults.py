"""Faults of a peer that answers in time and signs, and does not tell the truth."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel

from node.axon.forward import StreamAnswer, Write
from node.axon.notary import Notary
from node.errors import StreamMisuse
from node.keys import Keypair
from node.synapse import Synapse
from node.wire import Caller, Receipt

from .altered import changed_item, changed_reply, wrong
from .behaviour import Behaviour, Cut

__all__ = ["LyingAboutTokens", "WrongAnswer", "WrongReceipt"]


@dataclass(frozen=True)
class LyingAboutTokens(Behaviour):
    """Pretends to more tokens than there are. Its receipts are genuine: it did send all that.

    Args:
        how: `repeat` sends every chunk, or the text of a reply in one piece, several times; the
            text is wrong then. `split` cuts chunks into single characters; the text stays right,
            and only who counts chunks for tokens is fooled. A reply in one piece, and models, have
            nothing to split.
        times: How often `repeat` sends each.
    """

    name: ClassVar[str] = "lying_about_tokens"
    how: str = field(default="repeat", metadata={"choices": ("repeat", "split")})
    times: int = field(default=2, metadata={"least": 2})

    async def reply(self, synapse: Synapse, asked: Synapse) -> Synapse:
        """Repeat text and lists of the answer."""
        return changed_reply(synapse, asked, self._repeated) if self.how == "repeat" else synapse

    async def stream(self, push: StreamAnswer, write: Write, cut: Cut) -> None:
        """Write every item several times, or in pieces."""

        async def repeat(item: Any) -> None:
            await write(item)
            # A header or footer comes once, and its protocol refuses it a second time.
            with suppress(StreamMisuse):
                for _ in range(self.times - 1):
                    await write(item)

        async def split(item: Any) -> None:
            pieces = [item] if isinstance(item, BaseModel) else _letters(item)
            for piece in pieces:
                await write(piece)

        await push(repeat if self.how == "repeat" else split)

    def _repeated(self, value: Any) -> Any:
        return value * self.times if isinstance(value, str | bytes | list | tuple) else value


@dataclass(frozen=True)
class WrongAnswer(Behaviour):
    """Answers at the right time with the wrong thing: other letters, other numbers. It is signed.

    Values that the protocol lets no other be, such as those of an enumeration, stay right.
    """

    name: ClassVar[str] = "wrong_answer"

    async def reply(self, synapse: Synapse, asked: Synapse) -> Synapse:
        """Make every field of the answer wrong."""
        return changed_reply(synapse, asked, wrong)

    async def stream(self, push: StreamAnswer, write: Write, cut: Cut) -> None:
        """Write wrong items."""
        await push(lambda item: write(changed_item(item, wrong)))


@dataclass(frozen=True)
class WrongReceipt(Behaviour):
    """Answers right under a receipt that does not hold.

    Only native requests and Epistula get receipts, so only they can see it.

    Args:
        of: `key` signs with the key of somebody else, `reply` signs another reply with its own.
    """

    name: ClassVar[str] = "wrong_receipt"
    of: str = field(default="key", metadata={"choices": ("key", "reply")})

    def notary(self, keypair: Keypair, caller: Caller, clock_ns: Callable[[], int]) -> Notary:
        """Return one that signs with the wrong key, or the wrong thing."""
        if self.of == "reply":
            return _OtherReplyNotary(keypair, caller, clock_ns)
        other = Keypair.from_seed(hashlib.sha256(b"other than " + keypair.public_key).digest())
        return Notary(other, caller, clock_ns)


class _OtherReplyNotary(Notary):
    """Signs the digest of what was not sent."""

    def sign(self, reply: str, *, chunks: int = 0, status: int = 200) -> Receipt:
        """Return the receipt of another reply."""
        other = hashlib.sha256(reply.encode()).hexdigest()
        return super().sign(other, chunks=chunks, status=status)


def _letters(item: str | bytes) -> list[Any]:
    if isinstance(item, str):
        return list(item)
    data = bytes(item)
    return [data[place : place + 1] for place in range(len(data))]
