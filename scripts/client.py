#!/usr/bin/env python3
"""Streams a prompt to one uid and prints its tokens: what a researcher's first script looks like.

python scripts/client.py --netuid 8 --my_uid 1 --network local
"""

from __future__ import annotations

import asyncio
import sys

from node import Dendrite, Wallet, open_network
from node.errors import ConfigError, NodeError
from node.neuron.chosen_network import allows_private, network_name
from node.neuron.config import Config
from node.neuron.flags import build_parser
from node.neuron.lifecycle import tell_error
from node.neuron.log_setup import logging_for
from node.neuron.resolver import resolve
from node.neuron.terminal_text import safe_text
from node.neuron.values import at_least, text
from node.neuron.wallets import open_wallet
from protocols.prompting import StreamPrompting

PROMPT = "hello this is a test of a streaming response. Lorem ipsum dolor sit amet."


def read_config() -> Config:
    """Returns the settings; a wrong one is told in one line and ends the script with 2."""
    parser = build_parser("client", description="Stream a prompt to one uid and print its tokens.")
    parser.add_argument(
        "--subtensor.network", "--network", type=text, default="local", help="network [local]"
    )
    parser.add_argument("--my_uid", type=at_least(0), required=True, help="whom to ask")
    parser.add_argument("--prompt", type=text, default=PROMPT, help="what to ask")
    return resolve(parser)


async def ask(config: Config, wallet: Wallet) -> int:
    """Asks; returns 0 for a reply that came whole, else 1."""
    private = allows_private(config)
    async with open_network(network_name(config), private) as network:
        metagraph = await network.metagraph(config.netuid)
    if config.my_uid not in metagraph.uids:
        raise ConfigError(
            f"netuid {config.netuid} of {metagraph.network} has {metagraph.n} neurons and no uid "
            f"{config.my_uid}"
        )
    synapse = StreamPrompting(roles=["user"], messages=[config.prompt])
    protocols = config["dendrite.protocols"]
    async with Dendrite(wallet, protocols=protocols, allow_private=private) as dendrite:
        streams = await dendrite(
            [metagraph.axons[config.my_uid]],
            synapse,
            timeout=config.neuron.timeout,
            deserialize=False,
        )
        async for chunk in streams[0]:
            if isinstance(chunk, str):
                print(safe_text(chunk), end="", flush=True)
            else:
                # The last item is the synapse itself, with its completion and status.
                synapse = chunk
    print()
    if not synapse.is_success:
        end = synapse.dendrite
        sys.stderr.write(f"client.py: {end.status_code} {safe_text(end.status_message or '')}\n")
    return 0 if synapse.is_success else 1


if __name__ == "__main__":
    settings = read_config()
    try:
        with logging_for(settings):
            code = asyncio.run(ask(settings, open_wallet(settings)))
    except NodeError as error:
        code = tell_error("client.py", error)
    sys.exit(code)
