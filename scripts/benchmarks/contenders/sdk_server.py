"""The axon of SDK 10.5.0, as a miner starts it."""

# No `annotations` of the future: attach() of the SDK compares the annotations themselves.

from benchmarks import lines

WRITTEN = lines.begin()

import asyncio  # noqa: E402  after the lines have left standard output
import os  # noqa: E402
import socket  # noqa: E402
from types import SimpleNamespace  # noqa: E402
from typing import Any  # noqa: E402

import uvicorn  # noqa: E402

from benchmarks.contenders.sdk_synapses import (  # noqa: E402
    Echo,
    Paced,
    Tokens,
    keypair_of,
    sdk,
)
from benchmarks.payload import TOKEN, stamp  # noqa: E402

# Of TEST-NET-1: the SDK would ask the internet for this machine's address otherwise.
EXTERNAL_IP = "192.0.2.1"


def echo(synapse: Echo) -> Echo:
    """Answer in capitals."""
    synapse.answer = synapse.text.upper()
    return synapse


async def send_text(send: Any, text: str) -> None:
    """Write one chunk."""
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


def tokens(synapse: Tokens) -> Tokens.BTStreamingResponse:
    """Write tokens as fast as they go."""

    async def streamer(send: Any) -> None:
        for _ in range(synapse.count):
            await send_text(send, TOKEN)

    return synapse.create_streaming_response(streamer)


def paced(synapse: Paced) -> Paced.BTStreamingResponse:
    """Write stamps with time between."""

    async def streamer(send: Any) -> None:
        for number in range(synapse.count):
            if number:
                await asyncio.sleep(synapse.gap_s)
            await send_text(send, stamp())

    return synapse.create_streaming_response(streamer)


def make_axon(number: int) -> Any:
    """Return an axon that listens on loopback only, on a port that the system picks."""
    key = keypair_of(f"//Peer{number}")
    wallet = SimpleNamespace(hotkey=key, coldkeypub=key)
    axon = sdk.Axon(wallet=wallet, ip="127.0.0.1", port=8091, external_ip=EXTERNAL_IP)
    # Whatever `ip` says, the SDK listens on every interface.
    axon.fast_config.host, axon.fast_config.port = "127.0.0.1", 0
    for forward in (echo, tokens, paced):
        axon.attach(forward)
    return axon


async def start_one(number: int) -> dict[str, Any]:
    """Start an axon with its own start(), and return its address."""
    axon = make_axon(number)
    axon.start()
    while not axon.fast_server.started:  # noqa: ASYNC110  it has nothing else to wait for
        await asyncio.sleep(0.01)
    port = axon.fast_server.servers[0].sockets[0].getsockname()[1]
    return {"ip": "127.0.0.1", "port": port, "hotkey": axon.wallet.hotkey.ss58_address}


async def start_many(numbers: range) -> list[dict[str, Any]]:
    """Serve the applications of many axons in this loop, and return their addresses.

    Two threads for each axon, which wake every millisecond, would take the processor from the
    dendrite; in the field they run on other machines.
    """
    addresses = []
    for number in numbers:
        axon = make_axon(number)
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        config = uvicorn.Config(axon.app, log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        serving.append(asyncio.create_task(server.serve(sockets=[listener])))
        hotkey = axon.wallet.hotkey.ss58_address
        addresses.append({"ip": "127.0.0.1", "port": listener.getsockname()[1], "hotkey": hotkey})
        await asyncio.sleep(0)
    return addresses


serving: list[asyncio.Task[None]] = []


async def main() -> None:
    """Serve until the input ends."""
    given = lines.settings()
    first, peers = given.get("first_key", 1), given.get("peers", 1)
    if peers == 1:
        addresses = [await start_one(first)]
    else:
        addresses = await start_many(range(first, first + peers))
    greeting = {"peers": addresses, "versions": lines.versions("bittensor", "aiohttp")}
    await lines.converse(WRITTEN, greeting, {})
    os._exit(0)  # its threads can't be joined


if __name__ == "__main__":
    asyncio.run(main())
