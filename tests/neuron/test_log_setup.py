from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest

from node.errors import ConfigError
from node.neuron.config import Config
from node.neuron.flags import build_parser
from node.neuron.log_setup import TRACE, ConsoleFormatter, log_path, logging_for
from node.neuron.resolver import resolve

LEVELS = {"trace": TRACE, "debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def config_of(*argv: str) -> Config:
    return resolve(build_parser("miner", prog="p"), ["--netuid", "8", *argv], {})


def logged(*argv: str, stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    with logging_for(config_of(*argv), stream):
        for name in ("node.axon.access", "node.neuron.miner", "my.own"):
            for word, level in LEVELS.items():
                logging.getLogger(name).log(level, "%s of %s", word, name)
    return stream.getvalue()


def words_of(text: str, name: str) -> list[str]:
    short = name.removeprefix("node.")
    return [line.split(": ")[1].split()[0] for line in text.splitlines() if f" {short}: " in line]


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("", ["warning"]),
        ("--logging.info", ["info", "warning"]),
        ("--logging.debug", ["debug", "info", "warning"]),
        ("--logging.trace", ["trace", "debug", "info", "warning"]),
    ],
)
def test_each_level_shows_what_it_should(flag: str, words: list[str]) -> None:
    text = logged(*filter(None, [flag]))
    assert words_of(text, "node.axon.access") == words
    assert words_of(text, "my.own") == words
    # The neuron's own life is told without any flag.
    assert words_of(text, "node.neuron.miner") == (words if flag else ["info", "warning"])


def test_the_finest_of_several_flags_counts() -> None:
    assert "trace of my.own" in logged("--logging.trace", "--logging.info")


def test_a_line_has_time_level_name_and_message() -> None:
    line = logged().splitlines()[0]
    date, time, level, name, *message = line.split()
    assert (len(date), len(time), level, name) == (10, 12, "WARNING", "axon.access:")
    assert " ".join(message) == "warning of node.axon.access"


def test_trace_has_its_name() -> None:
    assert " TRACE my.own: " in logged("--logging.trace")


def test_a_record_is_one_line_whatever_is_in_it() -> None:
    stream = io.StringIO()
    with logging_for(config_of(), stream):
        logging.getLogger("x").warning("a\nERROR forged \x1b[2J\r\u2028 %s", "\x9b31m")
    (line,) = stream.getvalue().splitlines()
    assert r"a\nERROR forged \x1b[2J\r\u2028 \x9b31m" in line


def test_a_message_whose_arguments_do_not_fit_is_told_and_not_lost() -> None:
    record = logging.makeLogRecord({"msg": "bad %d", "args": ("format",), "name": "x"})
    assert "x: bad %d (arguments do not fit" in ConsoleFormatter().format(record)


@pytest.mark.parametrize("json_lines", [False, True])
def test_a_traceback_is_kept(json_lines: bool) -> None:
    stream = io.StringIO()
    with logging_for(config_of(*["--logging.json"] * json_lines), stream):
        try:
            raise ValueError("inner")
        except ValueError:
            logging.getLogger("x").exception("outer")
    text = stream.getvalue()
    if json_lines:
        text = json.loads(text)["traceback"]
    assert "Traceback" in text
    assert "ValueError: inner" in text


def test_json_lines_hold_what_extra_gave() -> None:
    stream = io.StringIO()
    with logging_for(config_of("--logging.json", "--logging.info"), stream):
        logging.getLogger("node.axon.access").info(
            "hi\n%s", "é", extra={"request": {"status": 200}, "odd": object, "level_": 1}
        )
    fields = json.loads(stream.getvalue())
    assert fields["message"] == "hi\né"
    assert (fields["level"], fields["logger"]) == ("info", "node.axon.access")
    assert fields["request"] == {"status": 200}
    assert fields["odd"].startswith("<class")
    assert fields["time"].endswith("Z")
    assert "taskName" not in fields


def test_colour_is_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[33mWARNING" in logged(stream=Terminal())
    assert "\x1b" not in logged()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in logged(stream=Terminal())


def test_the_log_is_written_to_a_file_too(tmp_path: Path) -> None:
    argv = ("--logging.record_log", "--logging.logging_dir", str(tmp_path), "--wallet.name", "w")
    text = logged(*argv, stream=Terminal())
    path = tmp_path / "w" / "default" / "netuid8" / "miner" / "node.log"
    assert log_path(config_of(*argv)) == path
    written = path.read_text(encoding="utf-8")
    assert len(written.splitlines()) == len(text.splitlines()) == 4
    assert "\x1b" not in written
    logged(*argv)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 8


def test_a_program_without_a_subnet_has_a_log_file_too() -> None:
    config = resolve(build_parser("query", prog="p"), ["hi", "--logging.logging_dir", "/logs"], {})
    assert log_path(config) == Path("/logs/default/default/no_netuid/caller/node.log")


def test_a_log_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"can't be opened .*--logging\.logging_dir"):
        logged("--logging.record_log", "--logging.logging_dir", str(tmp_path / "file"))


def test_everything_is_put_back(tmp_path: Path) -> None:
    root, neuron = logging.getLogger(), logging.getLogger("node.neuron")
    before = (list(root.handlers), root.level, neuron.level, logging.getLogger("asyncio").level)
    logged("--logging.trace", "--logging.record_log", "--logging.logging_dir", str(tmp_path))
    after = (list(root.handlers), root.level, neuron.level, logging.getLogger("asyncio").level)
    assert after == before
