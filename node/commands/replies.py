"""One prompt through several peers at once, and a table of how each did.

`ganglion query` and `ganglion demo` share it; how tokens are shown is in display.py.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from node.dendrite import Dendrite, Stream
from node.neuron.pretokeniser import split_tokens
from node.neuron.terminal_text import one_line
from protocols.prompting import StreamPrompting

from .display import Display, Target

if TYPE_CHECKING:
    from node.keys import Keypair, Wallet

__all__ = ["Reply", "ask", "print_table"]

_HEADINGS = ("uid", "hotkey", "first byte ms", "tokens/s", "chunks", "bytes", "status")
_HOTKEY_CHARS = 48
_STATUS_CHARS = 60
_OTHER_COLUMNS = 71  # what the table needs beside the hotkey, with a short status
_PIPE_WIDTH = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """How one peer did.

    Attributes:
        target: Who was asked.
        status: As HTTP has it; 200 for a reply that came whole.
        message: The sentence that goes with it.
        text: What came, whole or not.
        first_byte_s: From the call's start to the first byte of the text, None without any.
        last_byte_s: The same for the last byte.
        chunks: Chunks that came.
        bytes: Bytes of all chunks.
    """

    target: Target
    status: int
    message: str
    text: str
    first_byte_s: float | None
    last_byte_s: float | None
    chunks: int
    bytes: int

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens of the text (as GPT-2 cuts them) by the time from call to last byte."""
        if not self.last_byte_s:
            return None
        return sum(1 for _ in split_tokens(self.text)) / self.last_byte_s


async def ask(
    wallet: Wallet | Keypair,
    targets: Sequence[Target],
    prompt: str,
    *,
    timeout_s: float,
    display: Display,
) -> list[Reply]:
    """Streams a prompt through all targets at once.

    A peer that fails has a reply with its status; it never stops the others.

    Args:
        wallet: Signs the requests.
        targets: Whom to ask.
        prompt: The text.
        timeout_s: Most time that one reply may take.
        display: Gets each piece of text as it comes.

    Returns:
        One reply for each target, in their order.

    Raises:
        WalletError: The wallet's hotkey can't be loaded.
    """
    synapse = StreamPrompting(roles=["user"], messages=[prompt])
    peers = [target.peer for target in targets]
    async with Dendrite(wallet) as dendrite:
        streams = await dendrite(peers, synapse, timeout=timeout_s, deserialize=False)
        pairs = zip(targets, streams, strict=True)
        return list(await asyncio.gather(*(_read(*pair, display) for pair in pairs)))


async def _read(target: Target, stream: Stream, display: Display) -> Reply:
    async for piece in stream.chunks():
        display.add(target, piece)
    final: Any = await stream.final()
    timing = stream.timing
    return Reply(
        target=target,
        status=final.dendrite.status_code or 500,
        message=final.dendrite.status_message or "",
        text=final.completion,
        first_byte_s=timing.first_byte_s,
        last_byte_s=timing.last_byte_s,
        chunks=timing.chunks,
        bytes=timing.bytes,
    )


def print_table(replies: Sequence[Reply]) -> None:
    """Prints one row a reply: uid, hotkey, first byte ms, tokens/s, chunks, bytes, status.

    A terminal that is too narrow shows the start of each hotkey; a file or pipe gets all of it.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)
    hotkey_width = max(9, min(_HOTKEY_CHARS, console.width - _OTHER_COLUMNS))
    table = Table()
    for heading in _HEADINGS:
        numeric = heading not in ("hotkey", "status")
        table.add_column(
            heading,
            justify="right" if numeric else "left",
            no_wrap=heading != "status",
            min_width=hotkey_width if heading == "hotkey" else len(heading),
            max_width=None if numeric else max(hotkey_width, _STATUS_CHARS),
            overflow="fold",
        )
    for reply in replies:
        table.add_row(*_cells(reply, hotkey_width))
    console.print(table)


def _cells(reply: Reply, hotkey_width: int) -> list[Any]:
    from rich.text import Text

    uid, hotkey = reply.target.uid, reply.target.peer.hotkey
    # Text, not str: rich would take square brackets in a peer's words for markup.
    status = Text(f"{reply.status} {one_line(reply.message)}")
    status.stylize("green" if reply.status == 200 else "red")
    cells = [
        "-" if uid is None else str(uid),
        hotkey if len(hotkey) <= hotkey_width else hotkey[: hotkey_width - 1] + "…",
        "-" if reply.first_byte_s is None else f"{reply.first_byte_s * 1000:.1f}",
        "-" if reply.tokens_per_s is None else f"{reply.tokens_per_s:.0f}",
        str(reply.chunks),
        str(reply.bytes),
    ]
    return [*cells, status]
