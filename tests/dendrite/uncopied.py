"""A field that can be sent along and not copied, for synapses of any kind."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

__all__ = ["WithUncopied"]


class _Uncopied:
    def __deepcopy__(self, memo: object) -> _Uncopied:
        raise ValueError("not to be copied")


class WithUncopied(BaseModel):
    """What a synapse inherits beside its own base."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    odd: SkipValidation[_Uncopied] = Field(default_factory=_Uncopied, exclude=True)
