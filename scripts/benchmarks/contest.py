"""What a measure is given: contenders that run, and turns among them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from .contenders.catalogue import Contender
from .program import BenchError, Child, running
from .rounds import Rounds, Turn, alternate, spans
from .sizes import Sizes

__all__ = ["Contest", "Pair", "check_done", "loaded"]


@dataclass(frozen=True, slots=True)
class Pair:
    """The running programs of one contender.

    Attributes:
        contender: Whose.
        servers: One, or several where there are many peers.
        client: What puts loads on them.
    """

    contender: Contender
    servers: Sequence[Child]
    client: Child

    @property
    def server(self) -> Child:
        """The first of the servers."""
        return self.servers[0]

    def pause(self) -> None:
        """Stop all, the client first."""
        for child in (self.client, *self.servers):
            child.pause()

    def resume(self) -> None:
        """Let all go on, the servers first."""
        for child in (*self.servers, self.client):
            child.resume()


Take = Callable[[Pair], Awaitable[Mapping[str, float]]]


@dataclass
class Contest:
    """One run.

    Attributes:
        sizes: How large.
        against: Names of the contenders that take part.
        home: Directory that programs may write to.
        versions: What programs said of themselves, by contender.
        notes: What a reader of the figures must know beside.
    """

    sizes: Sizes
    against: frozenset[str]
    home: Path
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def taking_part(self, contenders: Sequence[Contender]) -> list[Contender]:
        """Return those of a measure that this run has."""
        return [each for each in contenders if each.name in self.against]

    @asynccontextmanager
    async def pair(
        self,
        contender: Contender,
        *,
        servers: int = 1,
        server: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[Pair]:
        """Run a contender's programs for as long as the block runs.

        Args:
            contender: Whose.
            servers: How many server programs.
            server: Settings of each.

        Raises:
            BenchError: One did not start.
        """
        settings = dict(server or {})
        peers = settings.get("peers", 1)
        async with AsyncExitStack() as stack:
            started = [
                await stack.enter_async_context(
                    self._program(
                        contender, "server", {**settings, "first_key": 1 + number * peers}
                    )
                )
                for number in range(servers)
            ]
            addresses = [peer for child in started for peer in child.greeting["peers"]]
            client = await stack.enter_async_context(
                self._program(contender, "client", {**contender.client, "peers": addresses})
            )
            self.versions[contender.name] = client.greeting["versions"]
            yield Pair(contender, started, client)

    def _program(self, contender: Contender, end: str, settings: Mapping[str, Any]) -> Any:
        module = f"contenders.{contender.programs}_{end}"
        return running(contender.python, module, settings, home=self.home)

    async def alternate(
        self,
        contenders: Sequence[Contender],
        take: Take,
        *,
        servers: int = 1,
        server: Mapping[str, Any] | None = None,
        starts: int | None = None,
        repeats: int = 1,
    ) -> Rounds:
        """Start the contenders that take part, and let each have its turn in each round.

        Those whose turn it is not are paused. They are started anew a few times: where a process
        has its memory makes it up to a tenth faster or slower for as long as it lives.

        Args:
            contenders: Who could take part.
            take: Takes one turn.
            servers: How many server programs each has.
            server: Settings of each server program.
            starts: How often they are started, where that is not as this run's sizes say.
            repeats: How many times as many rounds and starts there are.

        Raises:
            BenchError: A turn failed.
        """
        turns: list[Turn] = []
        for numbers in spans(self.sizes.rounds * repeats, (starts or self.sizes.starts) * repeats):
            async with AsyncExitStack() as stack:
                pairs: dict[str, Pair] = {}
                for contender in self.taking_part(contenders):
                    pair = self.pair(contender, servers=servers, server=server)
                    pairs[contender.name] = await stack.enter_async_context(pair)
                    pairs[contender.name].pause()
                turns += await alternate(list(pairs), numbers, partial(_take_turn, pairs, take))
        return Rounds(turns)


async def _take_turn(pairs: Mapping[str, Pair], take: Take, name: str) -> Mapping[str, float]:
    """Let one contender go on for as long as its turn takes."""
    pairs[name].resume()
    try:
        return await take(pairs[name])
    finally:
        pairs[name].pause()


async def loaded(pair: Pair, load: str, **settings: Any) -> dict[str, float]:
    """Put a load on a pair, and return what its client measured and what it cost.

    Args:
        pair: Whose turn it is.
        load: What the client is asked for.
        settings: Of the load.

    Returns:
        What the client returned, and the processor seconds of the server (`server_cpu_s`) and of
        both ends (`both_cpu_s`).

    Raises:
        BenchError: It failed.
    """
    before = await pair.server.ask("usage")
    found = await pair.client.ask(load, **settings)
    after = await pair.server.ask("usage")
    check_done(pair, found)
    server_cpu_s = after["cpu_s"] - before["cpu_s"]
    return {
        **found,
        "server_cpu_s": server_cpu_s,
        "both_cpu_s": server_cpu_s + found["cpu_s"],
    }


def check_done(pair: Pair, load: Mapping[str, float]) -> None:
    """Check that a load was carried out.

    Raises:
        BenchError: Calls failed of a contender that refuses none, or none succeeded.
    """
    if not load["calls"] or (load["failed"] and not pair.contender.may_refuse):
        raise BenchError(
            f"{pair.contender.title}: {load['failed']:g} calls failed, {load['calls']:g} succeeded"
        )
