"""`bt.logging`: the old logger's methods and levels on standard `logging`.

Records go to the logger `bittensor`, as they did. Until a level is set, that is all: a program's
own handlers see them, and without any Python prints warnings and errors. Setting a level, by
`set_trace()` and the like or `set_config`, applies to the library's own logger too, and adds a
handler that writes to standard error unless the program has one.
"""

from __future__ import annotations

import argparse
import logging as standard
import sys
from collections.abc import Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from node.errors import ConfigError
from node.neuron.log_setup import TRACE, ConsoleFormatter, JsonFormatter

from .settings import COMMAND_LINE, Config, add_group, check_group, setting

__all__ = ["SUCCESS", "Logging", "logging"]

SUCCESS = 21
"""The level of `success`, just above INFO."""

_NAMES = ("bittensor", "node")
_FILE_BYTES = 10 * 2**20
_FILES_KEPT = 10
_OFF = standard.CRITICAL + 10


class Logging:
    """The logger of SDK 6-10. There is one, `bt.logging`; it may also be called, as `set_config`.

    The text of a record is its prefix, message and suffix with dashes between. A message may be
    any object.
    """

    TRACE = TRACE
    DEBUG = standard.DEBUG
    INFO = standard.INFO
    SUCCESS = SUCCESS
    WARNING = standard.WARNING
    ERROR = standard.ERROR
    CRITICAL = standard.CRITICAL

    def __init__(self) -> None:
        standard.addLevelName(TRACE, "TRACE")
        standard.addLevelName(SUCCESS, "SUCCESS")
        self._logger = standard.getLogger(_NAMES[0])
        self._names = list(_NAMES)
        self._level = standard.NOTSET
        self._console: standard.Handler | None = None
        self._file: standard.Handler | None = None
        self._as_json = False

    def trace(self, msg: object = "", prefix: object = "", suffix: object = "", *args: object,
              **options: Any) -> None:  # fmt: skip
        """Log at TRACE (5)."""
        self._log(TRACE, msg, prefix, suffix, args, options)

    def debug(self, msg: object = "", prefix: object = "", suffix: object = "", *args: object,
              **options: Any) -> None:  # fmt: skip
        """Log at DEBUG."""
        self._log(standard.DEBUG, msg, prefix, suffix, args, options)

    def info(self, msg: object = "", prefix: object = "", suffix: object = "", *args: object,
             **options: Any) -> None:  # fmt: skip
        """Log at INFO."""
        self._log(standard.INFO, msg, prefix, suffix, args, options)

    def success(self, msg: object = "", prefix: object = "", suffix: object = "", *args: object,
                **options: Any) -> None:  # fmt: skip
        """Log at SUCCESS (21)."""
        self._log(SUCCESS, msg, prefix, suffix, args, options)

    def warning(self, msg: object = "", prefix: object = "", suffix: object = "", *args: object,
                **options: Any) -> None:  # fmt: skip
        """Log at WARNING."""
        self._log(standard.WARNING, msg, prefix, suffix, args, options)

    def error(self, msg: object = "", prefix: object = "", suffix: object = "", *args: object,
              **options: Any) -> None:  # fmt: skip
        """Log at ERROR."""
        self._log(standard.ERROR, msg, prefix, suffix, args, options)

    def critical(self, msg: object = "", prefix: object = "", suffix: object = "", *args: object,
                 **options: Any) -> None:  # fmt: skip
        """Log at CRITICAL."""
        self._log(standard.CRITICAL, msg, prefix, suffix, args, options)

    def exception(self, msg: object = "", prefix: object = "", suffix: object = "", *args: object,
                  **options: Any) -> None:  # fmt: skip
        """Log at ERROR with the traceback of the exception that is being handled."""
        self._log(standard.ERROR, msg, prefix, suffix, args, {"exc_info": True, **options})

    def _log(
        self,
        level: int,
        msg: object,
        prefix: object,
        suffix: object,
        args: tuple[object, ...],
        options: dict[str, Any],
    ) -> None:
        if not self._logger.isEnabledFor(level):
            return  # before the parts are made into text, which can be the whole of a tensor
        parts = [prefix, msg, suffix, options.pop("sufix", "")]
        texts = [str(part).strip() for part in parts if part is not None]
        depth = 2 + options.pop("stacklevel", 1)
        text = " - ".join(text for text in texts if text)
        self._logger.log(level, text, *args, stacklevel=depth, **options)

    def set_trace(self, on: bool = True) -> None:
        """Log everything; with False, warnings and errors."""
        self._set(TRACE if on else standard.WARNING)

    def set_debug(self, on: bool = True) -> None:
        """Log from DEBUG; with False, warnings and errors."""
        self._set(standard.DEBUG if on else standard.WARNING)

    def set_info(self, on: bool = True) -> None:
        """Log from INFO, requests too; with False, warnings and errors."""
        self._set(standard.INFO if on else standard.WARNING)

    def set_warning(self, on: bool = True) -> None:
        """Log warnings and errors."""
        self._set(standard.WARNING)

    set_default = on = enable_default = enable_warning = set_warning
    set_console = enable_console = enable_debug = set_debug
    enable_info = set_info
    enable_trace = set_trace

    def off(self) -> None:
        """Log nothing."""
        self._set(_OFF)

    def setLevel(self, level: int | str) -> None:  # noqa: N802  the standard library's spelling
        """Log from a level of the standard library."""
        self._set(standard.getLevelNamesMapping()[level] if isinstance(level, str) else level)

    def get_level(self) -> int:
        """Return the level from which records are logged."""
        return self._logger.getEffectiveLevel()

    @property
    def __trace_on__(self) -> bool:
        """Whether everything is logged."""
        return self._level == TRACE

    def set_config(
        self,
        config: Any = None,
        *,
        debug: bool | None = None,
        trace: bool | None = None,
        info: bool | None = None,
        record_log: bool | None = None,
        logging_dir: str | None = None,
    ) -> None:
        """Set logging up by settings.

        Args:
            config: A config with `logging` settings, or those settings themselves.
            debug: In place of the config's, as are the others.
            trace: Wins over `debug`, and `debug` over `info`.
            info: See above; without any of them warnings and errors are logged.
            record_log: Whether to write the file `bittensor.log` too.
            logging_dir: The folder of that file.

        Raises:
            ConfigError: The file can't be opened.
            SystemExit: A flag of the command line was known to no parser (see `argv`).
        """
        COMMAND_LINE.check()
        chosen = {name: setting(config, f"logging.{name}") for name in _SETTINGS}
        if setting(config, "logging") is None:
            chosen = {name: setting(config, name) for name in _SETTINGS}
        given = (debug, trace, info, record_log, logging_dir)
        chosen |= {n: v for n, v in zip(_SETTINGS, given, strict=False) if v is not None}
        self._as_json = bool(chosen["json"])
        self._record(chosen["logging_dir"] if chosen["record_log"] else None)
        self._set(_level_of(chosen))

    __call__ = set_config

    @classmethod
    def add_args(cls, parser: argparse.ArgumentParser, prefix: str | None = None) -> None:
        """Add `--logging.debug`, `--logging.trace` and the other flags to a parser."""
        add_group(parser, "logging", prefix)

    @classmethod
    def check_config(cls, config: Config) -> None:
        """Check that a config has logging settings.

        Raises:
            ConfigError: It has none.
        """
        check_group(config, "logging")

    def register_primary_logger(self, name: str) -> None:
        """Have another logger follow the levels that are set from now on."""
        if name not in self._names:
            self._names.append(name)

    def enable_third_party_loggers(self) -> None:
        """Log what other libraries say too, from the same level."""
        standard.getLogger().setLevel(self._level or standard.WARNING)

    def disable_third_party_loggers(self) -> None:
        """Log warnings and errors of other libraries only."""
        standard.getLogger().setLevel(standard.WARNING)

    def reset(self) -> None:
        """Take away the handlers that this made, and let the levels be those of the program."""
        self._level = standard.NOTSET
        for name in self._names:
            standard.getLogger(name).setLevel(standard.NOTSET)
        self._names = list(_NAMES)
        self._record(None)
        if self._console is not None:
            standard.getLogger().removeHandler(self._console)
            self._console = None

    def _set(self, level: int) -> None:
        self._level = level
        for name in self._names:
            standard.getLogger(name).setLevel(level)
        root = standard.getLogger()
        if not [handler for handler in root.handlers if handler is not self._file]:
            self._console = standard.StreamHandler(sys.stderr)
            root.addHandler(self._console)
        if self._console is not None:
            self._console.setFormatter(JsonFormatter() if self._as_json else ConsoleFormatter())

    def _record(self, folder: str | None) -> None:
        """Write to a file in that folder, instead of any other file, or to none."""
        root = standard.getLogger()
        if self._file is not None:
            root.removeHandler(self._file)
            self._file.close()
            self._file = None
        if folder is None:
            return
        path = Path(folder).expanduser() / "bittensor.log"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = RotatingFileHandler(
                path, maxBytes=_FILE_BYTES, backupCount=_FILES_KEPT, encoding="utf-8"
            )
        except OSError as error:
            raise ConfigError(
                f"the log file {path} can't be opened ({error.strerror}); choose another folder "
                "with --logging.logging_dir"
            ) from error
        self._file.setFormatter(JsonFormatter() if self._as_json else ConsoleFormatter())
        root.addHandler(self._file)


_SETTINGS = ("debug", "trace", "info", "record_log", "logging_dir", "json")


def _level_of(chosen: Mapping[str, Any]) -> int:
    levels = {"trace": TRACE, "debug": standard.DEBUG, "info": standard.INFO}
    return next((levels[name] for name in levels if chosen[name]), standard.WARNING)


logging = Logging()
"""The one logger."""
