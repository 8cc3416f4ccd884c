"""JSON-RPC over a websocket on loopback, in a thread of its own, as a chain's node serves it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

from .chain import Chain
from .extrinsic import Invalid
from .metadata import SPEC_VERSION, TRANSACTION_VERSION

# As substrate's author API says it.
INVALID_TRANSACTION = 1010
METHOD_NOT_FOUND = -32601


class RpcError(Exception):
    """An error reply."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.reply = {"code": code, "message": message, "data": data}


class Server:
    """One node. It keeps its port when it stops, so that it can start again on it.

    Attributes:
        port: On 127.0.0.1, from the first start.
        calls: How often each method was called; a runtime call counts under its own name too.
        silent: Methods that get no reply, or "*".
        errors: By method the error that is answered instead.
        answers: By method the result that is answered instead.
        statuses: What is said of a submitted extrinsic, in order.
    """

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.port = 0
        self.calls: Counter[str] = Counter()
        self.silent: set[str] = set()
        self.errors: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, Any] = {}
        self.lock = threading.RLock()
        self.statuses: tuple[str, ...] = ("ready", "inBlock", "finalized")
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._requests: list[web.Request] = []
        self._subscriptions = 0
        self._methods: dict[str, Callable[..., Any]] = {
            "chain_getHead": lambda: self._hash(self.chain.head),
            "chain_getFinalizedHead": lambda: self._hash(self.chain.head),
            "chain_getBlockHash": self._block_hash,
            "chain_getHeader": self._header,
            "chain_getBlock": self._block,
            "state_getRuntimeVersion": self._runtime_version,
            "state_call": self._state_call,
            "state_getStorageAt": self._storage_at,
            "state_queryStorageAt": self._query_storage,
            "state_getKeysPaged": self._keys,
            "account_nextIndex": lambda address: self.chain.nonces.get(address, 0),
            "author_submitAndWatchExtrinsic": self._submit,
            "author_unwatchExtrinsic": lambda subscription: True,
        }

    @property
    def connections(self) -> int:
        return len(self._requests)

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="fake chain")
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        """Hang up and refuse connections. May be called again."""
        if self._thread is None or self._loop is None or self._stopping is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._thread = None

    def _run(self, ready: threading.Event) -> None:
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(self._serve(ready))

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        app = web.Application()
        app.router.add_get("/", self._talk)
        app.router.add_get("/{path:.*}", self._talk)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        self.port = runner.addresses[0][1]
        ready.set()
        await self._stopping.wait()
        for request in list(self._requests):
            # A node that dies says nothing; closing the transport is the nearest to it.
            if request.transport is not None:
                request.transport.abort()
        await runner.cleanup()

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._requests.append(request)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._answer(socket, json.loads(message.data))
        except ConnectionError:
            pass
        finally:
            self._requests.remove(request)
        return socket

    async def _answer(self, socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        method, params = frame["method"], frame["params"]
        with self.lock:
            self.calls[method] += 1
            if method == "state_call":
                self.calls[params[0]] += 1
            if {"*", method} & self.silent:
                return
            reply, updates = self._reply(method, params)
        await socket.send_json({"jsonrpc": "2.0", "id": frame["id"], **reply})
        for update in updates:
            params = {"subscription": reply["result"], "result": update}
            await socket.send_json(
                {"jsonrpc": "2.0", "method": "author_extrinsicUpdate", "params": params}
            )

    def _reply(self, method: str, params: list[Any]) -> tuple[dict[str, Any], list[Any]]:
        if method in self.errors:
            return {"error": self.errors[method]}, []
        if method in self.answers:
            return {"result": self.answers[method]}, []
        if method not in self._methods:
            return {"error": {"code": METHOD_NOT_FOUND, "message": f"no method {method}"}}, []
        try:
            result = self._methods[method](*params)
        except RpcError as error:
            return {"error": error.reply}, []
        if method == "author_submitAndWatchExtrinsic":
            block_hash = self._hash(self.chain.head)
            said = [one if one == "ready" else {one: block_hash} for one in self.statuses]
            return {"result": result}, said
        return {"result": result}, []

    # Methods

    def _hash(self, number: int) -> str:
        return "0x" + self.chain.hash_at(number).hex()

    def _block_hash(self, number: int | None = None) -> str | None:
        if number is None:
            return self._hash(self.chain.head)
        return self._hash(number) if 0 <= number <= self.chain.head else None

    def _header(self, block_hash: str | None = None) -> dict[str, Any]:
        number = self.chain.number_of(block_hash)
        parent = self._hash(number - 1) if number else "0x" + "00" * 32
        return {"number": hex(number), "parentHash": parent}

    def _block(self, block_hash: str | None = None) -> dict[str, Any]:
        number = self.chain.number_of(block_hash)
        block = self.chain.blocks.get(number)
        extrinsics = [] if block is None else ["0x" + one.hex() for one in block.extrinsics]
        return {"block": {"header": self._header(block_hash), "extrinsics": extrinsics}}

    def _runtime_version(self, block_hash: str | None = None) -> dict[str, Any]:
        return {
            "specName": "node-subtensor",
            "specVersion": SPEC_VERSION,
            "transactionVersion": TRANSACTION_VERSION,
        }

    def _state_call(self, name: str, data: str, block_hash: str | None = None) -> str:
        return "0x" + self.chain.runtime_call(name, _unhex(data)).hex()

    def _storage_at(self, key: str, block_hash: str | None = None) -> str | None:
        found = self.chain.storage(self.chain.number_of(block_hash)).get(_unhex(key))
        return None if found is None else "0x" + found.hex()

    def _query_storage(self, keys: list[str], block_hash: str | None = None) -> list[Any]:
        found = self.chain.storage(self.chain.number_of(block_hash))
        changes = [(key, found.get(_unhex(key))) for key in keys]
        shown = [[key, None if value is None else "0x" + value.hex()] for key, value in changes]
        return [{"block": block_hash, "changes": shown}]

    def _keys(
        self, prefix: str, count: int, start: str, block_hash: str | None = None
    ) -> list[str]:
        found = sorted(self.chain.storage(self.chain.number_of(block_hash)))
        first, after = _unhex(prefix), _unhex(start)
        return ["0x" + key.hex() for key in found if key.startswith(first) and key > after][:count]

    def _submit(self, data: str) -> str:
        try:
            self.chain.submit(_unhex(data))
        except Invalid as error:
            raise RpcError(
                INVALID_TRANSACTION, "Invalid Transaction", f"Transaction has a {error}"
            ) from None
        self._subscriptions += 1
        return f"subscription-{self._subscriptions}"


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
