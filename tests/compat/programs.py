"""The streaming tutorial's programs, in their shape and with their idioms, for SDK 6-10.

Each is what a user has before moving: the test changes `import bittensor as bt` and nothing else.
`stand_in` takes the place of `transformers`, whose tokenizer needs a download; it has the three
methods that the tutorial calls. Of `starlette` only a name for an annotation was used.
"""

from __future__ import annotations

OLD_IMPORT = "import bittensor as bt\n"
NEW_IMPORT = "import node.compat as bt\n"

STAND_IN = '''
import re


class GPT2Tokenizer:
    """Words with the spaces before them, under the calls of the real one."""

    @classmethod
    def from_pretrained(cls, name):
        return cls()

    def __call__(self, text, return_tensors="pt"):
        self._words = re.findall(r"\\s*\\S+", text)
        return self

    @property
    def input_ids(self):
        return self

    def squeeze(self):
        return list(range(len(self._words)))

    def decode(self, id):
        return self._words[id]
'''

PROTOCOL = """
from typing import List

import pydantic

import bittensor as bt


class MyStreamingSynapse(bt.StreamingSynapse):
    messages: List[str] = pydantic.Field(
        ..., title="Messages", description="The prompt. Immutable.", allow_mutation=False
    )
    completion: str = pydantic.Field("", title="Completion")

    def deserialize(self) -> str:
        return self.completion

    async def process_streaming_response(self, response: "MyStreamingSynapse"):
        async for chunk in response.content.iter_any():
            tokens = chunk.decode("utf-8").split("\\n")
            for token in tokens:
                if token:
                    self.completion += token
            yield tokens

    def extract_response_json(self, response: "MyStreamingSynapse") -> dict:
        headers = {
            k.decode("utf-8"): v.decode("utf-8") for k, v in response.__dict__["_raw_headers"]
        }

        def extract_info(prefix):
            return {k.split("_")[-1]: v for k, v in headers.items() if k.startswith(prefix)}

        return {
            "name": headers.get("name", ""),
            "timeout": float(headers.get("timeout", 0)),
            "total_size": int(headers.get("total_size", 0)),
            "header_size": int(headers.get("header_size", 0)),
            "dendrite": extract_info("bt_header_dendrite"),
            "axon": extract_info("bt_header_axon"),
            "messages": self.messages,
            "completion": self.completion,
        }
"""

FORWARD = """
from functools import partial

import bittensor as bt
from protocol import MyStreamingSynapse
from stand_in import GPT2Tokenizer


def answer(synapse: MyStreamingSynapse) -> MyStreamingSynapse:
    bt.logging.trace("In outer PROMPT()")
    tokenizer = GPT2Tokenizer.from_pretrained("gpt2")

    def model(ids):
        return (tokenizer.decode(id) for id in ids)

    async def _forward(text: str, send):
        bt.logging.trace("In inner _PROMPT()")
        input_ids = tokenizer(text, return_tensors="pt").input_ids.squeeze()
        N = 3
        buffer = []
        for token in model(input_ids):
            buffer.append(token)
            if len(buffer) == N:
                joined = "".join(buffer)
                await send(
                    {
                        "type": "http.response.body",
                        "body": joined.encode("utf-8"),
                        "more_body": True,
                    }
                )
                bt.logging.debug(f"Streamed tokens: {joined}")
                buffer = []
        if buffer:
            await send(
                {
                    "type": "http.response.body",
                    "body": "".join(buffer).encode("utf-8"),
                    "more_body": False,
                }
            )

    token_streamer = partial(_forward, synapse.messages[0])
    return synapse.create_streaming_response(token_streamer)
"""

BASE_MINER = """
import sys

import bittensor as bt
from forward import answer
from protocol import MyStreamingSynapse


class MyStreamPromptingMiner(bt.Miner):
    def forward(self, synapse: MyStreamingSynapse) -> MyStreamingSynapse:
        return answer(synapse)


if __name__ == "__main__":
    sys.exit(MyStreamPromptingMiner.launch())
"""

OWN_MINER = """
import argparse
import copy
import os
import threading
import time
from abc import ABC, abstractmethod

import bittensor as bt
from forward import answer
from protocol import MyStreamingSynapse


def get_config() -> "bt.Config":
    parser = argparse.ArgumentParser()
    parser.add_argument("--axon.port", type=int, default=8098)
    parser.add_argument("--subtensor.network", default="finney")
    parser.add_argument("--subtensor.chain_endpoint", default="wss://nowhere.invalid:443")
    parser.add_argument("--netuid", type=int, default=1)
    parser.add_argument("--miner.name", type=str, default="Bittensor Miner")
    bt.subtensor.add_args(parser)
    bt.logging.add_args(parser)
    bt.wallet.add_args(parser)
    bt.axon.add_args(parser)
    config = bt.config(parser)
    config.full_path = os.path.expanduser(
        "{}/{}/{}/netuid{}/{}".format(
            config.logging.logging_dir,
            config.wallet.get("name", bt.defaults.wallet.name),
            config.wallet.get("hotkey", bt.defaults.wallet.hotkey),
            config.netuid,
            "miner",
        )
    )
    os.makedirs(config.full_path, exist_ok=True)
    return config


class StreamMiner(ABC):
    def __init__(self, config=None):
        base_config = copy.deepcopy(config or get_config())
        self.config = self.config()
        self.config.merge(base_config)
        bt.axon.check_config(self.config)
        bt.logging.check_config(self.config)
        bt.logging.set_config(config=self.config.logging)
        self.wallet = bt.wallet(config=self.config)
        self.subtensor = bt.subtensor(config=self.config)
        self.metagraph = self.subtensor.metagraph(self.config.netuid)
        if self.wallet.hotkey.ss58_address not in self.metagraph.hotkeys:
            bt.logging.error(f"{self.wallet} is not registered with {self.subtensor}")
            exit()
        self.uid = self.metagraph.hotkeys.index(self.wallet.hotkey.ss58_address)
        self.axon = bt.axon(wallet=self.wallet, port=self.config.axon.port, config=self.config)
        self.axon.attach(forward_fn=self._prompt)
        self.should_exit = False

    @abstractmethod
    def config(self) -> "bt.Config": ...

    def _prompt(self, synapse: MyStreamingSynapse) -> MyStreamingSynapse:
        return self.prompt(synapse)

    def run(self):
        assert self.subtensor.is_hotkey_registered(
            netuid=self.config.netuid, hotkey_ss58=self.wallet.hotkey.ss58_address
        )
        self.axon.serve(netuid=self.config.netuid, subtensor=self.subtensor)
        self.axon.start()
        bt.logging.info(f"Miner starting at block: {self.subtensor.get_current_block()}")
        while not self.should_exit:
            time.sleep(0.05)
        self.axon.stop()

    def __enter__(self):
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def __exit__(self, exc_type, exc_value, traceback):
        self.should_exit = True
        self.thread.join(5)


class StreamingTemplateMiner(StreamMiner):
    def config(self) -> "bt.Config":
        parser = argparse.ArgumentParser(description="Streaming Miner Configs")
        self.add_args(parser)
        return bt.config(parser)

    def add_args(cls, parser: argparse.ArgumentParser):
        pass

    def prompt(self, synapse: MyStreamingSynapse) -> MyStreamingSynapse:
        return answer(synapse)


if __name__ == "__main__":
    try:
        with StreamingTemplateMiner():
            while True:
                time.sleep(1)
    except KeyboardInterrupt:
        bt.logging.success("Miner killed by keyboard interrupt.")
"""

CLIENT = """
import asyncio
import sys

import bittensor as bt
from protocol import MyStreamingSynapse

syn = MyStreamingSynapse(
    roles=["user"],
    messages=["hello this is a test of a streaming response. Lorem ipsum dolor"],
)
wallet = bt.wallet(name="default", hotkey="default")
metagraph = bt.metagraph(netuid=8, network="local", sync=True, lite=False)
my_uid = 1
axon = metagraph.axons[my_uid]
dendrite = bt.dendrite(wallet=wallet)


async def main():
    responses = await dendrite([axon], syn, deserialize=False, streaming=True)
    for resp in responses:
        async for chunk in resp:
            if isinstance(chunk, list):
                print(chunk[0], end="|", flush=True)
            else:
                synapse = chunk
        break
    print()
    print(synapse.completion)
    print(synapse.dendrite.status_code, synapse.axon.hotkey == axon.hotkey)


if __name__ == "__main__":
    asyncio.run(main())
"""

PROGRAMS = {
    "protocol.py": PROTOCOL,
    "forward.py": FORWARD,
    "base_miner.py": BASE_MINER,
    "own_miner.py": OWN_MINER,
    "client.py": CLIENT,
}
