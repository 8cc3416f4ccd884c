"""grpc.aio: a generic handler with JSON for messages, no signatures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from benchmarks import lines
from benchmarks.payload import TOKEN, stamp


async def echo(asked: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Answer in capitals."""
    return {"text": asked["text"], "answer": asked["text"].upper()}


async def tokens(asked: dict[str, Any], _context: Any) -> AsyncIterator[bytes]:
    """Write tokens as fast as they go."""
    token = TOKEN.encode()
    for _ in range(asked["count"]):
        yield token


async def paced(asked: dict[str, Any], _context: Any) -> AsyncIterator[bytes]:
    """Write stamps with time between."""
    for number in range(asked["count"]):
        if number:
            await asyncio.sleep(asked["gap_s"])
        yield stamp().encode()


def encode(message: dict[str, Any]) -> bytes:
    """Return a message as it travels."""
    return json.dumps(message).encode()


def routes() -> Any:
    """Return the handler of all routes."""
    streams = {
        name: grpc.unary_stream_rpc_method_handler(forward, request_deserializer=json.loads)
        for name, forward in (("Tokens", tokens), ("Paced", paced))
    }
    unary = grpc.unary_unary_rpc_method_handler(
        echo, request_deserializer=json.loads, response_serializer=encode
    )
    return grpc.method_handlers_generic_handler("bench", {"Echo": unary, **streams})


async def main() -> None:
    """Serve until the input ends."""
    written = lines.begin()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((routes(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    greeting = {"peers": [f"127.0.0.1:{port}"], "versions": lines.versions("grpcio")}
    await lines.converse(written, greeting, {})
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(main())
