from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from node import Peer, Wallet, cli, open_network
from node.commands.display import Lines, Panels, Target, Whole, display_for, panel_height
from node.commands.replies import Reply, print_table

from .programs import ROOT, Running, run, running

NETUID = 8
ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
CLIENT = [sys.executable, str(ROOT / "scripts" / "client.py")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose default wallet has uid 0, and a miner's wallet for each of two miners."""
    home = tmp_path_factory.mktemp("home")
    wallets = {name: Wallet("default", name, home / ".bittensor" / "wallets").create()
               for name in ("default", "one", "two", "stranger")}  # fmt: skip
    with open_network(f"local:{home / 'ganglion' / 'local.db'}") as network:
        network.register(NETUID, wallets["default"])
    return home


@pytest.fixture(scope="module")
def miners(home: Path) -> Iterator[list[Running]]:
    """Two miners, uids 1 and 2."""
    with ExitStack() as stack:
        started = []
        for hotkey in ("one", "two"):
            argv = ["miner", "--netuid", str(NETUID), "--wallet.hotkey", hotkey]
            argv += ["--axon.ip", "127.0.0.1", "--axon.port", "0"]
            started.append(stack.enter_context(running(home, *argv)))
            assert started[-1].peer.is_serving
        yield started


def rows(out: str) -> list[list[str]]:
    """The table's rows, each as its cells."""
    lines = [line for line in out.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
    return [row for row in cells if row[0]]  # a long status goes on in rows of its own


def test_all_that_serve_are_asked_but_not_oneself(home: Path, miners: list[Running]) -> None:
    done = run(home, "query", "Hello, é日🚀 world", "--netuid", str(NETUID))
    assert (done.returncode, done.stderr) == (0, "")
    table = rows(done.stdout)
    assert [row[0] for row in table] == ["1", "2"]
    assert [row[1] for row in table] == [miner.peer.hotkey for miner in miners]
    assert {row[6] for row in table} == {"200 Success"}
    sizes = str(len("Hello, é日🚀 world".encode()))
    assert {row[5] for row in table} == {sizes}
    assert all(float(row[2]) > 0 and float(row[3]) > 0 for row in table)
    for uid in (1, 2):
        pieces = re.findall(rf"^uid {uid} \| (.*)$", done.stdout, re.MULTILINE)
        assert "".join(pieces) == "Hello, é日🚀 world"
        assert {row[4] for row in table} == {str(len(pieces))}


def test_a_miner_does_not_ask_itself(home: Path, miners: list[Running]) -> None:
    done = run(home, "query", "hi", "--netuid", str(NETUID), "--wallet.hotkey", "one")
    assert done.returncode == 0
    assert [row[0] for row in rows(done.stdout)] == ["2"]


def test_one_uid_alone_is_shown_as_its_bare_text(home: Path, miners: list[Running]) -> None:
    done = run(home, "query", "just this", "--netuid", str(NETUID), "--uids", "2")
    assert done.returncode == 0
    assert done.stdout.startswith("just this\n")
    assert [row[0] for row in rows(done.stdout)] == ["2"]


def test_the_validators_profile_serves_a_query(home: Path, miners: list[Running]) -> None:
    done = run(home, "query", "hi", "--netuid", "8", "--config", "config/validator.yaml")
    assert done.returncode == 0
    assert len(rows(done.stdout)) == 2


def test_a_sample_is_no_larger_than_asked_for(home: Path, miners: list[Running]) -> None:
    done = run(home, "query", "hi", "--netuid", str(NETUID), "--neuron.sample_size", "1")
    assert done.returncode == 0
    assert len(rows(done.stdout)) == 1


def test_peers_are_asked_without_a_network(home: Path, miners: list[Running]) -> None:
    peers = f"{miners[1].peer},{ALICE}@127.0.0.1:1"
    done = run(home, "query", "hi", "--peers", peers, "--subtensor.network", "local:/no/such.db")
    assert done.returncode == 0
    good, dead = rows(done.stdout)
    assert good[0] == dead[0] == "-"
    assert (good[1], good[6]) == (miners[1].peer.hotkey, "200 Success")
    assert (dead[1], dead[2], dead[4]) == (ALICE, "-", "0")
    assert dead[6].startswith("503 ")


def test_peers_may_be_in_a_file(home: Path, miners: list[Running], tmp_path: Path) -> None:
    path = tmp_path / "peers.yaml"
    path.write_text("".join(f"- {miner.peer}\n" for miner in miners))
    done = run(home, "query", "hi", "--peers", str(path))
    assert done.returncode == 0
    assert [row[1] for row in rows(done.stdout)] == [miner.peer.hotkey for miner in miners]


def test_peers_may_be_a_list_in_a_profile(
    home: Path, miners: list[Running], tmp_path: Path
) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(f"prompt: hi\npeers:\n- {miners[0].peer}\n- {miners[1].peer}\n")
    done = run(home, "query", "--config", str(path))
    assert done.returncode == 0
    assert len(rows(done.stdout)) == 2


def test_when_nobody_answers_well_the_code_is_1(home: Path, miners: list[Running]) -> None:
    done = run(home, "query", "hi", "--netuid", "8", "--wallet.hotkey", "stranger")
    assert done.returncode == 1
    assert {row[6].split()[0] for row in rows(done.stdout)} == {"403"}
    empty = run(home, "query", "hi", "--netuid", "9")
    assert (empty.returncode, empty.stdout) == (1, "")
    assert empty.stderr == (
        "ganglion query: nobody else serves on netuid 9 of local; start a miner first\n"
    )


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["hi"], ["--netuid is required", "--peers"]),
        (["--netuid", "8"], ["PROMPT is required"]),
        (["hi", "--netuid", "8", "--uids", "1,9"], ["no uid 9 on netuid 8", "uids are 0 to"]),
        (["hi", "--netuid", "8", "--uids", "0"], ["uid 0", "does not serve"]),
        (["hi", "--netuid", "8", "--uids", "x"], ["--uids must be a whole number"]),
        (["hi", "--uids", "1", "--peers", f"{ALICE}@h:1"], ["--uids and --peers"]),
        (["hi", "--peers", f"{ALICE}@h"], [ALICE, "PORT"]),
        (["hi", "--peers", f"{ALICE[:-1]}@h:1"], [ALICE[:-1]]),
        (["hi", "--peers", "no/such.yaml"], ["no/such.yaml", "can't be read"]),
        (["hi", "--netuid", "8", "--neuron.timeout", "0"], ["--neuron.timeout", "above 0"]),
        (["hi", "--netuid", "8", "--wallet.name", "nobody"], ["nobody", "ganglion wallet new"]),
    ],
)
def test_what_can_not_be_used_is_one_line_and_2(
    home: Path, argv: list[str], words: list[str]
) -> None:
    done = run(home, "query", *argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert [word for word in words if word not in done.stderr] == []


# scripts/client.py ------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--network", "--subtensor.network"])
def test_the_client_of_the_tutorial_prints_the_tokens(
    home: Path, miners: list[Running], flag: str
) -> None:
    argv = ["--netuid", str(NETUID), "--my_uid", "1", flag, "local"]
    done = run(home, *argv, program=CLIENT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("hello this is a test of a streaming response.")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["--my_uid", "0"], 1, "client.py: 503 "),
        (["--my_uid", "7"], 2, "has 3 neurons and no uid 7"),
        (["--my_ui", "1"], 2, "unknown flag --my_ui; did you mean --my_uid?"),
        ([], 2, "--my_uid is required"),
        (["--my_uid", "1", "--wallet.hotkey", "x"], 2, "no hotkey 'x'"),
        (["--my_uid", "1", "--wallet.hotkey", "stranger"], 1, "client.py: 403 "),
    ],
)
def test_the_client_tells_what_went_wrong(
    home: Path, miners: list[Running], argv: list[str], code: int, words: str
) -> None:
    done = run(home, "--netuid", str(NETUID), *argv, program=CLIENT)
    assert done.returncode == code
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


# How it looks -----------------------------------------------------------------------------------

EVIL = "\x1b]0;owned\x07[red]x[/red]\r\n"


def targets(count: int) -> list[Target]:
    return [Target(Peer(BOB, "127.0.0.1", 1), uid) for uid in range(count)]


def test_what_a_peer_sends_can_not_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    (target,) = targets(1)
    for display in (Whole(), Lines([target])):
        with display:
            display.add(target, EVIL)
    print_table([Reply(target, 503, EVIL, "", None, None, 0, 0)])
    out = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\r"} & set(out)
    assert out.count("[red]x[/red]") == 3


def test_a_narrow_terminal_gets_a_short_hotkey_and_every_column(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    print_table([Reply(targets(1)[0], 200, "Success", "a b", 0.0101, 0.02, 2, 3)])
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= 80
    assert BOB[:8] in out
    assert rows(out) == [["0", BOB[:8] + "…", "10.1", "100", "2", "3", "200 Success"]]


def test_panels_show_the_newest_lines_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from rich.console import Console

    screen = io.StringIO()
    console = Console(file=screen, width=60, height=20, force_terminal=True)
    two = targets(2)
    with Panels(two, console) as panels:
        panels.add(two[0], "\n".join(f"line {n}" for n in range(50)))
        panels.add(two[1], "[bold]other\x1b[2J")
    shown = screen.getvalue()
    last = shown[shown.rindex("╭─ uid 0") :]
    assert "line 49" in last
    assert "line 3\n" not in last
    assert "[bold]other\\x1b[2J" in last


def test_the_display_suits_the_number_and_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(display_for(targets(1)), Whole)
    assert isinstance(display_for(targets(1), alone=False), Lines)
    assert isinstance(display_for(targets(3)), Lines)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("LINES", "40")
    assert isinstance(display_for(targets(3)), Panels)
    assert isinstance(display_for(targets(200)), Lines)


@pytest.mark.parametrize(("count", "lines", "height"), [(3, 40, 9), (3, 14, 4), (3, 13, 0)])
def test_panels_fit_or_are_not_used(count: int, lines: int, height: int) -> None:
    assert panel_height(count, lines) == height


def test_the_wallet_comes_before_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BT_WALLET_PATH", str(tmp_path))
    assert cli.main(["query", "hi", "--netuid", "8", "--subtensor.network", "lcoal"]) == 2
    assert "ganglion wallet new" in capsys.readouterr().err
