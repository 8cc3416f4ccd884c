"""A dendrite of the old SDK that carries out plans.

Each line of stdin is a plan, each line of stdout its results, both JSON; it ends with its stdin.

A plan is `{"calls": [...], "at_once": false}`. A call has
    name, fields     the synapse
    peer             `{"ip", "port", "hotkey"}`
    key              URI that signs, //Alice by default
    timeout          seconds, 5 by default
    headers, body    what is changed after signing: header or JSON field to value, null removes it

A result has the final synapse's own `fields`, its `axon` and `dendrite`, `status_code`,
`status_message`, the four questions that a synapse answers about itself, `chunks` of a stream,
`seconds`, and what was `sent` (`path`, `headers`, `body`). A plan that the SDK raises out of has
`{"crash": traceback}` for its results.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import traceback
from types import SimpleNamespace
from typing import Any

from offline import EXTERNAL_IP, claim_stdout, refuse_other_hosts, write_line

LINES = claim_stdout()
refuse_other_hosts()

import aiohttp  # noqa: E402  after the guards
import bittensor as bt  # noqa: E402
from bittensor.utils import networking  # noqa: E402
from keys import keypair_of  # noqa: E402
from synapses import ALL  # noqa: E402

networking.get_external_ip = lambda: EXTERNAL_IP

STATES = ("is_success", "is_failure", "is_timeout", "is_blacklist", "failed_verification")


def change(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return values with some replaced or, by None, removed."""
    merged = {**values, **changes}
    return {key: value for key, value in merged.items() if value is not None or key not in changes}


class Wire:
    """Stands in for a dendrite's session: changes what is posted, and remembers it."""

    def __init__(self, session: aiohttp.ClientSession, call: dict[str, Any]) -> None:
        self._session = session
        self._call = call
        self.sent: dict[str, Any] = {}

    def post(self, url: str, *, headers: dict[str, str], json: Any, **options: Any) -> Any:
        headers = change(headers, self._call.get("headers", {}))
        body = change(json, self._call.get("body", {}))
        self.sent = {"path": "/" + url.rpartition("/")[2], "headers": headers, "body": body}
        return self._session.post(url, headers=headers, json=body, **options)

    async def close(self) -> None:
        """Leave the session open: other calls share it."""


class Driver:
    """Keeps one dendrite's identity per key, as a validator's process does."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._uuids: dict[str, str] = {}

    async def run(self, plan: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the results of a plan's calls in their order."""
        calls = [self.ask(call) for call in plan["calls"]]
        if plan.get("at_once"):
            return await asyncio.gather(*calls)
        return [await call for call in calls]

    async def ask(self, call: dict[str, Any]) -> dict[str, Any]:
        """Carry out one call."""
        wire = Wire(self._session, call)
        dendrite = self._dendrite(call.get("key", "//Alice"), wire)
        synapse = ALL[call["name"]](**call.get("fields", {}))
        chunks: list[Any] = []
        began = time.monotonic()
        reply = await dendrite(
            [SimpleNamespace(**call["peer"])],
            synapse,
            timeout=call.get("timeout", 5.0),
            deserialize=False,
            streaming=isinstance(synapse, bt.StreamingSynapse),
        )
        final = reply[0]
        if isinstance(synapse, bt.StreamingSynapse):
            async for item in reply[0]:
                chunks.append(item)
            final = chunks.pop()
        return describe(final, chunks, time.monotonic() - began, wire.sent)

    def _dendrite(self, uri: str, wire: Wire) -> Any:
        dendrite = (getattr(bt, "Dendrite", None) or bt.dendrite)(keypair_of(uri))
        dendrite.uuid = self._uuids.setdefault(uri, dendrite.uuid)
        dendrite._session = wire
        # Its destructor would run the loop that is running.
        dendrite.close_session = lambda: None
        return dendrite


def describe(
    synapse: Any, chunks: list[Any], seconds: float, sent: dict[str, Any]
) -> dict[str, Any]:
    """Return a finished synapse as plain values."""
    fields = synapse.model_dump()
    ends = {end: fields.pop(end) for end in ("axon", "dendrite")}
    return {
        "status_code": synapse.dendrite.status_code,
        "status_message": synapse.dendrite.status_message,
        **{state: getattr(synapse, state) for state in STATES},
        **ends,
        "fields": fields,
        "chunks": chunks,
        "seconds": seconds,
        "sent": sent,
    }


async def main() -> None:
    """Carry out plans until stdin ends."""
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session:
        driver = Driver(session)
        write_line(LINES, {"version": bt.__version__})
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            try:
                results: Any = await driver.run(json.loads(line))
            except Exception:
                results = {"crash": traceback.format_exc()}
            write_line(LINES, results)


if __name__ == "__main__":
    asyncio.run(main())
