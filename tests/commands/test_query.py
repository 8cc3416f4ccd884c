from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from node import Peer, Wallet, cli, open_network
from node.commands.display import (
    Lines,
    LiveTable,
    Whole,
    display_for,
    pane_height,
    rows_shown,
)
from node.commands.replies import Reply, Target, TokenCount
from node.commands.reply_table import print_table
from node.dendrite import StreamTiming
from node.neuron.pretokeniser import split_tokens

from .programs import NODE, ROOT, Running, environment, run, running
from .served import PIECES, WHOLE, served

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
    assert {row[8] for row in table} == {"200 Success"}
    assert {row[7] for row in table} == {"ok"}
    assert all(0 <= float(row[6]) <= 1 for row in table)
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


def test_the_profile_serves_a_query(home: Path, miners: list[Running]) -> None:
    done = run(home, "query", "hi", "--netuid", "8", "--config", "config/query.yaml")
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
    assert (good[1], good[8]) == (miners[1].peer.hotkey, "200 Success")
    assert (dead[1], dead[2], dead[4]) == (ALICE, "-", "0")
    assert dead[8].startswith("503 ")


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
    assert {row[8].split()[0] for row in rows(done.stdout)} == {"403"}
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


# Receipts, files and columns ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def peers() -> Iterator[dict[str, Peer]]:
    with served() as peers:
        yield peers


@pytest.fixture
def ask(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs a query in this process; returns its code and what it printed."""
    monkeypatch.setenv("BT_WALLET_PATH", str(home / ".bittensor" / "wallets"))

    def ask(asked: list[Peer], *flags: str) -> tuple[int, str]:
        capsys.readouterr()
        code = cli.main(["query", "hi", "--peers", ",".join(map(str, asked)), *flags])
        out, err = capsys.readouterr()
        assert err == ""
        return code, out

    return ask


def test_the_table_tells_receipts_and_bursts(
    peers: dict[str, Peer], ask: Callable[..., tuple[int, str]]
) -> None:
    code, out = ask(list(peers.values()))
    assert code == 0
    table = dict(zip(peers, rows(out), strict=True))
    assert {name: row[7] for name, row in table.items()} == {
        "stream": "ok", "dump": "ok", "document": "ok", "fail": "none", "unsigned": "none",
        "liar": "bad", "nobody": "none",
    }  # fmt: skip
    assert {name: row[8].split()[0] for name, row in table.items()} == {
        "stream": "200", "dump": "200", "document": "200", "fail": "403", "unsigned": "200",
        "liar": "422", "nobody": "503",
    }  # fmt: skip
    assert (table["stream"][4], table["fail"][4], table["liar"][4]) == ("6", "2", "1")
    assert float(table["dump"][6]) > 0.3
    assert table["nobody"][2:7] == ["-", "-", "0", "0", "-"]


def test_a_reply_in_one_piece_is_shown(
    peers: dict[str, Peer], ask: Callable[..., tuple[int, str]]
) -> None:
    code, out = ask([peers["document"]])
    assert code == 0
    assert out.startswith(f"{WHOLE}\n")


def test_the_longest_gap_has_a_column_when_asked_for(
    peers: dict[str, Peer], ask: Callable[..., tuple[int, str]]
) -> None:
    assert "longest" not in ask([peers["stream"]])[1]
    _, out = ask([peers["stream"], peers["nobody"]], "--wide")
    assert "longest gap ms" in out
    stream, nobody = rows(out)
    assert float(stream[7]) >= 1.0
    assert (nobody[7], nobody[8]) == ("-", "none")


def test_replies_with_a_receipt_are_saved_for_their_owner_alone(
    peers: dict[str, Peer], ask: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "folder"
    code, out = ask(list(peers.values()), "--save", str(folder))
    assert code == 0
    assert f"3 of 7 replies have a receipt and are saved in {folder}\n" in out
    files = {path.name.partition("-")[0]: path for path in folder.iterdir()}
    good = {name: peers[name].hotkey[:8] for name in ("stream", "dump", "document")}
    assert files.keys() == set(good.values())
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    saved = json.loads(files[good["dump"]].read_text())
    assert [base64.b64decode(chunk).decode() for chunk in saved["chunks"]] == list(PIECES)
    for path in files.values():
        assert cli.main(["receipt", "verify", str(path)]) == 0


def test_a_second_query_replaces_no_file(
    peers: dict[str, Peer], ask: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    for count in (1, 2):
        assert ask([peers["stream"]], "--save", str(tmp_path))[0] == 0
        assert len(list(tmp_path.iterdir())) == count


def test_a_saved_reply_has_the_uid_in_its_name(
    home: Path, miners: list[Running], tmp_path: Path
) -> None:
    argv = ["--netuid", str(NETUID), "--uids", "2", "--save", str(tmp_path / "saved")]
    assert run(home, "query", "hi", *argv).returncode == 0
    (path,) = (tmp_path / "saved").iterdir()
    assert re.fullmatch(r"uid-2-\d{8}T\d{6}\.\d{9}\.json", path.name)


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_folder_that_can_not_be_is_told_before_anybody_is_asked(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    argv = ["query", "hi", "--peers", f"{ALICE}@127.0.0.1:1", "--save", str(tmp_path / name)]
    assert cli.main(argv) == 2
    assert f"replies can't be saved in {tmp_path / name}" in capsys.readouterr().err


# How it looks -----------------------------------------------------------------------------------

EVIL = "\x1b]0;owned\x07[red]x[/red]\r\n"


def replies(count: int) -> list[Reply]:
    return [Reply(Target(Peer(BOB, "127.0.0.1", 1), uid)) for uid in range(count)]


def over(reply: Reply, status: int = 200, message: str = "Success", receipt: str = "ok") -> Reply:
    reply.status, reply.message, reply.receipt = status, message, receipt
    return reply


def answered(reply: Reply) -> Reply:
    """A reply of two tokens in two chunks of 3 bytes: the first after 10.1 ms, the last at 20."""
    timing = StreamTiming()
    timing.first_byte_s, timing.last_byte_s, timing.tokens = 0.0101, 0.02, 2
    timing.chunks, timing.bytes, timing.sent_s = 2, 3, 0.001
    timing.gaps.append(0.0099)
    reply.timing = timing
    return reply


def test_what_a_peer_sends_can_not_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    (reply,) = replies(1)
    for display in (Whole(), Lines([reply])):
        with display:
            display.add(reply, EVIL)
    print_table([over(reply, 503, EVIL)])
    out = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\r"} & set(out)
    assert out.count("[red]x[/red]") == 3


def on_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)


@pytest.mark.parametrize("wide", [False, True])
def test_a_narrow_terminal_gets_a_short_hotkey_and_every_column(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, wide: bool
) -> None:
    on_terminal(monkeypatch, 80)
    print_table([over(answered(replies(1)[0]))], wide=wide)
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= 80
    ((uid, hotkey, *numbers),) = rows(out)
    assert BOB.startswith(hotkey[:-1])
    assert (uid, hotkey[-1]) == ("0", "…")
    gap = ["9.9"] if wide else []
    assert numbers == ["10.1", "100", "2", "3", "0.00", *gap, "ok", "200 Success"]


def test_a_long_status_is_folded_and_nothing_of_it_is_lost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_terminal(monkeypatch, 80)
    message = " ".join(f"word{number}" for number in range(40))
    first, second = replies(2)
    print_table([over(answered(first)), over(second, 500, message, "none")])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    told = [line.strip("│").rpartition("│")[2] for line in lines if line.startswith("│")]
    assert " ".join(told).split() == ["200", "Success", "500", *message.split()]


def test_a_terminal_that_is_far_too_narrow_still_gets_every_column(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_terminal(monkeypatch, 30)
    print_table([over(answered(replies(1)[0]))])
    ((*_, receipt, status),) = rows(capsys.readouterr().out)
    assert (receipt, status) == ("ok", "200 Success")


def screen_of(live: LiveTable, screen: io.StringIO) -> str:
    """What the live table shows now: the text of its newest frame."""
    screen.seek(0)
    screen.truncate()
    live._live.refresh()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())


def terminal(height: int, width: int = 120) -> tuple[Console, io.StringIO]:
    screen = io.StringIO()
    return Console(file=screen, width=width, height=height, force_terminal=True), screen


def test_panes_show_the_newest_lines_of_each() -> None:
    console, screen = terminal(40)
    two = replies(2)
    with LiveTable(two, console) as live:
        live.add(two[0], "\n".join(f"line {n}" for n in range(50)))
        live.add(two[1], "[bold]other\x1b[2J")
        shown = screen_of(live, screen)
    assert "line 49" in shown
    assert "line 3\n" not in shown
    assert "[bold]other\\x1b[2J" in shown
    assert len(shown.splitlines()) <= 40


def test_the_live_table_follows_each_reply() -> None:
    console, screen = terminal(30)
    shown_at = []
    five = replies(5)
    with LiveTable(five, console) as live:
        shown_at.append(screen_of(live, screen))
        five[0].timing.sent_s = 0.001
        answered(five[1])
        over(answered(five[2]))
        over(five[3], 503, "[red]gone\x1b[2J " + "so long " * 30, "none")
        shown_at.append(screen_of(live, screen))
        screen.seek(0)
        screen.truncate()
    first, second = shown_at
    assert [row[8] for row in rows(first)] == ["connecting"] * 5
    assert first.endswith("5 peers: 5 connecting")
    states = [row[8] for row in rows(second)]
    assert states[:3] == ["waiting", "answering", "200 Success"]
    assert states[3].startswith("503 [red]gone\\x1b[2J so lo")
    assert len([line for line in second.splitlines() if line.startswith("│")]) == 5
    assert rows(second)[1][2:8] == ["10.1", "100", "2", "3", "0.00", "-"]
    assert [row[7] for row in rows(second)] == ["-", "-", "ok", "none", "-"]
    assert second.endswith("5 peers: 1 connecting, 1 waiting, 1 answering, 1 done, 1 failed")
    assert max(len(line) for line in second.splitlines()) <= 120
    # Wiped at the end, for the finished table follows.
    assert "waiting" not in screen.getvalue().rpartition("\x1b[2K")[2]


def test_after_an_error_the_live_table_stays() -> None:
    console, screen = terminal(30)
    with pytest.raises(KeyboardInterrupt), LiveTable(replies(5), console) as live:
        screen_of(live, screen)
        raise KeyboardInterrupt
    assert "5 peers: 5 connecting" in screen.getvalue().rpartition("\x1b[2K")[2]


def test_a_low_terminal_shows_the_replies_that_run_and_counts_the_others() -> None:
    console, screen = terminal(16)
    many = replies(40)
    for reply in many[:35]:
        over(reply)
    with LiveTable(many, console) as live:
        shown = screen_of(live, screen)
    assert [int(row[0]) for row in rows(shown)] == [0, 1, 2, 3, 4, *range(35, 40)]
    assert "40 peers (30 not shown): 5 connecting, 35 done" in shown
    assert len(shown.splitlines()) <= 16


@pytest.mark.parametrize(("room", "shown"), [(3, [0, 1, 2]), (2, [0, 2]), (1, [2]), (-4, [2])])
def test_replies_that_are_over_give_way_first(room: int, shown: list[int]) -> None:
    three = replies(3)
    for reply in three[:2]:
        over(reply)
    assert [reply.target.uid for reply in rows_shown(three, room)] == shown


@pytest.mark.parametrize("count", [1, 4, 5, 200])
def test_it_is_redrawn_a_few_times_a_second(count: int) -> None:
    console, _ = terminal(100)
    assert LiveTable(replies(count), console)._live.refresh_per_second <= (10 if count < 5 else 4)


def test_the_display_suits_the_number_and_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(display_for(replies(1)), Whole)
    assert isinstance(display_for(replies(1), alone=False), Lines)
    assert isinstance(display_for(replies(3)), Lines)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich asks its own stdout, which no test replaces
    assert isinstance(display_for(replies(1)), Whole)
    assert isinstance(display_for(replies(3)), LiveTable)
    assert isinstance(display_for(replies(200)), LiveTable)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(display_for(replies(3)), Lines)


@pytest.mark.parametrize(
    ("count", "lines", "height"), [(3, 40, 9), (3, 22, 4), (3, 21, 0), (4, 100, 9), (5, 100, 0)]
)
def test_panes_fit_or_are_not_used(count: int, lines: int, height: int) -> None:
    assert pane_height(count, lines) == height


def test_a_terminal_gets_a_live_table_of_many_peers(home: Path, peers: dict[str, Peer]) -> None:
    import pty

    master, slave = pty.openpty()
    asked = ",".join(map(str, peers.values()))
    try:
        process = subprocess.Popen(
            [*NODE, "query", "hi", "--peers", asked], cwd=ROOT, stdout=slave, stderr=slave,
            stdin=subprocess.DEVNULL, env=environment(home, TERM="xterm", LINES="12"),
        )  # fmt: skip
        os.close(slave)
        shown = b""
        try:
            while part := os.read(master, 65536):
                shown += part
        except OSError:
            pass  # Linux's way to tell that the other side closed
        assert process.wait(20) == 0
    finally:
        os.close(master)
    live, _, final = shown.decode().rpartition("┏━")
    assert re.search(r"7 peers \(1 not shown\): .*(connecting|waiting)", live)
    assert "peers (" not in final
    assert len([line for line in final.splitlines() if line.startswith("│   - │")]) == 7
    assert "\x1b[?25h" in live, "the cursor is shown again"


@given(st.lists(st.text(alphabet="ab '  sé日1_.\n\u2028")))
def test_tokens_are_counted_alike_however_the_text_is_cut(pieces: list[str]) -> None:
    count = TokenCount()
    counts = [count.add(piece) for piece in pieces]
    text = "".join(pieces)
    assert (counts[-1] if counts else 0) == len(list(split_tokens(text)))


def test_a_token_without_end_does_not_slow_the_count_down() -> None:
    count = TokenCount()
    began = time.process_time()
    for _ in range(100_000):
        total = count.add("a")
    assert 1 <= total <= 101
    assert time.process_time() - began < 3


def test_the_wallet_comes_before_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BT_WALLET_PATH", str(tmp_path))
    assert cli.main(["query", "hi", "--netuid", "8", "--subtensor.network", "lcoal"]) == 2
    assert "ganglion wallet new" in capsys.readouterr().err
