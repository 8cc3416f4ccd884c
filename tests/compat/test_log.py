from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import node.compat as bt
from node.errors import ConfigError

LEVELS = {
    "trace": 5,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "success": 21,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "exception": logging.ERROR,
}


@contextmanager
def bare_root() -> Iterator[logging.Logger]:
    """The root logger without the handlers of the test runner."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        yield root
        bt.logging.reset()
        assert root.handlers == []
    finally:
        root.handlers = handlers


@pytest.mark.parametrize(("method", "level"), LEVELS.items())
def test_each_method_logs_at_its_level(
    method: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    bt.logging.set_trace()
    getattr(bt.logging, method)("hello")
    (record,) = caplog.records
    assert (record.levelno, record.getMessage(), record.name) == (level, "hello", "bittensor")
    assert (record.filename, record.funcName) == (
        "test_log.py", "test_each_method_logs_at_its_level",
    )  # fmt: skip


def test_trace_and_success_have_names(caplog: pytest.LogCaptureFixture) -> None:
    bt.logging.set_trace()
    bt.logging.trace("a")
    bt.logging.success("b")
    assert [record.levelname for record in caplog.records] == ["TRACE", "SUCCESS"]
    assert (bt.logging.TRACE, bt.logging.SUCCESS) == (5, 21)


def test_the_text_is_prefix_message_and_suffix(caplog: pytest.LogCaptureFixture) -> None:
    bt.logging.set_debug()
    bt.logging.debug("weights", [1, 2])
    bt.logging.debug("m", prefix="p", suffix="s")
    bt.logging.debug(prefix="old", sufix="spelling")
    bt.logging.debug(bt.Config(default={"a": 1}, parser=None).a)
    bt.logging.debug("100% sure")
    bt.logging.debug("%s and %d", "", "", "one", 2)
    bt.logging.debug("x", None)
    assert [record.getMessage() for record in caplog.records] == [
        "[1, 2] - weights", "p - m - s", "old - spelling", "1", "100% sure", "one and 2", "x",
    ]  # fmt: skip


def test_what_is_not_logged_is_not_made_into_text() -> None:
    class Loud:
        def __str__(self) -> str:
            raise AssertionError

    bt.logging.set_warning()
    bt.logging.info(Loud())


def test_exception_has_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("inside")
    except ValueError:
        bt.logging.exception("it failed")
    assert "ValueError: inside" in caplog.text


def test_the_caller_may_be_named_further_up(caplog: pytest.LogCaptureFixture) -> None:
    def helper() -> None:
        bt.logging.error("x", stacklevel=2)

    helper()
    assert caplog.records[0].funcName == "test_the_caller_may_be_named_further_up"


@pytest.mark.parametrize(
    ("setter", "level"),
    [
        (bt.logging.set_trace, 5),
        (bt.logging.set_debug, 10),
        (bt.logging.set_info, 20),
        (bt.logging.set_warning, 30),
        (bt.logging.set_default, 30),
        (bt.logging.on, 30),
        (bt.logging.set_console, 10),
        (bt.logging.enable_info, 20),
        (bt.trace, 5),
        (bt.debug, 10),
        (bt.info, 20),
        (bt.warning, 30),
    ],
)
def test_levels_are_set_for_the_old_logger_and_for_the_library(setter: object, level: int) -> None:
    assert callable(setter)
    setter()
    assert bt.logging.get_level() == level
    assert logging.getLogger("node").level == level
    assert bt.logging.__trace_on__ is (level == 5)


@pytest.mark.parametrize(
    "setter", [bt.logging.set_trace, bt.logging.set_debug, bt.logging.set_info]
)
def test_turning_a_level_off_leaves_warnings(setter: object) -> None:
    assert callable(setter)
    setter(False)
    assert bt.logging.get_level() == logging.WARNING


def test_off_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    bt.logging.off()
    bt.logging.critical("gone")
    assert caplog.records == []


@pytest.mark.parametrize(("given", "level"), [(15, 15), ("ERROR", 40)])
def test_any_level_can_be_set(given: int | str, level: int) -> None:
    bt.logging.setLevel(given)
    assert bt.logging.get_level() == level


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({}, 30),
        ({"info": True}, 20),
        ({"debug": True, "info": True}, 10),
        ({"trace": True, "debug": True}, 5),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_a_config_or_its_logging_part_sets_the_level(
    settings: dict[str, bool], level: int, whole: bool
) -> None:
    config = bt.config()
    config.logging.update(settings)
    bt.logging.set_config(config=config if whole else config.logging)
    assert bt.logging.get_level() == level
    bt.logging.reset()
    bt.logging(config=config if whole else config.logging)
    assert bt.logging.get_level() == level


def test_arguments_stand_in_for_settings() -> None:
    config = bt.config()
    config.logging.trace = True
    bt.logging(config=config, trace=False, debug=True)
    assert bt.logging.get_level() == logging.DEBUG
    bt.logging(info=True)
    assert bt.logging.get_level() == logging.INFO


def test_the_log_file_is_written_and_replaced_and_closed(home: Path) -> None:
    config = bt.config()
    config.logging.record_log = True
    config.logging.logging_dir = "~/first/deep"
    bt.logging.set_config(config)
    bt.logging.warning("one")
    bt.logging(config=config, logging_dir=str(home / "second"))
    bt.logging.warning("two")
    bt.logging(config=config, record_log=False)
    bt.logging.warning("three")
    first = (home / "first" / "deep" / "bittensor.log").read_text()
    second = (home / "second" / "bittensor.log").read_text()
    assert first.endswith(" WARNING bittensor: one\n")
    assert first.count("\n") == second.count("\n") == 1
    assert "two" in second


def test_a_log_file_that_can_not_be_opened_is_told(home: Path) -> None:
    (home / "taken").write_text("")
    with pytest.raises(
        ConfigError, match=r"bittensor\.log can't be opened .*--logging.logging_dir"
    ):
        bt.logging(record_log=True, logging_dir=str(home / "taken"))


def test_a_program_with_handlers_of_its_own_gets_no_other() -> None:
    with bare_root() as root:
        own = logging.StreamHandler()
        root.addHandler(own)
        bt.logging.set_trace()
        assert root.handlers == [own]
        root.removeHandler(own)


def test_a_program_without_handlers_gets_one_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with bare_root() as root:
        bt.logging.set_info()
        bt.logging.set_info()
        assert len(root.handlers) == 1
        bt.logging.info("seen")
        bt.logging.debug("not seen")
    captured = capsys.readouterr()
    assert captured.err.endswith(" INFO bittensor: seen\n")
    assert (captured.out, captured.err.count("\n")) == ("", 1)


def test_a_log_file_alone_does_not_silence_the_console(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with bare_root():
        bt.logging(info=True, record_log=True, logging_dir=str(home))
        bt.logging.info("both")
    assert "both" in capsys.readouterr().err
    assert "both" in (home / "bittensor.log").read_text()


def test_lines_are_json_where_the_settings_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    config = bt.config()
    config.logging.json = True
    with bare_root():
        bt.logging.set_config(config)
        bt.logging.warning("a")
    assert json.loads(capsys.readouterr().err)["message"] == "a"


def test_a_primary_logger_follows_and_third_parties_can_be_let_in() -> None:
    root = logging.getLogger()
    before = root.level
    try:
        bt.logging.register_primary_logger("event.of.mine")
        assert logging.getLogger("event.of.mine").level == logging.NOTSET
        bt.logging.set_debug()
        assert logging.getLogger("event.of.mine").level == logging.DEBUG
        bt.logging.enable_third_party_loggers()
        assert root.level == logging.DEBUG
        bt.logging.disable_third_party_loggers()
        assert root.level == logging.WARNING
    finally:
        root.setLevel(before)
    bt.logging.reset()
    assert logging.getLogger("event.of.mine").level == logging.NOTSET


def test_before_any_setting_python_prints_warnings_and_nothing_else() -> None:
    script = "import node.compat as bt; bt.logging.info('quiet'); bt.logging.warning('loud')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "loud\n")
