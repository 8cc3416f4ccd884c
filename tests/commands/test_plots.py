"""`ganglion query --plot`: what is drawn, and what is refused before anybody is asked."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from node import Keypair, Peer, Wallet, cli
from node.commands.plots import arrivals_of, check_can_plot, draw
from node.commands.replies import Reply, Target
from node.errors import ConfigError

from .programs import run
from .served import PIECES, served

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def peers() -> Iterator[dict[str, Peer]]:
    with served() as peers:
        yield peers


@pytest.fixture
def wallets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Wallet("default", "default", tmp_path / "wallets").create()
    monkeypatch.setenv("BT_WALLET_PATH", str(tmp_path / "wallets"))


def replies(count: int) -> list[Reply]:
    """Replies of which every fourth failed, half of those without any chunk."""
    found = []
    for uid in range(count):
        hotkey = Keypair.from_uri(f"//{uid}").ss58_address
        reply = Reply(Target(Peer(hotkey, "127.0.0.1", 1), uid))
        reply.status = 503 if uid % 4 == 3 else 200
        if uid % 8 != 7:
            reply.timing.first_byte_s = 0.01 * (count - uid)
            reply.timing.gaps.extend([0.005, 0.0, 0.02])
            reply.timing.chunks = 4
        found.append(reply)
    return found


def words_of(path: Path) -> list[str]:
    """The texts of an SVG, in the order of drawing."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())


@pytest.mark.parametrize("count", [1, 3, 8, 9, 64, 240])
def test_a_png_is_drawn_for_any_number_of_peers(tmp_path: Path, count: int) -> None:
    path = tmp_path / "plot.PNG"
    draw(replies(count), path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    assert 1000 <= width <= 2000
    assert 400 <= height <= 5000


@pytest.mark.parametrize("count", [3, 20])
def test_bars_are_sorted_and_failures_marked(tmp_path: Path, count: int) -> None:
    path = tmp_path / "plot.svg"
    draw(replies(count), path)
    words = words_of(path)
    labels = [word for word in words if word.startswith("uid ") and "," not in word]
    quick = [uid for uid in reversed(range(count)) if uid % 8 != 7]
    order = [f"uid {uid}" for uid in [*quick, *(uid for uid in range(count) if uid % 8 == 7)]]
    assert labels[:count] == order
    assert f"{10.0 * count:.1f}" in words, "the slowest peer's milliseconds"
    failed = sum(reply.status == 503 for reply in replies(count))
    silent = len([uid for uid in range(count) if uid % 8 == 7])
    assert words.count("failed 503") == silent
    assert len([word for word in words if word.endswith(", failed 503")]) >= failed - silent
    assert f"{count - failed} of {count} answered whole" in words


def test_where_nobody_answered_there_is_still_a_plot(tmp_path: Path) -> None:
    several = [replies(8)[7] for _ in range(12)]
    for number in (1, 12):
        draw(several[:number], tmp_path / "plot.svg")
        assert words_of(tmp_path / "plot.svg").count("failed 503") == number
    assert "chunks in 12.5 ms, logarithmic" in words_of(tmp_path / "plot.svg")


def test_very_different_times_are_drawn_on_a_logarithmic_axis(tmp_path: Path) -> None:
    two = replies(2)
    path = tmp_path / "plot.svg"
    draw(two, path)
    assert "first byte, ms" in words_of(path)
    two[0].timing.first_byte_s = 9.0
    draw(two, path)
    assert {"first byte, ms, logarithmic", "9000.0", "10", "1000"} <= set(words_of(path))


def test_chunks_arrive_when_the_gaps_say() -> None:
    (reply,) = replies(1)
    assert arrivals_of(reply) == pytest.approx([0.01, 0.015, 0.015, 0.035])
    reply.timing.first_byte_s = None
    assert arrivals_of(reply) == []


@pytest.mark.usefixtures("wallets")
def test_a_query_is_plotted(peers: dict[str, Peer], tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "plot.svg"
    asked = ",".join(str(peers[name]) for name in ("stream", "fail", "liar", "nobody"))
    assert cli.main(["query", "hi", "--peers", asked, "--plot", str(path)]) == 0
    assert capsys.readouterr().out.endswith(f"plotted to {path}\n")
    words = words_of(path)
    assert "1 of 4 answered whole" in words
    assert "failed 503" in words
    for name in ("fail", "liar"):
        assert any(word.startswith(f"{peers[name].hotkey[:8]}, failed ") for word in words)
    assert str(len(PIECES)) in words


# Refused before anybody is asked ----------------------------------------------------------------


@pytest.fixture
def untouched(wallets: None) -> Iterator[Peer]:
    """A peer; the test fails if anybody connects to it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hotkey = Keypair.from_uri("//untouched").ss58_address
        yield Peer(hotkey, "127.0.0.1", listener.getsockname()[1])
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def refusal(peer: Peer, plot: str, capsys: Output) -> str:
    assert cli.main(["query", "hi", "--peers", str(peer), "--plot", plot]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_without_matplotlib_it_says_what_to_install(
    untouched: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install ganglion[plot]" in refusal(untouched, str(tmp_path / "x.png"), capsys)


@pytest.mark.parametrize("name", ["x.gif", "x", "x.svgz", ".png"])
def test_an_unknown_suffix_is_refused_by_name(untouched: Peer, name: str, capsys: Output) -> None:
    err = refusal(untouched, name, capsys)
    assert "--plot must be a file that ends in .png or .svg, not" in err
    assert name in err


def test_a_place_that_takes_no_file_is_refused(
    untouched: Peer, tmp_path: Path, capsys: Output
) -> None:
    assert "there is no folder" in refusal(untouched, str(tmp_path / "no" / "x.png"), capsys)
    (tmp_path / "x.svg").mkdir()
    assert "it is a folder" in refusal(untouched, str(tmp_path / "x.svg"), capsys)
    assert "home folder of nobody" in refusal(untouched, "~nobody-of-that-name/x.svg", capsys)


def test_a_file_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.svg"
    check_can_plot(path)
    path.mkdir()
    with pytest.raises(ConfigError, match="can't be written: Is a directory"):
        draw(replies(1), path)


@pytest.mark.parametrize("argv", [["query", "--help"], ["query", "hi", "--peers", "x"]])
def test_matplotlib_is_imported_only_to_plot(tmp_path: Path, argv: list[str]) -> None:
    script = (
        "import sys\nfrom node.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "sys.exit('matplotlib' in sys.modules)\n"
    )
    assert run(tmp_path, *argv, program=[sys.executable, "-c", script]).returncode == 0
