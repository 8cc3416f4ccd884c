"""The window of SDK 6-10 requests is the configured one, whatever their headers say."""

from __future__ import annotations

import time

import pytest

from node import Axon, Keypair
from tests.functional.synapses import Echo
from tests.interop.signing import signed_as_sdk
from tests.raw_http import ask


@pytest.mark.parametrize(("age_s", "status"), [(1, 200), (4, 401)])
async def test_the_window_can_be_made_narrower(
    alice: Keypair, bob: Keypair, age_s: int, status: int
) -> None:
    async def echo(synapse: Echo) -> Echo:
        return synapse

    axon = Axon(bob, ip="127.0.0.1", port=0, protocols=("synapse",), synapse_max_age_s=3.0)
    async with axon.attach(echo):
        nonce_ns = time.time_ns() - age_s * 10**9
        request = signed_as_sdk(alice, axon.hotkey, Echo(text="x"), nonce_ns=nonce_ns)
        assert (await ask(axon.port, request)).status == status
