"""An axon of the old SDK on a free port of loopback: //Bob's, which bans //Eve.

Prints one line of JSON with its port, hotkey and version, and serves until its stdin is closed.
"""

# No `annotations` of the future: attach() of the old SDK compares the annotations themselves.

import asyncio
import os
import sys
import time
from types import SimpleNamespace
from typing import Any, Tuple  # noqa: UP035

from offline import EXTERNAL_IP, claim_stdout, refuse_other_hosts, write_line

LINES = claim_stdout()
refuse_other_hosts()

import bittensor as bt  # noqa: E402  after the guards
import synapses  # noqa: E402
from keys import keypair_of  # noqa: E402
from synapses import (  # noqa: E402
    Broken,
    Exact,
    Faulty,
    Hashed,
    Liar,
    Plain,
    Slow,
    Stalling,
    Tokens,
    Who,
)  # fmt: skip

BANNED = keypair_of("//Eve").ss58_address


def answer_hashed(synapse: Hashed) -> Hashed:
    synapse.answer = f"{synapse.text}|{'/'.join(synapse.words)}|{synapse.temperature}"
    return synapse


def ban_eve(synapse: Hashed) -> Tuple[bool, str]:  # noqa: UP006
    return synapse.dendrite.hotkey == BANNED, "banned"


def answer_plain(synapse: Plain) -> Plain:
    synapse.answer = synapse.text.upper()
    return synapse


def answer_who(synapse: Who) -> Who:
    synapse.caller = synapse.dendrite.hotkey
    return synapse


def answer_liar(synapse: Liar) -> Liar:
    stranger = keypair_of("//Charlie").ss58_address
    synapse.answer = synapse.text.upper()
    synapse.text = "rewritten"
    synapse.timeout = 99.0
    synapse.axon.hotkey = stranger
    synapse.dendrite.hotkey = stranger
    return synapse


def answer_faulty(synapse: Faulty) -> Faulty:
    raise RuntimeError("secret detail")


async def answer_slow(synapse: Slow) -> Slow:
    await asyncio.sleep(synapse.seconds)
    synapse.answer = "awake"
    return synapse


async def send_text(send: Any, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


def stream_tokens(synapse: Tokens) -> Tokens.BTStreamingResponse:
    async def streamer(send: Any) -> None:
        for word in synapse.prompt.split(" "):
            await send_text(send, word)

    return synapse.create_streaming_response(streamer)


def stream_exact(synapse: Exact) -> Exact.BTStreamingResponse:
    return stream_tokens(synapse)


def stream_broken(synapse: Broken) -> Broken.BTStreamingResponse:
    async def streamer(send: Any) -> None:
        await send_text(send, "one")
        await send_text(send, "two")
        await asyncio.sleep(0.05)
        raise RuntimeError("secret detail")

    return synapse.create_streaming_response(streamer)


def stream_stalling(synapse: Stalling) -> Stalling.BTStreamingResponse:
    async def streamer(send: Any) -> None:
        await send_text(send, "one")
        await asyncio.sleep(30)

    return synapse.create_streaming_response(streamer)


def make_axon() -> Any:
    """Return an axon that listens on loopback only, on a port that the system picks."""
    key = keypair_of("//Bob")
    make = getattr(bt, "Axon", None) or bt.axon
    axon = make(
        wallet=SimpleNamespace(hotkey=key, coldkeypub=key),
        ip="127.0.0.1",
        port=8091,
        external_ip=EXTERNAL_IP,
    )
    # Whatever `ip` says, the SDK listens on every interface.
    axon.fast_config.host, axon.fast_config.port = "127.0.0.1", 0
    axon.attach(answer_hashed, blacklist_fn=ban_eve)
    for forward in (
        answer_plain, answer_who, answer_liar, answer_faulty, answer_slow,
        stream_tokens, stream_exact, stream_broken, stream_stalling,
    ):  # fmt: skip
        axon.attach(forward)
    assert set(synapses.ATTACHED) <= set(axon.forward_fns), "a route is not attached"
    return axon


def main() -> None:
    """Serve until stdin ends, which it also does when the tests die."""
    axon = make_axon()
    axon.start()
    while not axon.fast_server.started:
        time.sleep(0.01)
    port = axon.fast_server.servers[0].sockets[0].getsockname()[1]
    hotkey = axon.wallet.hotkey.ss58_address
    write_line(LINES, {"port": port, "hotkey": hotkey, "version": bt.__version__})
    sys.stdin.read()
    os._exit(0)  # its threads can't be joined


if __name__ == "__main__":
    main()
