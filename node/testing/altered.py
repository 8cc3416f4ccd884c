"""Making an answer wrong, whatever its type, and still one that its protocol can carry."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from pydantic import BaseModel, ValidationError

from node.synapse import Synapse

__all__ = ["answer_fields", "changed_item", "changed_reply", "wrong"]

Change = Callable[[Any], Any]


def answer_fields(synapse: Synapse, asked: Synapse) -> list[str]:
    """Return the fields that hold the answer: those that the forward changed.

    Where it changed none, those that a reply may fill.

    Args:
        synapse: What the forward returned.
        asked: The request, as it was before.
    """
    own = synapse.own_fields()
    changed = [name for name in own if getattr(synapse, name) != getattr(asked, name)]
    return changed or [name for name in own if name not in asked.question_fields()]


def changed_reply(synapse: Synapse, asked: Synapse, change: Change) -> Synapse:
    """Change every field of the answer; one that allows no such value stays as it is."""
    changed: Synapse = _changed_model(synapse, answer_fields(synapse, asked), change)
    return changed


def changed_item(item: Any, change: Change) -> Any:
    """Return a chunk with a change made to it, or to every field of a model."""
    if isinstance(item, BaseModel):
        return _changed_model(item, list(type(item).model_fields), change)
    return change(item)


def wrong(value: Any) -> Any:
    """Return a value of the same type that is not the right one.

    Text keeps its length where it has letters or digits, each of which becomes the next one.
    """
    if isinstance(value, Enum) or value is None:
        return value
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return _next_letters(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return _next_bytes(bytes(value))
    if isinstance(value, BaseModel):
        return changed_item(value, wrong)
    if isinstance(value, list | tuple):
        return type(value)([wrong(part) for part in value])
    if isinstance(value, dict):
        return {key: wrong(part) for key, part in value.items()}
    return value


def _changed_model(model: Any, names: list[str], change: Change) -> Any:
    for name in names:
        values = {**dict(model), name: change(getattr(model, name))}
        try:
            changed = type(model).model_validate(values, by_name=True, by_alias=False)
        except ValidationError:
            continue  # a Literal, or a number at its limit
        model = changed
    return model


def _next_letters(text: str) -> str:
    after = "".join(_next_letter(letter) for letter in text)
    return after if after != text else text + "!"


def _next_letter(letter: str) -> str:
    for first, last in ("az", "AZ", "09"):
        if first <= letter <= last:
            return first if letter == last else chr(ord(letter) + 1)
    return letter


def _next_bytes(data: bytes) -> bytes:
    try:
        return _next_letters(data.decode()).encode()
    except UnicodeDecodeError:
        return bytes(number ^ 1 for number in data)
