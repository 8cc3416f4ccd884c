"""Plain aiohttp: an application with a route for each, no signatures. The limit."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import web

from benchmarks import lines
from benchmarks.payload import HELD_FIRST, HELD_LAST, TOKEN, stamp

LET_GO = asyncio.Event()


async def echo(request: web.Request) -> web.Response:
    """Answer in capitals."""
    asked = await request.json()
    return web.json_response({"text": asked["text"], "answer": asked["text"].upper()})


async def opened(request: web.Request) -> tuple[web.StreamResponse, dict[str, Any]]:
    """Return a stream whose status line has left, and what was asked."""
    asked: dict[str, Any] = await request.json()
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    await response.prepare(request)
    return response, asked


async def tokens(request: web.Request) -> web.StreamResponse:
    """Write tokens as fast as they go."""
    response, asked = await opened(request)
    token = TOKEN.encode()
    for _ in range(asked["count"]):
        await response.write(token)
    await response.write_eof()
    return response


async def ticks(request: web.Request) -> web.StreamResponse:
    """Write tokens with a turn of the loop between."""
    response, asked = await opened(request)
    token = TOKEN.encode()
    for _ in range(asked["count"]):
        await asyncio.sleep(0)
        await response.write(token)
    await response.write_eof()
    return response


async def paced(request: web.Request) -> web.StreamResponse:
    """Write stamps with time between."""
    response, asked = await opened(request)
    for number in range(asked["count"]):
        if number:
            await asyncio.sleep(asked["gap_s"])
        await response.write(stamp().encode())
    await response.write_eof()
    return response


async def held(request: web.Request) -> web.StreamResponse:
    """Write a token, and another when the run lets go."""
    response, _ = await opened(request)
    await response.write(HELD_FIRST.encode())
    await LET_GO.wait()
    await response.write(HELD_LAST.encode())
    await response.write_eof()
    return response


async def blocks(request: web.Request) -> web.StreamResponse:
    """Write large chunks."""
    response, asked = await opened(request)
    block = b"x" * asked["size"]
    for _ in range(asked["count"]):
        await response.write(block)
    await response.write_eof()
    return response


async def start(stack: AsyncExitStack, *, peers: int = 1) -> list[str]:
    """Serve on as many ports as there shall be peers, and return their addresses."""
    app = web.Application()
    for handler in (echo, tokens, ticks, paced, held, blocks):
        app.router.add_post(f"/{handler.__name__.capitalize()}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    for _ in range(peers):
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    return [f"http://127.0.0.1:{address[1]}" for address in runner.addresses]


async def main() -> None:
    """Serve until the input ends."""
    written = lines.begin()
    async with AsyncExitStack() as stack:
        addresses = await start(stack, peers=lines.settings().get("peers", 1))
        greeting = {"peers": addresses, "versions": lines.versions("aiohttp")}
        await lines.converse(written, greeting, {"let_go": LET_GO.set})


if __name__ == "__main__":
    asyncio.run(main())
