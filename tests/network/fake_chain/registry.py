"""A runtime's type registry, made from types that are written as Rust writes them.

`Vec<u8>`, `Option<T>`, `Compact<u64>`, `[u8;32]`, `(A,B)`, the primitives, and the names in
`STRUCTS` and `ENUMS`. A type is added the first time that it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from .scale import compact, option, text, vec

PRIMITIVES = (
    "bool", "char", "str", "u8", "u16", "u32", "u64", "u128", "u256", "i8", "i16", "i32", "i64",
    "i128", "i256",
)  # fmt: skip

Fields = Sequence[tuple[str | None, str]]
Variant = tuple[int, str, Fields]


class Registry:
    """The types of a runtime.

    Args:
        structs: By the last part of their name: the whole name, and their fields in order.
        enums: By the last part of their name: the whole name, and their variants.
    """

    def __init__(
        self,
        structs: Mapping[str, tuple[str, Fields]],
        enums: Mapping[str, tuple[str, Sequence[Variant]]],
    ) -> None:
        self._structs = structs
        self._enums = enums
        self._ids: dict[str, int] = {}
        self._encoded: list[bytes] = []

    def id_of(self, written: str) -> int:
        """The number of a type."""
        name = written.replace(" ", "")
        if name not in self._ids:
            # Taken before it is made: what it is made of comes after it.
            self._ids[name] = len(self._encoded)
            self._encoded.append(b"")
            self._encoded[self._ids[name]] = self._made(name)
        return self._ids[name]

    def ref(self, written: str) -> bytes:
        return compact(self.id_of(written))

    def encode(self) -> bytes:
        return vec(compact(number) + made for number, made in enumerate(self._encoded))

    def _made(self, name: str) -> bytes:
        if name in PRIMITIVES:
            return _type("", b"\5" + bytes([PRIMITIVES.index(name)]))
        if name in self._structs:
            path, fields = self._structs[name]
            return _type(path, b"\0" + self._fields(fields))
        if name in self._enums:
            path, variants = self._enums[name]
            return _type(path, b"\1" + vec(self._variant(variant) for variant in variants))
        if match := re.fullmatch(r"Vec<(.+)>", name):
            return _type("", b"\2" + self.ref(match[1]))
        if match := re.fullmatch(r"\[(.+);(\d+)\]", name):
            return _type("", b"\3" + int(match[2]).to_bytes(4, "little") + self.ref(match[1]))
        if match := re.fullmatch(r"\((.*)\)", name):
            return _type("", b"\4" + vec(self.ref(part) for part in _parts(match[1])))
        if match := re.fullmatch(r"Compact<(.+)>", name):
            return _type("", b"\6" + self.ref(match[1]))
        if match := re.fullmatch(r"Option<(.+)>", name):
            variants = (0, "None", ()), (1, "Some", ((None, match[1]),))
            made = b"\1" + vec(self._variant(variant) for variant in variants)
            return _type("Option", made, parameters=[("T", self.ref(match[1]))])
        raise KeyError(name)

    def _fields(self, fields: Fields) -> bytes:
        return vec(
            option(None if name is None else text(name))
            + self.ref(kind)
            + option(text(kind))
            + b"\0"
            for name, kind in fields
        )

    def _variant(self, variant: Variant) -> bytes:
        index, name, fields = variant
        return text(name) + self._fields(fields) + bytes([index]) + b"\0"


def _type(path: str, definition: bytes, parameters: Sequence[tuple[str, bytes]] = ()) -> bytes:
    names = vec(text(part) for part in path.split("::")) if path else b"\0"
    known = vec(text(name) + option(kind) for name, kind in parameters)
    return names + known + definition + b"\0"


def _parts(written: str) -> Iterator[str]:
    """The parts of a tuple, which may be tuples themselves."""
    depth, start = 0, 0
    for position, letter in enumerate(written):
        depth += (letter in "(<[") - (letter in ")>]")
        if letter == "," and depth == 0:
            yield written[start:position]
            start = position + 1
    if start < len(written):
        yield written[start:]
