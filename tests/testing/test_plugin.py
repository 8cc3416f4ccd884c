"""The fixtures, as a subnet author's own test run has them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

FIVE_LINES = """
async def test_shout(ganglion_network):
    async with ganglion_network(miners=2, faulty={"dead": 1}, forward=shout) as net:
        replies = await net.dendrite()(net.peers, Shout(text="hi"))
        assert [reply.answer for reply in replies] == ["HI", "HI", ""]
"""
PROTOCOL = """
from node import Synapse

class Shout(Synapse):
    text: str
    answer: str = ""

async def shout(synapse: Shout) -> Shout:
    synapse.answer = synapse.text.upper()
    return synapse
"""


def run(folder: Path, test: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(test)
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error",
        "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function",
    ]  # fmt: skip
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_protocol_is_tested_in_five_lines(tmp_path: Path) -> None:
    done = run(tmp_path, PROTOCOL + FIVE_LINES)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_a_failing_test_says_why_and_leaves_no_warning(tmp_path: Path) -> None:
    done = run(tmp_path, PROTOCOL + FIVE_LINES.replace('"HI", "HI"', '"HI", "HO"'))
    assert done.returncode == 1
    assert "1 failed" in done.stdout
    assert "At index 1 diff: 'HI' != 'HO'" in done.stdout
    assert "Warning" not in done.stdout + done.stderr


def test_a_network_that_is_left_open_fails_its_test(tmp_path: Path) -> None:
    test = """
async def test_it(ganglion_network):
    net = ganglion_network(miners=0)
    await net.__aenter__()
"""
    done = run(tmp_path, test)
    assert "the test left a test network open; enter it with: async with" in done.stdout
    assert done.returncode == 1


def test_the_fixtures_work_without_a_plugin_for_async_tests(tmp_path: Path) -> None:
    test = """
import asyncio

def test_it(ganglion_network, ganglion_clock):
    async def ask():
        async with ganglion_network(1, clock=ganglion_clock) as net:
            assert len(net.peers) == 1
    asyncio.run(ask())
    assert ganglion_clock.monotonic() == 0.0
"""
    assert run(tmp_path, test).returncode == 0


@pytest.mark.parametrize("module", ["node.testing", "node.testing.plugin"])
def test_the_plugin_loads_nothing_of_the_node(module: str) -> None:
    code = (
        f"import sys, pytest, {module}; "
        "print(*sorted(name for name in sys.modules if name.startswith(('node', 'aiohttp'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) <= {"node", "node.version", "node.testing", module}


def test_every_public_name_loads_and_others_do_not() -> None:
    import node.testing

    assert set(node.testing.__all__) <= set(dir(node.testing))
    for name in node.testing.__all__:
        assert getattr(node.testing, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = node.testing.Nothing
