"""Signed requests with one small reply, and what one costs the server's processor.

Replies are not signed in the row that is compared, since nobody else signs any; the row beside it
has them signed, as a dendrite asks for by default.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.contenders.catalogue import CONTENDERS, GANGLION, GRPC, RAW, RECEIPTED, SDK
from benchmarks.contest import Contest, Pair, loaded
from benchmarks.figures import Figure, Target, at_least, at_most, rate, ratio
from benchmarks.rounds import Rounds

__all__ = ["figures_of", "many_at_once", "one_by_one"]

ENTRANTS = (GANGLION, RAW, RECEIPTED, GRPC, SDK)
_VERIFICATIONS = 500


async def one_by_one(contest: Contest) -> tuple[Rounds, list[Figure]]:
    """Measure requests one after another."""
    rounds = await _measure(contest, at_once=1, repeats=contest.sizes.repeats)
    return rounds, figures_of("unary", "one after another", rounds, of_raw=0.75, of_sdk=30)


async def many_at_once(contest: Contest) -> tuple[Rounds, list[Figure]]:
    """Measure requests many at once."""
    at_once = contest.sizes.at_once
    rounds = await _measure(contest, at_once=at_once)
    return rounds, figures_of("unary_many", f"{at_once} at once", rounds, of_raw=0.55, of_sdk=50)


async def _measure(contest: Contest, *, at_once: int, repeats: int = 1) -> Rounds:
    sizes = contest.sizes

    async def take(pair: Pair) -> Mapping[str, float]:
        await pair.client.ask("unary", at_once=at_once, seconds=sizes.warm_s)
        verify = 0.0
        if pair.contender.programs == "ganglion":
            verify = (await pair.server.ask("verify_cost", count=_VERIFICATIONS))["verify_s"]
        load = await loaded(pair, "unary", at_once=at_once, seconds=sizes.turn_s)
        return {**load, "verify_s": verify}

    return await contest.alternate(ENTRANTS, take, repeats=repeats)


def figures_of(
    key: str, load: str, rounds: Rounds, *, of_raw: float, of_sdk: float
) -> list[Figure]:
    """Return the figures of a load.

    Args:
        key: What their keys begin with.
        load: What readers see of it.
        rounds: Its turns.
        of_raw: Target against raw aiohttp.
        of_sdk: Target against the old SDK.
    """
    per_s = {name: rate(rounds, name, "calls", "seconds") for name in CONTENDERS if name in rounds}
    ours = per_s["ganglion"]
    targets: dict[str, Target] = {
        "raw": at_least(of_raw), "grpc": at_least(1.0), "sdk": at_least(of_sdk)
    }  # fmt: skip
    found = [
        ratio(f"{key}.of_{name}", f"requests, {load}, of {CONTENDERS[name].title}", ours,
              per_s[name], target)
        for name, target in targets.items() if name in per_s
    ]  # fmt: skip
    if "receipted" in per_s and "raw" in per_s:
        name = f"the same with replies signed, of {CONTENDERS['raw'].title}"
        found.append(ratio(f"{key}.receipted_of_raw", name, per_s["receipted"], per_s["raw"]))
    if "raw" in per_s:
        found += _processor_figures(key, load, rounds)
    return found + [
        Figure(f"{key}.{name}_per_s", f"requests, {load}: {CONTENDERS[name].title}", "/s",
               tuple(values))
        for name, values in per_s.items()
    ]  # fmt: skip


def _processor_figures(key: str, load: str, rounds: Rounds) -> list[Figure]:
    """Return what requests cost, in processor time: what else runs here changes it little."""
    servers = {name: rate(rounds, name, "server_cpu_s", "calls") for name in ("ganglion", "raw")}
    clients = {name: rate(rounds, name, "cpu_s", "calls") for name in ("ganglion", "raw")}
    verifies = rounds.of("ganglion", "verify_s")
    beyond = tuple(
        (ours - raw - verify) * 1e6
        for ours, raw, verify in zip(servers["ganglion"], servers["raw"], verifies, strict=True)
    )
    both = {
        name: [one + other for one, other in zip(servers[name], clients[name], strict=True)]
        for name in servers
    }
    name = f"server's processor per request, {load}, beyond raw aiohttp and one verify"
    return [
        Figure(f"{key}.server_us", name, "us", beyond, at_most(60)),
        Figure(f"{key}.verify_us", "one sr25519 verify by itself", "us",
               tuple(verify * 1e6 for verify in verifies)),
        ratio(f"{key}.cpu_of_raw", f"work per processor second, both ends, {load}, of raw aiohttp",
              both["raw"], both["ganglion"]),
    ]  # fmt: skip
