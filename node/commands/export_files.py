"""Rows written to a CSV or Parquet file, all of them or no file.

pyarrow is an extra, and is imported only here, when a Parquet file is to be written.
"""

from __future__ import annotations

import csv
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from node.errors import ConfigError

from .export_tables import Column, Kind

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FORMATS", "check_can_write", "replacing", "write_rows"]

_BATCH_ROWS = 50_000
# What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def check_can_write(path: Path, file_format: str) -> None:
    """Check that a file could be written, before its rows are read.

    Raises:
        ConfigError: pyarrow is not installed, or the folder is not there.
    """
    if file_format == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise ConfigError(
                "--format parquet needs pyarrow: pip install ganglion[parquet]"
            ) from error
    if not path.parent.is_dir():
        raise ConfigError(f"--out can't write to {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise ConfigError(f"--out can't write to {path}: it is a folder")


def write_rows(path: Path, file_format: str, columns: Sequence[Column], rows: Iterable[Any]) -> int:
    """Write rows to a file; one that is there is replaced, at the end and in one step.

    Args:
        path: The file.
        file_format: A key of `FORMATS`.
        columns: What of each row.
        rows: Taken one batch at a time.

    Returns:
        How many rows there were.

    Raises:
        ConfigError: The file can't be written; it is then as it was.
    """
    with replacing(path) as draft:
        return FORMATS[file_format](draft, columns, rows)


def _write_csv(path: Path, columns: Sequence[Column], rows: Iterable[Any]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(column.name for column in columns)
        for row in rows:
            writer.writerow(_cell(column, row) for column in columns)
            count += 1
    return count


def _cell(column: Column, row: Any) -> str:
    value = column.value_of(row)
    if value is None:
        return ""
    if column.kind is Kind.MOMENT:
        return _moment(value)
    if column.kind is Kind.TEXT:
        return f"'{value}" if value.startswith(_FORMULA) else str(value)
    return repr(value)


def _moment(ns: int) -> str:
    """ISO 8601 in UTC, to the nanosecond; of 64 bits every one has a date."""
    seconds, fraction = divmod(ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09}Z"


def _write_parquet(path: Path, columns: Sequence[Column], rows: Iterable[Any]) -> int:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    types = [_arrow_type(column.kind) for column in columns]
    schema = pa.schema([(column.name, kind) for column, kind in zip(columns, types, strict=True)])
    count = 0
    with ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(rows):
            arrays = [
                pa.array([column.value_of(row) for row in batch], kind)
                for column, kind in zip(columns, types, strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            count += len(batch)
    return count


def _arrow_type(kind: Kind) -> pa.DataType:
    import pyarrow as pa

    return {
        Kind.INTEGER: pa.int64(),
        Kind.NUMBER: pa.float64(),
        Kind.TEXT: pa.string(),
        Kind.MOMENT: pa.timestamp("ns", tz="UTC"),
    }[kind]


def _batches(rows: Iterable[Any]) -> Iterator[list[Any]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, _BATCH_ROWS)):
        yield batch


FORMATS: Mapping[str, Callable[[Path, Sequence[Column], Iterable[Any]], int]] = MappingProxyType(
    {"csv": _write_csv, "parquet": _write_parquet}
)
"""How each format is written."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new neighbour of `path`, flushed and put in its place at the end, or removed.

    Raises:
        ConfigError: The file can't be written; it is then as it was.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        try:
            yield draft
            with draft.open("rb+") as file:
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"--out can't write to {path}: {error.strerror or error}") from error
