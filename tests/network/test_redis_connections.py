"""Connections to a Redis that is killed, hangs, refuses, or is none."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from node import errors
from node.network.redis_network import RedisNetwork
from tests.redis_server import RedisServer, require_redis

from .conftest import key, peer_of

ALICE, BOB = key("Alice"), key("Bob")
NETUID = 8


async def after_many_turns(seconds: float) -> None:
    """Wait, and let all else come first that was due by then on a machine that stood still."""
    await asyncio.sleep(seconds)
    for _ in range(200):
        await asyncio.sleep(0)


class TestConnections:
    def clients(self, server: RedisServer) -> int:
        return server.command("CLIENT", "LIST").count(b"cmd=") - 1

    async def test_nothing_is_open_after_closing(self, own_redis: RedisServer) -> None:
        async with RedisNetwork(own_redis.url()) as network:
            await asyncio.gather(*(network.metagraph(NETUID) for _ in range(50)))
            changes = network.changes(NETUID)
            await anext(changes)
            opened = self.clients(own_redis)
            assert 2 <= opened <= 17
        await asyncio.sleep(0.05)
        assert self.clients(own_redis) == 0

    def test_nothing_is_open_after_a_call_without_a_loop(self, own_redis: RedisServer) -> None:
        network = RedisNetwork(own_redis.url())  # and it is never closed
        network.register(NETUID, ALICE)
        network.metagraph(NETUID)
        time.sleep(0.05)
        assert self.clients(own_redis) == 0

    def test_one_network_in_several_loops_one_after_the_other(self, redis_url: str) -> None:
        network = RedisNetwork(redis_url)

        async def use() -> int:
            uid: int = await network.register(NETUID, ALICE)
            await network._link.release()
            return uid

        assert [asyncio.run(use()), network.register(NETUID, ALICE), asyncio.run(use())] == [0] * 3

    def test_a_socket_of_this_machine(self, own_redis: RedisServer) -> None:
        with RedisNetwork(f"unix://{own_redis.socket_path}?db=2&prefix=x") as network:
            assert network.register(NETUID, ALICE) == 0
        with RedisNetwork(own_redis.url("x", 2)) as network:
            assert network.metagraph(NETUID).hotkeys == [ALICE.ss58_address]
        with RedisNetwork(own_redis.url("x", 1)) as network:
            assert network.metagraph(NETUID).n == 0

    async def test_it_reconnects_by_itself_and_nothing_is_lost(
        self, own_redis: RedisServer
    ) -> None:
        async with RedisNetwork(own_redis.url(), allow_private=True, timeout_s=2.0) as network:
            await network.register(NETUID, ALICE)
            await network.serve(NETUID, ALICE, peer_of(ALICE))
            graph = await network.metagraph(NETUID)
            await asyncio.to_thread(own_redis.kill)
            with pytest.raises(errors.NetworkError, match="can't be reached; check that it runs"):
                await graph.sync()
            assert graph.axons == [peer_of(ALICE)]
            await asyncio.to_thread(own_redis.start)
            assert (await graph.sync()).axons == [peer_of(ALICE)]
            await network.serve(NETUID, ALICE, peer_of(ALICE, 2))  # scripts were lost with it
            assert (await graph.sync()).axons == [peer_of(ALICE, 2)]

    async def test_one_that_hangs_is_given_up(self, own_redis: RedisServer) -> None:
        async with RedisNetwork(own_redis.url(), timeout_s=0.3) as network:
            graph = await network.metagraph(NETUID)
            own_redis.freeze()
            # With all that it tried again it is done before twice the time has passed.
            later = asyncio.create_task(after_many_turns(0.6))
            with pytest.raises(errors.NetworkError, match=r"did not answer within 0\.3 s"):
                await graph.sync()
            assert not later.done()
            await later
            own_redis.thaw()
            network._link.timeout_s = 20.0
            await graph.sync()

    async def test_a_call_that_is_cancelled_does_not_answer_the_next(self, redis_url: str) -> None:
        async with RedisNetwork(redis_url) as network:
            await network.register(NETUID, ALICE)
            for delay_s in (0.0, 0.0001, 0.0003, 0.001):
                calls = [asyncio.create_task(network.hyperparameters(NETUID)) for _ in range(20)]
                await asyncio.sleep(delay_s)
                for call in calls[::2]:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)
                assert (await network.metagraph(NETUID)).hotkeys == [ALICE.ss58_address]


class TestErrors:
    @pytest.mark.parametrize("login", ["", ":wrong@", "nobody:hunter2@"])
    def test_a_password_that_is_missing_or_wrong(self, tmp_path: Path, login: str) -> None:
        require_redis()
        server = RedisServer(tmp_path, password="hunter2")
        server.start()
        try:
            network = RedisNetwork(f"redis://{login}127.0.0.1:{server.port}")
            with pytest.raises(errors.NetworkError, match="password") as caught:
                network.metagraph(NETUID)
            assert RedisNetwork(server.url()).metagraph(NETUID).n == 0
        finally:
            server.stop()
        error: BaseException | None = caught.value
        while error is not None:
            assert "hunter2" not in str(error)
            assert "wrong" not in str(error)
            error = error.__cause__

    def test_a_full_memory(self, own_redis: RedisServer) -> None:
        network = RedisNetwork(own_redis.url())
        network.register(NETUID, ALICE)
        own_redis.command("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(errors.NetworkError, match="has no memory left"):
            network.register(NETUID, BOB)

    def test_a_replica(self, own_redis: RedisServer) -> None:
        network = RedisNetwork(own_redis.url())
        own_redis.command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(errors.NetworkError, match="is a replica"):
            network.register(NETUID, BOB)

    def test_a_user_who_may_not(self, own_redis: RedisServer) -> None:
        own_redis.command("ACL", "SETUSER", "low", "on", ">pw", "~*", "+get", "+ping")
        network = RedisNetwork(f"redis://low:pw@127.0.0.1:{own_redis.port}")
        with pytest.raises(errors.NetworkError, match="does not allow this user"):
            network.metagraph(NETUID)

    def test_nobody_there(self, own_redis: RedisServer) -> None:
        own_redis.stop()
        network = RedisNetwork(own_redis.url())
        with pytest.raises(errors.NetworkError, match="can't be reached"):
            network.metagraph(NETUID)

    def test_something_else_there(self) -> None:
        import socketserver
        import threading

        class Http(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        with socketserver.TCPServer(("127.0.0.1", 0), Http) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            network = RedisNetwork(f"redis://127.0.0.1:{server.server_address[1]}")
            with pytest.raises(errors.NetworkError):
                network.metagraph(NETUID)
            server.shutdown()
            thread.join()
