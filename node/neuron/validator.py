"""The validator: asks peers, scores their replies, remembers, and sets weights."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from node.axon import Axon
from node.dendrite import Dendrite
from node.dendrite.dormancy import Dormancy
from node.errors import NetworkError, NodeError
from node.network import Metagraph, Peer
from node.network.ending import end_tasks
from node.synapse import Synapse
from protocols.prompting import StreamPrompting

from .board import Board, QuietBoard
from .chosen_network import allows_private
from .config import Config
from .engine import make_engine
from .gathering import gather_replies
from .judging import Judge, graded
from .keeper import StateKeeper
from .neuron import BLOCK_S, Neuron
from .prompts import random_prompt
from .publishing import Publisher
from .reply import Reply, Verdict
from .round import Round
from .scoring import Averages, LatencyCurve, absentees, sample
from .serving import make_axon
from .state import ScoreRow, Step, ValidatorState, state_path
from .weighing import Weighing

__all__ = ["Validator"]

logger = logging.getLogger(__name__)


class Validator(Neuron):
    """Base of validators, and a validator itself: it checks that peers stream prompts back.

    A subclass overrides `forward`, which asks peers by `ask`, and `reward`, which judges one
    reply. Everything else is done here: sampling, deadlines, averages by hotkey, one transaction
    of state for each step, and weights every epoch. Constructing one reads the settings and the
    hotkey and does no other I/O.

    Args:
        config: The settings; None takes what `config()` returns.
        board: Shows the steps as they go; one that shows nothing by default.

    Attributes:
        version_key: The version that weights are set with, for chains whose subnets demand one.
        dendrite: What asks, made by `start` and closed by `stop`.
        metagraph: The subnet as it was last read; from `start`.
        engine: Works out right answers.
        scores: Moving averages of the rewards, by hotkey.
        state_file: Where the state is.
        steps: How many steps were done since the state was begun.
        rng: Where prompts and samples come from; peers can't guess it.

    Raises:
        ConfigError: A setting is wrong or missing.
        WalletError: The hotkey can't be read; the text says how to make one.
    """

    kind = "validator"
    version_key: ClassVar[int] = 0
    dendrite: Dendrite
    metagraph: Metagraph
    _weighing: Weighing

    if TYPE_CHECKING:
        # Subclasses take what context they give to `ask`, which a declared method would not let.
        reward: Any
    else:

        def reward(self, reply: Reply, answer: str = "") -> Verdict:
            """Judges a complete reply: right or wrong, how soon it began, and signed or not.

            An override may return a number from 0 to 1, a pair of one and a word, or a
            `Verdict`; it may be async. A sync one runs in a worker thread.
            """
            return self.grade(reply, float(reply.text == answer))

    def __init__(self, config: Config | None = None, *, board: Board | None = None) -> None:
        super().__init__(config)
        settings = self.config
        self.board: Board = QuietBoard() if board is None else board
        self.engine = make_engine(settings)
        self.rng: random.Random = random.SystemRandom()
        self.scores = Averages(settings["neuron.moving_average_alpha"])
        self.steps = 0
        self._curve = LatencyCurve(settings["neuron.latency_full"], settings["neuron.latency_zero"])
        self._judge: Judge | None = None
        # Here and not in `start`: resolving a path may ask the file system, which blocks.
        self.state_file = self._place_state()
        self._keeper = self._make_keeper()
        self._axon: Axon | None = None
        self._publisher: Publisher | None = None
        self._round: Round | None = None
        self._synced_at = 0.0
        self._unsaved: dict[str, int] = {}

    # What a subclass overrides.

    async def forward(self) -> None:
        """Asks a sample of the peers to stream a random prompt, and has the replies judged."""
        prompt = self.make_prompt()
        answer = "".join([token async for token in self.engine.tokens(prompt)])
        await self.ask(StreamPrompting(messages=[prompt]), answer=answer)

    def make_prompt(self) -> str:
        """Returns what the default `forward` asks next."""
        return random_prompt(self.rng)

    def attach(self, axon: Axon) -> None:
        """Attaches forwards for this validator's own callers; with none no axon is started."""

    # What a subclass calls.

    def sample(self, size: int | None = None) -> list[int]:
        """Returns uids of peers to ask: serving, awake, not a large validator, not oneself.

        Args:
            size: Most of them; `--neuron.sample_size` by default.
        """
        dormancy = self.dendrite.dormancy
        return sample(
            self.metagraph,
            self.config["neuron.sample_size"] if size is None else size,
            rng=self.rng,
            own_hotkey=self.wallet.hotkey.ss58_address,
            vpermit_tao_limit=self.config["neuron.vpermit_tao_limit"],
            skip=None if dormancy is None else lambda peer: not dormancy.is_awake(peer),
        )

    async def ask(
        self,
        synapse: Synapse,
        uids: Iterable[int] | None = None,
        *,
        timeout: float | None = None,
        **context: Any,
    ) -> list[tuple[Reply, Verdict]]:
        """Ask peers at once, judge every reply, and count the verdicts in this step.

        No reply raises: a failed call is a verdict of 0 with the reason of it.

        Args:
            synapse: What to ask; each peer gets a copy.
            uids: Whom; a fresh sample by default.
            timeout: Seconds for each exchange in all; `--neuron.timeout` by default.
            context: Passed to `reward` by name.

        Returns:
            Reply and verdict for each peer, in the order of `uids`; none when there is nobody.

        Raises:
            RuntimeError: No step is under way; only `forward` may ask.
        """
        current, judge = self._round, self._judge
        if current is None or judge is None:
            raise RuntimeError("ask() counts in a step; call it from forward()")
        peers = self._peers_of(self.sample() if uids is None else uids)
        current.asked += len(peers)
        self.board.asked([(uid, peer.hotkey) for uid, peer in peers.items()])
        if not peers:
            return []
        replies = await gather_replies(
            self.dendrite,
            peers,
            synapse,
            timeout_s=self.config["neuron.timeout"] if timeout is None else timeout,
            max_bytes=self.config["neuron.max_reply_bytes"],
            told=self._told,
        )
        # After the last reply and not meanwhile: judging would add to the times of those to come.
        verdicts = await asyncio.gather(
            *(judge.judge(reply, self.reward, **context) for reply in replies)
        )
        judged = list(zip(replies, verdicts, strict=True))
        for reply, verdict in judged:
            event = current.add(reply, verdict)
            self.board.judged(
                event.uid, event.reward, event.reason, event.first_byte_s, event.tokens_per_s
            )
        return judged

    def grade(self, reply: Reply, correctness: float) -> Verdict:
        """Correctness times the latency curve, and 0 for a reply that its peer did not sign."""
        needs_receipt = not self.config["neuron.allow_unsigned_replies"]
        return graded(reply, correctness, curve=self._curve, needs_receipt=needs_receipt)

    # The life of the program.

    async def start(self) -> None:
        """Opens the state, reads the network and makes the dendrite.

        On a network that gives uids for the asking the hotkey is registered if need be.

        Raises:
            StateError: The state file is another validator's, or in use.
            NetworkError: The network can't be read.
            NotRegistered: The hotkey has no uid, on a network where one must be got first.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop(grace_s=0.0)
            raise
        logger.info(
            "uid %s on netuid %s of %s validates from step %d on, state in %s",
            self.uid, self.config["netuid"], self.network.name, self.steps + 1, self.state_file,
        )  # fmt: skip

    async def _start(self) -> None:
        self.metagraph = await self.network.metagraph(self.config["netuid"])
        self._synced_at = time.monotonic()
        self.uid = self.metagraph.uid_of(self.wallet.hotkey.ss58_address)
        if self.uid is None:
            self.uid = await self.network.register(self.config["netuid"], self.wallet)
            await self.metagraph.sync()
        saved = await self._keeper.open()
        self.steps = saved.step
        self._weighing = self._make_weighing(saved.last_weights_block)
        self.scores = Averages(
            self.config["neuron.moving_average_alpha"],
            {hotkey: row.score for hotkey, row in saved.scores.items()},
        )
        self._judge = Judge(timeout_s=self.config["neuron.reward_timeout"])
        self.dendrite = self._make_dendrite()
        await self._start_axon()

    async def stop(self, grace_s: float | None = None) -> None:
        """Closes what `start` opened; may be called again."""
        axon, self._axon = self._axon, None
        publisher, self._publisher = self._publisher, None
        judge, self._judge = self._judge, None
        try:
            if publisher is not None:
                await publisher.stop()
            if axon is not None:
                await axon.stop(grace_s)
            if judge is not None:
                judge.close()
                await self.dendrite.aclose()
        finally:
            await self._keeper.close()
            await super().stop(grace_s)

    async def serve_until(self, stopping: asyncio.Event) -> None:
        """Steps until the event, which cancels the step under way, or until `--neuron.steps`."""
        stepping = asyncio.create_task(self.run_steps(), name="validator steps")
        stopped = asyncio.create_task(stopping.wait(), name="validator stop")
        try:
            await asyncio.wait((stepping, stopped), return_when=asyncio.FIRST_COMPLETED)
            if stepping.done():
                stepping.result()
        finally:
            await end_tasks((stepping, stopped))

    async def run_steps(self) -> None:
        """Does steps, `--neuron.step_interval` apart, until `--neuron.steps` or for ever."""
        most = self.config["neuron.steps"]
        interval_s = self.config["neuron.step_interval"]
        with self.board:
            done = 0
            while True:
                began = time.monotonic()
                await self.step()
                done += 1
                if most and done >= most:
                    return
                await asyncio.sleep(max(0.0, began + interval_s - time.monotonic()))

    async def step(self) -> Round:
        """Does one step: read the network, ask, judge, average, save, and set weights if due.

        What peers, the network or `forward` do wrong is noted in the step and logged.

        Returns:
            What happened; it is saved by then.
        """
        started_ns = time.time_ns()
        current = Round(self.steps + 1)
        self._round = current
        self.board.begin_step(current.step)
        try:
            await self._sync(current)
            self.board.synced(self.metagraph.block, self._next_weights_block())
            await self._forward_all(current)
        finally:
            self._round = None
        self._add_absent(current)
        self.scores.update(current.rewards())
        self.steps = current.step
        await self._save(current, started_ns)
        await self._set_weights_if_due(current)
        note = "; ".join(current.notes)
        self.board.end_step(current.step, note, self._standings())
        logger.info(
            "step %d: %d of %d answered%s",
            current.step, current.answered, current.asked, f"; {note}" if note else "",
        )  # fmt: skip
        return current

    async def set_weights(self) -> bool:
        """Sets weights from the scores as they are now, whatever the last time was.

        Returns:
            Whether weights were set. Without a score above 0 there is nothing to say.

        Raises:
            NetworkError: The network refused or can't be written.
            StateError: They were set, and that could not be saved.
        """
        count = await self._weighing.set(self.metagraph, self.scores, version_key=self.version_key)
        if count:
            self.board.weights_set(self.metagraph.block)
            logger.info("weights set for %d uids at block %d", count, self.metagraph.block)
        return bool(count)

    def _place_state(self) -> Path:
        named = self.config["neuron.state"]
        if named:
            return Path(named).expanduser().absolute()
        hotkey = self.wallet.hotkey.ss58_address
        return state_path(self.config["netuid"], hotkey, self.network.name)

    def _make_keeper(self) -> StateKeeper:
        state = ValidatorState(
            self.state_file,
            netuid=self.config["netuid"],
            hotkey=self.wallet.hotkey.ss58_address,
            network=self.network.name,
            keep_steps=self.config["neuron.keep_steps"],
        )
        return StateKeeper(state)

    def _make_weighing(self, last_block: int) -> Weighing:
        weighing = Weighing(
            self.network,
            self.config["netuid"],
            self.wallet,
            self._keeper,
            epoch_blocks=self.config["neuron.epoch_length"],
        )
        weighing.last_block = last_block
        return weighing

    def _make_dendrite(self) -> Dendrite:
        most = self.config["neuron.max_reply_bytes"]
        return Dendrite(
            self.wallet,
            protocols=self.config["dendrite.protocols"],
            max_reply_bytes=most,
            max_chunk_bytes=most,
            dormancy=Dormancy(),
            allow_private=allows_private(self.config),
        )

    async def _start_axon(self) -> None:
        if self.config["neuron.axon_off"]:
            return
        axon = make_axon(self.config, self.wallet, self.network)
        self.attach(axon)
        if not axon.routes:
            return
        await axon.start()
        self._axon = axon
        self._publisher = self._make_publisher(axon)
        await self._publisher.start()

    def _peers_of(self, uids: Iterable[int]) -> dict[int, Peer]:
        axons = self.metagraph.axons
        return {uid: axons[uid] for uid in uids}

    def _told(self, reply: Reply) -> None:
        self.board.replied(reply.uid)

    async def _sync(self, current: Round) -> None:
        """Reads the network again, at most once a block; goes on with what is known if it can't."""
        if time.monotonic() - self._synced_at < min(BLOCK_S, self.config["neuron.step_interval"]):
            return
        try:
            await self.metagraph.sync()
        except NetworkError as error:
            logger.warning("the metagraph could not be read: %s", error)
            current.notes.append("metagraph not read")
            return
        self._synced_at = time.monotonic()
        self.uid = self.metagraph.uid_of(self.wallet.hotkey.ss58_address)

    async def _forward_all(self, current: Round) -> None:
        count = self.config["neuron.num_concurrent_forwards"]
        outcomes = await asyncio.gather(*(self._forward_guarded() for _ in range(count)))
        current.notes += sorted(filter(None, outcomes))
        if not current.asked and not current.notes:
            current.notes.append("nobody to ask")
        elif current.asked and not current.answered:
            current.notes.append("nobody answered")

    async def _forward_guarded(self) -> str:
        """Runs `forward`; returns what went wrong with it in a few words, or ""."""
        try:
            async with asyncio.timeout(self.config["neuron.step_timeout"]):
                await self.forward()
        except TimeoutError:
            logger.error("forward took over %g s and was ended", self.config["neuron.step_timeout"])
            return "forward took too long"
        except Exception as error:
            logger.exception("forward failed")
            return f"forward failed ({type(error).__name__})"
        return ""

    def _add_absent(self, current: Round) -> None:
        dormancy = self.dendrite.dormancy
        for uid, hotkey, reason in absentees(
            self.metagraph,
            self.scores,
            asked=current.asked,
            seen={event.hotkey for event in current.events},
            rng=self.rng,
            own_key=self.wallet.hotkey.public_key,
            is_dormant=lambda peer: dormancy is not None and not dormancy.is_awake(peer),
        ):
            current.add_absent(uid, hotkey, reason)

    async def _save(self, current: Round, started_ns: int) -> None:
        now_ns = time.time_ns()
        self._unsaved |= {event.hotkey: event.uid for event in current.events}
        rows = [
            ScoreRow(hotkey, uid, self.scores.score_of(hotkey), current.step, now_ns)
            for hotkey, uid in self._unsaved.items()
        ]
        step = Step(
            current.step, started_ns, now_ns, self.metagraph.block, current.asked,
            current.answered, "; ".join(current.notes),
        )  # fmt: skip
        try:
            await self._keeper.save_step(step, current.events, rows)
        except NodeError as error:
            # The averages are still in memory; the next step saves them too.
            logger.error("step %d could not be saved: %s", current.step, error)
            current.notes.append("not saved")
            return
        self._unsaved.clear()

    async def _set_weights_if_due(self, current: Round) -> None:
        uid = self.uid
        if self.config["neuron.disable_set_weights"] or uid is None:
            return
        try:
            is_due = await self._weighing.is_due(self.metagraph, uid)
            if is_due and not await self.set_weights():
                current.notes.append("no scores to set weights by")
        except NodeError as error:
            logger.warning("weights were not set: %s", error)
            current.notes.append("weights not set")

    def _next_weights_block(self) -> int | None:
        """The block from which on weights are set, by the epoch; None where they never are."""
        if self.config["neuron.disable_set_weights"] or self.uid is None:
            return None
        return self._weighing.next_block(self.metagraph, self.uid)

    def _standings(self) -> list[tuple[int, str, float]]:
        """Uid, hotkey and score of each peer that was ever judged."""
        scores = self.scores.as_dict()
        return [
            (uid, hotkey, scores[hotkey])
            for uid, hotkey in enumerate(self.metagraph.hotkeys)
            if hotkey in scores
        ]
