"""The link with an SDK that does what a test wants; with the real one it is in the other tests."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from node import Keypair, errors
from node.network import chain as chain_module
from node.network.chain import ChainNetwork
from node.network.chain_link import ChainLink

from .stray_threads import no_stray_threads

__all__ = ["no_stray_threads"]

ADDRESS = "ws://user:hunter2@node.example:9944/hunter2"


class BittensorError(Exception):
    pass


class RpcConnectionError(BittensorError):
    pass


class Client:
    """Does nothing; a test puts another method in its place."""

    def __init__(self, network: str) -> None:
        self.network = network
        self.closed = 0

    async def connect(self) -> None:
        pass

    async def close(self) -> None:
        self.closed += 1


def sdk_with(**methods: Any) -> Any:
    client = type("Client", (Client,), methods)
    kinds = {
        name: type(name, (BittensorError,), {}) for name in ("ConnectionNotReady", "ChainError")
    }
    return SimpleNamespace(
        Client=client,
        BittensorError=BittensorError,
        RpcConnectionError=RpcConnectionError,
        RpcPolicyError=type("RpcPolicyError", (RpcConnectionError,), {}),
        **kinds,
    )


@pytest.fixture
def link() -> Iterator[ChainLink]:
    link = ChainLink(sdk_with(), ADDRESS)
    yield link
    link.close()


@pytest.mark.parametrize("kind", [BittensorError, RpcConnectionError, ValueError, KeyError])
def test_a_connection_that_fails_ends_the_link(kind: type[Exception]) -> None:
    async def connect(self: Client) -> None:
        raise kind(f"what {self.network} answered")

    link = ChainLink(sdk_with(connect=connect), ADDRESS)
    with pytest.raises(
        errors.NetworkError, match=r"what ws://node\.example:9944 answered"
    ) as caught:
        link.connect(20.0)
    assert "hunter2" not in str(caught.value)
    assert not link.is_open
    link.close()


@pytest.mark.parametrize(
    ("error", "text", "stays"),
    [
        (BittensorError("no"), "^ws://node.example:9944 says: no$", True),
        (RpcConnectionError("no"), "can't be reached: no; perhaps$", False),
        (OSError("no"), "can't be reached: no; perhaps$", False),
        (KeyError("no"), "sent what the SDK can't read: KeyError: 'no'; perhaps$", False),
        (BittensorError("\x1b[0m\n\x00a\u202eb" + "x" * 999), r"says: \[0m a bx+\.\.\.$", True),
    ],
)
def test_errors_of_the_sdk_are_told(
    link: ChainLink, error: Exception, text: str, stays: bool
) -> None:
    async def work(client: Any) -> None:
        raise error

    with pytest.raises(errors.NetworkError, match=text) as caught:
        link.call(work, 20.0, "; perhaps")
    assert caught.value.__cause__ is error
    assert len(str(caught.value)) < 500
    assert link.is_open is stays


def test_work_that_does_not_stop_when_it_is_cancelled_ends_all_the_same(link: ChainLink) -> None:
    async def stubborn(client: Any) -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await asyncio.sleep(0.1)
                raise

    started = time.monotonic()
    with pytest.raises(errors.NetworkError, match=r"gave no answer within 0\.1 s"):
        link.call(stubborn, 0.1)
    link.close()
    assert time.monotonic() - started < 20  # and it would sleep for 60 s
    assert link.ended.done()


def test_a_client_that_does_not_close_is_left() -> None:
    async def close(self: Client) -> None:
        await asyncio.sleep(60)

    link = ChainLink(sdk_with(close=close), ADDRESS)
    started = time.monotonic()
    link.close()
    assert 0.5 < time.monotonic() - started < 20  # and it would sleep for 60 s


def test_a_socket_that_was_left_open_is_closed(link: ChainLink) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        async def leave_open(client: Any) -> None:
            loop = asyncio.get_running_loop()
            await loop.create_connection(asyncio.Protocol, *server.getsockname())

        link.call(leave_open, 20.0)
        with server.accept()[0] as accepted:
            link.close()
            accepted.settimeout(20)
            with suppress(ConnectionResetError):
                assert accepted.recv(1) == b""


def test_nothing_is_started_after_the_end(link: ChainLink) -> None:
    async def work(client: Any) -> None:
        raise AssertionError

    link.close()
    link.close()
    with pytest.raises(errors.NetworkError, match="was closed"):
        link.call(work, 20.0)


def test_the_client_is_closed_once(link: ChainLink) -> None:
    found: Future[Client] = Future()

    async def work(client: Client) -> None:
        found.set_result(client)

    link.call(work, 20.0)
    link.close()
    assert found.result().closed == 1


def test_a_network_closed_before_it_connects_stays_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = ChainNetwork("ws://127.0.0.1:1")

    def load() -> Any:
        network.close()
        return sdk_with()

    monkeypatch.setattr(chain_module, "load_sdk", load)
    with pytest.raises(errors.NetworkError, match="was closed"):
        network.register(8, Keypair.from_uri("//Alice"))
