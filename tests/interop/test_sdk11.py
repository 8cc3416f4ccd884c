"""`btauth/1` over HTTP with the official SDK 11: an app and a client that use its functions.

It is installed beside ours, so it needs no environment of its own.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from node import Axon, Caller, Dendrite, Keypair, Peer
from node.wire import ReplayGuard, SharedNonceStore

from .synapses import Plain

pytestmark = pytest.mark.interop

BODY = b'{"text": "x"}'
TARGET = "/Plain?timeout=5"
SECOND_NS = 10**9

Serve = Callable[..., Awaitable[Peer]]


def sdk11() -> Any:
    """Return `bittensor.http_auth`."""
    return importlib.import_module("bittensor.http_auth")


def theirs(uri: str, scheme: str = "sr25519") -> Any:
    """Return a key pair of SDK 11."""
    core = importlib.import_module("bittensor_core")
    return core.Keypair.create_from_uri(uri, {"ed25519": 0, "sr25519": 1}[scheme])


def test_the_version_is_the_one_that_is_promised() -> None:
    assert importlib.import_module("bittensor").__version__ == "11.3.0"


@pytest.fixture
async def app_of(bob: Keypair) -> AsyncIterator[Serve]:
    """Serves //Bob's app, whose only gate is `http_auth.verify` with the given options."""
    servers: list[TestServer] = []

    async def serve(**options: Any) -> Peer:
        store = options.pop("nonce_store", None) or sdk11().InMemoryNonceStore()

        async def handle(request: web.Request) -> web.Response:
            body = await request.read()
            try:
                caller = sdk11().verify(
                    request.headers,
                    body,
                    method=request.method,
                    path=request.raw_path,
                    self_hotkey_ss58=bob.ss58_address,
                    nonce_store=store,
                    **options,
                )
            except sdk11().AuthError as error:
                return web.json_response({"detail": str(error)}, status=401)
            text = json.loads(body)["text"]
            return web.json_response({"text": text, "answer": f"{text} {caller.hotkey_ss58}"})

        app = web.Application()
        app.router.add_post("/Plain", handle)
        server = TestServer(app)
        servers.append(server)
        await server.start_server()
        return Peer(hotkey=bob.ss58_address, ip="127.0.0.1", port=server.port or 0)

    yield serve
    for server in servers:
        await server.close()


@pytest.mark.parametrize("scheme", ["sr25519", "ed25519"])
async def test_our_dendrite_asks_an_app_of_sdk_11(app_of: Serve, scheme: str) -> None:
    key = Keypair.from_uri("//Alice", scheme=scheme)
    peer = await app_of()
    async with Dendrite(key) as dendrite:
        reply = await dendrite(peer, Plain(text="x"))
    assert (reply.is_success, reply.answer) == (True, f"x {key.ss58_address}")


@pytest.mark.parametrize(
    ("bound", "require_receiver", "status"),
    [(True, True, 200), (True, False, 200), (False, False, 200), (False, True, 401)],
)
async def test_unbound_requests_pass_where_the_app_takes_them(
    app_of: Serve, alice: Keypair, bound: bool, require_receiver: bool, status: int
) -> None:
    peer = await app_of(require_receiver=require_receiver)
    async with Dendrite(alice, bound=bound) as dendrite:
        reply = await dendrite(peer, Plain(text="x"))
    assert (reply.dendrite.status_code, reply.is_success) == (status, status == 200)


@pytest.mark.parametrize(("max_age", "status"), [(10.0, 401), (30.0, 200)])
async def test_an_app_may_take_older_requests(
    app_of: Serve, alice: Keypair, max_age: float, status: int
) -> None:
    peer = await app_of(max_age=max_age)
    async with Dendrite(alice, clock_ns=lambda: time.time_ns() - 20 * SECOND_NS) as dendrite:
        reply = await dendrite(peer, Plain(text="x"))
    assert reply.dendrite.status_code == status


async def test_a_request_for_another_node_is_401(app_of: Serve, alice: Keypair) -> None:
    peer = await app_of()
    stranger = Peer(hotkey=alice.ss58_address, ip=peer.ip, port=peer.port)
    async with Dendrite(alice) as dendrite:
        reply = await dendrite(stranger, Plain(text="x"))
    assert reply.failed_verification


def our_axon(bob: Keypair, **options: Any) -> Axon:
    """Return //Bob's axon that answers with its caller."""

    async def plain(synapse: Plain, caller: Caller) -> Plain:
        synapse.answer = f"{synapse.text} {caller.hotkey}"
        return synapse

    options.setdefault("protocols", ("btauth", "synapse"))
    return Axon(bob, ip="127.0.0.1", port=0, **options).attach(plain)


async def post(node: Axon | Peer, headers: dict[str, str], body: bytes = BODY) -> tuple[int, Any]:
    """Send a request as an app's client does; return status and JSON."""
    url = f"http://127.0.0.1:{node.port}{TARGET}"
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            url, data=body, headers={**headers, "Content-Type": "application/json"}
        ) as reply,
    ):
        return reply.status, await reply.json()


def sign(bob: Keypair | None, scheme: str = "sr25519", **changes: Any) -> dict[str, str]:
    """Sign the request by SDK 11."""
    options = {"method": "POST", "path": TARGET, "body": BODY, **changes}
    receiver = bob.ss58_address if bob else None
    headers: dict[str, str] = sdk11().sign(
        theirs("//Alice", scheme), receiver_ss58=receiver, **options
    )
    return headers


@pytest.mark.parametrize("scheme", ["sr25519", "ed25519"])
async def test_a_client_of_sdk_11_asks_our_axon(bob: Keypair, scheme: str) -> None:
    async with our_axon(bob) as axon:
        headers = sign(bob, scheme)
        status, answer = await post(axon, headers)
        again, _ = await post(axon, headers)
    caller = theirs("//Alice", scheme).ss58_address
    assert (status, answer["answer"], again) == (200, f"x {caller}", 401)


async def test_what_was_not_signed_is_401(bob: Keypair, alice: Keypair) -> None:
    async with our_axon(bob) as axon:
        assert (await post(axon, sign(bob), BODY + b" "))[0] == 401
        assert (await post(axon, sign(bob, path="/Plain?timeout=6")))[0] == 401
        assert (await post(axon, sign(bob, method="PUT")))[0] == 401
        assert (await post(axon, sign(alice)))[0] == 401
        assert (await post(axon, {}))[0] == 401


@pytest.mark.parametrize(
    ("require_receiver", "status"), [(True, 401), (False, 200)], ids=["default", "switched"]
)
async def test_unbound_requests_pass_behind_the_switch(
    bob: Keypair, require_receiver: bool, status: int
) -> None:
    async with our_axon(bob, require_receiver=require_receiver) as axon:
        assert (await post(axon, sign(None)))[0] == status
        assert (await post(axon, sign(bob)))[0] == 200


@pytest.mark.parametrize(("max_age_s", "status"), [(10.0, 401), (30.0, 200)])
async def test_max_age_is_a_setting(bob: Keypair, max_age_s: float, status: int) -> None:
    async with our_axon(bob, max_age_s=max_age_s) as axon:
        headers = sign(bob, nonce_ns=time.time_ns() - 20 * SECOND_NS)
        assert (await post(axon, headers))[0] == status
        older = sign(bob, nonce_ns=time.time_ns() - 31 * SECOND_NS)
        assert (await post(axon, older))[0] == 401


@pytest.mark.parametrize("first", ["app", "axon"])
async def test_an_app_and_an_axon_share_one_replay_memory(
    app_of: Serve, bob: Keypair, first: str
) -> None:
    guard = ReplayGuard(window_s=60)
    app = await app_of(nonce_store=SharedNonceStore(guard, now_ns=time.time_ns))
    async with our_axon(bob, guard=guard) as axon:
        nodes: list[Axon | Peer] = [app, axon] if first == "app" else [axon, app]
        headers = sign(bob)
        assert [(await post(node, headers))[0] for node in nodes] == [200, 401]
        assert [(await post(node, sign(bob)))[0] for node in nodes] == [200, 200]
