"""The body hash of SDK 6-10: a digest of Python values, not of bytes (WIRE.md §2.3).

`H(s)` is SHA3-256 in hex. Each hashed field gives `H(str(value))`, and the hash is `H` of those
hex strings joined, in order. So what is hashed is how Python writes the value, after the model's
own coercion: an int in a float field is `7.0`, a tuple is `(1, 'a')`, a nested model is the `repr`
of its dict. Pass what `model_dump()` (python mode) gives, never what `json.loads` gave.

The order of the values is the caller's business, because the SDKs differ: 7.2 and later take
the order of `required_hash_fields`, earlier ones the order of the model's fields. Classes that
list them in field order hash alike everywhere. Accepting either order would let a relay swap
two values under a good signature, so a receiver picks one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from node.errors import BodyMismatch, MalformedRequest

__all__ = ["EMPTY_BODY_HASH", "body_hash", "check_body_hash"]


def _hash_text(text: str) -> str:
    return hashlib.sha3_256(text.encode()).hexdigest()


EMPTY_BODY_HASH = _hash_text("")
"""The hash of a body of which no field is hashed: it covers nothing of the body."""


def body_hash(values: Iterable[Any]) -> str:
    """Return `computed_body_hash`: 64 lower-case hex digits.

    Args:
        values: Values of the hashed fields from the model's dump, in the order of the class.
            None at all gives `EMPTY_BODY_HASH`.

    Raises:
        MalformedRequest: A value has no text that can be hashed: a lone surrogate, an integer of
            thousands of digits, or nesting beyond what Python can write.
    """
    try:
        return _hash_text("".join(_hash_text(str(value)) for value in values))
    except (ValueError, RecursionError) as error:
        raise MalformedRequest("a hashed field holds a value that can't be hashed") from error


def check_body_hash(claimed: str, values: Iterable[Any]) -> None:
    """Check that a body holds what its sender signed; run it after the signature.

    Args:
        claimed: `Claim.body_hash`, which the signature covers.
        values: As for `body_hash`, from the body that was received.

    Raises:
        BodyMismatch: A hashed field differs, or other fields were hashed.
        MalformedRequest: As `body_hash`.
    """
    if body_hash(values) != claimed:
        raise BodyMismatch("the hashed fields are not those that were signed")
