"""Writing how a call went into its synapse, so that errors can be values."""

from __future__ import annotations

from node.errors import CallError
from node.network import Peer
from node.synapse import Synapse, TerminalInfo

__all__ = ["settle", "stamp"]


def stamp(synapse: Synapse, peer: Peer, hotkey: str) -> None:
    """Write the two ends of a call that is about to start."""
    synapse.dendrite = TerminalInfo.model_construct(hotkey=hotkey)
    synapse.axon = TerminalInfo.model_construct(hotkey=peer.hotkey, ip=peer.ip, port=peer.port)


def settle(synapse: Synapse, error: CallError | None, seconds: float) -> None:
    """Write the outcome of a call into both ends.

    Args:
        synapse: The call's own copy.
        error: Why it failed, or None for status 200.
        seconds: How long it took by this side's clock.
    """
    status = 200 if error is None else error.status
    message = "Success" if error is None else error.detail
    for end in (synapse.dendrite, synapse.axon):
        end.status_code = status
        end.status_message = message
        end.process_time = seconds
