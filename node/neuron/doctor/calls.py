"""Signed requests to this neuron's own axon: does it take them, and does it sign its replies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from node.dendrite import Deadlines, Dendrite
from node.dendrite.dialect import Dialect
from node.dendrite.dialects import DIALECTS
from node.dendrite.question import Question
from node.errors import BadReceipt, CallError, PeerRefused, PeerUnreachable, WalletError
from node.keys import Keypair
from node.network import Peer
from node.neuron.config import Config
from node.synapse import StreamingSynapse, Synapse
from protocols.prompting import Prompting, StreamPrompting

from .finding import Finding
from .key_check import Key
from .ports import Local
from .probing import Answer, Prober

__all__ = ["check_protocols", "check_receipt"]

_PROMPT = "ganglion doctor"
_USUAL_ROUTES = ("StreamPrompting", "Prompting")
# No JSON object: it is refused after the signature was checked, and before any forward runs.
_NO_BODY = b"[]"


async def check_protocols(
    config: Config, key: Key, local: Local, routes: Sequence[str], prober: Prober
) -> Finding:
    """Is a signed request taken in each protocol that is on. No forward runs for it.

    Args:
        config: With `axon.protocols`.
        key: Signs.
        local: The axon on this machine.
        routes: Those that it serves, as far as is known.
        prober: May connect to this machine.
    """
    name, wanted = "protocols", config["axon.protocols"]
    if local.page is None:
        return Finding.skip(name, f"{', '.join(wanted)}; the axon doesn't run, so none was tried")
    if key.keypair is None:
        return Finding.skip(name, f"{', '.join(wanted)}; the hotkey can't sign, so none was tried")
    outcomes = {
        protocol: await _try(protocol, key.keypair, local.peer, routes, prober)
        for protocol in local.page.protocols
    }
    found = "; ".join(f"{protocol}: {outcome or 'taken'}" for protocol, outcome in outcomes.items())
    refused = [outcome for outcome in outcomes.values() if outcome.startswith("refused")]
    if refused:
        return Finding.fail(name, found, _advice(refused))
    if set(local.page.protocols) != set(wanted):
        return Finding.warn(
            name,
            f"{found}; the settings say {', '.join(wanted)}",
            "start the neuron again with these settings",
        )
    if any(outcomes.values()):
        return Finding.warn(name, found, "see what the axon's log says of these requests")
    return Finding.ok(name, f"signed requests of this hotkey: {found}")


def _advice(refused: Iterable[str]) -> str:
    if any("time" in outcome for outcome in refused):
        return "set this machine's clock right"
    return "see that the axon was started with this very hotkey, and what its log says"


async def _try(
    protocol: str, keypair: Keypair, peer: Peer, routes: Sequence[str], prober: Prober
) -> str:
    """What became of a signed request: "" if it was taken, else some words about it."""
    if protocol not in DIALECTS:
        return "not tried, since no dendrite here speaks it"
    dialect = DIALECTS[protocol](bound=True, hotkey=keypair.ss58_address)
    answer = Answer(404)
    for question in _questions(dialect, routes or _USUAL_ROUTES):
        try:
            signed = dialect.sign(keypair, question, peer, prober.clock_ns())
            answer = await prober.post(
                peer.url + question.target, question.body, {**question.headers, **signed.headers}
            )
        except WalletError as error:
            return f"not tried: {error}"
        except PeerUnreachable as error:
            return f"no answer ({error})"
        if answer.status != 404:
            break
    return _read(answer)


def _questions(dialect: Dialect, routes: Sequence[str]) -> list[Question]:
    if dialect.name == "synapse":
        # The base class is a route of every axon that speaks to SDK 6-10: their ping.
        return [dialect.ask(Synapse(), Deadlines())]
    digest = hashlib.sha256(_NO_BODY).digest()
    return [Question(f"/{route}", _NO_BODY, digest, Deadlines(), None) for route in routes]


def _read(answer: Answer) -> str:
    if answer.status in (200, 422):
        return ""
    if answer.status == 404:
        return "not tried, since no route of the axon is known"
    if answer.status == 401:
        offset = answer.document.get("clock_offset_s")
        clock = f" (its clock less ours: {offset} s)" if isinstance(offset, int | float) else ""
        return f"refused with {answer.said}{clock}"
    return f"answered with {answer.said}"


async def check_receipt(
    key: Key,
    local: Local,
    routes: Sequence[str],
    *,
    timeout_s: float,
    clock_ns: Callable[[], int],
) -> Finding:
    """Send the running axon one short prompt, and check the reply and what it signed.

    Args:
        key: Signs.
        local: The axon on this machine.
        routes: Those that it serves, as far as is known.
        timeout_s: Seconds that the reply may take.
        clock_ns: Gives Unix nanoseconds.
    """
    name = "receipt"
    if local.page is None or key.keypair is None:
        why = "the axon doesn't run" if local.page is None else "the hotkey can't sign"
        return Finding.skip(name, f"{why}, so it was asked nothing")
    if "btauth" not in local.page.protocols:
        return Finding.skip(name, "only btauth has receipts, and the axon doesn't speak it")
    synapses = [
        synapse
        for synapse in (StreamPrompting(messages=[_PROMPT]), Prompting(messages=[_PROMPT]))
        if not routes or synapse.name in routes
    ]
    async with Dendrite(key.keypair, dormancy=False, clock_ns=clock_ns) as dendrite:
        for synapse in synapses:
            try:
                return await _ask(dendrite, local.peer, synapse, timeout_s)
            except PeerRefused as error:
                if error.status != 404:
                    return _refused(error)
            except BadReceipt as error:
                return Finding.fail(
                    name, f"its receipt does not hold: {error.detail}", "see the axon's log"
                )
            except CallError as error:
                return Finding.fail(
                    name, f"a prompt was not answered: {error.detail}", "see the axon's log"
                )
    served = f"it serves {', '.join(routes)}" if routes else "it serves no prompting route"
    return Finding.skip(name, f"{served}, so no prompt was sent")


async def _ask(dendrite: Dendrite, peer: Peer, synapse: Synapse, timeout_s: float) -> Finding:
    if isinstance(synapse, StreamingSynapse):
        async with dendrite.stream(peer, synapse, timeout_s, raise_errors=True) as stream:
            await stream.final()
            receipt, timing = stream.receipt, stream.timing
        how = f"chunks: {timing.chunks}, the first after {(timing.first_byte_s or 0) * 1000:.0f} ms"
    else:
        reply = await dendrite.call(peer, synapse, timeout_s, False, raise_errors=True)
        receipt, how = reply.receipt, "one reply"
    if receipt is None:
        return Finding.warn(
            "receipt",
            f"a prompt to {synapse.name} was answered ({how}) and not signed",
            "let the axon sign: receipts=True",
        )
    return Finding.ok("receipt", f"a prompt to {synapse.name} was answered: {how}; receipt valid")


def _refused(error: PeerRefused) -> Finding:
    found = f"a prompt was refused: {error.status} {error.detail}"
    if error.status in (403, 429, 503):
        return Finding.warn(
            "receipt", found, "it is the axon's rules or load; nothing, if so meant"
        )
    return Finding.fail("receipt", found, "see the axon's log")
