"""`bt_header_input_obj_*`: the placeholders from which an SDK axon builds its first synapse.

An axon of SDK 6-10 makes a synapse from headers before it reads the body, so each field without
a default needs a header: base64 of the JSON of the *empty* value of its type (WIRE.md §2.5).
They are not signed and hold no data; nothing may be decided by them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pydantic_core

from node.errors import MalformedRequest

__all__ = ["INPUT_PREFIX", "input_headers", "parse_input_headers"]

INPUT_PREFIX = "bt_header_input_obj_"

_MAX_OBJECTS = 64
_MAX_OBJECT_CHARS = 8192

# The first type that a value is an instance of decides; a bool is an int too.
_EMPTY: tuple[tuple[type | tuple[type, ...], object], ...] = (
    (bool, False),
    (str, ""),
    (int, 0),
    (float, 0.0),
    (Mapping, {}),
    ((list, tuple, set, frozenset), []),
)


def input_headers(required: Mapping[str, Any]) -> dict[str, str]:
    """Return a header for each required field.

    Args:
        required: Values of the fields that have no default, by name; only their types matter. A
            value of None, of a type that JSON has no word for, or under a name that is not ASCII
            gets no header, so an SDK axon will refuse the request.
    """
    headers = {}
    for field, value in required.items():
        empty = _empty_like(value)
        if empty is not None and field.isascii():
            headers[INPUT_PREFIX + field] = base64.b64encode(json.dumps(empty).encode()).decode()
    return headers


def _empty_like(value: object) -> object:
    for kind, empty in _EMPTY:
        if isinstance(value, kind):
            return empty
    # A pydantic model, without importing pydantic for those who only sign.
    return {} if hasattr(value, "model_dump") else None


def parse_input_headers(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return what the headers say, by field; real values are read as well as placeholders.

    The field keeps the case in which its header arrived; servers and proxies may have lowered it.

    Raises:
        MalformedRequest: A header is not base64 of JSON, is over 8192 characters, or appears
            twice, or there are over 64.
    """
    objects: dict[str, Any] = {}
    for name, value in headers.items():
        if name[: len(INPUT_PREFIX)].lower() != INPUT_PREFIX:
            continue
        field = name[len(INPUT_PREFIX) :]
        if field in objects or len(objects) == _MAX_OBJECTS or len(value) > _MAX_OBJECT_CHARS:
            raise MalformedRequest("an input object header appears twice, or there is too much")
        objects[field] = _parse_object(value)
    return objects


def _parse_object(text: str) -> Any:
    try:
        return pydantic_core.from_json(base64.b64decode(text, validate=True), allow_inf_nan=False)
    except ValueError as error:
        raise MalformedRequest("an input object header is not base64 of JSON") from error
