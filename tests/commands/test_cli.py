from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from node import cli, errors
from node.commands import COMMANDS

from .programs import NODE, ROOT, environment, run


def test_help_lists_each_command_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert [name for name, purpose in COMMANDS.items() if f"{name} {purpose}" not in text] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([name, "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: ganglion {name}")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["minr"], "ganglion: unknown command 'minr'; did you mean miner?"),
        (["--hlp"], "ganglion: unknown flag --hlp; did you mean --help?"),
        (["zzz"], "ganglion: unknown command 'zzz'"),
        (["miner", "--netiud", "8"], "unknown flag --netiud; did you mean --netuid?"),
        (["query", "x", "--pears", "y"], "unknown flag --pears; did you mean --peers?"),
        (["demo", "--miner", "2"], "unknown flag --miner; did you mean --miners?"),
        (["demo", "--miners", "0"], "--miners must be a whole number from 1 to 64, not '0'"),
        (["wallet", "nwe"], "not 'nwe'; did you mean new?"),
        (["wallet", "new", "--wallet.nmae", "x"], "unknown flag --wallet.nmae; did you mean"),
        (["wallet", "new", "--scheme", "sr25591"], "'sr25591'; did you mean sr25519?"),
        (["wallet", "list", "stray"], "there is no place for the argument 'stray'"),
        (["network", "show", "--netiud", "8"], "--netiud; did you mean --netuid?"),
        (["network", "show", "--netiud=8"], "--netiud; did you mean --netuid?"),
    ],
)
def test_a_misspelt_word_is_named_with_the_nearest_and_exits_2(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err
    program = ["ganglion", *argv[: argv[0] in COMMANDS]]
    assert err.startswith(f"{' '.join(program)}: ")


def test_without_a_command_it_shows_help_and_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "miner" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out.startswith("ganglion 0")


def test_an_interrupted_command_exits_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(argv: object, prog: str) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("node.commands.miner.main", interrupt)
    assert cli.main(["miner"]) == 130


def test_an_error_of_several_lines_is_told_in_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(argv: object, prog: str) -> int:
        raise errors.NetworkError("one\n  two")

    monkeypatch.setattr("node.commands.miner.main", fail)
    assert cli.main(["miner"]) == 2
    assert capsys.readouterr().err == "ganglion miner: one two\n"


@pytest.mark.parametrize("argv", [["--help"], ["miner", "--help"], ["query", "--help"]])
def test_help_imports_no_server(tmp_path: Path, argv: list[str]) -> None:
    script = (
        "import sys\nfrom node.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'aiohttp', 'pydantic', 'yaml', 'rich', 'sqlite3', 'bittensor_core'}\n"
        "sys.stderr.write(','.join(sorted(heavy & set(sys.modules))))\n"
    )
    done = run(tmp_path, *argv, program=[sys.executable, "-c", script])
    assert done.stderr == ""
    assert run(tmp_path, *argv).returncode == 0


@pytest.mark.parametrize("argv", [["--help"], ["miner", "--netuid", "8", "--print_config"]])
def test_a_reader_that_leaves_is_no_traceback(tmp_path: Path, argv: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*NODE, *argv], cwd=ROOT, env=environment(tmp_path), stdout=writer,
            stderr=subprocess.PIPE, encoding="utf-8", timeout=30,
        )  # fmt: skip
    finally:
        os.close(writer)
    # argparse itself forgives a pipe that breaks while it prints help.
    assert done.returncode in ({0, 141} if argv == ["--help"] else {141})
    assert done.stderr == ""
