"""Writing to a registry in Redis as anybody can who reaches it."""

from __future__ import annotations

from node import Keypair
from tests.redis_server import RedisServer

__all__ = ["Raw"]

NETUID = 8


class Raw:
    """Writes to the registry as anybody can who reaches the Redis."""

    def __init__(self, server: RedisServer, url: str) -> None:
        self._server = server
        self._prefix = url.rpartition("=")[2]

    def name(self, part: str) -> str:
        return f"{self._prefix}:{part}"

    def __call__(self, command: str, part: str, *words: str | bytes) -> bytes:
        return self._server.command(command, self.name(part), *words)

    def record(self, kind: str, pair: Keypair, value: bytes) -> None:
        self("HSET", f"{NETUID}:{kind}", pair.public_key.hex(), value)

    def stored(self, kind: str, pair: Keypair) -> bytes:
        reply = self("HGET", f"{NETUID}:{kind}", pair.public_key.hex())
        return reply.split(b"\r\n", 1)[1][:-2]

    def keys(self) -> bytes:
        return self._server.command("KEYS", f"{self._prefix}:*")
