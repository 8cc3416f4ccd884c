"""`ganglion demo`: miners as processes of their own, one prompt through all of them, a table.

Everything is in one temporary folder: wallets, the network's file, the miners' output. The miners
are started by the command line that an operator uses. Whatever ends the demo, the miners are ended
and the folder is removed first.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from node.errors import ConfigError, NetworkError
from node.neuron.config import Config
from node.neuron.parsers import Parser
from node.neuron.resolver import resolve
from node.neuron.terminal_text import safe_text
from node.neuron.values import at_least, seconds, text, whole

if TYPE_CHECKING:
    from node.keys import Wallet
    from node.network import Network

    from .replies import Target

__all__ = ["main"]

T = TypeVar("T")

NETUID = 8
PROMPT = (
    "Each of these miners is a process of its own. They got this one prompt at the same moment, "
    "in a request that was signed for each of them, and stream it back token by token: "
    "plain text, é, 日本語, 🚀."
)
_REPLY_S = 120.0
_TERM_S = 10.0
_POLL_S = 0.05


def main(argv: Sequence[str], prog: str) -> int:
    """Runs the demo; returns 0 when every miner answered whole, else 1, or 128 plus a signal.

    Raises:
        NodeError: A setting is wrong, or the miners did not come up.
    """
    config = resolve(_parser(prog), argv)
    _check_box(config)
    with _Ending() as ending:
        try:
            return _box(config, ending) if config["faulty"] else _demo(config, ending)
        except (_EndedError, asyncio.CancelledError):
            if ending.received is None:
                raise
            return 128 + ending.received


def _demo(config: Config, ending: _Ending) -> int:
    # Here and not above: --help need not wait for these.
    from node.network import open_network

    from .asking import ask
    from .display import display_for
    from .replies import Reply
    from .reply_table import print_table

    with _temporary_folder() as folder:
        setting = _Setting(folder, config["miners"], config["token_delay"])
        with open_network(setting.network) as network, _Miners(setting) as miners:
            caller = setting.make_wallets(network)
            miners.start()
            targets = miners.serving(network, config["deadline"], ending)
            print(f"{len(targets)} miners registered and serve; one prompt goes to all at once.")
            replies = [Reply(target) for target in targets]
            with display_for(replies, alone=False) as display:
                ending.run(
                    ask(caller, replies, config["prompt"], timeout_s=_REPLY_S, display=display)
                )
            miners.show_ended()
    print_table(replies)
    return 0 if all(reply.is_good for reply in replies) else 1


def _check_box(config: Config) -> None:
    if config["faulty"] > config["miners"]:
        raise ConfigError(
            f"--faulty {config['faulty']} is more than --miners {config['miners']}; it says how "
            "many of them have a fault"
        )
    # What the other demo has would say nothing in this one.
    for name in ("prompt", "deadline") if config["faulty"] else ("steps",):
        if config.source(name) != "default":
            what = "without" if config["faulty"] else "with"
            raise ConfigError(f"--{name} is for a demo {what} --faulty")


def _box(config: Config, ending: _Ending) -> int:
    from .demo_box import run_box

    return ending.run(
        run_box(
            config["miners"],
            config["faulty"],
            token_delay_s=config["token_delay"],
            steps=config["steps"],
        )
    )


def _parser(prog: str) -> Parser:
    parser = Parser(
        prog=prog,
        description="Start miners on this machine as processes of their own, stream one prompt "
        "through all of them at once, and print how each did. With --faulty the miners share one "
        "process, some of them misbehave, and a validator scores them. Nothing is left behind.",
    )
    parser.add_argument(
        "--miners", type=_miners, default=3, metavar="N", help="how many miners [3]"
    )
    parser.add_argument("--prompt", type=text, default=PROMPT, help="the text to stream")
    parser.add_argument(
        "--token_delay", type=seconds(zero=True), default=0.03, metavar="SECONDS",
        help="pause of the miners between two tokens [0.03]",
    )  # fmt: skip
    parser.add_argument(
        "--deadline", type=seconds(), default=30.0, metavar="SECONDS",
        help="how long the miners may take to serve [30]",
    )  # fmt: skip
    parser.add_argument(
        "--faulty", type=at_least(0), default=0, metavar="N",
        help="how many of the miners misbehave, each kind of fault in turn [0]",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=at_least(1), default=5, metavar="N",
        help="with --faulty: steps of the validator [5]",
    )  # fmt: skip
    return parser


def _miners(value: str) -> int:
    return whole(value, low=1, high=64)


class _EndedError(Exception):
    """A signal asked the demo to end."""


class _Ending:
    """Lets the first signal end the demo by way of its clean-up, and no second one disturb that."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._cancel: Callable[[], object] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: object) -> None:
        if self.received is None:
            self.received = number
            if self._cancel is not None:
                self._cancel()

    def check(self) -> None:
        """Raises `_EndedError` when a signal has come."""
        if self.received is not None:
            raise _EndedError

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in a loop of its own; a signal cancels it."""

        async def cancellable() -> T:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            assert task is not None
            self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
            try:
                if self.received is not None:
                    task.cancel()
                return await work
            finally:
                self._cancel = None

        return asyncio.run(cancellable())


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ganglion-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Setting:
    """Where the demo's files are, and how its miners are started."""

    folder: Path
    count: int
    token_delay_s: float

    @property
    def network(self) -> str:
        return f"local:{self.folder / 'network.db'}"

    @property
    def hotkeys(self) -> list[str]:
        return [f"miner{number}" for number in range(1, self.count + 1)]

    def make_wallets(self, network: Network) -> Wallet:
        """Makes the miners' wallets and the caller's; only the caller is registered here."""
        from node.keys import Wallet

        caller, *_ = [
            Wallet("demo", hotkey, self.folder / "wallets").create()
            for hotkey in ("caller", *self.hotkeys)
        ]
        network.register(NETUID, caller)
        return caller

    def command(self, hotkey: str) -> list[str]:
        return [
            sys.executable, "-m", "node", "miner",
            "--netuid", str(NETUID),
            "--wallet.name", "demo", "--wallet.hotkey", hotkey,
            "--wallet.path", str(self.folder / "wallets"),
            "--subtensor.network", self.network,
            "--axon.ip", "127.0.0.1", "--axon.port", "0", "--axon.grace_s", "1",
            "--neuron.token_delay", str(self.token_delay_s),
        ]  # fmt: skip

    def environment(self) -> Mapping[str, str]:
        """This process's, without settings that were meant for other miners."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GANGLION_", "BT_"))
        }
        # From a checkout the package is found by the place of this file, not by the working folder.
        root = str(Path(__file__).resolve().parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        return kept | {"GANGLION_HOME": str(self.folder), "PYTHONPATH": os.pathsep.join(paths)}


class _Miners:
    """The miner processes, from start to the last one's end."""

    def __init__(self, setting: _Setting) -> None:
        self._setting = setting
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + _TERM_S
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self) -> None:
        """Starts every miner, in a session of its own: Ctrl-C is the demo's to handle."""
        for hotkey in self._setting.hotkeys:
            with self._log(hotkey).open("wb") as log:
                self._processes[hotkey] = subprocess.Popen(  # noqa: S603 - our own command line
                    self._setting.command(hotkey),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._setting.environment(),
                    start_new_session=True,
                )

    def serving(self, network: Network, deadline_s: float, ending: _Ending) -> list[Target]:
        """Waits until the network lists every miner with an address.

        Raises:
            NetworkError: One ended, or not all were there in time; what they wrote was shown.
        """
        from .replies import Target

        deadline = time.monotonic() + deadline_s
        while time.monotonic() < deadline:
            ending.check()
            self._check_alive()
            metagraph = network.metagraph(NETUID)
            uids = [uid for uid in metagraph.uids if metagraph.axons[uid].is_serving]
            if len(uids) == len(self._processes):
                return [Target(metagraph.axons[uid], uid) for uid in uids]
            time.sleep(_POLL_S)
        self._show(list(self._processes))
        raise NetworkError(f"the miners did not all serve within {deadline_s:g} s")

    def show_ended(self) -> None:
        """Shows what miners wrote that are no longer there."""
        self._show(
            [name for name, process in self._processes.items() if process.poll() is not None]
        )

    def _check_alive(self) -> None:
        for hotkey, process in self._processes.items():
            if process.poll() is not None:
                self._show([hotkey])
                raise NetworkError(f"{hotkey} ended with code {process.returncode} at its start")

    def _log(self, hotkey: str) -> Path:
        return self._setting.folder / f"{hotkey}.log"

    def _show(self, hotkeys: Sequence[str]) -> None:
        for hotkey in hotkeys:
            written = self._log(hotkey).read_text(encoding="utf-8", errors="replace")
            for line in written.splitlines() or ["(it wrote nothing)"]:
                sys.stderr.write(f"{hotkey}: {safe_text(line)}\n")
