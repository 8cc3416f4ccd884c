from __future__ import annotations

import pytest

from node import Keypair, Peer
from node.dendrite.head import encode_head, same_lines


@pytest.mark.parametrize(
    ("ip", "port", "host"),
    [
        ("127.0.0.1", 8091, "127.0.0.1:8091"),
        ("node.example", 80, "node.example"),
        ("::1", 8080, "[::1]:8080"),
    ],
)
def test_the_host_is_named_as_http_asks_for(alice: Keypair, ip: str, port: int, host: str) -> None:
    lines = same_lines(Peer(hotkey=alice.ss58_address, ip=ip, port=port)).split("\r\n")
    assert lines[0] == f"Host: {host}"
    assert "Accept-Encoding: identity" in lines


def test_a_head_is_its_lines() -> None:
    head = encode_head("POST", "/A?b=c", "Host: x", {"X-Name": "é"})
    assert head == "POST /A?b=c HTTP/1.1\r\nHost: x\r\nX-Name: é\r\n\r\n".encode()


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0"])
@pytest.mark.parametrize("place", ["target", "name", "value"])
def test_no_part_ends_its_line(end: str, place: str) -> None:
    parts = {"target": "/A", "name": "X-Name", "value": "b"}
    parts[place] += f"{end}X-Other: c"
    with pytest.raises(ValueError, match="line break"):
        encode_head("POST", parts["target"], "Host: x", {parts["name"]: parts["value"]})
