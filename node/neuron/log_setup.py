"""Logging of a program: standard `logging`, set up from the `--logging.*` flags.

Rule 1: only a program calls this. The library logs to the `node` logger and configures nothing.
Rule 2: one record is one line, whatever a peer put into its text; a traceback follows its line.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Any

from node.errors import ConfigError

from .config import Config
from .terminal_text import one_line

__all__ = ["TRACE", "ConsoleFormatter", "JsonFormatter", "log_path", "logging_for"]

TRACE = 5
"""The level below DEBUG, named TRACE once a program has set up logging."""

_FILE_BYTES = 10 * 2**20
_FILES_KEPT = 5
_COLOURS = {"ERROR": "31", "CRITICAL": "31", "WARNING": "33", "DEBUG": "2", "TRACE": "2"}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class ConsoleFormatter(logging.Formatter):
    """Lines such as `2025-11-21 02:19:33.412 INFO neuron.miner: uid 3 serves on 127.0.0.1:8091`.

    Args:
        colour: Whether to mark levels with terminal colours.
    """

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record's line, and its traceback on lines of its own."""
        time = datetime.fromtimestamp(record.created).astimezone()
        level = record.levelname
        if self._colour and level in _COLOURS:
            level = f"\x1b[{_COLOURS[level]}m{level}\x1b[0m"
        text = one_line(_message(record))
        name = record.name.removeprefix("node.")
        stamp = time.isoformat(" ", "milliseconds")[:23]
        return "\n".join([f"{stamp} {level} {name}: {text}", *_traces(self, record)])


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, what `extra=` gave, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record as JSON; what JSON lacks is written as text."""
        time = datetime.fromtimestamp(record.created, UTC)
        fields: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        fields |= {name: value for name, value in extra.items() if name not in fields}
        if traces := _traces(self, record):
            fields["traceback"] = "\n".join(traces)
        return json.dumps(fields, default=str)


@contextmanager
def logging_for(
    config: Config, stream: IO[str] | None = None, *, file: str | None = "node.log"
) -> Iterator[None]:
    """Sets up logging for the time of a `with` block and puts it back afterwards.

    Without a `--logging` flag come warnings and what the neuron itself says of its life;
    `--logging.info`, `.debug` and `.trace` add more, for the program's own loggers too.

    Args:
        config: With the `logging.*` settings.
        stream: Where lines go; standard error by default.
        file: Name of the file that `--logging.record_log` writes, which no two processes share;
            None writes none.

    Raises:
        ConfigError: The log file can't be opened.
    """
    logging.addLevelName(TRACE, "TRACE")
    level = _level(config)
    levels = {"": level, "node.neuron": min(level, logging.INFO)}
    if level > TRACE:
        levels["asyncio"] = max(level, logging.INFO)  # its DEBUG lines are about its own insides
    handlers = _handlers(config, stream or sys.stderr, file)
    before = {name: logging.getLogger(name).level for name in levels}
    root = logging.getLogger()
    try:
        for name, wanted in levels.items():
            logging.getLogger(name).setLevel(wanted)
        for handler in handlers:
            root.addHandler(handler)
        yield
    finally:
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
        for name, earlier in before.items():
            logging.getLogger(name).setLevel(earlier)


def log_path(config: Config) -> Path:
    """Returns where `--logging.record_log` writes: one folder for each hotkey, subnet and name."""
    folder = os.path.expanduser(config["logging.logging_dir"])  # noqa: PTH111 - never fails
    netuid, name = config.get("netuid"), config.get("neuron.name", "caller")
    subnet = "no_netuid" if netuid is None else f"netuid{netuid}"
    return Path(folder, config["wallet.name"], config["wallet.hotkey"], subnet, name, "node.log")


def _level(config: Config) -> int:
    if config["logging.trace"]:
        return TRACE
    if config["logging.debug"]:
        return logging.DEBUG
    return logging.INFO if config["logging.info"] else logging.WARNING


def _handlers(config: Config, stream: IO[str], file: str | None) -> list[logging.Handler]:
    colour = stream.isatty() and not os.environ.get("NO_COLOR")
    handlers: list[logging.Handler] = [logging.StreamHandler(stream)]
    handlers[0].setFormatter(_formatter(config, colour=colour))
    if config["logging.record_log"] and file is not None:
        handlers.append(_file_handler(log_path(config).with_name(file)))
        handlers[1].setFormatter(_formatter(config, colour=False))
    return handlers


def _formatter(config: Config, *, colour: bool) -> logging.Formatter:
    return JsonFormatter() if config["logging.json"] else ConsoleFormatter(colour=colour)


def _file_handler(path: Path) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return RotatingFileHandler(
            path, maxBytes=_FILE_BYTES, backupCount=_FILES_KEPT, encoding="utf-8"
        )
    except OSError as error:
        raise ConfigError(
            f"the log file {path} can't be opened ({error.strerror}); choose another folder with "
            "--logging.logging_dir"
        ) from error


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - border: whatever a bad format string may raise
        return f"{record.msg} (arguments do not fit: {error})"


def _traces(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    traces = [formatter.formatException(record.exc_info)] if record.exc_info else []
    if record.stack_info:
        traces.append(record.stack_info)
    return traces
