"""Unknown routes and methods: 404 and 405, and no list of routes to anybody."""

from __future__ import annotations

import pytest

from node import Keypair
from tests.functional.synapses import Echo
from tests.raw_http import ask, signed_request

from .conftest import BODY, Target

PROBES = [
    "/Nothing", "/echo", "/ECHO", "/Echo.json", "/Echo%00", "/docs", "/openapi.json", "/redoc",
    "/Synapse", "/metrics", "/favicon.ico", "/.env", "/admin", "/routes", "/healthz", "/%2e%2e/",
    "/" + "x" * 4000,
]  # fmt: skip


class HiddenRoute(Echo):
    pass


@pytest.fixture(autouse=True)
def hidden(target: Target) -> None:
    async def forward(synapse: HiddenRoute) -> HiddenRoute:
        return synapse

    target.axon.attach(forward)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "QUERY"])
async def test_an_unknown_route_is_404_and_lists_nothing(
    target: Target, alice: Keypair, signed: bool, method: str
) -> None:
    for probe in PROBES:
        request = signed_request(alice, target.hotkey, probe, BODY, method=method)
        if not signed:
            request = request.without("X-Bittensor-Signature")
        reply = await target.check_refused(request, 404, "unknown_route")
        everything = reply.body + str(reply.headers).encode()
        assert b"HiddenRoute" not in everything
        assert b"Echo" not in everything
        assert set(reply.json()) == {"code", "message"}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "QUERY"])
async def test_a_wrong_method_is_405_and_names_the_right_one(
    target: Target, alice: Keypair, method: str
) -> None:
    request = signed_request(alice, target.hotkey, "/Echo", BODY, method=method)
    reply = await target.check_refused(request, 405, "method_not_allowed")
    assert reply.header("Allow") == "POST"


async def test_a_head_of_a_route_is_405_without_a_body(target: Target, alice: Keypair) -> None:
    from tests.raw_http import RawConnection

    async with await RawConnection.open(target.axon.port) as connection:
        await connection.send(b"HEAD /Echo HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await connection.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 405 ")


async def test_connect_and_made_up_methods_are_refused(target: Target) -> None:
    for line in (b"CONNECT node:80 HTTP/1.1", b"ECHO /Echo HTTP/1.1", b"post /Echo HTTP/1.1"):
        reply = await ask(target.axon.port, line + b"\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        # 401: aiohttp's parser in Python takes `post` for `POST`, and it is not signed.
        assert reply.status in (400, 401, 404, 405)
    assert target.texts == []


@pytest.mark.parametrize("host", ["http://node", "HTTPS://node:8091"])
async def test_an_absolute_target_finds_what_its_path_names(target: Target, host: str) -> None:
    port = target.axon.port
    for path, status in {"/health": 200, "/": 200, "": 200, "?x=1": 200, "/Nothing": 404}.items():
        reply = await ask(port, f"GET {host}{path} HTTP/1.1\r\nHost: node\r\n\r\n".encode())
        assert reply.status == status
        assert b"Echo" not in reply.body
    reply = await ask(port, f"GET {host}/Echo HTTP/1.1\r\nHost: node\r\n\r\n".encode())
    assert reply.status == 405
    request = target.good().without("X-Bittensor-Signature").change(target=f"{host}/Echo")
    await target.check_refused(request, 401, "missing_signature")


async def test_the_options_of_the_whole_server_are_404(target: Target) -> None:
    await target.check_refused(b"OPTIONS * HTTP/1.1\r\nHost: node\r\n\r\n", 404, "unknown_route")


async def test_a_route_attached_while_serving_is_served(target: Target, alice: Keypair) -> None:
    request = signed_request(alice, target.hotkey, "/HiddenRoute", BODY)
    assert (await target.ask(request)).status == 200
