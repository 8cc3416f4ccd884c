from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from node import Keypair, Peer


@pytest.fixture
def black_hole(bob: Keypair) -> Iterator[Peer]:
    """A peer to which no connection ever comes about: its backlog is full."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = [socket.socket() for _ in range(8)]
    for one in waiting:
        one.setblocking(False)
        one.connect_ex(listener.getsockname())
    yield Peer(hotkey=bob.ss58_address, ip="127.0.0.1", port=listener.getsockname()[1])
    for one in (*waiting, listener):
        one.close()
